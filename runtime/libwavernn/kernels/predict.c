/* predict.c - twin of wv_runtime/engine/kernels/predict.py. Included by every ISA after sample.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scalar.h"
#include "vec_double.h"

#define WV_OFFSET 32896 /* of d: bytes 128, 128 are d = 0 */
#define WV_NOISE_FLOOR 1.0001
#define WV_E_MIN 1e-30
#define WV_K_MAX 0.9999
/* Of the normal equations of a lane */
#define WV_D_MIN 9.5367431640625e-07
#define WV_L_MAX 1024.0
#define WV_A_MAX 8.0
#define WV_SIGMA_FLOOR 4.0

/* r = M exp(2 m), r_0 with the noise floor. M : (lags + 1, n_mels)  power : (n_mels,) scratch */
static void autocorrelation(int32_t lags, int32_t n_mels, const float *M, const float *mel, double *power, double *r) {
    for (int32_t b = 0; b < n_mels; b++)
        power[b] = exp2_double(clamp_double((double)mel[b] * WV_LOG2E_2, -60.0, 60.0));
    for (int32_t k = 0; k <= lags; k++) {
        double acc = 0.0;
        for (int32_t b = 0; b < n_mels; b++) acc = acc + (double)M[k * n_mels + b] * power[b];
        r[k] = acc;
    }
    r[0] = r[0] * WV_NOISE_FLOOR;
}

/* A coefficient in Q12 */
static inline int16_t q12(double a) {
    return (int16_t)((int32_t)(clamp_double(a * 4096.0, -32767.0, 32767.0) + 32768.5) - 32768);
}

/* 2^24 / (sigma + 4) */
static inline int64_t inverse_sigma(double power) {
    return (int32_t)(16777216.0 / (sqrt(power) + WV_SIGMA_FLOOR) + 0.5);
}

/* The predictor of a frame; work : (3 order + 1 + n_mels,) */
static void predictor(int32_t order, int32_t n_mels, const float *M, const float *mel, double *work, int16_t *lpc,
                      int64_t *inverse) {
    double *r = work, *a = r + order + 1, *old = a + order;
    /* 1) r = M exp(2 m) */
    autocorrelation(order, n_mels, M, mel, old + order, r);
    /* 2) Levinson-Durbin; E is the power of the residual */
    double E = r[0];
    for (int32_t m = 0; m < order; m++) {
        double acc = r[m + 1];
        for (int32_t j = 0; j < m; j++) {
            acc = acc - a[j] * r[m - j];
            old[j] = a[j];
        }
        double k = clamp_double(acc / E, -WV_K_MAX, WV_K_MAX);
        for (int32_t j = 0; j < m; j++) a[j] = old[j] - k * old[m - 1 - j];
        a[m] = k;
        E = E * (1.0 - k * k);
        E = E > WV_E_MIN ? E : WV_E_MIN;
    }
    /* 3) to integers */
    for (int32_t j = 0; j < order; j++) lpc[order - 1 - j] = q12(a[j]);
    inverse[0] = inverse_sigma(E);
    inverse[1] = inverse_sigma(r[0]);
}

/* The coefficients of up to 4 lanes of a subscale model for a frame, side by side. n_seen, offsets, lpc, inverse : a row for each
 * work : 4 (n (n + 1) / 2 + 4 n) where n is the largest n_seen; vectors of 4 lanes, one element of each */
static void interpolators(const double *r, int32_t n_lanes, const int32_t *n_seen, const wv_offsets *offsets, double *work,
                          int32_t order, int16_t *lpc, int64_t *inverse) {
    int32_t n = 0, n_of[4] = {0, 0, 0, 0}; /* fewer than n: its further unknowns are 0, since D <= r_0 and nothing overflows */
    for (int32_t l = 0; l < n_lanes; l++) n_of[l] = n_seen[l], n = max_i32(n, n_of[l]);
    double *D = work, *y = D + 4 * n, *z = y + 4 * n, *a = z + 4 * n, *L = a + 4 * n; /* L: column after column */
    const vd4 least = vd4_set1(WV_D_MIN * r[0]);
    /* 1) A = L D L^T */
    double *column = L; /* from the diagonal on */
    for (int32_t j = 0; j < n; column += 4 * (n - j++)) {
        for (int32_t l = 0; l < 4; l++)
            for (int32_t i = j; i < n; i++) column[4 * (i - j) + l] = i < n_of[l] ? r[abs(offsets[l][i] - offsets[l][j])] : 0.0;
        const double *before = L + 4 * j; /* row j of column k */
        for (int32_t k = 0; k < j; before += 4 * (n - ++k)) {
            const vd4 v_k = vd4_mul(vd4_load(before), vd4_load(D + 4 * k));
            for (int32_t i = 0; i < 4 * (n - j); i += 4)
                vd4_store(column + i, vd4_sub(vd4_load(column + i), vd4_mul(vd4_load(before + i), v_k)));
        }
        const vd4 D_j = vd4_max(vd4_load(column), least);
        vd4_store(D + 4 * j, D_j);
        for (int32_t i = 4; i < 4 * (n - j); i += 4)
            vd4_store(column + i, vd4_clamp(vd4_div(vd4_load(column + i), D_j), -WV_L_MAX, WV_L_MAX));
    }
    /* 2) L y = c; E is the power of the residual */
    vd4 E = vd4_set1(r[0]);
    for (int32_t l = 0; l < 4; l++)
        for (int32_t j = 0; j < n; j++) y[4 * j + l] = j < n_of[l] ? r[abs(offsets[l][j])] : 0.0;
    column = L;
    for (int32_t j = 0; j < n; column += 4 * (n - j++)) {
        vd4_store(y + 4 * j, vd4_clamp(vd4_load(y + 4 * j), -r[0], r[0]));
        const vd4 y_j = vd4_load(y + 4 * j), z_j = vd4_div(y_j, vd4_load(D + 4 * j));
        vd4_store(z + 4 * j, z_j);
        E = vd4_sub(E, vd4_mul(y_j, z_j));
        for (int32_t i = 4; i < 4 * (n - j); i += 4)
            vd4_store(y + 4 * j + i, vd4_sub(vd4_load(y + 4 * j + i), vd4_mul(vd4_load(column + i), y_j)));
    }
    /* 3) L^T a = z = y / D */
    for (int32_t j = n - 1; j >= 0; j--) {
        column -= 4 * (n - j);
        vd4 acc = vd4_load(z + 4 * j);
        for (int32_t i = 4; i < 4 * (n - j); i += 4)
            acc = vd4_sub(acc, vd4_mul(vd4_load(column + i), vd4_load(a + 4 * j + i)));
        vd4_store(a + 4 * j, vd4_clamp(acc, -WV_A_MAX, WV_A_MAX));
    }
    /* 4) to integers */
    double power[4];
    vd4_store(power, E);
    for (int32_t l = 0; l < n_lanes; l++) {
        for (int32_t j = 0; j < n_of[l]; j++) lpc[l * order + j] = q12(a[4 * j + l]);
        inverse[2 * l] = inverse_sigma(power[l] > WV_E_MIN ? power[l] : WV_E_MIN);
        inverse[2 * l + 1] = inverse_sigma(r[0]);
    }
}

/* What a lane sees at t: samples[(t + d) & mask] of its n offsets */
static inline void see(const int16_t *samples, uint64_t mask, uint64_t t, const int16_t *offsets, int32_t n, int16_t *seen) {
    for (int32_t j = 0; j < n; j++) seen[j] = samples[(t + (uint64_t)(int64_t)offsets[j]) & mask];
}

/* p_t from past : (order,), s_{t-1} last */
static inline int64_t predict(int32_t order, const int16_t *lpc, const int16_t *past) {
    int64_t acc = 2048;
    for (int32_t k = 0; k < order; k++) acc += (int32_t)lpc[k] * (int32_t)past[k];
    return clamp_int(acc >> 12, -32768, 32767);
}

/* L(v, 2^k) in Q11: sign(v) (log2(|v| + 2^k) - k), straight between powers of two. |v| < 2^23 */
static inline int16_t log_q11(int64_t v, int32_t k) {
    float n = (float)((int32_t)(v < 0 ? -v : v) + (1 << k));
    int32_t bits;
    memcpy(&bits, &n, sizeof bits);
    int32_t y = (bits >> 12) - ((127 + k) << 11);
    return (int16_t)(v < 0 ? -y : y);
}

/* v / sigma in Q12, clipped to 8 */
static inline int16_t ratio_q12(int64_t v, int64_t inverse) {
    return (int16_t)clamp_int((v * inverse + 2048) >> 12, -32767, 32767);
}

/* x_t but the context and c_t, from d_{t-1}, p_t and s_{t-1}. x : (8,) Q15 */
static inline void inputs(int64_t d, int64_t p, int64_t s, const int64_t *inverse, int16_t *x) {
    x[0] = log_q11(d, 3);
    x[1] = log_q11(p, 5);
    x[2] = log_q11(s, 5);
    x[3] = ratio_q12(d, inverse[0]);
    x[4] = ratio_q12(p, inverse[1]);
    x[5] = ratio_q12(s, inverse[1]);
    x[6] = (int16_t)((2 * ((d + WV_OFFSET) & 255) - 255) * 128);
}

/* The context of x_t: the nearest samples that a lane sees, 0 where it has fewer. seen : (n,)  x : (context,) Q15 */
static inline void inputs_context(int64_t p, int32_t n, const int16_t *seen, const int64_t *inverse, int32_t context,
                                  int16_t *x) {
    for (int32_t j = 0; j < context; j++) x[j] = j < n ? ratio_q12(seen[j] - p, inverse[0]) : 0;
}

/* The input that c_t is. Q15 */
static inline int16_t input_coarse(int32_t c) { return log_q11(2 * (c - 128), 0); }
