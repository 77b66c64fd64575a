/* rows.c - vectors of several lanes side by side, as lanes.c takes them. */
#include <string.h>

#include "state.h"

void wv_lay_out_rows(const wv_model *m, wv_lanes *lanes, int32_t n_lanes, char *base, size_t *used) {
    const size_t n = (size_t)n_lanes, n_units = (size_t)m->n_units, n_out = (size_t)m->n_out;
    if (m->matrix[WV_R].dtype == WV_I8) {
        lanes->h_q = wv_take(base, used, n * n_units);
        lanes->a_q10 = wv_take(base, used, 3 * n * n_units * sizeof(int16_t));
        lanes->q = wv_take(base, used, n * n_out);
    } else {
        lanes->h = wv_take(base, used, n * n_units * sizeof(float));
        lanes->a = wv_take(base, used, 3 * n * n_units * sizeof(float));
        lanes->z = wv_take(base, used, n * n_out * sizeof(float));
    }
    lanes->logits = wv_take(base, used, n * WV_LOGITS_STRIDE * sizeof(float));
}

void wv_point_to_row(const wv_model *m, wv_lanes *lanes, int32_t l, wv_lane *s) {
    const size_t n_units = (size_t)m->n_units, row = (size_t)l;
    if (m->matrix[WV_R].dtype == WV_I8) {
        s->h_q = memcpy(lanes->h_q + row * n_units, s->h_q, n_units);
        s->a_q10 = lanes->a_q10 + row * 3 * n_units;
    } else {
        s->h = memcpy(lanes->h + row * n_units, s->h, n_units * sizeof(float));
        s->a = lanes->a + row * 3 * n_units;
    }
    s->logits = lanes->logits + row * WV_LOGITS_STRIDE;
    s->p_softmax = (int32_t *)s->logits + 256;
    lanes->lane[l] = s;
}
