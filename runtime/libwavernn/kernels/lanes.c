/* lanes.c - the sample loop of several streams in step, over any ISA's kernels.
 * The lanes meet in the matrices alone; what a lane draws is what it draws by itself. */
#include <string.h>

#include "kernels.h"

extern const wv_lane_kernels wv_lane_kernels_portable, wv_lane_kernels_avx2, wv_lane_kernels_avxvnni, wv_lane_kernels_avx512vnni,
    wv_lane_kernels_neon, wv_lane_kernels_neon_dot;

/* By the same macros as dispatch.c's */
const wv_lane_kernels *wv_lane_kernels_of(const wv_kernels *kernels) {
    static const wv_lane_kernels *const all[] = {
#ifdef WV_HAVE_AVX512VNNI
        &wv_lane_kernels_avx512vnni,
#endif
#ifdef WV_HAVE_AVXVNNI
        &wv_lane_kernels_avxvnni,
#endif
#ifdef WV_HAVE_AVX2
        &wv_lane_kernels_avx2,
#endif
#ifdef WV_HAVE_NEON_DOT
        &wv_lane_kernels_neon_dot,
#endif
#ifdef WV_HAVE_NEON
        &wv_lane_kernels_neon,
#endif
        &wv_lane_kernels_portable,
    };
    size_t i = 0;
    while (strcmp(all[i]->name, kernels->name) != 0) i++;
    return all[i];
}

/* a = R h_{t-1} + b_R of every lane */
static void lanes_R(const wv_model *m, wv_lanes *b) {
    const wv_matrix *R = &m->matrix[WV_R];
    const size_t N = (size_t)m->n_units;
    if (R->dtype == WV_I8)
        b->matrices->q_to_q10(R, b->n, b->h_q, N, b->a_q10, 3 * N);
    else
        b->matrices->to_float(R, b->n, b->h, N, WV_NO_FLOOR, b->a, 3 * N);
}

/* logits = O_out relu(O_in y) of the half of h that starts at `first` */
static void lanes_logits(const wv_model *m, wv_lanes *b, int32_t first, const wv_matrix *O_in, const wv_matrix *O_out) {
    const size_t N = (size_t)m->n_units, n_out = (size_t)m->n_out;
    if (O_in->dtype == WV_I8) {
        b->matrices->q_to_q(O_in, b->n, b->h_q + first, N, O_out, b->q, n_out);
        b->matrices->q_to_float(O_out, b->n, b->q, n_out, b->logits, WV_LOGITS_STRIDE);
    } else {
        b->matrices->to_float(O_in, b->n, b->h + first, N, 0.0f, b->z, n_out);
        b->matrices->to_float(O_out, b->n, b->z, n_out, WV_NO_FLOOR, b->logits, WV_LOGITS_STRIDE);
    }
}

/* The coarse half of h_t of every lane from all inputs but c_t; the fine half once that is drawn */
static void lanes_coarse(const wv_model *m, wv_lanes *b) {
    for (int32_t l = 0; l < b->n; l++) b->kernels->lane_coarse(m, b->lane[l]);
}

static void lanes_fine(const wv_model *m, wv_lanes *b) {
    for (int32_t l = 0; l < b->n; l++) b->kernels->lane_fine(m, b->lane[l], b->coarse[l]);
}

/* A byte of every lane from its logits, by the random bits from `shift` on */
static void lanes_draw(wv_lanes *b, int32_t shift, int32_t *byte) {
    for (int32_t l = 0; l < b->n; l++) byte[l] = b->kernels->lane_draw(b->lane[l], shift);
}

/* Both bytes of every lane */
void wv_lanes_bytes(const wv_model *m, wv_lanes *b) {
    const wv_matrix *O = &m->matrix[WV_O1];
    /* 1) R h_{t-1}, once for both halves */
    lanes_R(m, b);
    /* 2) the coarse half of h_t, and c_t */
    lanes_coarse(m, b);
    lanes_logits(m, b, 0, &O[0], &O[1]);
    lanes_draw(b, 32, b->coarse);
    /* 3) the fine half, and f_t */
    lanes_fine(m, b);
    lanes_logits(m, b, m->n_units / 2, &O[2], &O[3]);
    lanes_draw(b, 0, b->fine);
}

/* n samples of every lane, each under one g; pcm[l] : (n,) of lane l */
void wv_lanes_loop(const wv_model *m, wv_lanes *b, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        wv_lanes_bytes(m, b);
        /* 4) undo the pre-emphasis, round, clip */
        for (int32_t l = 0; l < b->n; l++) b->pcm[l][i] = b->kernels->stage_pcm(m, b->lane[l], b->coarse[l], b->fine[l]);
    }
}

/* One stage of every lane n_times, for benchmarks. */
void wv_lanes_stage(const wv_model *m, wv_lanes *b, const float *window, wv_stage which, size_t n_times) {
    const wv_matrix *O = &m->matrix[WV_O1];
    for (size_t i = 0; i < n_times; i++) {
        switch (which) {
        case WV_STAGE_SAMPLE: wv_lanes_loop(m, b, 1); break;
        case WV_STAGE_R: lanes_R(m, b); break;
        case WV_STAGE_GATES:
            lanes_coarse(m, b);
            lanes_fine(m, b);
            break;
        case WV_STAGE_O:
            lanes_logits(m, b, 0, &O[0], &O[1]);
            lanes_logits(m, b, m->n_units / 2, &O[2], &O[3]);
            break;
        case WV_STAGE_SAMPLING:
            lanes_draw(b, 32, b->coarse);
            lanes_draw(b, 0, b->fine);
            break;
        case WV_STAGE_CONDITION:
            for (int32_t l = 0; l < b->n; l++) {
                b->kernels->condition_frame(m, b->lane[l], window);
                for (int32_t sub = 0; sub < m->n_sub; sub++) b->kernels->condition_sub(m, b->lane[l], sub);
            }
            break;
        }
    }
}
