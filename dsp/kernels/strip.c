/* What a channel strip does to every frame by itself: a soft clip, and the width of a pair. */
#include "kernels.h"

enum { PART = 256 };

/* A soft clip of what was heard between two frames (dsp/processors/saturation.py): with
 * F = sqrt(1 + p x^2), the correction between frames a and b is
 *
 *     (a + b) (1 / (F(a) + F(b)) - 1/2)
 *
 * and a frame gets those before and after it, weighed by half the mix. `x` begins two frames
 * before the first that comes out: it is late by one. */
CLONES static void saturate_part(const float *x, Py_ssize_t frames, float drive, float half_mix,
                                 float *out)
{
    float root[PART + 2], correction[PART + 1];
    for (Py_ssize_t i = 0; i < frames + 2; i++)
        root[i] = sqrtf(x[i] * x[i] * drive + 1.0f);
    for (Py_ssize_t i = 0; i < frames + 1; i++)
        correction[i] = (1.0f / (root[i] + root[i + 1]) - 0.5f) * (x[i] + x[i + 1]);
    for (Py_ssize_t i = 0; i < frames; i++)
        out[i] = (correction[i] + correction[i + 1]) * half_mix + x[i + 1];
}

static void saturate_channel(const Sound *in, Py_ssize_t channel, float *held, float drive,
                             float half_mix, const Sound *out)
{
    const float *at = in->at + channel * in->channel_step;
    float *to = out->at + channel * out->channel_step;
    float x[PART + 2], y[PART];
    x[0] = held[0], x[1] = held[1];
    for (Py_ssize_t first = 0; first < in->frames; first += PART) {
        const Py_ssize_t left = in->frames - first, frames = left < PART ? left : PART;
        for (Py_ssize_t i = 0; i < frames; i++)
            x[i + 2] = at[(first + i) * in->frame_step];
        saturate_part(x, frames, drive, half_mix, y);
        for (Py_ssize_t i = 0; i < frames; i++)
            to[(first + i) * out->frame_step] = y[i];
        x[0] = x[frames], x[1] = x[frames + 1];
    }
    held[0] = x[0], held[1] = x[1];
}

static PyObject *saturate(PyObject *module, PyObject *args)
{
    PyObject *block, *state, *output, *result = NULL;
    float *held, drive, half_mix;
    Py_ssize_t kept;
    Buffers buffers = {.count = 0};
    Sound in, out;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOffO", &block, &state, &drive, &half_mix, &output))
        return NULL;
    if (take_sound(&buffers, block, "block", 0, &in) < 0 ||
        take_array(&buffers, state, "held", 'f', 1, &held, &kept) < 0 ||
        take_sound(&buffers, output, "out", 1, &out) < 0)
        goto done;
    if (kept != 2 * in.channels || out.frames != in.frames || out.channels != in.channels)
        refuse("held and out", "(channels, 2) and shaped as block");
    else {
        BEGIN_KERNEL(in.frames * in.channels)
        for (Py_ssize_t channel = 0; channel < in.channels; channel++)
            saturate_channel(&in, channel, held + 2 * channel, drive, half_mix, &out);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

/* Middle and side to left and right: m + w s, m - w s. */
INLINE void widen_frames(const Sound *middle, const Sound *side, float width, const Sound *out,
                         const Py_ssize_t m, const Py_ssize_t s, const Py_ssize_t to)
{
    float *left = out->at, *right = left + out->channel_step;
    for (Py_ssize_t i = 0; i < middle->frames; i++) {
        const float wide = width * side->at[i * s];
        left[i * to] = middle->at[i * m] + wide, right[i * to] = middle->at[i * m] - wide;
    }
}

CLONES static void run_widen(const Sound *middle, const Sound *side, float width, const Sound *out)
{
    if (middle->frame_step == 1 && side->frame_step == 1 && out->frame_step == 1)
        widen_frames(middle, side, width, out, 1, 1, 1);
    else
        widen_frames(middle, side, width, out, middle->frame_step, side->frame_step,
                     out->frame_step);
}

static PyObject *widen(PyObject *module, PyObject *args)
{
    PyObject *first, *second, *output, *result = NULL;
    float width;
    Buffers buffers = {.count = 0};
    Sound middle, side, out;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOfO", &first, &second, &width, &output))
        return NULL;
    if (take_sound(&buffers, first, "middle", 0, &middle) < 0 ||
        take_sound(&buffers, second, "side", 0, &side) < 0 ||
        take_sound(&buffers, output, "out", 1, &out) < 0)
        goto done;
    if (middle.channels != 1 || side.channels != 1 || out.channels != 2 ||
        side.frames != middle.frames || out.frames != middle.frames)
        refuse("middle, side and out", "(frames, 1), (frames, 1) and (frames, 2)");
    else {
        BEGIN_KERNEL(2 * middle.frames)
        run_widen(&middle, &side, width, &out);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

PyMethodDef strip_methods[] = {{"saturate", saturate, METH_VARARGS, NULL},
                               {"widen", widen, METH_VARARGS, NULL},
                               {NULL, NULL, 0, NULL}};
