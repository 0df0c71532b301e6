/* Partials: what stands out of a spectrum. */
#include "kernels.h"

typedef struct {
    float *row; /* powers, and amplitudes when it is done */
    double *sums;
    Py_ssize_t bins, start, stop, around;
    float ratio;
} Spectrum;

/* Amplitudes, and their sums up to each bin. */
CLONES static void take_roots(const Spectrum *in)
{
    for (Py_ssize_t k = 0; k < in->bins; k++)
        in->row[k] = sqrtf(in->row[k]);
    in->sums[0] = 0.0;
    for (Py_ssize_t k = 0; k < in->bins; k++)
        in->sums[k + 1] = in->sums[k] + in->row[k];
}

static int stands_out(const Spectrum *in, Py_ssize_t k)
{
    const Py_ssize_t low = k - in->around, high = k + in->around + 1;
    const double sum = in->sums[high < in->bins ? high : in->bins] - in->sums[low > 0 ? low : 0];
    return in->row[k] > in->ratio * (float)(sum / (double)(2 * in->around + 1));
}

static Py_ssize_t find_peaks(const Spectrum *in, Py_ssize_t place, int64_t *places, float *values)
{
    const float *x = in->row;
    Py_ssize_t count = 0;
    take_roots(in);
    for (Py_ssize_t k = in->start; k < in->stop; k++)
        if (x[k] > x[k - 1] && x[k] >= x[k + 1] && stands_out(in, k)) {
            places[count] = place + k;
            memcpy(values + 3 * count++, x + k - 1, 3 * sizeof(float));
        }
    return count;
}

static PyObject *partials(PyObject *module, PyObject *args)
{
    PyObject *spectra, *room, *found, *strengths, *result = NULL;
    Py_ssize_t bins, length, sums, most, triples, count = 0;
    Spectrum in;
    float *powers, *values;
    int64_t *places;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OnnnnfOOO", &spectra, &bins, &in.start, &in.stop, &in.around,
                          &in.ratio, &room, &found, &strengths))
        return NULL;
    if (take_array(&buffers, spectra, "powers", 'f', 1, &powers, &length) < 0 ||
        take_array(&buffers, room, "sums", 'd', 1, &in.sums, &sums) < 0 ||
        take_array(&buffers, found, "places", 'q', 1, &places, &most) < 0 ||
        take_array(&buffers, strengths, "values", 'f', 1, &values, &triples) < 0)
        goto done;
    in.bins = bins;
    if (bins < 1 || length % bins || sums != bins + 1)
        refuse("powers and sums", "(frames, bins) and (bins + 1,)");
    else if (in.start < 1 || in.stop < in.start || in.stop >= bins)
        refuse("start and stop", "bins between the first and the last");
    else if (in.around < 0 || in.around > bins)
        refuse("around", "0 to the number of bins");
    else if (most != length / bins * ((in.stop - in.start + 1) / 2) || triples != 3 * most)
        refuse("places and values", "(most,) and (most, 3), every second bin of every frame");
    else {
        BEGIN_KERNEL(2 * length)
        for (Py_ssize_t at = 0; at < length; at += bins) {
            in.row = powers + at;
            count += find_peaks(&in, at, places + count, values + 3 * count);
        }
        END_KERNEL
        result = PyLong_FromSsize_t(count);
    }
done:
    release(&buffers);
    return result;
}

PyMethodDef partial_methods[] = {{"partials", partials, METH_VARARGS, NULL},
                                 {NULL, NULL, 0, NULL}};
