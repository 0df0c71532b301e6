/* Second-order filters in series, and the K-weighted energies of a stream. */
#include "kernels.h"

/* A section of six numbers, b0 b1 b2 1 a1 a2, in direct form II transposed:
 *
 *     y = b0 x + z0,    z0' = (b1 x - a1 y) + z1,    z1' = b2 x - a2 y
 *
 * with the operations of scipy.signal.sosfilt in its order, so that the bits are equal. */
enum { GROUP = 4, ROW = 6, CHUNK = 512 };

/* Up to four sections and the state of one channel in each, lane by lane. */
typedef struct {
    double b0[GROUP], b1[GROUP], b2[GROUP], a1[GROUP], a2[GROUP];
} Taps;
typedef struct {
    double z0[GROUP], z1[GROUP];
} State;

INLINE double step(double x, const Taps *taps, State *state, int s)
{
    double y = taps->b0[s] * x + state->z0[s];
    state->z0[s] = (taps->b1[s] * x - taps->a1[s] * y) + state->z1[s];
    state->z1[s] = taps->b2[s] * x - taps->a2[s] * y;
    return y;
}

typedef double Lanes __attribute__((vector_size(GROUP * sizeof(double))));

INLINE Lanes load(const double *at)
{
    Lanes lanes;
    memcpy(&lanes, at, sizeof lanes);
    return lanes;
}
INLINE void store(double *at, Lanes lanes) { memcpy(at, &lanes, sizeof lanes); }

typedef struct {
    Lanes z0, z1, y;
} Pipe;

/* One frame further in every lane: a lane takes what the lane before it gave a frame ago. */
INLINE double advance(Pipe *pipe, double x, Lanes b0, Lanes b1, Lanes b2, Lanes a1, Lanes a2,
                      const int sections)
{
    Lanes in = {x, pipe->y[0], pipe->y[1], pipe->y[2]};
    pipe->y = b0 * in + pipe->z0;
    pipe->z0 = (b1 * in - a1 * pipe->y) + pipe->z1;
    pipe->z1 = b2 * in - a2 * pipe->y;
    return pipe->y[sections - 1];
}

/* The first and the last frames, for which some lanes have nothing to do yet, or any more. */
INLINE void edge(double *x, Py_ssize_t frames, Py_ssize_t from, Py_ssize_t to, const Taps *taps,
                 State *state, double *y, const int sections)
{
    for (Py_ssize_t t = from; t < to; t++)
        for (int s = sections - 1; s >= 0; s--) {
            Py_ssize_t frame = t - s;
            if (frame < 0 || frame >= frames)
                continue;
            y[s] = step(s ? y[s - 1] : x[frame], taps, state, s);
            if (s == sections - 1)
                x[frame] = y[s];
        }
}

/* Sections in lanes, each a frame behind the one before: four at the price of one. Two channels
 * side by side hide each other's latency. In place; `right` may be NULL. */
INLINE void run_lanes(double *left, double *right, Py_ssize_t frames, const Taps *taps,
                      State *states, const int sections)
{
    double y[2][GROUP] = {{0}};
    const int lag = sections - 1;
    const Py_ssize_t lead = lag < frames ? lag : frames;
    edge(left, frames, 0, lead, taps, &states[0], y[0], sections);
    if (right)
        edge(right, frames, 0, lead, taps, &states[1], y[1], sections);
    if (frames > lead) {
        const Lanes b0 = load(taps->b0), b1 = load(taps->b1), b2 = load(taps->b2);
        const Lanes a1 = load(taps->a1), a2 = load(taps->a2);
        Pipe one = {load(states[0].z0), load(states[0].z1), load(y[0])};
        Pipe two = {load(states[1].z0), load(states[1].z1), load(y[1])};
        if (right)
            for (Py_ssize_t t = lead; t < frames; t++) {
                left[t - lag] = advance(&one, left[t], b0, b1, b2, a1, a2, sections);
                right[t - lag] = advance(&two, right[t], b0, b1, b2, a1, a2, sections);
            }
        else
            for (Py_ssize_t t = lead; t < frames; t++)
                left[t - lag] = advance(&one, left[t], b0, b1, b2, a1, a2, sections);
        store(states[0].z0, one.z0), store(states[0].z1, one.z1), store(y[0], one.y);
        store(states[1].z0, two.z0), store(states[1].z1, two.z1), store(y[1], two.y);
    }
    edge(left, frames, frames, frames + lag, taps, &states[0], y[0], sections);
    if (right)
        edge(right, frames, frames, frames + lag, taps, &states[1], y[1], sections);
}

/* Without lanes of four float64 (before AVX2) the skew costs more than it gives. */
static void group_scalar(double *left, double *right, Py_ssize_t frames, const Taps *taps,
                         State *states, int sections)
{
    for (int channel = 0; channel < (right ? 2 : 1); channel++) {
        double *x = channel ? right : left;
        for (Py_ssize_t t = 0; t < frames; t++)
            for (int s = 0; s < sections; s++)
                x[t] = step(x[t], taps, &states[channel], s);
    }
}

typedef void Group(double *, double *, Py_ssize_t, const Taps *, State *, int);

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void group_lanes(double *left, double *right,
                                                        Py_ssize_t frames, const Taps *taps,
                                                        State *states, int sections)
{
    switch (sections) {
    case 1: run_lanes(left, right, frames, taps, states, 1); break;
    case 2: run_lanes(left, right, frames, taps, states, 2); break;
    case 3: run_lanes(left, right, frames, taps, states, 3); break;
    default: run_lanes(left, right, frames, taps, states, 4);
    }
}
#endif

static Group *run_group = group_scalar;

void choose_filters(void)
{
#if defined(__x86_64__) && !defined(NO_LANES)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        run_group = group_lanes;
#endif
}

/* Filters of a stream: rows of a matrix, and its state, (sections, channels, 2) as in SciPy. */
typedef struct {
    const double *sos;
    double *state;
    Py_ssize_t sections, channels;
} Filters;

static void run_filters(const Filters *filters, double *left, double *right, Py_ssize_t frames,
                        Py_ssize_t channel)
{
    for (Py_ssize_t first = 0; first < filters->sections; first += GROUP) {
        Py_ssize_t left_over = filters->sections - first;
        int sections = left_over < GROUP ? (int)left_over : GROUP;
        Taps taps = {{0}};
        State states[2] = {{{0}}};
        double *z = filters->state + 2 * (first * filters->channels + channel);
        for (int s = 0; s < sections; s++) {
            const double *row = filters->sos + ROW * (first + s);
            taps.b0[s] = row[0], taps.b1[s] = row[1], taps.b2[s] = row[2];
            taps.a1[s] = row[4], taps.a2[s] = row[5];
            for (int c = 0; c < (right ? 2 : 1); c++) {
                states[c].z0[s] = z[2 * (s * filters->channels + c)];
                states[c].z1[s] = z[2 * (s * filters->channels + c) + 1];
            }
        }
        run_group(left, right, frames, &taps, states, sections);
        for (int s = 0; s < sections; s++)
            for (int c = 0; c < (right ? 2 : 1); c++) {
                z[2 * (s * filters->channels + c)] = states[c].z0[s];
                z[2 * (s * filters->channels + c) + 1] = states[c].z1[s];
            }
    }
}

INLINE float *sample(const Sound *sound, Py_ssize_t frame, Py_ssize_t channel)
{
    return sound->at + frame * sound->frame_step + channel * sound->channel_step;
}

/* With the usual steps as constants, which compilers put in lanes. */
CLONES static void widen(const Sound *sound, Py_ssize_t channel, Py_ssize_t from,
                         Py_ssize_t frames, double *out, double bias)
{
    const float *x = sample(sound, from, channel);
    const Py_ssize_t step = sound->frame_step;
    if (step == 1)
        for (Py_ssize_t t = 0; t < frames; t++)
            out[t] = (double)x[t] + bias;
    else if (step == 2)
        for (Py_ssize_t t = 0; t < frames; t++)
            out[t] = (double)x[2 * t] + bias;
    else
        for (Py_ssize_t t = 0; t < frames; t++)
            out[t] = (double)x[t * step] + bias;
}

CLONES static void narrow(const double *in, const Sound *out, Py_ssize_t channel, Py_ssize_t from,
                          Py_ssize_t frames)
{
    float *y = sample(out, from, channel);
    const Py_ssize_t step = out->frame_step;
    if (step == 1)
        for (Py_ssize_t t = 0; t < frames; t++)
            y[t] = (float)in[t];
    else
        for (Py_ssize_t t = 0; t < frames; t++)
            y[t * step] = (float)in[t];
}

static void filter_stretch(const Filters *filters, const Sound *in, const Sound *out,
                           Py_ssize_t from, Py_ssize_t to)
{
    double left[CHUNK], right[CHUNK];
    for (; from < to; from += CHUNK) {
        Py_ssize_t frames = to - from < CHUNK ? to - from : CHUNK;
        for (Py_ssize_t channel = 0; channel < in->channels; channel += 2) {
            int pair = channel + 1 < in->channels;
            widen(in, channel, from, frames, left, 0.0);
            if (pair)
                widen(in, channel + 1, from, frames, right, 0.0);
            run_filters(filters, left, pair ? right : NULL, frames, channel);
            narrow(left, out, channel, from, frames);
            if (pair)
                narrow(right, out, channel + 1, from, frames);
        }
    }
}

INLINE int sounds(const Sound *sound, Py_ssize_t frame)
{
    int any = 0;
    for (Py_ssize_t channel = 0; channel < sound->channels; channel++)
        any |= *sample(sound, frame, channel) != 0.0f;
    return any;
}

/* The last frame that sounds before a rest longer than the tail. Looking a tail ahead, and back
 * from there, finds it mostly at the first look. */
static Py_ssize_t last_before_rest(const Sound *sound, Py_ssize_t heard, Py_ssize_t tail)
{
    for (;;) {
        Py_ssize_t frame = heard + tail + 1;
        Py_ssize_t floor = heard > -1 ? heard : -1;
        if (frame > sound->frames - 1)
            frame = sound->frames - 1;
        while (frame > floor && !sounds(sound, frame))
            frame--;
        if (frame <= floor)
            return heard;
        heard = frame;
    }
}

static void silence(const Sound *out, Py_ssize_t from, Py_ssize_t to)
{
    for (Py_ssize_t channel = 0; channel < out->channels; channel++)
        for (Py_ssize_t frame = from; frame < to; frame++)
            *sample(out, frame, channel) = 0.0f;
}

/* Filter what sounds and its tails; between them write zeros and forget. See plain_filters. */
static Py_ssize_t run_cascade(const Filters *filters, const Sound *in, const Sound *out,
                              Py_ssize_t tail, Py_ssize_t heard)
{
    Py_ssize_t start = 0;
    for (;;) {
        heard = last_before_rest(in, heard, tail);
        Py_ssize_t stop = heard + 1 + tail < in->frames ? heard + 1 + tail : in->frames;
        if (stop > start) {
            filter_stretch(filters, in, out, start, stop);
            start = stop;
        }
        Py_ssize_t next = start;
        while (next < in->frames && !sounds(in, next))
            next++;
        silence(out, start, next);
        if (next == in->frames)
            break;
        memset(filters->state, 0,
               (size_t)(2 * filters->sections * filters->channels) * sizeof(double));
        start = heard = next;
    }
    heard -= in->frames;
    return heard < -tail - 2 ? -tail - 2 : heard;
}

static int take_filters(Buffers *buffers, PyObject *sos, PyObject *state, Py_ssize_t channels,
                        Filters *filters)
{
    Py_ssize_t numbers, states;
    if (take_array(buffers, sos, "sos", 'd', 0, &filters->sos, &numbers) < 0 ||
        take_array(buffers, state, "state", 'd', 1, &filters->state, &states) < 0)
        return -1;
    filters->sections = numbers / ROW;
    filters->channels = channels;
    if (numbers % ROW || states != 2 * filters->sections * channels)
        return refuse("state", "(sections, channels, 2), and sos (sections, 6)");
    return 0;
}

static PyObject *cascade(PyObject *module, PyObject *args)
{
    PyObject *block, *sos, *state, *output, *result = NULL;
    Py_ssize_t tail, heard;
    Buffers buffers = {.count = 0};
    Sound in, out;
    Filters filters;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOnnO", &block, &sos, &state, &tail, &heard, &output))
        return NULL;
    if (take_sound(&buffers, block, "block", 0, &in) < 0 ||
        take_sound(&buffers, output, "out", 1, &out) < 0 ||
        take_filters(&buffers, sos, state, in.channels, &filters) < 0)
        goto done;
    if (out.frames != in.frames || out.channels != in.channels) {
        refuse("out", "shaped as block");
        goto done;
    }
    /* Neither may make a frame count wrap. */
    if (tail < 0 || tail > PY_SSIZE_T_MAX / 4 || heard >= 0 || heard < -tail - 2) {
        refuse("tail and heard", "tail >= 0 and -tail - 2 <= heard < 0");
        goto done;
    }
    BEGIN_KERNEL(in.frames * in.channels * (1 + filters.sections))
    heard = run_cascade(&filters, &in, &out, tail, heard);
    END_KERNEL
    result = PyLong_FromSsize_t(heard);
done:
    release(&buffers);
    return result;
}

/* Steps of time in which squares are summed: where the stream stands among them. */
typedef struct {
    const int64_t *lengths;
    double *sums, *out;
    Py_ssize_t filled, done;
} Steps;

/* Sum the squares of a pair's next frames, frame by frame, into the steps that they fall in. */
static void sum_squares(Steps *steps, const double *left, const double *right, Py_ssize_t frames,
                        Py_ssize_t channel, Py_ssize_t channels)
{
    const double *other = right ? right : left;
    double one = steps->sums[channel], two = right ? steps->sums[channel + 1] : 0.0;
    for (Py_ssize_t t = 0; t < frames;) {
        Py_ssize_t room = (Py_ssize_t)steps->lengths[steps->done] - steps->filled;
        Py_ssize_t stop = frames - t < room ? frames : t + room;
        steps->filled += stop - t;
        for (; t < stop; t++) {
            one += left[t] * left[t];
            two += other[t] * other[t];
        }
        if (steps->filled == steps->lengths[steps->done]) {
            double *row = steps->out + steps->done * channels + channel;
            row[0] = one / (double)steps->filled;
            if (right)
                row[1] = two / (double)steps->filled;
            one = two = 0.0;
            steps->filled = 0;
            steps->done++;
        }
    }
    steps->sums[channel] = one;
    if (right)
        steps->sums[channel + 1] = two;
}

static void run_energies(const Filters *filters, const Sound *in, double bias, Steps *steps)
{
    double left[CHUNK], right[CHUNK];
    const Steps before = *steps;
    for (Py_ssize_t channel = 0; channel < in->channels; channel += 2) {
        int pair = channel + 1 < in->channels;
        steps->filled = before.filled, steps->done = before.done;
        for (Py_ssize_t from = 0; from < in->frames; from += CHUNK) {
            Py_ssize_t frames = in->frames - from < CHUNK ? in->frames - from : CHUNK;
            widen(in, channel, from, frames, left, bias);
            if (pair)
                widen(in, channel + 1, from, frames, right, bias);
            run_filters(filters, left, pair ? right : NULL, frames, channel);
            sum_squares(steps, left, pair ? right : NULL, frames, channel, in->channels);
        }
    }
}

/* Whether the steps reach beyond these frames, so that none of them finds no step. */
static int reach(const Steps *steps, Py_ssize_t count, Py_ssize_t frames)
{
    Py_ssize_t room = -steps->filled;
    for (Py_ssize_t step = 0; step < count; step++) {
        if (steps->lengths[step] <= 0 || steps->lengths[step] > PY_SSIZE_T_MAX / 2)
            return 0;
        if (step == 0 && steps->filled >= steps->lengths[0])
            return 0;
        room += (Py_ssize_t)steps->lengths[step];
        if (room > frames)
            return 1;
    }
    return 0;
}

static PyObject *energies(PyObject *module, PyObject *args)
{
    PyObject *block, *sos, *state, *sums, *lengths, *output, *result = NULL;
    Py_ssize_t counted, summed, rows;
    double bias;
    Buffers buffers = {.count = 0};
    Sound in;
    Filters filters;
    Steps steps = {.done = 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOdOnOO", &block, &sos, &state, &bias, &sums, &steps.filled,
                          &lengths, &output))
        return NULL;
    if (take_sound(&buffers, block, "block", 0, &in) < 0 ||
        take_filters(&buffers, sos, state, in.channels, &filters) < 0 ||
        take_array(&buffers, sums, "sums", 'd', 1, &steps.sums, &summed) < 0 ||
        take_array(&buffers, lengths, "lengths", 'q', 0, &steps.lengths, &counted) < 0 ||
        take_array(&buffers, output, "out", 'd', 1, &steps.out, &rows) < 0)
        goto done;
    if (summed != in.channels || rows != counted * in.channels)
        refuse("sums and out", "(channels,) and (lengths, channels)");
    else if (steps.filled < 0 || !reach(&steps, counted, in.frames))
        refuse("lengths", "above 0 and reach beyond the block");
    else {
        BEGIN_KERNEL(in.frames * in.channels * (1 + filters.sections))
        run_energies(&filters, &in, bias, &steps);
        END_KERNEL
        result = Py_BuildValue("nn", steps.done, steps.filled);
    }
done:
    release(&buffers);
    return result;
}

PyMethodDef filter_methods[] = {
    {"cascade", cascade, METH_VARARGS, NULL},
    {"energies", energies, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};
