/* What the kernels share: buffers of Python, the state of the floating-point unit, clones.
 *
 * Rules
 * -----
 * Rule 1: the same bits from every build. Compiled with -ffp-contract=off and without
 * -ffast-math: no sum is reordered and no product fused, so lanes change nothing. What a
 * kernel needs of logarithms and powers it makes of + - * / and moves of bits (dynamics.c).
 *
 * Rule 2: a kernel is a plain loop over pointers and knows no Python; its entry takes the
 * buffers, checks every shape, and gives up the GIL around the loop unless it is a short one.
 * Nothing is allocated per frame.
 *
 * Rule 3: the plain versions (plain_*.py) define what is right: same arguments, same state.
 */
#ifndef DSP_KERNELS_H
#define DSP_KERNELS_H

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

/* A loop is compiled for three generations of x86-64 and chosen when the module is loaded. musl
 * has no such choice (ifunc); other machines need none. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(NO_CLONES)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

#define INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#include <immintrin.h>
/* Denormals are flushed inside a kernel: they cost ten times the CPU, for inaudible sound. The
 * flags are those of the thread, so they are put back. */
INLINE unsigned flush_denormals(void)
{
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
}
INLINE void restore_denormals(unsigned before) { _mm_setcsr(before); }
#elif defined(__aarch64__)
INLINE unsigned flush_denormals(void)
{
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | 1 << 24));
    return (unsigned)before;
}
INLINE void restore_denormals(unsigned before)
{
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)before));
}
#else
INLINE unsigned flush_denormals(void) { return 0; }
INLINE void restore_denormals(unsigned before) { (void)before; }
#endif

/* Fewer values than this are done sooner than the GIL changes hands twice. */
#define LEAST_WORK 20000

#define BEGIN_KERNEL(values)                                                                     \
    {                                                                                            \
        PyThreadState *thread = (values) < LEAST_WORK ? NULL : PyEval_SaveThread();              \
        unsigned denormals_before = flush_denormals();
#define END_KERNEL                                                                               \
        restore_denormals(denormals_before);                                                     \
        if (thread != NULL)                                                                      \
            PyEval_RestoreThread(thread);                                                        \
    }

#define HOP_FRAMES 16 /* dsp.audio.HOP_FRAMES */

/* More than any block has, and few enough for products of them not to wrap. */
#define MOST_FRAMES ((Py_ssize_t)1 << 40)
#define MOST_CHANNELS ((Py_ssize_t)1 << 16)

/* A block of audio, in either order of memory. Steps are in samples. */
typedef struct {
    float *at;
    Py_ssize_t frames, channels, frame_step, channel_step;
} Sound;

/* The buffers of one call, released together. */
typedef struct {
    Py_buffer views[8];
    int count;
} Buffers;

/* Each returns 0, or -1 with a Python error that names the argument. Arrays are C-contiguous;
 * `format` is the letter of the struct module: f, d, q and Q (64 bits), i (int32) or B. */
int take_sound(Buffers *buffers, PyObject *object, const char *name, int writable, Sound *sound);
int take_array(Buffers *buffers, PyObject *object, const char *name, char format, int writable,
               void *at, Py_ssize_t *length);
int refuse(const char *name, const char *wanted);
void release(Buffers *buffers);

extern PyMethodDef filter_methods[], level_methods[], dynamics_methods[], control_methods[],
    spectrum_methods[], pcm_methods[], strip_methods[], path_methods[],
    partial_methods[];
void choose_filters(void);

#endif
