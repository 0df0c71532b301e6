/* The control grid: what is asked of it per hop, the ramp from hop to hop, and its statistics. */
#include "kernels.h"

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

/* What a curve has for hops: that of the step they begin in, or on straight lines from the
 * middle of a step to that of the next. Beyond its end it keeps its last value. */
static void run_steps(const double *values, Py_ssize_t count, Py_ssize_t first, double hops_per_step,
                      int lines, double *out, Py_ssize_t hops)
{
    const double last = (double)(count - 1);
    for (Py_ssize_t i = 0; i < hops; i++) {
        double place = (double)(first + i) / hops_per_step;
        if (lines) {
            place -= 0.5;
            place = place > 0.0 ? place : 0.0;
        }
        place = place < last ? place : last;
        Py_ssize_t before = (Py_ssize_t)place;
        if (!lines) {
            out[i] = values[before];
            continue;
        }
        before -= before > 0 && before == count - 1;
        const double here = values[before], there = values[before + (count > 1)];
        out[i] = here + (there - here) * (place - (double)before);
    }
}

static PyObject *steps(PyObject *module, PyObject *args)
{
    PyObject *curve, *output, *result = NULL;
    const double *values;
    double hops_per_step, *out;
    int lines;
    Py_ssize_t first, count, hops;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OndpO", &curve, &first, &hops_per_step, &lines, &output))
        return NULL;
    if (take_array(&buffers, curve, "values", 'd', 0, &values, &count) < 0 ||
        take_array(&buffers, output, "out", 'd', 1, &out, &hops) < 0)
        goto done;
    if (count < 1 || first < 0 || first > MOST_FRAMES || !(hops_per_step > 0.0))
        refuse("values, first and hops_per_step", "one value at least, and not below 0");
    else {
        BEGIN_KERNEL(hops)
        run_steps(values, count, first, hops_per_step, lines, out, hops);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

/* Sums of a meter of reduction: see plain_control. */
enum { HIGHEST, FILLED, SUM, ACTIVE_SUM, TOTAL, ACTIVE_HOPS, TALLIES };

static Py_ssize_t run_tally(const double *reduction_db, const uint8_t *active, Py_ssize_t rows,
                            Py_ssize_t hops, Py_ssize_t step_hops, double *t, float *out)
{
    Py_ssize_t done = 0, filled = (Py_ssize_t)t[FILLED];
    for (Py_ssize_t hop = 0; hop < hops; hop++) {
        double sum = 0.0;
        for (Py_ssize_t row = 0; row < rows; row++) {
            const double one = reduction_db[row * hops + hop];
            t[HIGHEST] = one > t[HIGHEST] ? one : t[HIGHEST];
            sum += one;
        }
        sum /= (double)rows;
        t[SUM] += sum;
        if (active[hop])
            t[ACTIVE_SUM] += sum, t[ACTIVE_HOPS] += 1.0;
        if (++filled == step_hops) {
            out[done++] = (float)(t[SUM] / (double)step_hops);
            t[TOTAL] += t[ACTIVE_SUM];
            t[SUM] = t[ACTIVE_SUM] = 0.0;
            filled = 0;
        }
    }
    t[FILLED] = (double)filled;
    return done;
}

static PyObject *tally(PyObject *module, PyObject *args)
{
    PyObject *reductions, *flags, *sums, *output, *result = NULL;
    const double *reduction_db;
    const uint8_t *active;
    double *tallies;
    float *out;
    Py_ssize_t count, hops, step_hops, kept, places, told = 0;
    Buffers buffers = {.count = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OOnOO", &reductions, &flags, &step_hops, &sums, &output))
        return NULL;
    if (take_array(&buffers, reductions, "reduction_db", 'd', 0, &reduction_db, &count) < 0 ||
        take_array(&buffers, flags, "active", 'B', 0, &active, &hops) < 0 ||
        take_array(&buffers, sums, "tallies", 'd', 1, &tallies, &kept) < 0 ||
        take_array(&buffers, output, "out", 'f', 1, &out, &places) < 0)
        goto done;
    if (hops < 1 || count < hops || count % hops)
        refuse("reduction_db and active", "(rows, hops) and (hops,)");
    else if (kept != TALLIES || step_hops < 1 || !(tallies[FILLED] >= 0.0) ||
             !(tallies[FILLED] < (double)step_hops) || places <= hops / step_hops)
        refuse("tallies, step_hops and out", "(6,), 1 or more, and a place for each step");
    else {
        BEGIN_KERNEL(count)
        told = run_tally(reduction_db, active, count / hops, hops, step_hops, tallies, out);
        END_KERNEL
        result = PyLong_FromSsize_t(told);
    }
done:
    release(&buffers);
    return result;
}

PyMethodDef control_methods[] = {{"ramp", ramp, METH_VARARGS, NULL},
                                 {"steps", steps, METH_VARARGS, NULL},
                                 {"tally", tally, METH_VARARGS, NULL},
                                 {NULL, NULL, 0, NULL}};
