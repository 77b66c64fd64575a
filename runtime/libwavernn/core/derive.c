/* derive.c - what the kernels want beside the file, made once at load. Twin of wv_runtime/engine/kernels/derive.py. */
#include <math.h>
#include <stdlib.h>

#include "../kernels/kernels.h"

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

wv_status wv_derive(wv_model *m) {
    size_t n_rows = 0, n_I = 3 * (size_t)m->n_units * (size_t)m->n_x;
    for (int i = 0; i < WV_N_MATRICES; i++) n_rows += m->matrix[i].dtype == WV_I8 ? (size_t)m->matrix[i].rows : 0;
    int32_t *next = malloc(2 * n_rows * sizeof(int32_t) + n_I * sizeof(int16_t));
    if (next == NULL) return WV_ERR_MEMORY;
    m->derived = next;
    for (int i = 0; i < WV_N_MATRICES; i++) {
        wv_matrix *matrix = &m->matrix[i];
        if (matrix->dtype != WV_I8) continue;
        start(matrix, next, next + matrix->rows);
        matrix->start = next;
        matrix->start_biased = next + matrix->rows;
        next += 2 * matrix->rows;
    }
    m->I_q = (int16_t *)next;
    m->I_shift = quantize_I(m->I, (int32_t)n_I, m->lpc_order, (int16_t *)next);
    return WV_OK;
}
