/* As much of Python's C interface as the kernels need, for machines that no Python is at hand for:
 * arrays, numbers, tuples and capsules that nobody counts. replay.c calls the kernels with it. */
#ifndef Py_PYTHON_H
#define Py_PYTHON_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef ssize_t Py_ssize_t;
#define MOST_ARGUMENTS 12

typedef struct PyObject {
    char kind; /* a array, n whole number, d number, c capsule, t tuple, 0 nothing */
    char format[2];
    int64_t number, shape[4], strides[4], bytes, count;
    double real;
    void *at;
    struct PyObject *items[MOST_ARGUMENTS];
} PyObject;
typedef struct {
    void *buf;
    const char *format;
    Py_ssize_t len, itemsize;
    int ndim;
    int64_t *shape, *strides;
} Py_buffer;
typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);
typedef struct {
    const char *ml_name;
    PyCFunction ml_meth;
    int ml_flags;
    const char *ml_doc;
} PyMethodDef;
typedef struct {
    int slot;
    void *value;
} PyModuleDef_Slot;
typedef void PyThreadState;
struct PyModuleDef {
    int base;
    const char *name, *doc;
    int size;
    void *methods;
    PyModuleDef_Slot *slots;
    void *traverse, *clear, *free;
};

extern PyObject nothing;
extern char problem[400];
extern const char *const PyExc_ValueError;

#define PY_SSIZE_T_MAX ((Py_ssize_t)(SIZE_MAX >> 1))
#define Py_None (&nothing)
#define Py_NewRef(object) (object)
#define PyEval_SaveThread() NULL
#define PyEval_RestoreThread(thread) ((void)(thread))
#define PyMODINIT_FUNC PyObject *
#define PyModuleDef_HEAD_INIT 0
#define PyModuleDef_Init(definition) ((void)(definition), (PyObject *)NULL)
#define PyModule_AddFunctions(module, methods) ((void)(module), (void)(methods), 0)
#define PyModule_AddStringConstant(module, name, text) ((void)(text), 0)
#define PyErr_Format(kind, ...) ((void)snprintf(problem, sizeof problem, __VA_ARGS__))
#define PyErr_NoMemory() ((PyObject *)NULL)
#define PyBuffer_Release(view) ((void)(view))
enum { Py_mod_exec, METH_VARARGS, METH_O };
enum { PyBUF_STRIDED, PyBUF_STRIDED_RO, PyBUF_CONTIG, PyBUF_CONTIG_RO, PyBUF_FORMAT = 0 };

int PyArg_ParseTuple(PyObject *args, const char *format, ...);
int PyObject_GetBuffer(PyObject *object, Py_buffer *view, int flags);
PyObject *Py_BuildValue(const char *format, ...);
PyObject *PyLong_FromSsize_t(Py_ssize_t number);
PyObject *PyFloat_FromDouble(double real);
PyObject *PyCapsule_New(void *at, const char *name, void (*forget)(PyObject *));
void *PyCapsule_GetPointer(PyObject *capsule, const char *name);

#endif
