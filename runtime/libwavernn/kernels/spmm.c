/* spmm.c - a matrix times the vectors of several lanes, with one load of the
 * weights for all of a tile. Each lane's sums are those of spmv.c, in its order. Included by every <isa>_lanes.c after
 * its vec_<isa>.h; the first part is the body for one block height H. */
#ifdef WV_H

#define WV_CAT_(a, b) a##b
#define WV_CAT(a, b) WV_CAT_(a, b)
#define FLOAT_VECTOR WV_CAT(vf, WV_H)
#define FLOAT(op) WV_CAT(FLOAT_VECTOR, _##op)
#define LANE_VECTOR WV_CAT(vl, WV_H)
#define LANE(op) WV_CAT(LANE_VECTOR, _##op)
#define BLOCK_VECTOR WV_CAT(vb, WV_H)
#define BLOCK(op) WV_CAT(BLOCK_VECTOR, _##op)

/* Block rows times T lanes: y = max(W x + bias, y_min). LOAD widens the stored dtype. */
#define WV_SPMM_FLOAT(name, type, LOAD)                                                                                 \
    WV_ALWAYS_INLINE void WV_CAT(name##tile_, WV_H)(const int32_t T, const wv_matrix *m, int32_t row, int32_t end_row,  \
                                                    const float *x, size_t x_stride, float y_min, float *y,             \
                                                    size_t y_stride, size_t block_w) {                                  \
        const size_t step = WV_H * block_w;                                                                             \
        const int32_t *row_ptr = m->row_ptr;                                                                            \
        const uint16_t *col_idx = m->col_idx;                                                                           \
        const type *values = m->values;                                                                                 \
        for (; row < end_row; row++) {                                                                                  \
            const size_t begin = (size_t)row_ptr[row], end = (size_t)row_ptr[row + 1];                                  \
            FLOAT_VECTOR s[4][WV_MAX_TILE];                                                                             \
            /* 1) four partial sums, one after the other; block k of the row adds to sum k mod 4 */                     \
            for (size_t part = 0; part < 4; part++) {                                                                   \
                FLOAT_VECTOR acc[WV_MAX_TILE];                                                                          \
                WV_EACH_LANE(l, T) acc[l] = FLOAT(set1)(0.0f);                                                          \
                for (size_t k = begin + part; k < end; k += 4) {                                                        \
                    const float *x_k = x + block_w * col_idx[k];                                                        \
                    for (size_t j = 0; j < block_w; j++) {                                                              \
                        const FLOAT_VECTOR w = LOAD(values + step * k + WV_H * j);                                      \
                        WV_EACH_LANE(l, T)                                                                              \
                        acc[l] = FLOAT(add)(acc[l], FLOAT(mul)(w, FLOAT(set1)(x_k[(size_t)l * x_stride + j])));         \
                    }                                                                                                   \
                }                                                                                                       \
                WV_EACH_LANE(l, T) s[part][l] = acc[l];                                                                 \
            }                                                                                                           \
            /* 2) pairwise sum, bias, floor */                                                                          \
            const FLOAT_VECTOR bias = FLOAT(load)(m->bias + row * WV_H), floor = FLOAT(set1)(y_min);                    \
            WV_EACH_LANE(l, T) {                                                                                        \
                FLOAT_VECTOR sum = FLOAT(add)(FLOAT(add)(s[0][l], s[1][l]), FLOAT(add)(s[2][l], s[3][l]));              \
                FLOAT(store)(y + (size_t)l * y_stride + row * WV_H, FLOAT(max)(FLOAT(add)(bias, sum), floor));          \
            }                                                                                                           \
        }                                                                                                               \
    }                                                                                                                   \
    static void WV_CAT(name, WV_H)(const wv_matrix *m, int32_t n, const float *x, size_t x_stride, float y_min, float *y, \
                                   size_t y_stride) {                                                                   \
        if (WV_ONE_COLUMN && m->block_w == 1)                                                                           \
            WV_EACH_TILE(WV_H, m, n, WV_CAT(name##tile_, WV_H), m, row, end_row, x + (size_t)first * x_stride, x_stride, \
                         y_min, y + (size_t)first * y_stride, y_stride, 1)                                              \
        else                                                                                                            \
            WV_EACH_TILE(WV_H, m, n, WV_CAT(name##tile_, WV_H), m, row, end_row, x + (size_t)first * x_stride, x_stride, \
                         y_min, y + (size_t)first * y_stride, y_stride, (size_t)m->block_w)                             \
    }

WV_SPMM_FLOAT(spmm_f32_, float, FLOAT(load))
WV_SPMM_FLOAT(spmm_f16_, uint16_t, FLOAT(load_half))

/* Block rows of int8 times T lanes: y = scale o (bias_i + W q) */
WV_ALWAYS_INLINE void WV_CAT(spmm_i8_tile_, WV_H)(const int32_t T, const wv_matrix *m, int32_t row, int32_t end_row,
                                                  const int8_t *q, size_t q_stride, wv_output to, const wv_matrix *next,
                                                  void *y, size_t y_stride) {
    const int32_t *row_ptr = m->row_ptr, *start = WV_Q_BIAS ? m->start_biased : m->start;
    const uint16_t *col_idx = m->col_idx;
    const int8_t *values = m->values;
    const float *row_scale = m->scale;
    const int8_t *q_l[WV_MAX_TILE];
    WV_EACH_LANE(l, T) {
        q_l[l] = q + (size_t)l * q_stride;
        WV_OWN_REGISTER(q_l[l]);
    }
    size_t k = (size_t)row_ptr[row];
    for (; row < end_row; row++) {
        /* 1) the products, two blocks at a time */
        LANE_VECTOR a[WV_MAX_TILE];
        WV_EACH_LANE(l, T) a[l] = LANE(start)(start + row * WV_H);
        const size_t end = (size_t)row_ptr[row + 1], twos = end - (end - k) % 2;
        for (; k != twos; k += 2) {
            const BLOCK_VECTOR w0 = BLOCK(load)(values + 4 * WV_H * k), w1 = BLOCK(load)(values + 4 * WV_H * (k + 1));
            const size_t j0 = 4 * (size_t)col_idx[k], j1 = 4 * (size_t)col_idx[k + 1];
            WV_EACH_LANE(l, T) a[l] = LANE(dot2)(a[l], w0, w1, q_l[l] + j0, q_l[l] + j1);
        }
        /* 2) the last block */
        if (k != end) {
            const BLOCK_VECTOR w0 = BLOCK(load)(values + 4 * WV_H * k);
            const size_t j0 = 4 * (size_t)col_idx[k];
            WV_EACH_LANE(l, T) a[l] = LANE(dot1)(a[l], w0, q_l[l] + j0);
            k++;
        }
        /* 3) scale; store as float, as Q10, or quantised for the next matrix */
        const FLOAT_VECTOR scale = FLOAT(load)(row_scale + row * WV_H);
        if (to == WV_TO_FLOAT) {
            float *y_row = (float *)y + row * WV_H;
            WV_EACH_LANE(l, T) FLOAT(store)(y_row + (size_t)l * y_stride, FLOAT(mul)(LANE(to_float)(a[l]), scale));
        } else if (to == WV_TO_Q10) {
            int16_t *y_row = (int16_t *)y + row * WV_H;
            WV_EACH_LANE(l, T) FLOAT(store_q10)(y_row + (size_t)l * y_stride, FLOAT(mul)(LANE(to_float)(a[l]), scale));
        } else {
            const FLOAT_VECTOR x_scale = FLOAT(set1)(next->x_scale), zero = FLOAT(set1)((float)next->x_zero + 128.5f);
            int8_t *y_row = (int8_t *)y + row * WV_H;
            WV_EACH_LANE(l, T) {
                FLOAT_VECTOR s = FLOAT(mul)(LANE(to_float)(a[l]), scale);
                FLOAT(store_q)(y_row + (size_t)l * y_stride, FLOAT(add)(FLOAT(mul)(s, x_scale), zero));
            }
        }
    }
}

/* n lanes of int8, exact in int32 */
WV_ALWAYS_INLINE void WV_CAT(spmm_i8_body_, WV_H)(const wv_matrix *m, int32_t n, const int8_t *q, size_t q_stride,
                                                  wv_output to, const wv_matrix *next, void *y, size_t y_stride) {
    const size_t size = to == WV_TO_FLOAT ? sizeof(float) : to == WV_TO_Q10 ? sizeof(int16_t) : sizeof(int8_t);
    WV_EACH_TILE(WV_H, m, n, WV_CAT(spmm_i8_tile_, WV_H), m, row, end_row, q + (size_t)first * q_stride, q_stride, to,
                 next, (char *)y + (size_t)first * y_stride * size, y_stride)
}

static void WV_CAT(spmm_i8_, WV_H)(const wv_matrix *m, int32_t n, const int8_t *q, size_t q_stride, wv_output to,
                                   const wv_matrix *next, void *y, size_t y_stride) {
    WV_CAT(spmm_i8_body_, WV_H)(m, n, q, q_stride, to, next, y, y_stride);
}

#undef WV_SPMM_FLOAT
#undef FLOAT_VECTOR
#undef FLOAT
#undef LANE_VECTOR
#undef LANE
#undef BLOCK_VECTOR
#undef BLOCK
#undef WV_CAT
#undef WV_CAT_

#else

#include "blocks.h"

#ifndef WV_ONE_COLUMN
#define WV_ONE_COLUMN 0 /* 1: the compiler sees float blocks of one column apart. GCC keeps a sum in memory otherwise */
#endif

#define WV_ALWAYS_INLINE static inline __attribute__((always_inline))

/* Lanes whose sums fill the registers, of block rows of H: WV_TILE_ROWS / H, at most WV_MAX_TILE */
#define WV_MAX_TILE 8
#define WV_TILE(H) (WV_TILE_ROWS / (H) < WV_MAX_TILE ? WV_TILE_ROWS / (H) : WV_MAX_TILE)

/* Unrolled: an array of vectors lies in registers only if every index is a constant. */
#if defined(__clang__)
#define WV_EACH_LANE(l, T) _Pragma("clang loop unroll(full)") for (int32_t l = 0; l < (T); l++)
#else
#define WV_EACH_LANE(l, T) _Pragma("GCC unroll 8") for (int32_t l = 0; l < (T); l++)
#endif

/* An address that is not computed from others in the loop */
#define WV_OWN_REGISTER(p) __asm__("" : "+r"(p))

/* TILE(T, ...) of all rows for n lanes, as tiles of 8, 4, 2 and 1: block rows from `row` to end_row, the lanes from `first`
 * on. Few rows at a time: their weights are in the L1 when the next tile comes. */
#define WV_EACH_TILE(H, m, n, TILE, ...)                                                                                \
    for (int32_t row = 0, end_row, first; row < (m)->n_block_rows; row = end_row) {                                     \
        end_row = row + 8 < (m)->n_block_rows && (n) > WV_TILE(H) ? row + 8 : (m)->n_block_rows;                        \
        first = 0;                                                                                                      \
        if (WV_TILE(H) >= 8)                                                                                            \
            for (; first + 8 <= (n); first += 8) TILE(8, __VA_ARGS__);                                                  \
        if (WV_TILE(H) >= 4)                                                                                            \
            for (; first + 4 <= (n); first += 4) TILE(4, __VA_ARGS__);                                                  \
        if (WV_TILE(H) >= 2)                                                                                            \
            for (; first + 2 <= (n); first += 2) TILE(2, __VA_ARGS__);                                                  \
        for (; first < (n); first++) TILE(1, __VA_ARGS__);                                                              \
    }

#define WV_H 4
#include "spmm.c"
#undef WV_H
#define WV_H 8
#include "spmm.c"
#undef WV_H
#define WV_H 16
#include "spmm.c"
#undef WV_H
#define WV_H 32
#include "spmm.c"
#undef WV_H

/* linear_q_to_float, linear_q_to_q10, linear_q_to_q and linear of spmv.c, of n lanes: lane l reads q or x at l times its
 * stride, in elements, and writes y at l times y_stride. */
static void lanes_q_to_float(const wv_matrix *m, int32_t n, const int8_t *q, size_t q_stride, float *y, size_t y_stride) {
    WV_DISPATCH_H(spmm_i8_, m, n, q, q_stride, WV_TO_FLOAT, NULL, y, y_stride)
}

static void lanes_q_to_q10(const wv_matrix *m, int32_t n, const int8_t *q, size_t q_stride, int16_t *y, size_t y_stride) {
    WV_DISPATCH_H(spmm_i8_, m, n, q, q_stride, WV_TO_Q10, NULL, y, y_stride)
}

static void lanes_q_to_q(const wv_matrix *m, int32_t n, const int8_t *q, size_t q_stride, const wv_matrix *next, int8_t *y,
                         size_t y_stride) {
    WV_DISPATCH_H(spmm_i8_, m, n, q, q_stride, WV_TO_Q, next, y, y_stride)
}

/* W of f32 or f16 */
static void lanes_float(const wv_matrix *m, int32_t n, const float *x, size_t x_stride, float y_min, float *y,
                        size_t y_stride) {
    if (m->dtype == WV_F16) {
        WV_DISPATCH_H(spmm_f16_, m, n, x, x_stride, y_min, y, y_stride)
    } else {
        WV_DISPATCH_H(spmm_f32_, m, n, x, x_stride, y_min, y, y_stride)
    }
}

#define WV_TABLE_(isa) \
    const wv_lane_kernels wv_lane_kernels_##isa = {#isa, lanes_q_to_float, lanes_q_to_q10, lanes_q_to_q, lanes_float}
#define WV_TABLE(isa) WV_TABLE_(isa)
WV_TABLE(WV_ISA);

#endif
