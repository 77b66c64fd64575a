/* spmv.c - twin of wv_runtime/engine/kernels/spmv.py. Included by every ISA after its vec_<isa>.h; the first part is
 * the body for one block height H and is included again for each of 4, 8, 16, 32. */
#ifdef WV_H

#define WV_CAT_(a, b) a##b
#define WV_CAT(a, b) WV_CAT_(a, b)
#define FLOAT_VECTOR WV_CAT(vf, WV_H)
#define INT_VECTOR WV_CAT(vi, WV_H)
#define SUM_VECTOR WV_CAT(va, WV_H)
#define FLOAT(op) WV_CAT(FLOAT_VECTOR, _##op)
#define INT(op) WV_CAT(INT_VECTOR, _##op)
#define SUM(op) WV_CAT(SUM_VECTOR, _##op)

/* y = max(W x + bias, y_min) for block-CSR float W; LOAD widens the stored dtype. The compiler sees block_w = 1. */
#define WV_SPMV_FLOAT(name, type, LOAD)                                                                              \
    /* s + one block times its x */                                                                                  \
    static inline __attribute__((always_inline)) FLOAT_VECTOR WV_CAT(name##block_, WV_H)(                            \
        FLOAT_VECTOR s, const type *v, const float *x, size_t block_w) {                                             \
        for (size_t j = 0; j < block_w; j++) s = FLOAT(add)(s, FLOAT(mul)(LOAD(v + WV_H * j), FLOAT(set1)(x[j])));   \
        return s;                                                                                                    \
    }                                                                                                                \
    static inline void WV_CAT(name##body_, WV_H)(const wv_matrix *m, const float *x, float y_min, float *y,          \
                                             size_t block_w) {                                                       \
        const int32_t *row_ptr = m->row_ptr;                                                                         \
        const float *bias = m->bias;                                                                                 \
        const uint16_t *col_idx = m->col_idx;                                                                        \
        const type *v = m->values;                                                                                   \
        const size_t step = WV_H * block_w;                                                                          \
        for (int32_t row = 0; row < m->n_block_rows; row++) {                                                        \
            /* 1) four partial sums; block k of the row adds to sum k mod 4 */                                       \
            FLOAT_VECTOR s0 = FLOAT(set1)(0.0f), s1 = s0, s2 = s0, s3 = s0;                                          \
            const uint16_t *end = m->col_idx + row_ptr[row + 1];                                                     \
            for (; col_idx + 4 <= end; col_idx += 4, v += 4 * step) {                                                \
                s0 = WV_CAT(name##block_, WV_H)(s0, v, x + block_w * col_idx[0], block_w);                           \
                s1 = WV_CAT(name##block_, WV_H)(s1, v + step, x + block_w * col_idx[1], block_w);                    \
                s2 = WV_CAT(name##block_, WV_H)(s2, v + 2 * step, x + block_w * col_idx[2], block_w);                \
                s3 = WV_CAT(name##block_, WV_H)(s3, v + 3 * step, x + block_w * col_idx[3], block_w);                \
            }                                                                                                        \
            /* 2) the last one to three blocks */                                                                    \
            if (col_idx < end) s0 = WV_CAT(name##block_, WV_H)(s0, v, x + block_w * col_idx[0], block_w);            \
            if (col_idx + 1 < end) s1 = WV_CAT(name##block_, WV_H)(s1, v + step, x + block_w * col_idx[1], block_w); \
            if (col_idx + 2 < end)                                                                                   \
                s2 = WV_CAT(name##block_, WV_H)(s2, v + 2 * step, x + block_w * col_idx[2], block_w);                \
            v += step * (size_t)(end - col_idx);                                                                     \
            col_idx = end;                                                                                           \
            /* 3) pairwise sum, bias, floor */                                                                       \
            FLOAT_VECTOR s = FLOAT(add)(FLOAT(add)(s0, s1), FLOAT(add)(s2, s3));                                     \
            s = FLOAT(add)(FLOAT(load)(bias + row * WV_H), s);                                                       \
            FLOAT(store)(y + row * WV_H, FLOAT(max)(s, FLOAT(set1)(y_min)));                                         \
        }                                                                                                            \
    }                                                                                                                \
    static void WV_CAT(name, WV_H)(const wv_matrix *m, const float *x, float y_min, float *y) {                      \
        if (m->block_w == 1)                                                                                         \
            WV_CAT(name##body_, WV_H)(m, x, y_min, y, 1);                                                            \
        else                                                                                                         \
            WV_CAT(name##body_, WV_H)(m, x, y_min, y, (size_t)m->block_w);                                           \
    }

WV_SPMV_FLOAT(spmv_f32_, float, FLOAT(load))
WV_SPMV_FLOAT(spmv_f16_, uint16_t, FLOAT(load_half))

/* Blocks k and k + 1 */
static inline SUM_VECTOR WV_CAT(two_blocks_, WV_H)(SUM_VECTOR a, const int8_t *values, const uint16_t *col_idx, const int8_t *q, size_t k) {
    const int8_t *v = values + 4 * WV_H * k;
    return SUM(dot2)(a, v, v + 4 * WV_H, q + 4 * (size_t)col_idx[k], q + 4 * (size_t)col_idx[k + 1]);
}

#if !(defined(WV_FOURS) && WV_H == 4)
/* y = scale o (bias_i + W q) for block-CSR int8 W of H x 4 blocks; exact in int32, so in any order. */
static inline void WV_CAT(spmv_i8_, WV_H)(const wv_matrix *m, const int8_t *q, wv_output to, const wv_matrix *next, void *y) {
    const int32_t n_block_rows = m->n_block_rows; /* not read again after every store */
    const int32_t *row_ptr = m->row_ptr, *start = WV_Q_BIAS ? m->start_biased : m->start;
    const uint16_t *col_idx = m->col_idx;
    const int8_t *values = m->values;
    const float *scale = m->scale;
    const float x_scale = to == WV_TO_Q ? next->x_scale : 0.0f, zero = to == WV_TO_Q ? (float)next->x_zero + 128.5f : 0.0f;
    int32_t sum[WV_ROWS_APART * WV_H] __attribute__((aligned(64)));
    int32_t first = 0;
#if defined(WV_ROWS_BY_HAND) && WV_H == 16
    first = rows_by_hand(m, q, to, next, y);
#endif
    size_t k = (size_t)row_ptr[first];
    for (int32_t end_row; first < n_block_rows; first = end_row) {
        end_row = WV_ROWS_APART == 1 || first + WV_ROWS_APART < n_block_rows ? first + WV_ROWS_APART : n_block_rows;
        for (int32_t row = first; row < end_row; row++) {
            /* 1) the products, four blocks at a time */
            SUM_VECTOR a = SUM(start)(start + row * WV_H);
            const size_t end = (size_t)row_ptr[row + 1], fours = end - (end - k) % 4;
            for (; k != fours; k += 4) {
                a = WV_CAT(two_blocks_, WV_H)(a, values, col_idx, q, k);
                a = WV_CAT(two_blocks_, WV_H)(a, values, col_idx, q, k + 2);
            }
            /* 2) the last one to three blocks */
            if (end - k >= 2) {
                a = WV_CAT(two_blocks_, WV_H)(a, values, col_idx, q, k);
                k += 2;
            }
            if (k != end) {
                a = SUM(dot1)(a, values + 4 * WV_H * k, q + 4 * (size_t)col_idx[k]);
                k++;
            }
            INT(store)(sum + (row - first) * WV_H, SUM(total)(a));
        }
        for (int32_t row = first; row < end_row; row++) {
            /* 3) scale */
            FLOAT_VECTOR s = FLOAT(mul)(INT(to_float)(INT(load)(sum + (row - first) * WV_H)), FLOAT(load)(scale + row * WV_H));
            /* 4) store as float, as Q10, or quantised for the next matrix */
            if (to == WV_TO_FLOAT) {
                FLOAT(store)((float *)y + row * WV_H, s);
            } else if (to == WV_TO_Q10) {
                FLOAT(store_q10)((int16_t *)y + row * WV_H, s);
            } else {
                s = FLOAT(add)(FLOAT(mul)(s, FLOAT(set1)(x_scale)), FLOAT(set1)(zero));
                FLOAT(store_q)((int8_t *)y + row * WV_H, s);
            }
        }
    }
}
#endif

#undef WV_SPMV_FLOAT
#undef FLOAT_VECTOR
#undef INT_VECTOR
#undef SUM_VECTOR
#undef FLOAT
#undef INT
#undef SUM
#undef WV_CAT
#undef WV_CAT_

#else

#include "blocks.h"

/* Block rows whose sums lie in memory before they are scaled: where products and scaling want the same units, one after
 * the other is faster. */
#ifndef WV_ROWS_APART
#define WV_ROWS_APART 1
#endif

#if defined(WV_NEON_DOT) && defined(__aarch64__)
#define WV_ROWS_BY_HAND
#include "rows_neon_dot.h"
#endif

#define WV_H 4
#include "spmv.c"
#undef WV_H
#define WV_H 8
#include "spmv.c"
#undef WV_H
#define WV_H 16
#include "spmv.c"
#undef WV_H
#define WV_H 32
#include "spmv.c"
#undef WV_H

#ifdef WV_FOURS
/* The same for blocks of 4 rows, four block rows side by side */
static void spmv_i8_4(const wv_matrix *m, const int8_t *q, wv_output to, const wv_matrix *next, void *y) {
    const wv_fours *f = &m->fours;
    const int32_t n = f->n, *step_ptr = f->step_ptr, *row = f->row, *start = f->start;
    const int8_t *values = f->values;
    const uint16_t *col_idx = f->col_idx;
    const float *scale = f->scale;
    const float x_scale = to == WV_TO_Q ? next->x_scale : 0.0f, zero = to == WV_TO_Q ? (float)next->x_zero + 128.5f : 0.0f;
    int32_t sum[WV_ROWS_APART * 16] __attribute__((aligned(64)));
    size_t k = 0;
    for (int32_t first = 0, end_i; first < n; first = end_i) {
        end_i = WV_ROWS_APART == 1 || first + WV_ROWS_APART < n ? first + WV_ROWS_APART : n;
        for (int32_t i = first; i < end_i; i++) {
            /* 1) the products, two blocks of each row at a time */
            vi16 even = vi16_load(start + 16 * i), odd = vi16_zero();
            const size_t end = (size_t)step_ptr[i + 1], twos = end - (end - k) % 2;
            for (; k != twos; k += 2) {
                even = vi16_dot4_of_four(even, values + 64 * k, q, col_idx + 4 * k);
                odd = vi16_dot4_of_four(odd, values + 64 * (k + 1), q, col_idx + 4 * (k + 1));
            }
            /* 2) the last one */
            if (k != end) {
                even = vi16_dot4_of_four(even, values + 64 * k, q, col_idx + 4 * k);
                k++;
            }
            vi16_store(sum + 16 * (i - first), vi16_add(even, odd));
        }
        for (int32_t i = first; i < end_i; i++) {
            /* 3) scale */
            vf16 s = vf16_mul(vi16_to_float(vi16_load(sum + 16 * (i - first))), vf16_load(scale + 16 * i));
            /* 4) store each of the four where it belongs */
            const int32_t *to_row = row + 4 * i;
            if (to == WV_TO_FLOAT) {
                float part[16];
                vf16_store(part, s);
                for (int r = 0; r < 4; r++) memcpy((float *)y + 4 * to_row[r], part + 4 * r, 4 * sizeof *part);
            } else if (to == WV_TO_Q10) {
                int16_t part[16];
                vf16_store_q10(part, s);
                for (int r = 0; r < 4; r++) memcpy((int16_t *)y + 4 * to_row[r], part + 4 * r, 4 * sizeof *part);
            } else {
                int8_t part[16];
                vf16_store_q(part, vf16_add(vf16_mul(s, vf16_set1(x_scale)), vf16_set1(zero)));
                for (int r = 0; r < 4; r++) memcpy((int8_t *)y + 4 * to_row[r], part + 4 * r, 4);
            }
        }
    }
}
#endif

/* q = round(x * x_scale) + x_zero, clamped to -127..127; n a multiple of 16 */
static void quantize(int32_t n, const float *x, float x_scale, int32_t x_zero, int8_t *q) {
    const vf16 scale = vf16_set1(x_scale), zero = vf16_set1((float)x_zero + 128.5f);
    for (int32_t i = 0; i < n; i += 16) {
        vf16_store_q(q + i, vf16_add(vf16_mul(vf16_load(x + i), scale), zero));
    }
}

/* y = W q + bias as float */
static void linear_q_to_float(const wv_matrix *m, const int8_t *q, float *y) {
    WV_DISPATCH_H(spmv_i8_, m, q, WV_TO_FLOAT, NULL, y)
}

/* y = W q + bias as Q10: int16 in units of 2^-10, saturated */
static void linear_q_to_q10(const wv_matrix *m, const int8_t *q, int16_t *y) {
    WV_DISPATCH_H(spmv_i8_, m, q, WV_TO_Q10, NULL, y)
}

/* y = W q + bias quantised as `next` takes its input; next->x_zero = -127 makes that a relu */
static void linear_q_to_q(const wv_matrix *m, const int8_t *q, const wv_matrix *next, int8_t *y) {
    WV_DISPATCH_H(spmv_i8_, m, q, WV_TO_Q, next, y)
}

/* y = max(W x + bias, y_min) in the dtype of W; q : (cols,) scratch for int8, which takes no y_min */
static void linear(const wv_matrix *m, const float *x, float y_min, int8_t *q, float *y) {
    if (m->dtype == WV_I8) {
        quantize(m->cols, x, m->x_scale, m->x_zero, q);
        linear_q_to_float(m, q, y);
    } else if (m->dtype == WV_F16) {
        WV_DISPATCH_H(spmv_f16_, m, x, y_min, y)
    } else {
        WV_DISPATCH_H(spmv_f32_, m, x, y_min, y)
    }
}

#endif
