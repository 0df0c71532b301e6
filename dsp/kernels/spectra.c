/* Powers of windows of a stream, of bands or bins, by a Fourier transform of mixed radix.
 *
 * A transform of A * B points is B transforms of A points side by side, a turn of every value,
 * and A transforms of B points side by side (Gentleman and Sande 1966; the four-step form). So
 * every inner loop runs over at least the root of the size, one value after the other, and
 * compilers put it in lanes of any width. Real and imaginary parts lie in arrays of their own.
 * Two real rows go through one complex transform and are told apart by symmetry afterwards.
 */
#include "kernels.h"

#include <stdlib.h>

static const double TURN = 6.28318530717958647692;
enum { LARGEST_SIZE = 1 << 22, MOST_FACTORS = 24, SUMS = 8, WIDE = 8 };
enum { SPARE = WIDE }; /* behind every row, which a last step may touch */

/* A transform of n points: its radices, and the turns of every pass, (r - 1) per point. */
typedef struct {
    int count, radix[MOST_FACTORS];
    float *turns[MOST_FACTORS];
    Py_ssize_t points;
} Transform;

typedef struct {
    Transform first, second;
    float *turns; /* between the two: real parts, then imaginary ones */
    float *half_turns; /* of a transform of twice as many real values, likewise; made when asked */
    Py_ssize_t size;
} Plan;

typedef struct {
    float *re, *im;
} Row;

static int make_transform(Transform *made, Py_ssize_t points)
{
    static const int radices[] = {7, 5, 4, 3, 2};
    Py_ssize_t left = points, length = points;
    *made = (Transform){.points = points};
    for (int i = 0; i < 5; i++)
        for (; left % radices[i] == 0; left /= radices[i])
            made->radix[made->count++] = radices[i];
    for (int k = 0; k < made->count; k++) {
        const int r = made->radix[k];
        const Py_ssize_t m = length / r;
        float *turn = made->turns[k] = malloc(sizeof(float) * 2 * (size_t)((r - 1) * m));
        if (turn == NULL)
            return -1;
        for (Py_ssize_t p = 0; p < m; p++)
            for (int j = 1; j < r; j++) {
                const double angle = -TURN * (double)(p * j) / (double)length;
                *turn++ = (float)cos(angle), *turn++ = (float)sin(angle);
            }
        length = m;
    }
    return 0;
}

static void drop_plan(Plan *plan)
{
    for (int k = 0; k < MOST_FACTORS; k++)
        free(plan->first.turns[k]), free(plan->second.turns[k]);
    free(plan->turns);
    free(plan->half_turns);
    free(plan);
}

static Plan *make_plan(Py_ssize_t size)
{
    Py_ssize_t root = 1;
    Plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return NULL;
    for (Py_ssize_t d = 1; d * d <= size; d++)
        if (size % d == 0)
            root = d;
    plan->size = size;
    plan->turns = malloc(sizeof(float) * 2 * (size_t)size);
    if (plan->turns == NULL || make_transform(&plan->first, size / root) < 0 ||
        make_transform(&plan->second, root) < 0) {
        drop_plan(plan);
        return NULL;
    }
    for (Py_ssize_t a = 0; a < size / root; a++)
        for (Py_ssize_t b = 0; b < root; b++) {
            const double angle = -TURN * (double)(a * b) / (double)size;
            plan->turns[a * root + b] = (float)cos(angle);
            plan->turns[size + a * root + b] = (float)sin(angle);
        }
    return plan;
}

/* Called with the GIL: most plans are of bands, and never need them. */
static int have_half_turns(Plan *plan)
{
    const Py_ssize_t size = plan->size;
    if (plan->half_turns != NULL)
        return 0;
    plan->half_turns = malloc(sizeof(float) * 2 * (size_t)size);
    if (plan->half_turns == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t k = 0; k < size; k++) {
        const double angle = -TURN * (double)k / (double)(2 * size);
        plan->half_turns[k] = (float)cos(angle);
        plan->half_turns[size + k] = (float)sin(angle);
    }
    return 0;
}

/* Eight transforms side by side. The compiler makes of it what the processor has. */
typedef float Wide __attribute__((vector_size(WIDE * sizeof(float))));

INLINE Wide load(const float *at)
{
    Wide value;
    memcpy(&value, at, sizeof value);
    return value;
}
INLINE void store(float *at, Wide value) { memcpy(at, &value, sizeof value); }

/* A radix-r butterfly: b_j = sum over k of a_k w^(jk), w = e^(-2 pi i / r). */
typedef struct {
    Wide r, i;
} Value;

#define PLUS(a, b) ((Value){(a).r + (b).r, (a).i + (b).i})
#define LESS(a, b) ((Value){(a).r - (b).r, (a).i - (b).i})

INLINE void butterfly_2(Value *a) { Value u = a[0]; a[0] = PLUS(u, a[1]), a[1] = LESS(u, a[1]); }

INLINE void butterfly_4(Value *a)
{
    Value s = PLUS(a[0], a[2]), d = LESS(a[0], a[2]), t = PLUS(a[1], a[3]), e = LESS(a[1], a[3]);
    Value turned = {e.i, -e.r};
    a[0] = PLUS(s, t), a[1] = PLUS(d, turned), a[2] = LESS(s, t), a[3] = LESS(d, turned);
}

/* Odd radices: sums and differences of the pairs k and r - k; cosines weigh the ones, sines the
 * others. */
INLINE void butterfly_odd(Value *a, const int r, const float *cosines, const float *sines)
{
    Value sum[3], difference[3], first = a[0], out[7];
    const int pairs = r / 2;
    out[0] = first;
    for (int k = 0; k < pairs; k++) {
        sum[k] = PLUS(a[k + 1], a[r - 1 - k]), difference[k] = LESS(a[k + 1], a[r - 1 - k]);
        out[0] = PLUS(out[0], sum[k]);
    }
    for (int j = 1; j <= pairs; j++) {
        Value even = first, odd = {{0.0f}, {0.0f}};
        for (int k = 0; k < pairs; k++) {
            const int turn = j * (k + 1) % r;
            even.r += cosines[turn] * sum[k].r, even.i += cosines[turn] * sum[k].i;
            odd.r += sines[turn] * difference[k].i, odd.i -= sines[turn] * difference[k].r;
        }
        out[j] = PLUS(even, odd), out[r - j] = LESS(even, odd);
    }
    for (int j = 0; j < r; j++)
        a[j] = out[j];
}

INLINE void butterfly(Value *a, const int r)
{
    static const float cos3[] = {1.0f, -0.5f, -0.5f};
    static const float sin3[] = {0.0f, 0.866025403784438647f, -0.866025403784438647f};
    static const float cos5[] = {1.0f, 0.309016994374947424f, -0.809016994374947424f,
                                 -0.809016994374947424f, 0.309016994374947424f};
    static const float sin5[] = {0.0f, 0.951056516295153572f, 0.587785252292473129f,
                                 -0.587785252292473129f, -0.951056516295153572f};
    static const float cos7[] = {1.0f,
                                 0.623489801858733531f,
                                 -0.222520933956314404f,
                                 -0.900968867902419126f,
                                 -0.900968867902419126f,
                                 -0.222520933956314404f,
                                 0.623489801858733531f};
    static const float sin7[] = {0.0f,
                                 0.781831482468029809f,
                                 0.974927912181823607f,
                                 0.433883739117558120f,
                                 -0.433883739117558120f,
                                 -0.974927912181823607f,
                                 -0.781831482468029809f};
    switch (r) {
    case 2: butterfly_2(a); break;
    case 4: butterfly_4(a); break;
    case 3: butterfly_odd(a, 3, cos3, sin3); break;
    case 5: butterfly_odd(a, 5, cos5, sin5); break;
    default: butterfly_odd(a, 7, cos7, sin7);
    }
}

INLINE void step(Row from, Row to, Py_ssize_t apart, Py_ssize_t side, const float *turns,
                 const int r)
{
    Value a[7];
    for (int k = 0; k < r; k++)
        a[k] = (Value){load(from.re + apart * k), load(from.im + apart * k)};
    butterfly(a, r);
    store(to.re, a[0].r), store(to.im, a[0].i);
    for (int j = 1; j < r; j++) {
        const float wr = turns[2 * j - 2], wi = turns[2 * j - 1];
        store(to.re + side * j, a[j].r * wr - a[j].i * wi);
        store(to.im + side * j, a[j].r * wi + a[j].i * wr);
    }
}

/* A pass of Stockham's form, which sorts as it goes: `points` left in each of `side` transforms
 * side by side. The last eight of a row are done twice where eight does not divide it; a row of
 * fewer runs over into what is written after it. */
INLINE void pass(Row from, Row to, Py_ssize_t points, Py_ssize_t side, const float *turns,
                 const int r)
{
    const Py_ssize_t m = points / r, last = side > WIDE ? side - WIDE : 0;
    for (Py_ssize_t p = 0; p < m; p++, turns += 2 * (r - 1)) {
        const Py_ssize_t in = side * p, out = side * r * p;
        for (Py_ssize_t q = 0; q < last; q += WIDE)
            step((Row){from.re + in + q, from.im + in + q}, (Row){to.re + out + q, to.im + out + q},
                 side * m, side, turns, r);
        step((Row){from.re + in + last, from.im + in + last},
             (Row){to.re + out + last, to.im + out + last}, side * m, side, turns, r);
    }
}

/* Each leaves its result in *from. */
CLONES static void run_transform(const Transform *transform, Row *from, Row *to, Py_ssize_t side)
{
    Py_ssize_t points = transform->points;
    for (int k = 0; k < transform->count; k++) {
        const int r = transform->radix[k];
        const float *turns = transform->turns[k];
        switch (r) {
        case 2: pass(*from, *to, points, side, turns, 2); break;
        case 3: pass(*from, *to, points, side, turns, 3); break;
        case 4: pass(*from, *to, points, side, turns, 4); break;
        case 5: pass(*from, *to, points, side, turns, 5); break;
        default: pass(*from, *to, points, side, turns, 7);
        }
        points /= r, side *= r;
        Row done = *to;
        *to = *from, *from = done;
    }
}

/* Lay eight rows of eight down as columns: three times, the halves interleave. */
INLINE void transpose(Wide *rows)
{
    for (int round = 0; round < 3; round++) {
        Wide mixed[WIDE];
        for (int i = 0; i < WIDE / 2; i++) {
            const Wide a = rows[i], b = rows[i + WIDE / 2];
            mixed[2 * i] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
            mixed[2 * i + 1] = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
        }
        memcpy(rows, mixed, sizeof mixed);
    }
}

/* Turn every value of a tile of eight by eight, and lay its rows down as columns. */
INLINE void turn_tile(const Plan *plan, Row from, Row to, Py_ssize_t a, Py_ssize_t b)
{
    const Py_ssize_t rows = plan->first.points, columns = plan->second.points;
    Wide re[WIDE], im[WIDE];
    for (int k = 0; k < WIDE; k++) {
        const Py_ssize_t i = (a + k) * columns + b;
        const Wide x = load(from.re + i), y = load(from.im + i);
        const Wide wr = load(plan->turns + i), wi = load(plan->turns + plan->size + i);
        re[k] = x * wr - y * wi, im[k] = x * wi + y * wr;
    }
    transpose(re), transpose(im);
    for (int k = 0; k < WIDE; k++) {
        store(to.re + (b + k) * rows + a, re[k]);
        store(to.im + (b + k) * rows + a, im[k]);
    }
}

/* Turn every value, and lay rows down as columns. The last tile of a row is moved back to where
 * it is whole: what it shares with the one before is done twice. */
CLONES static void turn_and_transpose(const Plan *plan, Row *from, Row *to)
{
    const Py_ssize_t rows = plan->first.points, columns = plan->second.points;
    const float *turn_re = plan->turns, *turn_im = plan->turns + plan->size;
    if (columns >= WIDE) /* there are no fewer rows */
        for (Py_ssize_t a = 0; a < rows; a += WIDE)
            for (Py_ssize_t b = 0; b < columns; b += WIDE)
                turn_tile(plan, *from, *to, a + WIDE < rows ? a : rows - WIDE,
                          b + WIDE < columns ? b : columns - WIDE);
    else
        for (Py_ssize_t i = 0; i < plan->size; i++) {
            const Py_ssize_t turned = i % columns * rows + i / columns;
            to->re[turned] = from->re[i] * turn_re[i] - from->im[i] * turn_im[i];
            to->im[turned] = from->re[i] * turn_im[i] + from->im[i] * turn_re[i];
        }
    Row done = *to;
    *to = *from, *from = done;
}

/* The transform of one row, which is left in *from. */
static void run_plan(const Plan *plan, Row *from, Row *to)
{
    run_transform(&plan->first, from, to, plan->second.points);
    turn_and_transpose(plan, from, to);
    run_transform(&plan->second, from, to, plan->first.points);
}

/* The power of both rows from bin 0 to half the size: row one is the even part of the spectrum,
 * row two the odd one. */
CLONES static void split_powers(Row z, Py_ssize_t size, float *restrict one, float *restrict two)
{
    one[0] = z.re[0] * z.re[0], two[0] = z.im[0] * z.im[0];
    for (Py_ssize_t k = 1; k <= size / 2; k++) {
        const float a = z.re[k], b = z.im[k], c = z.re[size - k], d = z.im[size - k];
        one[k] = 0.25f * ((a + c) * (a + c) + (b - d) * (b - d));
        two[k] = 0.25f * ((b + d) * (b + d) + (c - a) * (c - a));
    }
    one[size / 2 + 1] = two[size / 2 + 1] = 0.0f; /* where the last edge may lie */
}

/* Add the bands of one row: bins from that which the lower edge cuts on, less the part of it
 * below, and the part below the upper edge of the bin that it cuts. */
CLONES static void add_bands(const float *powers, const int64_t *bins, const double *below,
                             Py_ssize_t bands, double *out)
{
    for (Py_ssize_t band = 0; band < bands; band++) {
        double sums[SUMS] = {0.0};
        Py_ssize_t k = (Py_ssize_t)bins[band];
        const Py_ssize_t stop = (Py_ssize_t)bins[band + 1];
        for (; k + SUMS <= stop; k += SUMS)
            for (int i = 0; i < SUMS; i++)
                sums[i] += powers[k + i];
        for (int i = 0; k < stop; k++, i++)
            sums[i] += powers[k];
        double total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
                       ((sums[4] + sums[5]) + (sums[6] + sums[7]));
        total += below[band + 1] * powers[stop] - below[band] * powers[bins[band]];
        out[band] += total > 0.0 ? total : 0.0;
    }
}

/* One row of a window, weighted; returns whether it sounds. The rest of the row is silence. */
CLONES static int weigh(const Sound *in, Py_ssize_t channel, Py_ssize_t start, const float *window,
                        Py_ssize_t length, float *out, Py_ssize_t size)
{
    const float *x = in->at + start * in->frame_step + channel * in->channel_step;
    const Py_ssize_t step = in->frame_step;
    float any = 0.0f;
    if (step == 1)
        for (Py_ssize_t t = 0; t < length; t++)
            out[t] = x[t] * window[t];
    else
        for (Py_ssize_t t = 0; t < length; t++)
            out[t] = x[t * step] * window[t];
    for (Py_ssize_t t = 0; t < length && any == 0.0f; t++)
        any = out[t];
    memset(out + length, 0, (size_t)(size - length) * sizeof(float));
    return any != 0.0f;
}

typedef struct {
    const Plan *plan;
    const Sound *in;
    const float *window;
    const int64_t *starts, *bins;
    const double *below;
    Py_ssize_t length, windows, bands;
} Job;

/* Rows are the channels of the first window, those of the second, and so on; two at a time. */
static void run_bands(const Job *job, float *work, double *out)
{
    const Py_ssize_t size = job->plan->size, channels = job->in->channels;
    const Py_ssize_t rows = job->windows * channels;
    memset(out, 0, (size_t)(job->windows * job->bands) * sizeof(double));
    for (Py_ssize_t row = 0; row < rows; row += 2) {
        const Py_ssize_t next = row + 1;
        Row from = {work, work + size + SPARE};
        Row to = {from.im + size + SPARE, from.im + 2 * (size + SPARE)};
        int sound[2] = {weigh(job->in, row % channels, job->starts[row / channels], job->window,
                              job->length, from.re, size),
                        0};
        if (next < rows)
            sound[1] = weigh(job->in, next % channels, job->starts[next / channels], job->window,
                             job->length, from.im, size);
        else
            memset(from.im, 0, (size_t)size * sizeof(float));
        if (!sound[0] && !sound[1])
            continue;
        run_plan(job->plan, &from, &to);
        split_powers(from, size, to.re, to.im);
        /* A silent row stays exactly 0, whatever sounds beside it. */
        if (sound[0])
            add_bands(to.re, job->bins, job->below, job->bands,
                      out + row / channels * job->bands);
        if (sound[1])
            add_bands(to.im, job->bins, job->below, job->bands,
                      out + next / channels * job->bands);
    }
}

/* One window of real values, even ones beside odd ones; returns whether it sounds. */
static int weigh_halves(const Job *job, Py_ssize_t start, Row out)
{
    const Py_ssize_t step = job->in->frame_step;
    const float *x = job->in->at + start * step;
    int any = 0;
    for (Py_ssize_t t = 0; t < job->plan->size; t++) {
        out.re[t] = x[2 * t * step] * job->window[2 * t];
        out.im[t] = x[(2 * t + 1) * step] * job->window[2 * t + 1];
        any |= (out.re[t] != 0.0f) | (out.im[t] != 0.0f);
    }
    return any;
}

/* The power of each bin of a transform of 2 * size real values: that of the even ones plus that
 * of the odd ones turned. */
CLONES static void join_halves(const Plan *plan, Row z, Py_ssize_t bins, float *restrict out)
{
    const Py_ssize_t size = plan->size, inner = bins < size ? bins : size;
    const float *wr = plan->half_turns, *wi = plan->half_turns + size;
    if (bins > 0)
        out[0] = (z.re[0] + z.im[0]) * (z.re[0] + z.im[0]);
    for (Py_ssize_t k = 1; k < inner; k++) {
        const float a = z.re[k], b = z.im[k], c = z.re[size - k], d = z.im[size - k];
        const float odd_re = b + d, odd_im = c - a;
        const float re = (a + c) + (odd_re * wr[k] - odd_im * wi[k]);
        const float im = (b - d) + (odd_re * wi[k] + odd_im * wr[k]);
        out[k] = 0.25f * (re * re + im * im);
    }
    if (bins > size)
        out[size] = (z.re[0] - z.im[0]) * (z.re[0] - z.im[0]);
}

/* Window by window: a soft one beside a loud one, in one transform, would round by it. */
static void run_bins(const Job *job, float *work, float *out)
{
    const Py_ssize_t size = job->plan->size;
    for (Py_ssize_t i = 0; i < job->windows; i++, out += job->bands) {
        Row from = {work, work + size + SPARE};
        Row to = {from.im + size + SPARE, from.im + 2 * (size + SPARE)};
        if (weigh_halves(job, job->starts[i], from)) {
            run_plan(job->plan, &from, &to);
            join_halves(job->plan, from, job->bands, out);
        } else
            memset(out, 0, (size_t)job->bands * sizeof(float));
    }
}

static const char *const PLAN_NAME = "dsp.kernels.plan";

static void forget_plan(PyObject *capsule) { drop_plan(PyCapsule_GetPointer(capsule, PLAN_NAME)); }

static PyObject *plan(PyObject *module, PyObject *args)
{
    Py_ssize_t size, left;
    (void)module;
    if (!PyArg_ParseTuple(args, "n", &size))
        return NULL;
    left = size;
    for (int factor = 2; size > 0 && factor <= 7; factor++)
        while (left % factor == 0)
            left /= factor;
    if (size < 1 || size > LARGEST_SIZE || left != 1) {
        refuse("size", "a product of 2, 3, 5 and 7, and not too large");
        return NULL;
    }
    Plan *made = make_plan(size);
    if (made == NULL)
        return PyErr_NoMemory();
    PyObject *capsule = PyCapsule_New(made, PLAN_NAME, forget_plan);
    if (capsule == NULL)
        drop_plan(made);
    return capsule;
}

/* What may be read: starts and bins from Python are indices here. */
static int windows_are_sound(const Job *job)
{
    const Py_ssize_t last = job->in->frames - job->length;
    for (Py_ssize_t i = 0; i < job->windows; i++)
        if (job->starts[i] < 0 || job->starts[i] > last)
            return refuse("starts", "such that every window lies in the block");
    return 0;
}

static int bands_are_sound(const Job *job)
{
    if (job->length > job->plan->size)
        return refuse("window", "no longer than the size");
    for (Py_ssize_t i = 0; i <= job->bands; i++)
        if (job->bins[i] < (i ? job->bins[i - 1] : 0) || job->bins[i] > job->plan->size / 2 + 1)
            return refuse("bins", "rising, up to half the size and one");
    return 0;
}

static PyObject *band_powers(PyObject *module, PyObject *args)
{
    PyObject *block, *places, *weights, *capsule, *edges, *shares, *room, *output, *result = NULL;
    Py_ssize_t edge_count, share_count, room_count, out_count;
    float *work;
    double *out;
    Buffers buffers = {.count = 0};
    Sound in;
    Job job = {.in = &in};
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOOOOOO", &block, &places, &weights, &capsule, &edges, &shares,
                          &room, &output))
        return NULL;
    job.plan = PyCapsule_GetPointer(capsule, PLAN_NAME);
    if (job.plan == NULL || take_sound(&buffers, block, "block", 0, &in) < 0 ||
        take_array(&buffers, places, "starts", 'q', 0, &job.starts, &job.windows) < 0 ||
        take_array(&buffers, weights, "window", 'f', 0, &job.window, &job.length) < 0 ||
        take_array(&buffers, edges, "bins", 'q', 0, &job.bins, &edge_count) < 0 ||
        take_array(&buffers, shares, "below", 'd', 0, &job.below, &share_count) < 0 ||
        take_array(&buffers, room, "work", 'f', 1, &work, &room_count) < 0 ||
        take_array(&buffers, output, "out", 'd', 1, &out, &out_count) < 0)
        goto done;
    job.bands = edge_count - 1;
    if (job.bands < 0 || share_count != edge_count || out_count != job.windows * job.bands)
        refuse("bins, below and out", "(bands + 1,), (bands + 1,) and (windows, bands)");
    else if (room_count < 4 * (job.plan->size + SPARE))
        refuse("work", "(4, size + 8)");
    else if (windows_are_sound(&job) == 0 && bands_are_sound(&job) == 0) {
        BEGIN_KERNEL(job.windows * job.plan->size)
        run_bands(&job, work, out);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

static PyObject *bin_powers(PyObject *module, PyObject *args)
{
    PyObject *block, *places, *weights, *capsule, *room, *output, *result = NULL;
    Py_ssize_t room_count, out_count;
    float *work, *out;
    Plan *half;
    Buffers buffers = {.count = 0};
    Sound in;
    Job job = {.in = &in};
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOOnOO", &block, &places, &weights, &capsule, &job.bands, &room,
                          &output))
        return NULL;
    job.plan = half = PyCapsule_GetPointer(capsule, PLAN_NAME);
    if (half == NULL || take_sound(&buffers, block, "block", 0, &in) < 0 ||
        take_array(&buffers, places, "starts", 'q', 0, &job.starts, &job.windows) < 0 ||
        take_array(&buffers, weights, "window", 'f', 0, &job.window, &job.length) < 0 ||
        take_array(&buffers, room, "work", 'f', 1, &work, &room_count) < 0 ||
        take_array(&buffers, output, "out", 'f', 1, &out, &out_count) < 0)
        goto done;
    if (in.channels != 1)
        refuse("block", "of one channel");
    else if (job.bands < 0 || job.bands > job.plan->size + 1)
        refuse("bins", "0 to the size and one");
    else if (job.length != 2 * job.plan->size)
        refuse("window", "twice as long as the size");
    else if (out_count != job.windows * job.bands)
        refuse("out", "(windows, bins)");
    else if (room_count < 4 * (job.plan->size + SPARE))
        refuse("work", "(4, size + 8)");
    else if (windows_are_sound(&job) == 0 && have_half_turns(half) == 0) {
        BEGIN_KERNEL(job.windows * job.length)
        run_bins(&job, work, out);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

PyMethodDef spectrum_methods[] = {{"plan", plan, METH_VARARGS, NULL},
                                  {"band_powers", band_powers, METH_VARARGS, NULL},
                                  {"bin_powers", bin_powers, METH_VARARGS, NULL},
                                  {NULL, NULL, 0, NULL}};
