/* Levels: peaks, sums and products of a stream, and the peak of every control hop. */
#include "kernels.h"

INLINE float magnitude(float x) { return fabsf(x); }
INLINE float larger(float a, float b) { return a > b ? a : b; }

/* Sums run from frame to frame: no lanes, so that a cut of the stream cannot show. A pair of
 * channels is summed in one loop: five chains of additions hide each other's latency. */
static float pair_levels(const Sound *in, Py_ssize_t channel, double *totals, double *cross)
{
    const float *left = in->at + channel * in->channel_step, *right = left + in->channel_step;
    double *one = totals + 3 * channel, *two = one + 3;
    double sum1 = one[1], sum2 = two[1], square1 = one[2], square2 = two[2], both = *cross;
    float peak1 = 0.0f, peak2 = 0.0f;
    for (Py_ssize_t t = 0; t < in->frames; t++) {
        const float l = left[t * in->frame_step], r = right[t * in->frame_step];
        sum1 += l, sum2 += r;
        square1 += (double)l * l, square2 += (double)r * r;
        both += (double)l * r;
        peak1 = larger(magnitude(l), peak1), peak2 = larger(magnitude(r), peak2);
    }
    one[0] = peak1 > one[0] ? peak1 : one[0], two[0] = peak2 > two[0] ? peak2 : two[0];
    one[1] = sum1, two[1] = sum2, one[2] = square1, two[2] = square2, *cross = both;
    return larger(peak1, peak2);
}

static float lone_levels(const Sound *in, Py_ssize_t channel, double *totals)
{
    const float *at = in->at + channel * in->channel_step;
    double *one = totals + 3 * channel, sum = one[1], square = one[2];
    float peak = 0.0f;
    for (Py_ssize_t t = 0; t < in->frames; t++) {
        const float x = at[t * in->frame_step];
        sum += x;
        square += (double)x * x;
        peak = larger(magnitude(x), peak);
    }
    one[0] = peak > one[0] ? peak : one[0], one[1] = sum, one[2] = square;
    return peak;
}

static PyObject *levels(PyObject *module, PyObject *args)
{
    PyObject *block, *sums, *product, *result = NULL;
    double *totals, *cross;
    Py_ssize_t counted, one;
    Buffers buffers = {.count = 0};
    Sound in;
    float peak;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOO", &block, &sums, &product))
        return NULL;
    if (take_sound(&buffers, block, "block", 0, &in) < 0 ||
        take_array(&buffers, sums, "totals", 'd', 1, &totals, &counted) < 0 ||
        take_array(&buffers, product, "cross", 'd', 1, &cross, &one) < 0)
        goto done;
    if (counted != 3 * in.channels || one != 1)
        refuse("totals and cross", "(channels, 3) and (1,)");
    else {
        BEGIN_KERNEL(in.frames * in.channels)
        double unused = 0.0;
        peak = 0.0f;
        for (Py_ssize_t channel = 0; channel + 1 < in.channels; channel += 2)
            peak = larger(pair_levels(&in, channel, totals, channel ? &unused : cross), peak);
        if (in.channels % 2)
            peak = larger(lone_levels(&in, in.channels - 1, totals), peak);
        END_KERNEL
        result = PyFloat_FromDouble(peak);
    }
done:
    release(&buffers);
    return result;
}

/* The peak of `count` samples in a row, a multiple of 16: sixteen lanes, then halves. */
INLINE float peak_of_row(const float *x, Py_ssize_t count)
{
    float lanes[HOP_FRAMES];
    for (int i = 0; i < HOP_FRAMES; i++)
        lanes[i] = magnitude(x[i]);
    for (Py_ssize_t from = HOP_FRAMES; from < count; from += HOP_FRAMES)
        for (int i = 0; i < HOP_FRAMES; i++)
            lanes[i] = larger(magnitude(x[from + i]), lanes[i]);
    for (int half = HOP_FRAMES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] = larger(lanes[i + half], lanes[i]);
    return lanes[0];
}

static float peak_of(const Sound *in, Py_ssize_t channel, Py_ssize_t from, Py_ssize_t to,
                     float peak)
{
    const float *at = in->at + channel * in->channel_step;
    for (Py_ssize_t t = from; t < to; t++)
        peak = larger(magnitude(at[t * in->frame_step]), peak);
    return peak;
}

/* Whole hops of one row: channels from `first` on, `count` of them. */
CLONES static void whole_hops(const Sound *in, Py_ssize_t first, Py_ssize_t count,
                              Py_ssize_t from, Py_ssize_t hops, float *out)
{
    const float *at = in->at + from * in->frame_step + first * in->channel_step;
    if (in->channel_step == 1 && in->frame_step == count)
        for (Py_ssize_t hop = 0; hop < hops; hop++)
            out[hop] = peak_of_row(at + hop * HOP_FRAMES * count, HOP_FRAMES * count);
    else if (in->frame_step == 1)
        for (Py_ssize_t hop = 0; hop < hops; hop++) {
            float peak = 0.0f;
            for (Py_ssize_t c = 0; c < count; c++)
                peak = larger(
                    peak_of_row(at + hop * HOP_FRAMES + c * in->channel_step, HOP_FRAMES), peak);
            out[hop] = peak;
        }
    else
        for (Py_ssize_t hop = 0; hop < hops; hop++) {
            float peak = 0.0f;
            for (Py_ssize_t c = first; c < first + count; c++)
                peak = peak_of(in, c, from + hop * HOP_FRAMES, from + (hop + 1) * HOP_FRAMES, peak);
            out[hop] = peak;
        }
}

/* One row: finish the hop that has begun, take the whole ones, begin the next. */
static void row_of_hops(const Sound *in, Py_ssize_t first, Py_ssize_t count, Py_ssize_t begun,
                        float *open, float *out, Py_ssize_t hops)
{
    Py_ssize_t head = 0, done = 0;
    if (begun) {
        head = HOP_FRAMES - begun < in->frames ? HOP_FRAMES - begun : in->frames;
        for (Py_ssize_t c = first; c < first + count; c++)
            *open = peak_of(in, c, 0, head, *open);
        if (begun + head < HOP_FRAMES)
            return;
        out[done++] = *open;
    }
    whole_hops(in, first, count, head, hops - done, out + done);
    *open = 0.0f;
    for (Py_ssize_t c = first; c < first + count; c++)
        *open = peak_of(in, c, head + (hops - done) * HOP_FRAMES, in->frames, *open);
}

static PyObject *hop_peaks(PyObject *module, PyObject *args)
{
    PyObject *block, *peaks, *output, *result = NULL;
    float *open, *out;
    Py_ssize_t begun, rows, places;
    Buffers buffers = {.count = 0};
    Sound in;
    (void)module;
    if (!PyArg_ParseTuple(args, "OnOO", &block, &begun, &peaks, &output))
        return NULL;
    if (take_sound(&buffers, block, "block", 0, &in) < 0 ||
        take_array(&buffers, peaks, "open", 'f', 1, &open, &rows) < 0 ||
        take_array(&buffers, output, "out", 'f', 1, &out, &places) < 0)
        goto done;
    if (begun < 0 || begun >= HOP_FRAMES || (rows != 1 && rows != in.channels))
        refuse("begun and open", "0 to 15, and (1,) or (channels,)");
    else if (places != rows * ((begun + in.frames) / HOP_FRAMES))
        refuse("out", "(rows, hops)");
    else {
        const Py_ssize_t hops = (begun + in.frames) / HOP_FRAMES;
        const Py_ssize_t count = rows == 1 ? in.channels : 1;
        BEGIN_KERNEL(in.frames * in.channels)
        for (Py_ssize_t row = 0; row < rows; row++)
            row_of_hops(&in, row, count, begun, open + row, out + row * hops, hops);
        END_KERNEL
        result = PyLong_FromSsize_t((begun + in.frames) % HOP_FRAMES);
    }
done:
    release(&buffers);
    return result;
}

PyMethodDef level_methods[] = {
    {"levels", levels, METH_VARARGS, NULL},
    {"hop_peaks", hop_peaks, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};
