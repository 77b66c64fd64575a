/* derive.c - what the kernels want beside the file, made once at load. Twin of wv_runtime/engine/kernels/derive.py. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/scalar.h"
#include "state.h"

/* Offsets of the samples that lane l sees, the nearest first, of two as near the past one first; returns how many */
static int32_t neighbours(const wv_model *m, int32_t l, int16_t *seen) {
    const int32_t B = m->subscale, steps = max_i32(m->lookback, m->horizon) + 1;
    int32_t n = 0;
    for (int32_t distance = 1; distance < steps * B; distance++)
        for (int32_t d = -distance; d <= distance && n < m->lpc_order; d += 2 * distance) {
            const int32_t other = (l + d + steps * B) % B, step = (l + d + steps * B) / B - steps;
            if ((other == l ? d < 0 : other < l && step <= m->horizon) && step >= -m->lookback) seen[n++] = (int16_t)d;
        }
    return n;
}

int32_t wv_neighbours(wv_model *m) {
    int32_t lags = 0;
    for (int32_t l = 0; l < m->subscale; l++) {
        int32_t first = 0, last = 0;
        m->n_seen[l] = neighbours(m, l, m->seen[l]);
        for (int32_t j = 0; j < m->n_seen[l]; j++) {
            first = m->seen[l][j] < first ? m->seen[l][j] : first;
            last = max_i32(last, m->seen[l][j]);
        }
        lags = max_i32(lags, last - first);
    }
    return lags;
}

/* Whether an ISA of this library reads wv_fours */
#ifdef WV_HAVE_X86
enum { MAKE_FOURS = 1 };
#else
enum { MAKE_FOURS = 0 };
#endif

/* (rows,) what the dot products of an int8 matrix start from: the bias in units of scale; biased, for inputs kept
 * as q + 128, less 128 times the sum of the row. */
static void start(const wv_matrix *m, int32_t *start, int32_t *biased) {
    const int8_t *w = m->values;
    for (int32_t i = 0; i < m->rows; i++) {
        double v = floor((double)m->bias[i] / (double)m->scale[i] + 0.5);
        start[i] = biased[i] = v > -0x1p30 ? v < 0x1p30 ? (int32_t)v : 1 << 30 : -(1 << 30);
    }
    for (int32_t i = 0; i < m->n_block_rows; i++)
        for (int32_t k = m->row_ptr[i]; k < m->row_ptr[i + 1]; k++)
            for (int32_t row = 0; row < m->block_h; row++, w += 4)
                biased[i * m->block_h + row] -= 128 * (w[0] + w[1] + w[2] + w[3]);
}

/* I* in fixed point: mulhrs(I_q, x) doubled I_shift times is I x in Q10. x is Q15; the paper's bytes reach 32640. */
static int32_t quantize_I(const float *I, int32_t n, int32_t lpc_order, int16_t *I_q) {
    float largest = 0.0f;
    for (int32_t i = 0; i < n; i++) largest = fabsf(I[i]) > largest ? fabsf(I[i]) : largest;
    double scale = lpc_order > 0 ? 1024.0 : 1024.0 * 32768.0 / 32640.0;
    int32_t shift = 0;
    for (; shift < 10 && (double)largest * scale > 32767.0; shift++) scale /= 2;
    for (int32_t i = 0; i < n; i++) {
        double v = floor((double)I[i] * scale + 0.5);
        I_q[i] = (int16_t)(v > 32767.0 ? 32767.0 : v < -32767.0 ? -32767.0 : v);
    }
    return shift;
}

/* What lanes add to g, in Q10, by the rule of the products */
static void lane_q10(const float *lane, int32_t n, int16_t *q10) {
    for (int32_t i = 0; i < n; i++) {
        float v = lane[i] * 1024.0f + 32768.5f;
        v = v > 0.0f ? v : 0.0f;
        q10[i] = (int16_t)((int32_t)(v < 65535.0f ? v : 65535.0f) - 32768);
    }
}

/* The block rows by their numbers of blocks, those of one number in their order; count : (most + 2,) scratch */
static void by_length(const wv_matrix *m, int32_t most, int32_t *count, int32_t *row) {
    for (int32_t n = 0; n < most + 2; n++) count[n] = 0;
    for (int32_t i = 0; i < m->n_block_rows; i++) count[m->row_ptr[i + 1] - m->row_ptr[i] + 1]++;
    for (int32_t n = 0; n < most; n++) count[n + 1] += count[n];
    for (int32_t i = 0; i < m->n_block_rows; i++) row[count[m->row_ptr[i + 1] - m->row_ptr[i]]++] = i;
}

/* Four block rows of 4 side by side: fills what `f` points to, or only counts the bytes when base is NULL. */
static size_t fours(const wv_matrix *m, char *base, wv_fours *f) {
    size_t used = 0;
    const int32_t most = m->cols / 4;
    int32_t *count = wv_take(base, &used, ((size_t)most + 2) * sizeof *count);
    int32_t *row = wv_take(base, &used, (size_t)m->n_block_rows * sizeof *row);
    int32_t *step_ptr = wv_take(base, &used, ((size_t)m->n_block_rows / 4 + 1) * sizeof *step_ptr);
    int32_t *biased = wv_take(base, &used, (size_t)m->rows * sizeof *biased);
    float *scale = wv_take(base, &used, (size_t)m->rows * sizeof *scale);
    /* at most as many steps as the longest row of each four, of rows in order */
    const size_t n_steps = ((size_t)m->nnz_blocks + 3 * (size_t)most) / 4 + 1;
    uint16_t *col_idx = wv_take(base, &used, 4 * n_steps * sizeof *col_idx);
    int8_t *values = wv_take(base, &used, 64 * n_steps);
    if (base == NULL) return used;
    by_length(m, most, count, row);
    step_ptr[0] = 0;
    for (int32_t i = 0; i < m->n_block_rows / 4; i++) {
        const int32_t longest = row[4 * i + 3], steps = m->row_ptr[longest + 1] - m->row_ptr[longest];
        step_ptr[i + 1] = step_ptr[i] + steps;
        uint16_t *j = col_idx + 4 * (size_t)step_ptr[i];
        int8_t *w = values + 64 * (size_t)step_ptr[i];
        memset(j, 0, 4 * (size_t)steps * sizeof *j);
        memset(w, 0, 64 * (size_t)steps);
        for (int32_t r = 0; r < 4; r++) {
            const int32_t from = row[4 * i + r], begin = m->row_ptr[from], n = m->row_ptr[from + 1] - begin;
            for (int32_t k = 0; k < n; k++) {
                j[4 * k + r] = m->col_idx[begin + k];
                memcpy(w + 64 * k + 16 * r, (const int8_t *)m->values + 16 * (size_t)(begin + k), 16);
            }
            memcpy(biased + 16 * i + 4 * r, m->start_biased + 4 * from, 4 * sizeof *biased);
            memcpy(scale + 16 * i + 4 * r, m->scale + 4 * from, 4 * sizeof *scale);
        }
    }
    *f = (wv_fours){m->n_block_rows / 4, step_ptr, values, col_idx, row, biased, scale};
    return used;
}

/* What one matrix wants; fills it, or only counts the bytes when base is NULL. */
static size_t derive_matrix(wv_matrix *m, char *base) {
    size_t used = 0;
    int32_t *plain = wv_take(base, &used, (size_t)m->rows * sizeof *plain);
    int32_t *biased = wv_take(base, &used, (size_t)m->rows * sizeof *biased);
    if (base != NULL) {
        start(m, plain, biased);
        m->start = plain;
        m->start_biased = biased;
    }
    if (MAKE_FOURS && m->block_h == 4) used += fours(m, base ? base + used : NULL, &m->fours);
    return used;
}

wv_status wv_derive(wv_model *m) {
    size_t used = 0, n_I = 3 * (size_t)m->n_units * (size_t)m->n_x, n_lane = 3 * (size_t)m->n_units * (size_t)m->subscale;
    for (int i = 0; i < WV_N_MATRICES; i++)
        if (m->matrix[i].dtype == WV_I8) used += derive_matrix(&m->matrix[i], NULL);
    m->derived = malloc(used + wv_padded(n_I * sizeof(int16_t)) + (m->lane ? n_lane * sizeof(int16_t) : 0) + 63);
    if (m->derived == NULL) return WV_ERR_MEMORY;
    char *base = (char *)wv_padded((size_t)(uintptr_t)m->derived);
    for (int i = 0; i < WV_N_MATRICES; i++)
        if (m->matrix[i].dtype == WV_I8) base += derive_matrix(&m->matrix[i], base);
    m->I_q = (int16_t *)base;
    m->I_shift = quantize_I(m->I, (int32_t)n_I, m->lpc_order, (int16_t *)base);
    if (m->lane) {
        base += wv_padded(n_I * sizeof(int16_t));
        m->lane_q10 = (int16_t *)base;
        lane_q10(m->lane, (int32_t)n_lane, (int16_t *)base);
    }
    return WV_OK;
}
