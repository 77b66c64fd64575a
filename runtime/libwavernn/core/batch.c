/* batch.c - several streams in step: who is in which lane of which thread. What they draw is lanes.c's, how each one goes on
 * is synth.c's. A stream is on one thread throughout a call, so threads share nothing but the number of the next stream. */
#include <stdlib.h>
#include <string.h>

#include "fp_mode.h"
#include "state.h"

/* A wv_lane's own vectors, which wait while it uses a row of wv_lanes. */
typedef struct {
    float *h, *a, *logits;
    int16_t *a_q10;
    int8_t *h_q;
    int32_t *p_softmax;
} home;

/* The lanes of one thread. */
typedef struct {
    wv_lanes lanes;
    wv_job job[WV_MAX_LANES];
    home home[WV_MAX_LANES];
    int32_t left[WV_MAX_LANES]; /* of a run */
} worker;

/* What one call of wv_batch_pull was given. */
typedef struct {
    wv_state *const *states;
    size_t n_states;
    int16_t *const *pcm;
    const size_t *n_samples;
    size_t *written;
} work;

struct wv_batch {
    const wv_model *model;
    int32_t n_lanes;
    work work;
    worker *workers;       /* (threads.n,) the first is the caller's */
    void *storage;
    wv_count next;         /* states[next] joins next */
    wv_threads threads;
};

static void join(const wv_model *m, worker *w, const wv_job *job, int16_t *pcm, int32_t left) {
    const int32_t l = w->lanes.n++;
    wv_lane *s = &job->state->lane;
    w->home[l] = (home){s->h, s->a, s->logits, s->a_q10, s->h_q, s->p_softmax};
    w->job[l] = *job;
    w->left[l] = left;
    w->lanes.pcm[l] = pcm;
    wv_point_to_row(m, &w->lanes, l, s);
}

/* Its state takes its own vectors back; the last lane moves to lane l. */
static void leave(const wv_model *m, worker *w, int32_t l) {
    wv_lane *s = w->lanes.lane[l];
    const home own = w->home[l];
    if (m->matrix[WV_R].dtype == WV_I8)
        memcpy(own.h_q, s->h_q, (size_t)m->n_units);
    else
        memcpy(own.h, s->h, (size_t)m->n_units * sizeof(float));
    s->h = own.h;
    s->a = own.a;
    s->logits = own.logits;
    s->a_q10 = own.a_q10;
    s->h_q = own.h_q;
    s->p_softmax = own.p_softmax;
    const int32_t last = --w->lanes.n;
    if (l == last) return;
    wv_point_to_row(m, &w->lanes, l, w->lanes.lane[last]);
    w->home[l] = w->home[last];
    w->job[l] = w->job[last];
    w->left[l] = w->left[last];
    w->lanes.pcm[l] = w->lanes.pcm[last];
}

/* The next stream that draws anything takes a lane; returns whether there was one. */
static int join_next(wv_batch *b, worker *w) {
    const work *k = &b->work;
    for (size_t i; (i = (size_t)wv_count_up(&b->next)) < k->n_states;) {
        wv_job job;
        int16_t *to;
        wv_job_begin(&job, k->states[i], k->pcm[i], k->n_samples[i]);
        k->written[i] = job.left;
        if (job.state->staircase) {
            wv_job_draw(&job); /* has lanes of its own */
            continue;
        }
        const int32_t n = wv_job_next(&job, &to);
        if (n > 0) {
            join(b->model, w, &job, to, n);
            return 1;
        }
    }
    return 0;
}

/* Streams one after the other through the lanes of a thread, until none is left. Few streams are shared out evenly. */
static void pull_lanes(void *of, int32_t thread) {
    wv_batch *b = of;
    worker *w = b->workers + thread;
    const size_t threads = (size_t)b->threads.n, fair = (b->work.n_states + threads - 1) / threads;
    const int32_t n_lanes = fair < (size_t)b->n_lanes ? (int32_t)fair : b->n_lanes;
    wv_lanes *lanes = &w->lanes;
    const wv_fp_mode mode = wv_fp_enter();
    for (;;) {
        while (lanes->n < n_lanes && join_next(b, w)) {
        }
        if (lanes->n == 0) break;
        int32_t n = w->left[0];
        for (int32_t l = 1; l < lanes->n; l++) n = w->left[l] < n ? w->left[l] : n;
        if (lanes->n == 1)
            lanes->kernels->sample_loop(b->model, lanes->lane[0], n, lanes->pcm[0]);
        else
            wv_lanes_loop(b->model, lanes, n);
        for (int32_t l = lanes->n - 1; l >= 0; l--) {
            wv_job *job = &w->job[l];
            w->left[l] -= n;
            lanes->pcm[l] += n;
            wv_job_drawn(job, n);
            if (w->left[l] == 0) w->left[l] = wv_job_next(job, &lanes->pcm[l]);
            if (w->left[l] > 0) continue;
            leave(b->model, w, l);
        }
    }
    wv_fp_leave(mode);
}

wv_status wv_batch_new(const wv_model *model, int32_t n_lanes, int32_t n_threads, wv_batch **batch) {
    if (model == NULL || batch == NULL) return WV_ERR_ARGUMENT;
    *batch = NULL;
    if (n_lanes < 1 || n_lanes > WV_MAX_LANES || n_threads < 1 || n_threads > WV_MAX_THREADS) return WV_ERR_ARGUMENT;
    wv_batch *b = calloc(1, sizeof *b);
    if (b == NULL) return WV_ERR_MEMORY;
    b->model = model;
    b->n_lanes = n_lanes;
    b->workers = calloc((size_t)n_threads, sizeof *b->workers);
    size_t each = 0;
    if (b->workers) wv_lay_out_rows(model, &b->workers->lanes, n_lanes, NULL, &each);
    b->storage = b->workers ? malloc((size_t)n_threads * each + 63) : NULL;
    if (b->storage == NULL) {
        wv_batch_free(b);
        return WV_ERR_MEMORY;
    }
    char *base = (char *)wv_padded((size_t)(uintptr_t)b->storage);
    for (int32_t i = 0; i < n_threads; i++) {
        size_t used = (size_t)i * each;
        wv_lay_out_rows(model, &b->workers[i].lanes, n_lanes, base, &used);
    }
    if (!wv_threads_start(&b->threads, n_threads, pull_lanes, b)) {
        wv_batch_free(b);
        return WV_ERR_MEMORY;
    }
    *batch = b;
    return WV_OK;
}

void wv_batch_free(wv_batch *b) {
    if (b == NULL) return;
    wv_threads_stop(&b->threads);
    free(b->storage);
    free(b->workers);
    free(b);
}

static void choose_kernels(worker *w, const wv_kernels *kernels) {
    w->lanes.kernels = kernels;
    w->lanes.matrices = wv_lane_kernels_of(kernels);
}

/* Whether the states are different ones of this batch's model and of one ISA */
static int check_states(const wv_batch *b, wv_state *const *states, size_t n_states) {
    size_t n = 0;
    int good = 1;
    for (; good && n < n_states; n++) {
        wv_state *s = states[n];
        good = s != NULL && s->model == b->model && s->kernels == states[0]->kernels && !s->in_batch;
        if (good) s->in_batch = 1;
    }
    for (size_t i = 0; i < n - (size_t)!good; i++) states[i]->in_batch = 0;
    return good;
}

wv_status wv_batch_pull(wv_batch *b, wv_state *const states[], size_t n_states, int16_t *const pcm[],
                        const size_t n_samples[], size_t written[]) {
    if (b == NULL) return WV_ERR_ARGUMENT;
    if (n_states == 0) return WV_OK;
    if (states == NULL || pcm == NULL || n_samples == NULL || written == NULL) return WV_ERR_ARGUMENT;
    for (size_t i = 0; i < n_states; i++)
        if (pcm[i] == NULL && n_samples[i] > 0) return WV_ERR_ARGUMENT;
    if (!check_states(b, states, n_states)) return WV_ERR_ARGUMENT;
    b->work = (work){states, n_states, pcm, n_samples, written};
    wv_count_to(&b->next, 0);
    for (int32_t i = 0; i < b->threads.n; i++) choose_kernels(b->workers + i, states[0]->kernels);
    wv_threads_begin(&b->threads);
    pull_lanes(b, 0);
    wv_threads_end(&b->threads);
    return WV_OK;
}

wv_status wv_batch_bench_stage(wv_batch *b, wv_state *const states[], size_t n_states, wv_stage stage, size_t n_times) {
    if (b == NULL || states == NULL || n_states < 1 || n_states > (size_t)b->n_lanes) return WV_ERR_ARGUMENT;
    if (stage < WV_STAGE_SAMPLE || stage > WV_STAGE_CONDITION || !check_states(b, states, n_states)) return WV_ERR_ARGUMENT;
    if (states[0]->staircase) return WV_ERR_ARGUMENT; /* wv_bench_stage has all its lanes */
    worker *w = b->workers;
    choose_kernels(w, states[0]->kernels);
    int16_t pcm[WV_MAX_LANES];
    for (size_t i = 0; i < n_states; i++) join(b->model, w, &(wv_job){states[i], NULL, 0}, pcm + i, 0);
    const wv_fp_mode mode = wv_fp_enter();
    wv_lanes_stage(b->model, &w->lanes, states[0]->frames, stage, n_times);
    wv_fp_leave(mode);
    while (w->lanes.n > 0) leave(b->model, w, w->lanes.n - 1);
    return WV_OK;
}
