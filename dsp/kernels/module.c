/* The module dsp.kernels._compiled: its buffers, its table of functions, its start. */
#include "kernels.h"

int refuse(const char *name, const char *wanted)
{
    PyErr_Format(PyExc_ValueError, "%s must be %s", name, wanted);
    return -1;
}

void release(Buffers *buffers)
{
    while (buffers->count > 0)
        PyBuffer_Release(&buffers->views[--buffers->count]);
}

static Py_buffer *take(Buffers *buffers, PyObject *object, int flags)
{
    Py_buffer *view = &buffers->views[buffers->count];
    if (PyObject_GetBuffer(object, view, flags | PyBUF_FORMAT) < 0)
        return NULL;
    buffers->count++;
    return view;
}

/* 64 bits are called l and L where long has as many, and q and Q elsewhere. */
static int has_format(const Py_buffer *view, char format)
{
    const char *has = view->format ? view->format : "B";
    if (has[0] == '@' || has[0] == '=')
        has++;
    if (has[0] == '\0' || has[1] != '\0')
        return 0;
    return has[0] == format || (view->itemsize == 8 && ((format == 'q' && has[0] == 'l') ||
                                                        (format == 'Q' && has[0] == 'L')));
}

int take_sound(Buffers *buffers, PyObject *object, const char *name, int writable, Sound *sound)
{
    Py_buffer *view = take(buffers, object, writable ? PyBUF_STRIDED : PyBUF_STRIDED_RO);
    if (view == NULL)
        return -1;
    const Py_ssize_t size = sizeof(float);
    if (view->ndim != 2 || !has_format(view, 'f') || (uintptr_t)view->buf % size ||
        view->strides[0] % size || view->strides[1] % size)
        return refuse(name, "an aligned (frames, channels) block of float32");
    if (view->shape[0] > MOST_FRAMES || view->shape[1] > MOST_CHANNELS)
        return refuse(name, "a block of fewer frames and channels");
    sound->at = view->buf;
    sound->frames = view->shape[0];
    sound->channels = view->shape[1];
    sound->frame_step = view->strides[0] / size;
    sound->channel_step = view->strides[1] / size;
    return 0;
}

int take_array(Buffers *buffers, PyObject *object, const char *name, char format, int writable,
               void *at, Py_ssize_t *length)
{
    Py_buffer *view = take(buffers, object, writable ? PyBUF_CONTIG : PyBUF_CONTIG_RO);
    if (view == NULL)
        return -1;
    if (!has_format(view, format) || (uintptr_t)view->buf % view->itemsize) {
        PyErr_Format(PyExc_ValueError, "%s must be an aligned array of format %c, got %s", name,
                     format, view->format ? view->format : "B");
        return -1;
    }
    *(void **)at = view->buf;
    *length = view->len / view->itemsize;
    return 0;
}

static int start(PyObject *module)
{
    PyMethodDef *families[] = {filter_methods, level_methods, dynamics_methods, control_methods,
                               spectrum_methods, pcm_methods, strip_methods, path_methods,
                               partial_methods};
    choose_filters();
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (PyModule_AddFunctions(module, families[i]) < 0)
            return -1;
    return PyModule_AddStringConstant(module, "SOURCE", SOURCE);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)start}, {0, NULL}};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_compiled", "Loops over samples, compiled.", 0, NULL, slots,
    NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__compiled(void) { return PyModuleDef_Init(&definition); }
