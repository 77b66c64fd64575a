/* kernels.h - what format.c hands to the kernels, and the table of kernels an ISA provides.
 *
 * Kernels check nothing: format.c has checked every index, size and alignment once, at load.
 * Twins of wv_runtime/engine/kernels/{spmv,spmm,gates,sample,wavernn,lanes}.py. format.c makes every length a multiple of 16.
 */
#ifndef WV_KERNELS_H
#define WV_KERNELS_H

#include "../core/arithmetic.h"
#include "../core/threads.h"

#include <stddef.h>
#include <stdint.h>

#include "wavernn.h"

enum { WV_F32 = 0, WV_F16 = 1, WV_I8 = 2 };
enum { WV_N_X = 8 }; /* inputs of a network with linear prediction, without those of context */
enum { WV_MAX_LANES = 16, WV_MAX_ORDER = 64, WV_MAX_CONTEXT = 32 };
#define WV_NO_FLOOR (-3.402823466e+38f) /* y_min of a product without relu */

/* Block rows of 4 int8 rows, four of them side by side, for vectors of 16 rows: a step holds a block of each. Rows of about
 * as many blocks go together; blocks that one has fewer are zeros. Made at load where the vectors are so wide. */
typedef struct {
    int32_t n;                 /* fours of block rows; 0: not made */
    const int32_t *step_ptr;   /* (n + 1,) four i owns steps step_ptr[i] up to, not including, step_ptr[i + 1] */
    const int8_t *values;      /* (n_steps, 16, 4) */
    const uint16_t *col_idx;   /* (n_steps, 4) block columns */
    const int32_t *row;        /* (n, 4) which block rows they are */
    const int32_t *start;      /* (n, 16) start_biased of their rows */
    const float *scale;        /* (n, 16) */
} wv_fours;

/* One block-CSR matrix; the arrays lie in the mapped file except those made at load. */
typedef struct {
    int32_t dtype, rows, cols, block_h, block_w, n_block_rows, nnz_blocks;
    const void *values;        /* (nnz_blocks * block_h * block_w,) float, f16 bits or int8, in kernel order */
    const int32_t *row_ptr;    /* (n_block_rows + 1,) */
    const uint16_t *col_idx;   /* (nnz_blocks,) block columns */
    const float *bias;         /* (rows,) */
    const float *scale;        /* (rows,) int8 only, else NULL */
    float x_scale;             /* int8 only: q = round(x * x_scale) + x_zero, clamped to -127..127 */
    int32_t x_zero;
    /* int8 only, (rows,), made at load: round(bias / scale); the same less 128 * the sum of the row, for q + 128 */
    const int32_t *start, *start_biased;
    wv_fours fours;            /* int8 only */
} wv_matrix;

enum { WV_C1, WV_C2, WV_C3, WV_R, WV_O1, WV_O2, WV_O3, WV_O4, WV_N_MATRICES };

typedef int16_t wv_offsets[WV_MAX_ORDER]; /* of the samples that a lane sees, the nearest first */

struct wv_model {
    int32_t n_units, n_out, n_cond, cond_width, n_sub;
    int32_t lpc_order, n_x;    /* 0: no linear prediction; inputs of the network: 3, or WV_N_X + context */
    int32_t subscale, horizon, lookback, context; /* B, F, P of FORMAT.md; subscale 1: no interleaved lanes */
    int32_t lags;              /* rows of M, less one */
    int32_t n_seen[WV_MAX_LANES];
    wv_offsets seen[WV_MAX_LANES];
    float preemphasis;
    int32_t sample_rate, n_fft, hop_length, win_length, n_mels;
    double fmin, fmax, log_floor; /* of the mels; Hz, Hz, linear */
    char mel_name[32];
    wv_matrix matrix[WV_N_MATRICES];
    const float *I;            /* (n_x, 3 * n_units) columns of I*, that of c_t last */
    int32_t postfilter;        /* 0 none, 1 off, 2 on by default */
    const int32_t *band;       /* (n_fft / 2 + 1,) of the post-filter, or NULL */
    const float *weight;       /* (3, n_fft / 2 + 1) */
    float comb;                /* strength of the post-filter's pitch comb, 0..1; 0 is none */
    float denoise;             /* dB by which the post-filter lowers noise at most; 0 is none */
    const float *mel_stats;    /* (2, n_mels) mean and deviation of the mels of training, or NULL */
    const float *M;            /* (lags + 1, n_mels) of the linear prediction, or NULL */
    const float *lane;         /* (subscale, 3 n_units) added to C3 b, or NULL */
    const int16_t *I_q;        /* int8 models: I in Q10 / 2^I_shift for inputs in Q15; made at load */
    int32_t I_shift;
    const int16_t *lane_q10;   /* int8 models: lane in Q10; made at load */
    void *derived;             /* storage of what was made at load */
};

/* Lanes of a voice. A build without Subscale refuses a voice of several, and leaves their code out. */
#ifdef WV_NO_SUBSCALE
#define WV_SUBSCALE(m) 1
#else
#define WV_SUBSCALE(m) ((m)->subscale)
#endif

/* The samples of a subscale stream that its lanes see: s_t at t & mask, 0 before the first and after the last. */
typedef struct {
    int16_t *s;
    uint64_t mask;
} wv_signal;

/* The mutable state of one audio stream, or of one lane of a subscale stream; vectors are 64-byte aligned. A float model uses h, a, g; an int8 model,
 * whose gates run in 16-bit fixed point, uses h_q15, a_q10, g_q10 and h_q. */
typedef struct {
    float *h;       /* (n_units,) */
    float *a;       /* (3 n_units,) R h + b_R */
    float *g;       /* (3 n_units,) conditioning of the current sub-frame */
    int16_t *h_q15, *a_q10, *g_q10;
    int8_t *h_q;    /* (n_units,) h in 8 bits, as R, O1 and O3 read it */
    float *b;       /* (n_sub * n_cond,) conditioning vectors of the current frame */
    float *z;       /* (max(n_out, n_cond),) */
    float *logits;  /* (256,) */
    int32_t *p_softmax; /* (256,) */
    int8_t *q;      /* (most columns of any matrix,) quantised input */
    int16_t *past;  /* (lpc_order,) samples, pre-emphasised, the last one last; subscale: what the lane sees */
    int16_t *lpc;   /* (lpc_order,) of the current frame */
    int64_t *inverse; /* (2,) likewise */
    wv_signal *signal;               /* subscale: of all lanes */
    double *work;   /* scratch of predictor and autocorrelation */
    float x[WV_N_X + WV_MAX_CONTEXT]; /* inputs of the network */
    int16_t x_q15[WV_N_X + WV_MAX_CONTEXT];           /* the same in fixed point */
    int64_t p, d;                    /* p_t, d_{t-1} */
    uint64_t seed, t;                /* t: number of the next sample */
    float log2e_over_temperature;
    float y;                         /* last de-emphasised sample */
    int32_t coarse, fine;            /* last bytes drawn */
} wv_lane;

/* Floats from the logits of a lane to those of the next. The p of a draw lie between: were they a multiple of 4096 bytes
 * from the logits of any lane, the CPU would take reads of one for reads of the other and wait. */
enum { WV_LOGITS_STRIDE = 512 };

/* The pitch comb of a post-filter: lags in samples, and scratch. */
typedef struct {
    float strength;   /* 0..1; 0 is no comb */
    int32_t lag_min, lag_max, step, smooth, reach; /* step: of the coarse search; reach: beyond a frame */
    int32_t *wide;    /* (win_length / step + 2 lag_max / step + 2,) the input, smoothed, every step samples */
    int16_t *z, *x;   /* the same in fewer bits; (win_length + 2 reach,) the input in fewer bits */
    double *rho;      /* (lag_max / step + 1 or 2 step + 3,) */
    float *y, *side;  /* (win_length,) the frame, combed; scratch */
} wv_comb;

/* The mutable state of one stream's post-filter, and its tables. */
typedef struct {
    int32_t hop, win_length, n_fft, n_mels, d, c; /* hops on each side that a frame and the comb read */
    wv_comb comb;
    int16_t *x;     /* ((2 d + 1 + 2 c) * hop,) the last hops of input */
    float *y, *norm; /* ((2 d + 1) * hop,) sums of windowed frames and of squared windows */
    float *mels;    /* ((d + c + 1) * n_mels,) frames of the last hops, the oldest first */
    float *window;  /* (win_length,) */
    float *cosine, *sine;                 /* (n_fft / 2,) */
    float *re, *im, *re_2, *im_2, *gain;  /* (n_fft,) */
    float *magnitude; /* (n_fft / 2 + 1,) */
    float *bands;   /* (n_mels + 2,) */
    double *noise;  /* (n_mels,) power taken for noise in each band */
    double floor;   /* share of a band's power that stays at least */
    const int32_t *band;
    const float *weight;
    int16_t *pcm;   /* (hop,) */
    int64_t n_in, n_ours; /* hops that came in, those of them that were the stream's */
} wv_filter;

/* What an ISA provides: the twins compiled over that ISA's vector primitives. */
typedef struct {
    const char *name;
    int (*rounds_products)(void);
    void (*reset)(const wv_model *m, wv_lane *s);
    void (*condition_frame)(const wv_model *m, wv_lane *s, const float *window);
    void (*condition_sub)(const wv_model *m, wv_lane *s, int32_t sub);
    void (*sample_loop)(const wv_model *m, wv_lane *s, int32_t n, int16_t *pcm);
    void (*sample_bytes)(const wv_model *m, wv_lane *s, int32_t *coarse, int32_t *fine);
    void (*stage)(const wv_model *m, wv_lane *s, const float *window, wv_stage stage, size_t n_times);
    void (*lane_coarse)(const wv_model *m, wv_lane *s);
    void (*lane_fine)(const wv_model *m, wv_lane *s, int32_t coarse);
    int32_t (*lane_draw)(wv_lane *s, int32_t shift);
    int16_t (*stage_pcm)(const wv_model *m, wv_lane *s, int32_t coarse, int32_t fine);
    int32_t (*stage_sample)(const wv_model *m, wv_lane *s, int32_t coarse, int32_t fine);
    void (*interpolate_lanes)(const wv_model *m, const double *r, int32_t first, int32_t end, double *work, int16_t *lpc,
                              int64_t *inverse);
    void (*condition_lane)(const wv_model *m, wv_lane *s, int32_t l, const float *g, const int16_t *g_q10);
} wv_kernels;

/* Of <isa>_lanes.c: y = W x + b of n lanes, as spmm.c says */
typedef struct {
    const char *name;
    void (*q_to_float)(const wv_matrix *m, int32_t n, const int8_t *q, size_t q_stride, float *y, size_t y_stride);
    void (*q_to_q10)(const wv_matrix *m, int32_t n, const int8_t *q, size_t q_stride, int16_t *y, size_t y_stride);
    void (*q_to_q)(const wv_matrix *m, int32_t n, const int8_t *q, size_t q_stride, const wv_matrix *next, int8_t *y,
                   size_t y_stride);
    void (*to_float)(const wv_matrix *m, int32_t n, const float *x, size_t x_stride, float y_min, float *y, size_t y_stride);
} wv_lane_kernels;

/* Streams in step. While a stream is in lane l, its wv_lane's h, a, a_q10, h_q, logits and p_softmax point to row l here. */
typedef struct {
    const wv_kernels *kernels;
    const wv_lane_kernels *matrices;
    int32_t n;                           /* lanes in use, the first ones */
    wv_lane *lane[WV_MAX_LANES];
    int16_t *pcm[WV_MAX_LANES];          /* where each one's samples go */
    float *h, *a;                        /* (n_lanes, n_units), (n_lanes, 3 n_units) of a float model */
    int8_t *h_q;                         /* the same of an int8 model */
    int16_t *a_q10;
    float *z;                            /* (n_lanes, n_out) */
    int8_t *q;                           /* likewise */
    float *logits;                       /* (n_lanes, WV_LOGITS_STRIDE): 256 logits, then room for p_softmax */
    int32_t coarse[WV_MAX_LANES], fine[WV_MAX_LANES];
} wv_lanes;

/* The lanes of a subscale stream that one thread steps. */
typedef struct {
    int32_t first, end;
    wv_lanes lanes;                      /* those of them that step */
    double *work;                        /* scratch of interpolate_lanes */
    wv_count done;                       /* steps of lane 0 that they are through with, each so many lags later */
} wv_group;

/* The lanes of a subscale stream in step, and what they share. */
typedef struct {
    const wv_kernels *kernels;
    wv_lane lane[WV_MAX_LANES];
    int32_t n_groups;
    wv_group group[WV_MAX_LANES];
    wv_lanes rows;                       /* the vectors of all lanes */
    wv_signal signal;
    int32_t n_slots;                     /* frames that some lane is in: rings of what they give the lanes */
    float *g;                            /* (n_slots, n_sub, 3 n_units) C3 b of a float model */
    int16_t *g_q10;                      /* the same of an int8 model */
    double *r;                           /* (n_slots, lags + 1) */
    int16_t *lpc;                        /* (n_slots, subscale, lpc_order) */
    int64_t *inverse;                    /* (n_slots, subscale, 2) */
    int32_t lag;                         /* steps by which a lane is behind the one before it: horizon + 1 */
    wv_count granted;                    /* steps that there may be */
    wv_count n_steps;                    /* of a lane, as far as there are frames */
    wv_count closed;                     /* whether the other threads are to return */
    int64_t n_out;                       /* samples that have left */
    float y;                             /* the last of them, before it was rounded */
} wv_staircase;

/* Steps that the first of several threads may be ahead of the last: some milliseconds of computing, for which one of them may
 * have to wait for a core on a busy machine */
enum { WV_AHEAD = 256 };

/* Where the windows of the frames lie: a ring, from that of sample `begin` on */
typedef struct {
    const float *frames;
    int32_t first, capacity;
    int64_t begin;
} wv_windows;

/* staircase.c: back to sample 0 */
void wv_staircase_reset(const wv_model *m, wv_staircase *c, uint64_t seed);
/* Steps of group k, each as soon as it may be: of group 0 until all groups are through with `need` of them, of the others
 * until c->closed. frame, windows : group 0 alone; what conditions a frame */
void wv_run_group(const wv_model *m, wv_staircase *c, int32_t k, wv_lane *frame, const wv_windows *windows, int64_t need);

/* One stage of all lanes n_times, for benchmarks */
void wv_staircase_stage(const wv_model *m, wv_staircase *c, wv_lane *frame, const float *window, wv_stage stage, size_t n_times);

/* lanes.c: both bytes of every lane, */
void wv_lanes_bytes(const wv_model *m, wv_lanes *b);
/* the sample loop of several streams in step, n samples each, and one stage of it for benchmarks */
void wv_lanes_loop(const wv_model *m, wv_lanes *b, int32_t n);
void wv_lanes_stage(const wv_model *m, wv_lanes *b, const float *window, wv_stage stage, size_t n_times);
/* The lane kernels that go with an ISA's kernels */
const wv_lane_kernels *wv_lane_kernels_of(const wv_kernels *kernels);

/* Whether this build holds an ISA of x86 */
#if defined(WV_HAVE_AVX2) || defined(WV_HAVE_AVXVNNI) || defined(WV_HAVE_AVX512VNNI)
#define WV_HAVE_X86
#endif

extern const wv_kernels wv_kernels_portable, wv_kernels_avx2, wv_kernels_avxvnni, wv_kernels_avx512vnni, wv_kernels_neon, wv_kernels_neon_dot,
    wv_kernels_relaxed_u8, wv_kernels_relaxed_s8, wv_kernels_simd128_dot, wv_kernels_simd128;

enum { WV_PITCH_MIN = 60, WV_PITCH_MAX = 400, WV_COARSE_RATE = 8000, WV_SMOOTH_RATE = 4000 }; /* Hz */
enum { WV_TAPS = 8 };

static inline void wv_comb_lags(int32_t sample_rate, wv_comb *c) {
    const int32_t step = sample_rate / WV_COARSE_RATE, smooth = sample_rate / WV_SMOOTH_RATE;
    c->step = step > 1 ? step : 1;
    c->smooth = smooth > 1 ? smooth : 1;
    c->lag_min = sample_rate / WV_PITCH_MAX;
    c->lag_max = sample_rate / WV_PITCH_MIN;
    c->reach = c->lag_max + 2 * c->step + (c->smooth > WV_TAPS ? c->smooth : WV_TAPS);
}

/* Hops on each side of a hop that its frame (d) and the comb beyond it (c) read */
static inline void wv_filter_reach(const struct wv_model *m, int32_t *d, int32_t *c) {
    wv_comb comb;
    wv_comb_lags(m->sample_rate, &comb);
    *d = (m->win_length - m->hop_length + 2 * m->hop_length - 1) / (2 * m->hop_length);
    *c = m->comb > 0.0f ? (comb.reach + m->hop_length - 1) / m->hop_length : 0;
}

/* Frames by which the post-filter's output comes later: 2 d + c */
static inline int32_t wv_filter_delay(const struct wv_model *m) {
    int32_t d, c;
    wv_filter_reach(m, &d, &c);
    return 2 * d + c;
}

/* comb.c: c->y = x[first .. first + n), combed if it is voiced */
void wv_comb_frame(const wv_comb *c, const int16_t *x, int32_t first, int32_t n);
/* postfilter.c: fills window, cosine and sine */
void wv_filter_tables(wv_filter *f, const float *mel_stats, float denoise);
/* One hop in, one out; whether one came out. */
int wv_filter_hop(wv_filter *f, const float *mel, int ours);

/* derive.c: fills n_seen and seen; returns `lags` */
int32_t wv_neighbours(wv_model *m);

/* Samples that a subscale stream comes later: B (B - 1) (F + 1), and the frames that they are in; else 0 */
static inline int64_t wv_subscale_delay(const struct wv_model *m) {
    return (int64_t)m->subscale * (m->subscale - 1) * (m->horizon + 1);
}
static inline int32_t wv_subscale_frames(const struct wv_model *m) {
    return (int32_t)((wv_subscale_delay(m) + m->hop_length - 1) / m->hop_length);
}

/* derive.c: fills what is made at load. WV_OK or WV_ERR_MEMORY */
wv_status wv_derive(wv_model *model);

/* dispatch.c: the kernels of that name if this CPU runs them, else NULL; NULL as name: $WV_ISA or the best. Portable
 * where those of that name do not give `model` its bits. */
const wv_kernels *wv_kernels_find(const char *name, const wv_model *model);

#endif
