/* A dense layer on one micro-batch: forward, back, and its share of the gradient.
 *
 * The products are tiled by hand in vectors of the compiler's own, which become AVX-512
 * where the machine has it; constant sizes are inlined into every call. */
#ifndef LAYERS_H
#define LAYERS_H

#include <stdint.h>

/* The tile of a product that is held in registers: TILE rows of two vectors. */
#if defined(__AVX512F__)
#define LANES 16
#define TILE 8
#elif defined(__AVX__)
#define LANES 8
#define TILE 4
#else
#define LANES 4
#define TILE 4
#endif
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(LANES * sizeof(float)), may_alias));
typedef int32_t mask __attribute__((vector_size(LANES * sizeof(float)), may_alias));

/* Rows of a matrix are an odd number of cache lines apart, so that a column of them
 * spreads over every set of the cache: every stride is a width plus this PAD. */
enum { MICRO = 64, PAD = 16 };

INLINE vec *at(float *p) { return (vec *)p; }
INLINE const vec *of(const float *p) { return (const vec *)p; }

/* value where gate > 0, else 0: C has no ?: for vectors. */
INLINE void store_where(vec *out, const vec *gate, const vec *value)
{
    const vec zero = {0};
    *out = (vec)((mask)*value & (*gate > zero));
}

/* sum += A B for one tile; the steps let A be read as it is or transposed. */
INLINE void multiply(vec sum[TILE][2], const float *a, int row_step, int depth_step,
                     const float *b, int b_stride, int depth)
{
    for (int k = 0; k < depth; k++) {
        const vec left = of(b + k * b_stride)[0], right = of(b + k * b_stride)[1];
#pragma GCC unroll 8
        for (int i = 0; i < TILE; i++) {
            const float factor = a[i * row_step + k * depth_step];
            sum[i][0] += factor * left;
            sum[i][1] += factor * right;
        }
    }
}

/* out = relu(x w + bias). */
INLINE void forward(const float *x, int x_stride, const float *w, const float *bias, float *out,
                    int stride, int depth)
{
    for (int j = 0; j < stride - PAD; j += 2 * LANES)
        for (int r = 0; r < MICRO; r += TILE) {
            vec sum[TILE][2];
            for (int i = 0; i < TILE; i++)
                for (int h = 0; h < 2; h++)
                    sum[i][h] = of(bias + j)[h];
            multiply(sum, x + r * x_stride, x_stride, 1, w + j, stride, depth);
            for (int i = 0; i < TILE; i++)
                for (int h = 0; h < 2; h++)
                    store_where(at(out + (r + i) * stride + j) + h, &sum[i][h], &sum[i][h]);
        }
}

/* Replaces the inputs of a layer by their gradient, through the relu that made them. */
INLINE void backward(const float *delta, int depth, const float *turned, float *x, int stride,
                     int relu)
{
    for (int j = 0; j < stride - PAD; j += 2 * LANES)
        for (int r = 0; r < MICRO; r += TILE) {
            vec sum[TILE][2] = {{{0}}};
            multiply(sum, delta + r * (depth + PAD), depth + PAD, 1, turned + j, stride, depth);
            for (int i = 0; i < TILE; i++)
                for (int h = 0; h < 2; h++) {
                    vec *out = at(x + (r + i) * stride + j) + h;
                    if (relu)
                        store_where(out, out, &sum[i][h]);
                    else
                        *out = sum[i][h];
                }
        }
}

/* gradient += x' delta, and its bias += the sum of delta. */
INLINE void accumulate(const float *x, int x_stride, int inputs, const float *delta, int stride,
                       float *gradient, float *bias)
{
    for (int j = 0; j < stride - PAD; j += 2 * LANES)
        for (int k = 0; k < inputs; k += TILE) {
            vec sum[TILE][2] = {{{0}}};
            multiply(sum, x + k, 1, x_stride, delta + j, stride, MICRO);
            for (int i = 0; i < TILE; i++)
                for (int h = 0; h < 2; h++)
                    at(gradient + (k + i) * stride + j)[h] += sum[i][h];
        }
    for (int r = 0; r < MICRO; r++)
        for (int j = 0; j < stride - PAD; j++)
            bias[j] += delta[r * stride + j];
}

/* The matrix transposed, a square of it at a time to stay within a few cache lines. */
INLINE void turn(const float *w, int inputs, int outputs, float *out)
{
    for (int i = 0; i < inputs; i += PAD)
        for (int o = 0; o < outputs; o++)
            for (int k = i; k < i + PAD; k++)
                out[o * (inputs + PAD) + k] = w[k * (outputs + PAD) + o];
}

#endif
