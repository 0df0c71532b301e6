/* Call kernels as told on standard input, and tell what became of their arguments.
 *
 * A call is a name and its arguments; the answer is what was returned, and all arrays as they are
 * now. In the order of this machine, which is that of the one that asks. Compiled with the
 * kernels' sources and with the Python.h beside it; tests/support/replay.py asks. */
#include "kernels.h"

PyObject nothing;
char problem[400];
const char *const PyExc_ValueError = "ValueError";

static PyObject made[4]; /* what a call returns: one at a time */

static PyObject *number_of(int64_t number)
{
    made[0] = (PyObject){.kind = 'n', .number = number};
    return &made[0];
}

PyObject *PyLong_FromSsize_t(Py_ssize_t number) { return number_of(number); }

PyObject *PyFloat_FromDouble(double real)
{
    made[0] = (PyObject){.kind = 'd', .real = real};
    return &made[0];
}

PyObject *Py_BuildValue(const char *format, ...) /* nn: what kernels build */
{
    va_list values;
    va_start(values, format);
    made[3] = (PyObject){.kind = 't', .count = 2, .items = {&made[1], &made[2]}};
    for (int place = 1; place < 3; place++)
        made[place] = (PyObject){.kind = 'n', .number = va_arg(values, Py_ssize_t)};
    va_end(values);
    return &made[3];
}

PyObject *PyCapsule_New(void *at, const char *name, void (*forget)(PyObject *))
{
    PyObject *capsule = calloc(1, sizeof *capsule); /* kept to the end */
    (void)name, (void)forget;
    *capsule = (PyObject){.kind = 'c', .number = (int64_t)(intptr_t)capsule, .at = at};
    return capsule;
}

void *PyCapsule_GetPointer(PyObject *capsule, const char *name)
{
    (void)name;
    return ((PyObject *)(intptr_t)capsule->number)->at;
}

int PyObject_GetBuffer(PyObject *object, Py_buffer *view, int flags)
{
    (void)flags;
    if (object->kind != 'a')
        return -1;
    *view = (Py_buffer){object->at, object->format, object->bytes, object->number,
                        (int)object->count, object->shape, object->strides};
    return 0;
}

int PyArg_ParseTuple(PyObject *args, const char *format, ...)
{
    va_list places;
    va_start(places, format);
    for (int i = 0; format[i]; i++) {
        PyObject *item = args->items[i];
        const double real = item->kind == 'd' ? item->real : (double)item->number;
        switch (format[i]) {
        case 'O': *va_arg(places, PyObject **) = item; break;
        case 'n': *va_arg(places, Py_ssize_t *) = item->number; break;
        case 'p': *va_arg(places, int *) = item->number != 0; break;
        case 'd': *va_arg(places, double *) = real; break;
        case 'f': *va_arg(places, float *) = (float)real; break;
        default: abort();
        }
    }
    va_end(places);
    return 1;
}

static void take_bytes(void *at, size_t count)
{
    if (fread(at, 1, count, stdin) != count)
        exit(0);
}

static void give_bytes(const void *at, size_t count)
{
    if (fwrite(at, 1, count, stdout) != count)
        exit(1);
}

static void take_object(PyObject *object)
{
    *object = (PyObject){0};
    take_bytes(&object->kind, 1);
    if (object->kind == 'n' || object->kind == 'c')
        take_bytes(&object->number, 8);
    else if (object->kind == 'd')
        take_bytes(&object->real, 8);
    else if (object->kind == 'a') {
        take_bytes(object->format, 1);
        take_bytes(&object->number, 8); /* of an item, in bytes */
        take_bytes(&object->count, 8);  /* dimensions */
        take_bytes(object->shape, 8 * object->count);
        take_bytes(object->strides, 8 * object->count);
        take_bytes(&object->bytes, 8);
        object->at = malloc(object->bytes + 1);
        take_bytes(object->at, object->bytes);
    }
}

static void give_number(const PyObject *object)
{
    give_bytes(&object->kind, 1);
    if (object->kind == 'd')
        give_bytes(&object->real, 8);
    else if (object->kind == 't')
        for (int i = 0; i < 2; i++)
            give_number(object->items[i]);
    else
        give_bytes(&object->number, 8);
}

static PyCFunction kernel_of(const char *name)
{
    PyMethodDef *families[] = {filter_methods, level_methods, dynamics_methods, control_methods,
                               spectrum_methods, pcm_methods, strip_methods, path_methods,
                               partial_methods};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (PyMethodDef *method = families[i]; method->ml_name; method++)
            if (!strcmp(method->ml_name, name))
                return method->ml_meth;
    exit(2);
}

int main(void)
{
    choose_filters();
    for (;;) {
        char name[32] = "";
        int64_t count;
        PyObject objects[MOST_ARGUMENTS], args = {.kind = 't'};
        take_bytes(name, sizeof name);
        take_bytes(&count, 8);
        for (int i = 0; i < count; i++) {
            take_object(&objects[i]);
            args.items[i] = objects[i].kind ? &objects[i] : Py_None;
        }
        PyCFunction kernel = kernel_of(name);
        const PyObject *result = kernel(&nothing, &args);
        if (result == NULL) {
            fprintf(stderr, "%s: %s\n", name, problem);
            return 1;
        }
        give_number(result);
        for (int i = 0; i < count; i++)
            if (objects[i].kind == 'a') {
                give_bytes(objects[i].at, objects[i].bytes);
                free(objects[i].at);
            }
        fflush(stdout);
    }
}
