/* comb.c - twin of wv_runtime/engine/kernels/comb.py. Compiled once, as postfilter.c is. */

#include <math.h>

#include "kernels.h"
#include "scalar.h"

#define WV_SHORTEST 0.92
#define WV_RHO_LOW 0.5
#define WV_RHO_HIGH 0.9

/* x_{t + q / 4}, q = 1 and 2 (3 is 1 turned around) */
static const float QUARTER[2][WV_TAPS] = {
    {-0.012371518f, 0.050026175f, -0.14792828f, 0.89363104f, 0.28005034f, -0.08631789f, 0.02693145f, -0.004021342f},
    {-0.010633584f, 0.05258227f, -0.15907955f, 0.6171309f, 0.6171309f, -0.15907955f, 0.05258227f, -0.010633584f},
};

/* The bits by which numbers up to `largest` are shifted so that sums of n products of two fit 31 bits */
static int32_t shift_for(int32_t largest, int32_t n) {
    int32_t shift = 0;
    while ((int64_t)n * ((largest >> shift) + 1) * ((largest >> shift) + 1) >= 2147483648) shift++;
    return shift;
}

/* c->z, every step samples: x under a triangle. c->x: x itself. Both in so few bits that sums of products fit 32.
 * Returns n / step. */
static int32_t comb_inputs(const wv_comb *c, const int16_t *x, int32_t first, int32_t n) {
    const int32_t m = n / c->step, reach = c->lag_max / c->step + 1, n_z = m + 2 * reach, n_x = n + 2 * c->reach;
    int32_t largest_z = 0, largest_x = 0;
    for (int32_t i = 0; i < n_z; i++) {
        const int32_t at = first + (i - reach) * c->step;
        int32_t z = c->smooth * x[at];
        for (int32_t j = 1; j < c->smooth; j++) z += (c->smooth - j) * (x[at - j] + x[at + j]);
        c->wide[i] = z;
        largest_z = max_i32(largest_z, z < 0 ? -z : z);
    }
    for (int32_t i = 0; i < n_x; i++) {
        const int32_t v = x[first - c->reach + i];
        largest_x = max_i32(largest_x, v < 0 ? -v : v);
    }
    const int32_t shift_z = shift_for(largest_z, m), shift_x = shift_for(largest_x, n);
    for (int32_t i = 0; i < n_z; i++) c->z[i] = (int16_t)(c->wide[i] >> shift_z);
    for (int32_t i = 0; i < n_x; i++) c->x[i] = (int16_t)(x[first - c->reach + i] >> shift_x);
    return m;
}

/* sum a_i b_i */
static int32_t dot(const int16_t *a, const int16_t *b, int32_t n) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* xy / sqrt(xx yy), 0 if that is nothing */
static double rho_of(double xy, double xx, double yy) { return xx <= 0.0 || yy <= 0.0 ? 0.0 : xy / sqrt(xx * yy); }

/* Of the m numbers from z and those `lag` away */
static double rho_at(const int16_t *z, int32_t lag, int32_t m) {
    return rho_of((double)dot(z, z + lag, m), (double)dot(z, z, m), (double)dot(z + lag, z + lag, m));
}

/* The lag in steps of the coarse search, or 0; of the frame in the middle of c->z, whose length is m */
static int32_t comb_pitch(const wv_comb *c, int32_t m) {
    const int32_t low = max_i32(1, c->lag_min / c->step), high = c->lag_max / c->step;
    const int16_t *z = c->z + high + 1;
    const double xx = 2.0 * (double)dot(z, z, m);
    /* 1) correlation with both sides at every lag */
    int32_t before = dot(z - low, z - low, m), after = dot(z + low, z + low, m);
    double largest = 0.0;
    for (int32_t lag = low; lag <= high; lag++) {
        const double xy = (double)dot(z, z - lag, m) + (double)dot(z, z + lag, m);
        c->rho[lag] = rho_of(xy, xx, (double)before + (double)after);
        largest = c->rho[lag] > largest ? c->rho[lag] : largest;
        /* the next lag's energies */
        const int32_t i = -lag - 1, j = lag;
        before = before - z[i + m] * z[i + m] + z[i] * z[i];
        after = after - z[j] * z[j] + z[j + m] * z[j + m];
    }
    if (largest <= WV_RHO_LOW) return 0;
    /* 2) the shortest lag that is nearly as good, up to its peak */
    int32_t lag = low;
    while (c->rho[lag] < WV_SHORTEST * largest) lag++;
    while (lag < high && c->rho[lag + 1] > c->rho[lag]) lag++;
    return lag;
}

/* The best lag about `lag` steps (negative: before) in quarters of a sample, by the correlation of the whole band */
static int32_t comb_lag(const wv_comb *c, int32_t n, int32_t lag) {
    const int32_t low = lag * c->step - c->step - 1, n_lags = 2 * c->step + 3;
    const int16_t *x = c->x + c->reach;
    int32_t best = 1;
    for (int32_t k = 0; k < n_lags; k++) {
        const int16_t *y = x + low + k;
        c->rho[k] = rho_of((double)dot(x, y, n), 1.0, (double)dot(y, y, n));
        if (k > 0 && k < n_lags - 1 && c->rho[k] > c->rho[best]) best = k;
    }
    const double a = c->rho[best - 1], b = c->rho[best + 1], curve = 2.0 * c->rho[best] - a - b;
    const double offset = curve > 0.0 ? clamp_double(0.5 * (b - a) / curve, -0.5, 0.5) : 0.0;
    return 4 * (low + best) + (int32_t)(4.0 * offset + 8.5) - 8;
}

/* side_k = x_{at + k + quarters / 4} */
static void comb_shift(const int16_t *x, int32_t at, int32_t quarters, int32_t n, float *side) {
    const int32_t q = quarters & 3, whole = at + (quarters - q) / 4;
    if (q == 0) {
        for (int32_t k = 0; k < n; k++) side[k] = (float)x[whole + k];
        return;
    }
    float taps[WV_TAPS];
    for (int32_t j = 0; j < WV_TAPS; j++) taps[j] = q == 3 ? QUARTER[0][WV_TAPS - 1 - j] : QUARTER[q - 1][j];
    for (int32_t k = 0; k < n; k++) {
        float s = 0.0f;
        for (int32_t j = 0; j < WV_TAPS; j++) s = s + taps[j] * (float)x[whole + k - 3 + j];
        side[k] = s;
    }
}

/* c->y = the frame x[first .. first + n), combed if it is voiced */
static void comb_frame(const wv_comb *c, const int16_t *x, int32_t first, int32_t n) {
    for (int32_t k = 0; k < n; k++) c->y[k] = (float)x[first + k];
    if (c->strength == 0.0f) return;
    const int32_t m = comb_inputs(c, x, first, n), lag = comb_pitch(c, m);
    if (lag == 0) return;
    float total = 1.0f;
    for (int32_t sign = -1; sign <= 1; sign += 2) {
        const double rho = rho_at(c->z + c->lag_max / c->step + 1, sign * lag, m);
        const float w =
            c->strength * (float)(0.5 * clamp_double((rho - WV_RHO_LOW) / (WV_RHO_HIGH - WV_RHO_LOW), 0.0, 1.0));
        comb_shift(x, first, comb_lag(c, n, sign * lag), n, c->side);
        for (int32_t k = 0; k < n; k++) c->y[k] = c->y[k] + w * c->side[k];
        total = total + w;
    }
    for (int32_t k = 0; k < n; k++) c->y[k] = c->y[k] / total;
}

void wv_comb_frame(const wv_comb *c, const int16_t *x, int32_t first, int32_t n) { comb_frame(c, x, first, n); }
