/* bench.c - runs one stage of the sample loop many times, so that a caller can time it. */
#include "fp_mode.h"
#include "state.h"

wv_status wv_bench_stage(wv_state *s, wv_stage stage, size_t n_times) {
    if (s == NULL || stage < WV_STAGE_SAMPLE || stage > WV_STAGE_CONDITION) return WV_ERR_ARGUMENT;
    const wv_fp_mode mode = wv_fp_enter();
    wv_begin_threads(s);
    if (WV_SUBSCALE(s->model) > 1)
        wv_staircase_stage(s->model, s->staircase, &s->lane, s->frames, stage, n_times);
    else
        s->kernels->stage(s->model, &s->lane, s->frames, stage, n_times);
    wv_end_threads(s);
    wv_fp_leave(mode);
    return WV_OK;
}
