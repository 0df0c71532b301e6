/* Integers of files to samples and back, and weighted sums of rows. */
#include "kernels.h"

/* 16 or 24 bits, full scale +-1, as libsndfile scales them: exact. */
CLONES static void unpack_16(const uint8_t *bytes, Py_ssize_t count, int big, float *out)
{
    const int high = !big, low = big;
    for (Py_ssize_t i = 0; i < count; i++) {
        const uint16_t word = (uint16_t)(bytes[2 * i + high] << 8 | bytes[2 * i + low]);
        out[i] = (float)(int16_t)word * (1.0f / 32768.0f);
    }
}

CLONES static void unpack_24(const uint8_t *bytes, Py_ssize_t count, int big, float *out)
{
    const int high = big ? 0 : 2, low = big ? 2 : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        const uint8_t *at = bytes + 3 * i;
        const uint32_t word =
            (uint32_t)at[high] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[low] << 8;
        out[i] = (float)(int32_t)word * (1.0f / 2147483648.0f);
    }
}

static PyObject *unpack(PyObject *module, PyObject *args)
{
    PyObject *data, *output, *result = NULL;
    const uint8_t *bytes;
    float *out;
    Py_ssize_t width, count, places;
    int big;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OnpO", &data, &width, &big, &output))
        return NULL;
    if (take_array(&buffers, data, "data", 'B', 0, &bytes, &count) < 0 ||
        take_array(&buffers, output, "out", 'f', 1, &out, &places) < 0)
        goto done;
    if ((width != 2 && width != 3) || count % width || places != count / width)
        refuse("width, data and out", "2 or 3, (count * width,) and (count,)");
    else {
        BEGIN_KERNEL(count)
        if (width == 2)
            unpack_16(bytes, places, big, out);
        else
            unpack_24(bytes, places, big, out);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

/* Samples to integers, with noise of triangular density from two halves of a word of 64 bits;
 * the nearest even one, by adding and taking away 1.5 * 2^52; clipped. Silence stays silence. */
CLONES static void run_quantise(const float *x, const uint64_t *words, Py_ssize_t count,
                                double full_scale, int32_t *out)
{
    static const double to_whole = 6755399441055744.0;
    for (Py_ssize_t i = 0; i < count; i++) {
        const uint64_t halves = (words[i] >> 32) + (words[i] & 0xFFFFFFFFULL);
        const double noise = (double)(int64_t)halves * (1.0 / 4294967296.0) - 1.0;
        uint32_t bits; /* by which silence is told from denormals, which are flushed here */
        memcpy(&bits, &x[i], sizeof bits);
        double scaled = (double)x[i] * full_scale + (bits << 1 ? noise : 0.0);
        scaled = scaled > -full_scale ? scaled : -full_scale;
        scaled = scaled < full_scale - 1.0 ? scaled : full_scale - 1.0;
        out[i] = (int32_t)((scaled + to_whole) - to_whole);
    }
}

static PyObject *quantise(PyObject *module, PyObject *args)
{
    PyObject *samples, *noise, *output, *result = NULL;
    const float *x;
    const uint64_t *words;
    int32_t *out;
    double full_scale;
    Py_ssize_t count, noises, places;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OOdO", &samples, &noise, &full_scale, &output))
        return NULL;
    if (take_array(&buffers, samples, "samples", 'f', 0, &x, &count) < 0 ||
        take_array(&buffers, noise, "words", 'Q', 0, &words, &noises) < 0 ||
        take_array(&buffers, output, "out", 'i', 1, &out, &places) < 0)
        goto done;
    if (noises != count || places != count)
        refuse("words and out", "as long as samples");
    else if (!(full_scale >= 1.0 && full_scale <= 2147483648.0))
        refuse("full_scale", "1 to 2**31");
    else {
        BEGIN_KERNEL(count)
        run_quantise(x, words, count, full_scale, out);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

enum { COLUMNS = 32, MOST_SETS = 4096 };

/* One value of each of some columns: tap after tap, so that every value rounds alike. */
INLINE void taps_of(const float *rows, Py_ssize_t row_step, const float *taps, Py_ssize_t count,
                    float *out, const int columns)
{
    float sums[COLUMNS] = {0.0f};
    for (Py_ssize_t tap = 0; tap < count; tap++)
        for (int c = 0; c < columns; c++)
            sums[c] += rows[tap * row_step + c] * taps[tap];
    for (int c = 0; c < columns; c++)
        out[c] = sums[c];
}

CLONES static void run_filtered(const float *rows, Py_ssize_t columns, const float *taps,
                                Py_ssize_t sets, Py_ssize_t count, Py_ssize_t frames, float *out)
{
    for (Py_ssize_t column = 0; column < columns; column += COLUMNS) {
        const int wide = columns - column >= COLUMNS;
        const int left = wide ? COLUMNS : (int)(columns - column);
        for (Py_ssize_t set = 0; set < sets; set++)
            for (Py_ssize_t frame = 0; frame < frames; frame++) {
                const float *from = rows + frame * columns + column;
                float *to = out + (set * frames + frame) * columns + column;
                if (wide)
                    taps_of(from, columns, taps + set * count, count, to, COLUMNS);
                else
                    taps_of(from, columns, taps + set * count, count, to, left);
            }
    }
}

static PyObject *filtered(PyObject *module, PyObject *args)
{
    PyObject *streams, *weights, *output, *result = NULL;
    const float *rows, *taps;
    float *out;
    Py_ssize_t frames, sets, row_count, tap_count, places;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OnOnO", &streams, &frames, &weights, &sets, &output))
        return NULL;
    if (take_array(&buffers, streams, "rows", 'f', 0, &rows, &row_count) < 0 ||
        take_array(&buffers, weights, "taps", 'f', 0, &taps, &tap_count) < 0 ||
        take_array(&buffers, output, "out", 'f', 1, &out, &places) < 0)
        goto done;
    const Py_ssize_t count = sets > 0 ? tap_count / sets : 0;
    const Py_ssize_t columns = frames > 0 ? row_count / frames : 0;
    /* Within bounds that keep the products below from wrapping. */
    if (frames < 1 || frames > MOST_FRAMES || sets < 1 || sets > MOST_SETS || count < 1 || count > frames || row_count % frames ||
        tap_count % sets || places != sets * (frames - count + 1) * columns)
        refuse("rows, taps and out", "(frames, columns), (sets, taps) and (sets, left, columns)");
    else {
        BEGIN_KERNEL(places * count)
        run_filtered(rows, columns, taps, sets, count, frames - count + 1, out);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

PyMethodDef pcm_methods[] = {{"unpack", unpack, METH_VARARGS, NULL},
                             {"quantise", quantise, METH_VARARGS, NULL},
                             {"filtered", filtered, METH_VARARGS, NULL},
                             {NULL, NULL, 0, NULL}};
