/* What decides on a gain: decibels and back, the static curve, and its ballistics. */
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

/* How a gain computer is set: as an array, see plain_dynamics. */
typedef struct {
    double floor;
    Curve curve;
    double link, attack, release, rest, active;
} Panel;

enum { STRETCH = 256 };

/* Levels and the static curve of all rows; `link` moves a row towards the one reduced most. */
static void reduce_stretch(const Panel *panel, const float *peaks, Py_ssize_t rows, Py_ssize_t hops,
                           Py_ssize_t first, Py_ssize_t count, double *out, uint8_t *active)
{
    double peak[STRETCH], level[STRETCH], most[STRETCH];
    for (Py_ssize_t row = 0; row < rows; row++) {
        double *target = out + row * hops + first;
        for (Py_ssize_t i = 0; i < count; i++)
            peak[i] = (double)peaks[row * hops + first + i];
        run_decibels(peak, count, panel->floor, level);
        for (Py_ssize_t i = 0; i < count; i++)
            active[first + i] = (row > 0 && active[first + i]) || level[i] > panel->active;
        run_curve(level, count, &panel->curve, target);
        for (Py_ssize_t i = 0; i < count; i++)
            most[i] = row == 0 || target[i] > most[i] ? target[i] : most[i];
    }
    for (Py_ssize_t row = 0; rows > 1 && row < rows; row++)
        for (Py_ssize_t i = 0; i < count; i++) {
            double *target = out + row * hops + first + i;
            *target += panel->link * (most[i] - *target);
        }
}

static PyObject *reduce(PyObject *module, PyObject *args)
{
    PyObject *levels, *settings, *states, *output, *flags, *result = NULL;
    const Panel *panel;
    const float *peaks;
    double *state, *out;
    uint8_t *active;
    Py_ssize_t count, set, kept, places, hops;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOOO", &levels, &settings, &states, &output, &flags))
        return NULL;
    if (take_array(&buffers, levels, "peaks", 'f', 0, &peaks, &count) < 0 ||
        take_array(&buffers, settings, "panel", 'd', 0, &panel, &set) < 0 ||
        take_array(&buffers, states, "state", 'd', 1, &state, &kept) < 0 ||
        take_array(&buffers, output, "out", 'd', 1, &out, &places) < 0 ||
        take_array(&buffers, flags, "active", 'B', 1, &active, &hops) < 0)
        goto done;
    const Py_ssize_t rows = kept / 2;
    if (kept < 2 || kept % 2 || count / rows != hops || count % rows || places != count)
        refuse("peaks, state, out and active", "(rows, hops), (rows, 2), (rows, hops) and (hops,)");
    else if (set != sizeof *panel / sizeof(double) || !(panel->floor >= DBL_MIN))
        refuse("panel", "(10,), its floor above 0 and no denormal");
    else {
        BEGIN_KERNEL(4 * count)
        for (Py_ssize_t first = 0; first < hops; first += STRETCH)
            reduce_stretch(panel, peaks, rows, hops, first,
                           hops - first < STRETCH ? hops - first : STRETCH, out, active);
        for (Py_ssize_t row = 0; row < rows; row++)
            run_follow(out + row * hops, hops, panel->attack, panel->release, panel->rest,
                       state + 2 * row);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

/* Gains, or what they are short of 1, after those that were given ahead; these are moved on. */
static void run_borders(const double *reduction_db, Py_ssize_t hops, double make_up_db, int cuts,
                        float *ahead, Py_ssize_t kept, float *out)
{
    double asked_db[STRETCH], gain[STRETCH];
    memcpy(out, ahead, (size_t)kept * sizeof(float));
    for (Py_ssize_t first = 0; first < hops; first += STRETCH) {
        const Py_ssize_t count = hops - first < STRETCH ? hops - first : STRETCH;
        for (Py_ssize_t i = 0; i < count; i++)
            asked_db[i] = make_up_db - reduction_db[first + i];
        run_ratios(asked_db, count, gain);
        for (Py_ssize_t i = 0; i < count; i++)
            out[kept + first + i] = (float)(cuts ? 1.0 - gain[i] : gain[i]);
    }
    memcpy(ahead, out + hops, (size_t)kept * sizeof(float));
}

static PyObject *borders(PyObject *module, PyObject *args)
{
    PyObject *reductions, *kept_ones, *output, *result = NULL;
    const double *reduction_db;
    double make_up_db;
    float *ahead, *out;
    int cuts;
    Py_ssize_t rows, count, kept, places;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OndpOO", &reductions, &rows, &make_up_db, &cuts, &kept_ones,
                          &output))
        return NULL;
    if (take_array(&buffers, reductions, "reduction_db", 'd', 0, &reduction_db, &count) < 0 ||
        take_array(&buffers, kept_ones, "ahead", 'f', 1, &ahead, &kept) < 0 ||
        take_array(&buffers, output, "out", 'f', 1, &out, &places) < 0)
        goto done;
    if (rows < 1 || count % rows || kept % rows || places != count + kept)
        refuse("reduction_db, ahead and out", "(rows, hops), (rows, ahead) and (rows, ahead + hops)");
    else {
        BEGIN_KERNEL(count)
        for (Py_ssize_t row = 0; row < rows; row++)
            run_borders(reduction_db + row * (count / rows), count / rows, make_up_db, cuts,
                        ahead + row * (kept / rows), kept / rows, out + row * (places / rows));
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
    {"reduce", reduce, METH_VARARGS, NULL},     {"borders", borders, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};
