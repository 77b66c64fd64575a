/* state.h - the stream state of synth.c, shared with batch.c and bench.c. */
#ifndef WV_STATE_H
#define WV_STATE_H

#include "../kernels/kernels.h"
#include "threads.h"

struct wv_state {
    const wv_model *model;
    const wv_kernels *kernels;
    wv_lane lane;
    float *frames;          /* (capacity + cond_width - 1, n_mels): a ring, and its start again, so that windows lie in one */
    int32_t capacity;       /* frames */
    int32_t first;          /* where the window of the current frame starts */
    int32_t n_frames;       /* frames held */
    int32_t n_pushed;       /* 0 before the first push, then 1 */
    int32_t finished;
    int32_t sample;         /* next sample within the current frame, 0..hop_length-1 */
    int32_t filtered;       /* whether the samples pass through the post-filter */
    int32_t ready;          /* samples of filter.pcm that have not been pulled, its last ones */
    uint64_t n_out;         /* samples pulled, with the filter */
    wv_filter filter;
    wv_staircase *staircase; /* of a subscale voice, else NULL */
    int32_t n_threads;      /* that step its lanes, the caller's among them */
    wv_threads *threads;    /* them, or NULL where there is the caller's alone */
    void *storage;
    int32_t in_batch;       /* whether a wv_batch_pull has it */
};

/* One pull of a state, in runs of samples under one g. */
typedef struct {
    wv_state *state;
    int16_t *pcm;           /* where the next samples go that leave */
    size_t left;            /* of them */
} wv_job;

/* Of up to n_samples that are available */
void wv_job_begin(wv_job *job, wv_state *state, int16_t *pcm, size_t n_samples);
/* The samples to draw next, after their conditioning, and where they go; 0 at the end. */
int32_t wv_job_next(wv_job *job, int16_t **to);
/* n of them were drawn, or all */
void wv_job_drawn(wv_job *job, int32_t n);

/* All of a job, by the stream itself */
void wv_job_draw(wv_job *job);

/* Around what draws from a subscale stream: its other threads follow. */
void wv_begin_threads(wv_state *state);
void wv_end_threads(wv_state *state);

/* rows.c: vectors of n_lanes lanes, by wv_take; */
void wv_lay_out_rows(const wv_model *m, wv_lanes *lanes, int32_t n_lanes, char *base, size_t *used);
/* row l of them becomes those of s; h moves along, the others are made anew in every sample. */
void wv_point_to_row(const wv_model *m, wv_lanes *lanes, int32_t l, wv_lane *s);

/* Hands out 64-byte aligned parts of `base`, or only counts bytes when base is NULL. */
static inline size_t wv_padded(size_t bytes) { return (bytes + 63) & ~(size_t)63; }
static inline void *wv_take(char *base, size_t *used, size_t bytes) {
    void *part = base ? base + *used : NULL;
    *used += wv_padded(bytes);
    return part;
}

#endif
