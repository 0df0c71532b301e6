/* What moves a gain: decibels and back, the static curve, its ballistics, and the ramp. */
#include "kernels.h"

#include <float.h>

/* Logarithm and power to base 2, of + - * / and moves of bits: the same bits everywhere, and no
 * branch, so that compilers put several values in lanes. Libraries do neither. */

/* x = 2^e m with m in [sqrt 1/2, sqrt 2):  ln m = 2 atanh r = 2 (r + r^3/3 + r^5/5 + ...),
 * r = (m - 1) / (m + 1). The first term left out is below 1e-17. Infinities and NaN stay. */
INLINE double log2_of(double x)
{
    static const double two_over_ln_2 = 2.8853900817779268;
    uint64_t bits, mantissa, carried;
    double m, exponent;
    memcpy(&bits, &x, sizeof bits);
    int64_t e = (int64_t)(bits - 0x3FE6A09E667F3BCDULL) >> 52; /* the bits of sqrt 1/2 */
    mantissa = bits - ((uint64_t)e << 52);
    memcpy(&m, &mantissa, sizeof m);
    /* e as a double, by its bits: before AVX-512 no lane converts 64-bit integers. */
    carried = (uint64_t)(e + 0x4338000000000000LL);
    memcpy(&exponent, &carried, sizeof exponent);
    exponent -= 6755399441055744.0; /* 1.5 * 2^52 */
    double r = (m - 1.0) / (m + 1.0), q = r * r, p = q * (1.0 / 19) + 1.0 / 17;
    p = p * q + 1.0 / 15;
    p = p * q + 1.0 / 13;
    p = p * q + 1.0 / 11;
    p = p * q + 1.0 / 9;
    p = p * q + 1.0 / 7;
    p = p * q + 1.0 / 5;
    p = p * q + 1.0 / 3;
    p = p * q + 1.0;
    return x <= DBL_MAX ? exponent + r * p * two_over_ln_2 : x;
}

/* 2^x = 2^k e^f with f = (x - k) ln 2 in [-0.35, 0.35]: the series of e^f up to f^13 / 13!.
 * Held within 2^-1022 and 2^1022. */
INLINE double exp2_of(double x)
{
    double held = x < -1022.0 ? -1022.0 : x;
    held = held > 1022.0 ? 1022.0 : held;
    double k = held + 6755399441055744.0;
    uint64_t shift, bits;
    memcpy(&shift, &k, sizeof shift);
    k -= 6755399441055744.0;
    double f = (held - k) * 0.69314718055994531, p = f * (1.0 / 6227020800) + 1.0 / 479001600;
    p = p * f + 1.0 / 39916800;
    p = p * f + 1.0 / 3628800;
    p = p * f + 1.0 / 362880;
    p = p * f + 1.0 / 40320;
    p = p * f + 1.0 / 5040;
    p = p * f + 1.0 / 720;
    p = p * f + 1.0 / 120;
    p = p * f + 1.0 / 24;
    p = p * f + 1.0 / 6;
    p = p * f + 0.5;
    p = p * f + 1.0;
    p = p * f + 1.0;
    memcpy(&bits, &p, sizeof bits);
    bits += shift << 52;
    memcpy(&p, &bits, sizeof p);
    return x == x ? p : x;
}

CLONES static void run_decibels(const double *x, Py_ssize_t count, double floor, double *out)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        double level = fabs(x[i]);
        out[i] = 6.0205999132796239 * log2_of(level < floor ? floor : level); /* 20 log10 2 */
    }
}

CLONES static void run_ratios(const double *db, Py_ssize_t count, double *out)
{
    for (Py_ssize_t i = 0; i < count; i++)
        out[i] = exp2_of(db[i] * 0.16609640474436813); /* log2 10 / 20 */
}

/* Giannoulis, Massberg, Reiss 2012, equation 4, as what is taken away. */
typedef struct {
    double threshold, slope, knee, most;
} Curve;

CLONES static void run_curve(const double *level, Py_ssize_t count, const Curve *curve, double *out)
{
    const double half = 0.5 * curve->knee, knee = curve->knee, twice = 2.0 * curve->knee;
    for (Py_ssize_t i = 0; i < count; i++) {
        double over = level[i] - curve->threshold, above = over - half, inside = over + half;
        above = above > 0.0 ? above : 0.0;
        inside = inside > 0.0 ? inside : 0.0;
        inside = inside < knee ? inside : knee;
        double reduction = knee > 0.0 ? above + inside * inside / twice : above;
        reduction *= curve->slope;
        out[i] = reduction < curve->most ? reduction : curve->most;
    }
}

/* Equation 17: held = max(x, r held + (1 - r) x), smooth = a smooth + (1 - a) held. What has
 * decayed below `rest` is set to zero. */
static void run_follow(double *row, Py_ssize_t hops, double attack, double release, double rest,
                       double *state)
{
    double held = state[0], smooth = state[1];
    for (Py_ssize_t hop = 0; hop < hops; hop++) {
        const double x = row[hop], released = release * held + (1.0 - release) * x;
        held = x > released ? x : released;
        held = held < rest ? 0.0 : held;
        smooth = attack * smooth + (1.0 - attack) * held;
        smooth = held == 0.0 && smooth < rest ? 0.0 : smooth;
        row[hop] = smooth;
    }
    state[0] = held, state[1] = smooth;
}

static PyObject *decibels(PyObject *module, PyObject *args)
{
    PyObject *values, *output, *result = NULL;
    const double *x;
    double floor, *out;
    Py_ssize_t count, places;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OdO", &values, &floor, &output))
        return NULL;
    if (take_array(&buffers, values, "ratios", 'd', 0, &x, &count) < 0 ||
        take_array(&buffers, output, "out", 'd', 1, &out, &places) < 0)
        goto done;
    if (places != count)
        refuse("out", "as long as ratios");
    else if (!(floor >= DBL_MIN))
        refuse("floor", "above 0, and no denormal");
    else {
        BEGIN_KERNEL(count)
        run_decibels(x, count, floor, out);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

static PyObject *ratios(PyObject *module, PyObject *args)
{
    PyObject *values, *output, *result = NULL;
    const double *db;
    double *out;
    Py_ssize_t count, places;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OO", &values, &output))
        return NULL;
    if (take_array(&buffers, values, "db", 'd', 0, &db, &count) < 0 ||
        take_array(&buffers, output, "out", 'd', 1, &out, &places) < 0)
        goto done;
    if (places != count)
        refuse("out", "as long as db");
    else {
        BEGIN_KERNEL(count)
        run_ratios(db, count, out);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

static PyObject *curve(PyObject *module, PyObject *args)
{
    PyObject *values, *output, *result = NULL;
    const double *level;
    double *out;
    Py_ssize_t count, places;
    Buffers buffers = {.count = 0};
    Curve shape;
    (void)module;
    if (!PyArg_ParseTuple(args, "OddddO", &values, &shape.threshold, &shape.slope, &shape.knee,
                          &shape.most, &output))
        return NULL;
    if (take_array(&buffers, values, "level_db", 'd', 0, &level, &count) < 0 ||
        take_array(&buffers, output, "out", 'd', 1, &out, &places) < 0)
        goto done;
    if (places != count)
        refuse("out", "as long as level_db");
    else {
        BEGIN_KERNEL(count)
        run_curve(level, count, &shape, out);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

static PyObject *follow(PyObject *module, PyObject *args)
{
    PyObject *target, *states, *result = NULL;
    double attack, release_, rest, *rows, *state;
    Py_ssize_t count, kept;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OdddO", &target, &attack, &release_, &rest, &states))
        return NULL;
    if (take_array(&buffers, target, "target_db", 'd', 1, &rows, &count) < 0 ||
        take_array(&buffers, states, "state", 'd', 1, &state, &kept) < 0)
        goto done;
    if (kept < 2 || kept % 2 || count % (kept / 2))
        refuse("target_db and state", "(rows, hops) and (rows, 2)");
    else {
        const Py_ssize_t hops = count / (kept / 2);
        BEGIN_KERNEL(count)
        for (Py_ssize_t row = 0; row < kept / 2; row++)
            run_follow(rows + row * hops, hops, attack, release_, rest, state + 2 * row);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

/* Frames of one hop, or of a part of it: the gain goes in a straight line from border to border.
 * Without a band  y = x g,  with one  y = (x + 0) - band g  (plus zero: no -0 comes out). */
INLINE void ramp_part(const float *x, const float *band, float *y, const float *border,
                      Py_ssize_t first, const Py_ssize_t frames, const Py_ssize_t in_step,
                      const Py_ssize_t band_step, const Py_ssize_t out_step)
{
    const float start = border[0], rise = border[1] - border[0];
    for (Py_ssize_t i = 0; i < frames; i++) {
        const float gain = rise * ((float)(first + i) * (1.0f / HOP_FRAMES)) + start;
        if (band)
            y[i * out_step] = (x[i * in_step] + 0.0f) - band[i * band_step] * gain;
        else
            y[i * out_step] = x[i * in_step] * gain;
    }
}

/* One channel; in whole hops of samples in a row, which compilers put in lanes, where it can be. */
INLINE void ramp_channel(const Sound *in, const Sound *band, const Sound *out, Py_ssize_t channel,
                         const float *borders, Py_ssize_t begun, const int has_band)
{
    const float *x = in->at + channel * in->channel_step;
    const float *b = has_band ? band->at + channel * band->channel_step : NULL;
    float *y = out->at + channel * out->channel_step;
    const Py_ssize_t band_step = has_band ? band->frame_step : 1;
    const int in_a_row = in->frame_step == 1 && out->frame_step == 1 && band_step == 1;
    Py_ssize_t frame = 0;
    for (Py_ssize_t hop = 0; frame < in->frames; hop++, begun = 0) {
        const Py_ssize_t left = in->frames - frame;
        const Py_ssize_t part = HOP_FRAMES - begun < left ? HOP_FRAMES - begun : left;
        const float *band_at = has_band ? b + frame * band_step : NULL;
        if (in_a_row && part == HOP_FRAMES)
            ramp_part(x + frame, band_at, y + frame, borders + hop, 0, HOP_FRAMES, 1, 1, 1);
        else
            ramp_part(x + frame * in->frame_step, band_at, y + frame * out->frame_step,
                      borders + hop, begun, part, in->frame_step, band_step, out->frame_step);
        frame += part;
    }
}

CLONES static void run_ramp(const Sound *in, const Sound *out, const float *borders,
                            Py_ssize_t row_step, Py_ssize_t begun)
{
    for (Py_ssize_t channel = 0; channel < in->channels; channel++)
        ramp_channel(in, NULL, out, channel, borders + channel * row_step, begun, 0);
}

CLONES static void run_duck(const Sound *in, const Sound *band, const Sound *out,
                            const float *borders, Py_ssize_t row_step, Py_ssize_t begun)
{
    for (Py_ssize_t channel = 0; channel < in->channels; channel++)
        ramp_channel(in, band, out, channel, borders + channel * row_step, begun, 1);
}

static int alike(const Sound *one, const Sound *other)
{
    return one->frames == other->frames && one->channels == other->channels;
}

static PyObject *ramp(PyObject *module, PyObject *args)
{
    PyObject *block, *part, *gains, *output, *result = NULL;
    const float *borders;
    Py_ssize_t rows, begun, count;
    Buffers buffers = {.count = 0};
    Sound in, band, out;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOnnO", &block, &part, &gains, &rows, &begun, &output))
        return NULL;
    const int ducks = part != Py_None;
    if (take_sound(&buffers, block, "block", 0, &in) < 0 ||
        (ducks && take_sound(&buffers, part, "band", 0, &band) < 0) ||
        take_array(&buffers, gains, "borders", 'f', 0, &borders, &count) < 0 ||
        take_sound(&buffers, output, "out", 1, &out) < 0)
        goto done;
    if (!alike(&in, &out) || (ducks && !alike(&in, &band)))
        refuse("band and out", "shaped as block");
    else if ((rows != 1 && rows != in.channels) || begun < 0 || begun >= HOP_FRAMES ||
             count != rows * ((begun + in.frames + HOP_FRAMES - 1) / HOP_FRAMES + 1))
        refuse("borders and begun", "(1 or channels, hops + 1) and 0 to 15");
    else {
        const Py_ssize_t row_step = rows == 1 ? 0 : count / rows;
        BEGIN_KERNEL(in.frames * in.channels)
        if (ducks)
            run_duck(&in, &band, &out, borders, row_step, begun);
        else
            run_ramp(&in, &out, borders, row_step, begun);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

PyMethodDef dynamics_methods[] = {
    {"decibels", decibels, METH_VARARGS, NULL}, {"ratios", ratios, METH_VARARGS, NULL},
    {"curve", curve, METH_VARARGS, NULL},       {"follow", follow, METH_VARARGS, NULL},
    {"ramp", ramp, METH_VARARGS, NULL},         {NULL, NULL, 0, NULL}};
