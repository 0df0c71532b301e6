/* Paths: the best way to go on from every way to arrive, of a Viterbi search. */
#include "kernels.h"

#define MOST_WAYS 256 /* a way is told in a byte */

/* Ways onward lie beside each other, so that lanes compare them; an earlier way to arrive wins
 * over an equal one. */
CLONES static void go_on(const float *arrived, Py_ssize_t frames, Py_ssize_t ways,
                         const float *change, float *leaving, uint8_t *came)
{
    float best[MOST_WAYS];
    int32_t from[MOST_WAYS];
    for (Py_ssize_t t = 0; t < frames; t++) {
        const float *at = arrived + t * ways;
        for (Py_ssize_t n = 0; n < ways; n++)
            best[n] = at[0] - change[n], from[n] = 0;
        for (Py_ssize_t k = 1; k < ways; k++) {
            const float *price = change + k * ways, score = at[k];
            const int32_t way = (int32_t)k;
            for (Py_ssize_t n = 0; n < ways; n++) {
                const float onward = score - price[n];
                const int better = onward > best[n];
                best[n] = better ? onward : best[n];
                from[n] = better ? way : from[n];
            }
        }
        for (Py_ssize_t n = 0; n < ways; n++)
            leaving[t * ways + n] = best[n], came[t * ways + n] = (uint8_t)from[n];
    }
}

static PyObject *best_ways(PyObject *module, PyObject *args)
{
    PyObject *scores, *prices, *output, *origins, *result = NULL;
    float *arrived, *change, *leaving;
    uint8_t *came;
    Py_ssize_t ways, count, priced, places, told;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OnOOO", &scores, &ways, &prices, &output, &origins))
        return NULL;
    if (take_array(&buffers, scores, "arrived", 'f', 0, &arrived, &count) < 0 ||
        take_array(&buffers, prices, "change", 'f', 0, &change, &priced) < 0 ||
        take_array(&buffers, output, "leaving", 'f', 1, &leaving, &places) < 0 ||
        take_array(&buffers, origins, "came", 'B', 1, &came, &told) < 0)
        goto done;
    if (ways < 1 || ways > MOST_WAYS || priced != ways * ways)
        refuse("ways and change", "1 to 256, and (ways, ways)");
    else if (count % ways || places != count || told != count)
        refuse("arrived, leaving and came", "(frames, ways)");
    else {
        BEGIN_KERNEL(count * ways)
        go_on(arrived, count / ways, ways, change, leaving, came);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

PyMethodDef path_methods[] = {
    {"best_ways", best_ways, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};
