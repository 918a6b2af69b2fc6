/* One network, trained by hand: the speed this machine can reach without a framework.
 *
 * 8 codes -> rows of width 8 in one fused table, beside 6 numbers: 70 inputs
 * -> 128 relu -> 64 relu -> 32 relu -> 1 logit, sigmoid cross-entropy, dense Adam.
 * Each thread takes its share of a batch in micro-batches that stay in the cache, into
 * gradients of its own; the threads then meet and each updates a part of the parameters. */
#include "layers.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A stride is the width of a matrix plus PAD, see layers.h; INPUT_ROWS is INPUTS in whole
 * tiles. kernel.py has these figures too. */
enum {
    COLUMNS = 8, NUMBERS = 6, WIDTH = 8, SPINS = 1 << 14,
    EMBEDDED = COLUMNS * WIDTH, INPUTS = EMBEDDED + NUMBERS, INPUT_ROWS = 72,
    ONE = 128, TWO = 64, THREE = 32,
    X_STRIDE = EMBEDDED + PAD, ONE_STRIDE = ONE + PAD, TWO_STRIDE = TWO + PAD,
    THREE_STRIDE = THREE + PAD,
};

/* The flat parameters: of each layer its weights, then its bias; the table comes last. */
enum {
    W1 = 0, B1 = W1 + INPUT_ROWS * ONE_STRIDE,
    W2 = B1 + ONE_STRIDE, B2 = W2 + ONE * TWO_STRIDE,
    W3 = B2 + TWO_STRIDE, B3 = W3 + TWO * THREE_STRIDE,
    W4 = B3 + THREE_STRIDE, B4 = W4 + THREE, TABLE = B4 + PAD,
};

/* What Python hands over; kernel.py declares the same fields in the same order. */
struct job {
    const float *numbers;
    const int32_t *codes, *labels, *counts;
    int32_t *order;
    float *params, *mean, *square;
    uint64_t seed;
    int64_t step;
    int32_t rows, batch, threads;
    float rate;
};

/* Transposed weights, which the way back multiplies by. */
struct turned {
    _Alignas(64) float one[ONE * X_STRIDE], two[TWO * ONE_STRIDE], three[THREE * TWO_STRIDE];
};

/* The activations of one micro-batch; on the way back each is overwritten by its gradient. */
struct scratch {
    _Alignas(64) float x[MICRO * X_STRIDE], one[MICRO * ONE_STRIDE], two[MICRO * TWO_STRIDE],
        three[MICRO * THREE_STRIDE], logit[MICRO];
    int32_t slot[MICRO * COLUMNS], label[MICRO];
};

struct team {
    struct job *job;
    struct turned *turned;
    float **gradients;
    double *losses;
    int32_t offsets[COLUMNS];
    size_t size;
    atomic_int joined;
    _Alignas(64) atomic_int waiting;
    _Alignas(64) atomic_int round;
};

/* The rows of the next micro-batch lie anywhere in memory: ask for them ahead. */
INLINE void prefetch(const struct job *job, int place)
{
    if (place >= job->rows)
        return;
    const size_t row = (size_t)job->order[place];
    __builtin_prefetch(job->numbers + row * NUMBERS);
    __builtin_prefetch(job->codes + row * COLUMNS);
    __builtin_prefetch(job->labels + row);
}

static void gather(const struct team *team, struct scratch *s, int start, int rows)
{
    const struct job *job = team->job;
    for (int r = 0; r < rows; r++) {
        prefetch(job, start + MICRO + r);
        const size_t row = (size_t)job->order[start + r];
        const int32_t *codes = job->codes + row * COLUMNS;
        float *x = s->x + r * X_STRIDE;
        for (int c = 0; c < COLUMNS; c++) {
            const int32_t slot = TABLE + (team->offsets[c] + codes[c]) * WIDTH;
            s->slot[r * COLUMNS + c] = slot;
            memcpy(x + c * WIDTH, job->params + slot, WIDTH * sizeof(float));
        }
        memcpy(x + EMBEDDED, job->numbers + row * NUMBERS, NUMBERS * sizeof(float));
        s->label[r] = job->labels[row];
    }
}

static void predict_micro(const float *p, struct scratch *s)
{
    forward(s->x, X_STRIDE, p + W1, p + B1, s->one, ONE_STRIDE, INPUTS);
    forward(s->one, ONE_STRIDE, p + W2, p + B2, s->two, TWO_STRIDE, ONE);
    forward(s->two, TWO_STRIDE, p + W3, p + B3, s->three, THREE_STRIDE, TWO);
    for (int r = 0; r < MICRO; r++) {
        vec sum = {0};
        for (int j = 0; j < THREE; j += LANES)
            sum += *of(s->three + r * THREE_STRIDE + j) * *of(p + W4 + j);
        float logit = p[B4];
        for (int i = 0; i < LANES; i++)
            logit += sum[i];
        s->logit[r] = logit;
    }
}

/* From logits to the gradient of the last hidden layer; rows past the end weigh nothing. */
static double top(const float *p, float *g, struct scratch *s, int rows, float scale)
{
    double loss = 0;
    for (int r = 0; r < MICRO; r++) {
        const float logit = s->logit[r], small = expf(-fabsf(logit));
        const float sigmoid = (logit < 0 ? small : 1) / (1 + small);
        const float delta = r < rows ? scale * (sigmoid - (float)s->label[r]) : 0;
        if (r < rows)
            loss += fmaxf(logit, 0) - logit * (float)s->label[r] + log1pf(small);
        g[B4] += delta;
        for (int j = 0; j < THREE; j += LANES) {
            vec *hidden = at(s->three + r * THREE_STRIDE + j);
            const vec back = delta * *of(p + W4 + j);
            *at(g + W4 + j) += delta * *hidden;
            store_where(hidden, hidden, &back);
        }
    }
    return loss;
}

/* Forward and back through one micro-batch: adds to the gradient, returns the summed loss. */
static double learn_micro(const struct team *team, struct scratch *s, float *g, int start,
                          int rows, float scale)
{
    const float *p = team->job->params;
    const struct turned *turned = team->turned;
    gather(team, s, start, rows);
    predict_micro(p, s);
    const double loss = top(p, g, s, rows, scale);
    accumulate(s->two, TWO_STRIDE, TWO, s->three, THREE_STRIDE, g + W3, g + B3);
    backward(s->three, THREE, turned->three, s->two, TWO_STRIDE, 1);
    accumulate(s->one, ONE_STRIDE, ONE, s->two, TWO_STRIDE, g + W2, g + B2);
    backward(s->two, TWO, turned->two, s->one, ONE_STRIDE, 1);
    accumulate(s->x, X_STRIDE, INPUT_ROWS, s->one, ONE_STRIDE, g + W1, g + B1);
    backward(s->one, ONE, turned->one, s->x, X_STRIDE, 0);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < COLUMNS; c++)
            for (int i = 0; i < WIDTH; i++)
                g[s->slot[r * COLUMNS + c] + i] += s->x[r * X_STRIDE + c * WIDTH + i];
    return loss;
}

/* Adam as Keras writes it, on parameters from begin to end; leaves the gradients at zero. */
static void update(const struct team *team, size_t begin, size_t end)
{
    const struct job *job = team->job;
    const float first = 0.9f, second = 0.999f, epsilon = 1e-7f;
    const double step = (double)job->step + 1;
    const float rate = (float)(job->rate * sqrt(1 - pow(second, step)) / (1 - pow(first, step)));
    float *restrict p = job->params, *restrict m = job->mean, *restrict v = job->square;
    float *restrict g = team->gradients[0];
    for (int t = 1; t < job->threads; t++) {
        float *restrict other = team->gradients[t];
        for (size_t i = begin; i < end; i++) {
            g[i] += other[i];
            other[i] = 0;
        }
    }
    for (size_t i = begin; i < end; i++) {
        m[i] += (g[i] - m[i]) * (1 - first);
        v[i] += (g[i] * g[i] - v[i]) * (1 - second);
        p[i] -= rate * m[i] / (sqrtf(v[i]) + epsilon);
        g[i] = 0;
    }
}

/* Every thread waits here for the others; yields in case they share its core. */
static void meet(struct team *team)
{
    const int round = atomic_load_explicit(&team->round, memory_order_acquire);
    if (atomic_fetch_add(&team->waiting, 1) == team->job->threads - 1) {
        atomic_store(&team->waiting, 0);
        atomic_store_explicit(&team->round, round + 1, memory_order_release);
        return;
    }
    for (int spin = 0; atomic_load_explicit(&team->round, memory_order_acquire) == round; spin++)
        if (spin > SPINS)
            sched_yield();
}

/* Fisher-Yates, with splitmix64 for the draws. */
static void shuffle(struct job *job)
{
    for (uint32_t i = (uint32_t)job->rows - 1; i > 0; i--) {
        uint64_t z = job->seed += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        const uint32_t j = (uint32_t)(((z >> 32) * (i + 1)) >> 32);
        const int32_t row = job->order[i];
        job->order[i] = job->order[j];
        job->order[j] = row;
    }
}

/* The part of something that falls to one of the threads. */
static size_t share(const struct team *team, size_t total, int index)
{
    return total * (size_t)index / (size_t)team->job->threads;
}

/* The transposed weights are made by threads in turn, so that all have some. */
static void turn_all(const struct team *team, int index)
{
    const float *p = team->job->params;
    const int threads = team->job->threads;
    if (index == 0)
        turn(p + W1, EMBEDDED, ONE, team->turned->one);
    if (index == 1 % threads)
        turn(p + W2, ONE, TWO, team->turned->two);
    if (index == 2 % threads)
        turn(p + W3, TWO, THREE, team->turned->three);
}

static void learn_batch(struct team *team, int index, struct scratch *s, int start, int rows)
{
    const int end = start + (int)share(team, (size_t)rows, index + 1);
    const float scale = 1.0f / (float)rows;
    for (int at = start + (int)share(team, (size_t)rows, index); at < end; at += MICRO)
        team->losses[index] += learn_micro(team, s, team->gradients[index], at,
                                           end - at < MICRO ? end - at : MICRO, scale);
    meet(team);
    const size_t lines = team->size / PAD;
    update(team, share(team, lines, index) * PAD, share(team, lines, index + 1) * PAD);
    meet(team);
    turn_all(team, index);
    if (index == 0)
        team->job->step++;
    meet(team);
}

/* Zeros on a cache line: what is never filled must still be a number, to multiply by 0. */
static void *zeros(size_t size)
{
    void *found = aligned_alloc(64, size);
    return found ? memset(found, 0, size) : (abort(), NULL);
}

static void *learn(void *argument)
{
    struct team *team = argument;
    const struct job *job = team->job;
    const int index = atomic_fetch_add(&team->joined, 1);
    struct scratch *s = zeros(sizeof *s);
    for (int start = 0; start < job->rows; start += job->batch) {
        const int left = job->rows - start;
        learn_batch(team, index, s, start, left < job->batch ? left : job->batch);
    }
    free(s);
    return NULL;
}

static void place(struct team *team)
{
    int32_t total = 0;
    for (int c = 0; c < COLUMNS; c++) {
        team->offsets[c] = total;
        total += team->job->counts[c];
    }
    team->size = TABLE + ((size_t)total * WIDTH + PAD - 1) / PAD * PAD;
}

/* Number of floats in each of params, mean and square. */
int64_t parameters(struct job *job)
{
    struct team team = {.job = job};
    place(&team);
    return (int64_t)team.size;
}

/* One pass over the rows, shuffled; returns their mean loss. */
double train_epoch(struct job *job)
{
    const int threads = job->threads;
    pthread_t workers[threads];
    float *gradients[threads];
    double losses[threads], loss = 0;
    struct team team = {.job = job, .gradients = gradients, .losses = losses};
    team.turned = zeros(sizeof *team.turned);
    place(&team);
    shuffle(job);
    for (int t = 0; t < threads; t++) {
        gradients[t] = zeros(team.size * sizeof(float));
        losses[t] = 0;
        turn_all(&team, t);
    }
    for (int t = 1; t < threads; t++)
        if (pthread_create(&workers[t], NULL, learn, &team))
            abort();
    learn(&team);
    for (int t = 0; t < threads; t++) {
        if (t > 0)
            pthread_join(workers[t], NULL);
        loss += losses[t];
    }
    for (int t = 0; t < threads; t++)
        free(gradients[t]);
    free(team.turned);
    return loss / job->rows;
}

/* The logit of each row, in the order of job->order. */
void predict(struct job *job, float *logits)
{
    struct team team = {.job = job};
    struct scratch *s = zeros(sizeof *s);
    place(&team);
    for (int start = 0; start < job->rows; start += MICRO) {
        const int rows = job->rows - start < MICRO ? job->rows - start : MICRO;
        gather(&team, s, start, rows);
        predict_micro(job->params, s);
        memcpy(logits + start, s->logit, (size_t)rows * sizeof(float));
    }
    free(s);
}
