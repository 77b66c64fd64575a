/* state.h - the stream state of synth.c, shared with bench.c. */
#ifndef WV_STATE_H
#define WV_STATE_H

#include "../kernels/kernels.h"

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
    void *storage;
};

#endif
