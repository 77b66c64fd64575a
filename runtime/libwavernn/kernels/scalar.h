/* scalar.h - arithmetic on single numbers that several files share. */
#ifndef WV_SCALAR_H
#define WV_SCALAR_H

#include <stdint.h>
#include <string.h>

#define WV_LOG2E_2 2.8853900817779268 /* 2 log2(e) */

static inline int32_t min_i32(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t max_i32(int32_t a, int32_t b) { return a > b ? a : b; }

static inline double clamp_double(double x, double low, double high) {
    x = x < high ? x : high;
    return x > low ? x : low;
}

static inline int64_t clamp_int(int64_t x, int64_t low, int64_t high) {
    x = x < high ? x : high;
    return x > low ? x : low;
}

/* 2^x for x in [-999, 999] */
static inline double exp2_double(double x) {
    static const double EXP2[9] = {
        1.0, 0.6931471805599453, 0.2402265069591007, 0.05550410866482158, 0.009618129107628477, 0.0013333558146428443,
        0.00015403530393381608, 1.5252733804059838e-05, 1.3215486790144305e-06,
    };
    int32_t n = (int32_t)(x + 1000.5) - 1000;
    double f = x - (double)n, y = EXP2[8], power;
    for (int k = 7; k >= 0; k--) y = y * f + EXP2[k];
    int64_t bits = (int64_t)(n + 1023) << 52;
    memcpy(&power, &bits, sizeof power);
    return y * power;
}

/* A sample as it is heard: pre-emphasis undone, rounded, clipped. y : the last one before rounding */
static inline int16_t heard(int32_t sample, float preemphasis, float *y) {
    *y = (float)sample + preemphasis * *y;
    float v = *y > -32768.0f ? *y : -32768.0f;
    v = v < 32767.0f ? v : 32767.0f;
    return (int16_t)((int32_t)(v + 32768.5f) - 32768);
}

#endif
