/* vec_portable.h - the vector primitives in plain C11: the reference every other vec_<isa>.h must equal, bit for bit. */
#ifndef WV_VEC_PORTABLE_H
#define WV_VEC_PORTABLE_H

#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
/* Where GCC calls one at -O2, its vectors go through memory, and a sample takes six times as long; Clang inlines them */
#define WV_INLINE static inline __attribute__((always_inline))
#else
#define WV_INLINE static inline
#endif
#define WV_Q_BIAS 0 /* the quantised input is kept as it is */

typedef struct { float x[4]; } vf4;
typedef struct { int32_t x[4]; } vi4;

#define WV_EACH for (int i = 0; i < 4; i++)

WV_INLINE vf4 vf4_set1(float x) { return (vf4){{x, x, x, x}}; }
WV_INLINE vf4 vf4_load(const float *p) { return (vf4){{p[0], p[1], p[2], p[3]}}; }
WV_INLINE void vf4_store(float *p, vf4 a) { WV_EACH p[i] = a.x[i]; }
WV_INLINE vf4 vf4_add(vf4 a, vf4 b) { WV_EACH a.x[i] = a.x[i] + b.x[i]; return a; }
WV_INLINE vf4 vf4_sub(vf4 a, vf4 b) { WV_EACH a.x[i] = a.x[i] - b.x[i]; return a; }
WV_INLINE vf4 vf4_mul(vf4 a, vf4 b) { WV_EACH a.x[i] = a.x[i] * b.x[i]; return a; }
WV_INLINE vf4 vf4_div(vf4 a, vf4 b) { WV_EACH a.x[i] = a.x[i] / b.x[i]; return a; }
WV_INLINE vf4 vf4_min(vf4 a, vf4 b) { WV_EACH a.x[i] = a.x[i] < b.x[i] ? a.x[i] : b.x[i]; return a; }
WV_INLINE vf4 vf4_max(vf4 a, vf4 b) { WV_EACH a.x[i] = a.x[i] > b.x[i] ? a.x[i] : b.x[i]; return a; }

WV_INLINE float vf4_hmax(vf4 a) {
    float m = a.x[0];
    WV_EACH m = a.x[i] > m ? a.x[i] : m;
    return m;
}

/* Widen IEEE-754 binary16 exactly: shift the fraction into place, then scale by 2^112 (subnormals come out right). */
WV_INLINE vf4 vf4_load_half(const uint16_t *p) {
    vf4 a;
    WV_EACH {
        uint32_t bits = (uint32_t)(p[i] & 0x7fffu) << 13, sign = (uint32_t)(p[i] & 0x8000u) << 16;
        float f;
        memcpy(&f, &bits, 4);
        f *= 0x1p112f;
        memcpy(&bits, &f, 4);
        bits |= sign;
        memcpy(&a.x[i], &bits, 4);
    }
    return a;
}

WV_INLINE vi4 vf4_trunc(vf4 a) { return (vi4){{(int32_t)a.x[0], (int32_t)a.x[1], (int32_t)a.x[2], (int32_t)a.x[3]}}; }
WV_INLINE vf4 vi4_to_float(vi4 a) { return (vf4){{(float)a.x[0], (float)a.x[1], (float)a.x[2], (float)a.x[3]}}; }

/* 2^(n + k) for -126 <= n + k <= 127, by its exponent bits. */
WV_INLINE vf4 vi4_pow2(vi4 n, int k) {
    vf4 a;
    WV_EACH {
        uint32_t bits = (uint32_t)(n.x[i] + 127 + k) << 23;
        memcpy(&a.x[i], &bits, 4);
    }
    return a;
}

WV_INLINE void vi4_store(int32_t *p, vi4 a) { WV_EACH p[i] = a.x[i]; }
WV_INLINE vi4 vi4_load(const int32_t *p) { return (vi4){{p[0], p[1], p[2], p[3]}}; }
WV_INLINE vi4 vi4_zero(void) { return (vi4){{0, 0, 0, 0}}; }
WV_INLINE vi4 vi4_add(vi4 a, vi4 b) { WV_EACH a.x[i] = (int32_t)((uint32_t)a.x[i] + (uint32_t)b.x[i]); return a; }

WV_INLINE uint32_t vi4_hsum(vi4 a) {
    return (uint32_t)a.x[0] + (uint32_t)a.x[1] + (uint32_t)a.x[2] + (uint32_t)a.x[3];
}

WV_INLINE int32_t dot4(const int8_t *w, const int8_t *x) { return w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + w[3] * x[3]; }

/* acc[i] += w[4i .. 4i+3] . x[0 .. 3]; no loop: GCC unrolls none at -O2 */
WV_INLINE vi4 vi4_dot4(vi4 acc, const int8_t *w, const int8_t *x) {
    return (vi4){{acc.x[0] + dot4(w, x), acc.x[1] + dot4(w + 4, x), acc.x[2] + dot4(w + 8, x), acc.x[3] + dot4(w + 12, x)}};
}

/* q = trunc(a clamped to 1..255) - 128 */
WV_INLINE void vf4_store_q(int8_t *q, vf4 a) {
    a = vf4_min(vf4_max(a, vf4_set1(1.0f)), vf4_set1(255.0f));
    WV_EACH q[i] = (int8_t)((int32_t)a.x[i] - 128);
}

/* p = Q10 of a: trunc(1024 a + 32768.5 clamped to 0..65535) - 32768 */
WV_INLINE void vf4_store_q10(int16_t *p, vf4 a) {
    a = vf4_add(vf4_mul(a, vf4_set1(1024.0f)), vf4_set1(32768.5f));
    a = vf4_min(vf4_max(a, vf4_set1(0.0f)), vf4_set1(65535.0f));
    WV_EACH p[i] = (int16_t)((int32_t)a.x[i] - 32768);
}

#undef WV_EACH

/* vsN: N elements of int16. */
typedef struct { int16_t x[8]; } vs8;

#define WV_EACH for (int i = 0; i < 8; i++)

WV_INLINE int16_t saturate_i16(int32_t a) { return (int16_t)(a < -32768 ? -32768 : a > 32767 ? 32767 : a); }
WV_INLINE vs8 vs8_set1(int16_t x) { vs8 a; WV_EACH a.x[i] = x; return a; }
WV_INLINE vs8 vs8_load(const int16_t *p) { vs8 a; memcpy(&a, p, sizeof a); return a; }
WV_INLINE void vs8_store(int16_t *p, vs8 a) { memcpy(p, &a, sizeof a); }
WV_INLINE vs8 vs8_adds(vs8 a, vs8 b) { WV_EACH a.x[i] = saturate_i16(a.x[i] + b.x[i]); return a; }
/* Where no element can overflow; cheaper than adds and subs. */
WV_INLINE vs8 vs8_add(vs8 a, vs8 b) { WV_EACH a.x[i] = (int16_t)(a.x[i] + b.x[i]); return a; }
WV_INLINE vs8 vs8_sub(vs8 a, vs8 b) { WV_EACH a.x[i] = (int16_t)(a.x[i] - b.x[i]); return a; }
WV_INLINE vs8 vs8_mulhrs(vs8 a, vs8 b) { WV_EACH a.x[i] = (int16_t)((a.x[i] * b.x[i] + 0x4000) >> 15); return a; }
/* acc + a b, saturated, and where it cannot overflow; a or b is above -32768 */
WV_INLINE vs8 vs8_adds_mulhrs(vs8 acc, vs8 a, vs8 b) {
    WV_EACH acc.x[i] = saturate_i16(acc.x[i] + ((a.x[i] * b.x[i] + 0x4000) >> 15));
    return acc;
}
WV_INLINE vs8 vs8_add_mulhrs(vs8 acc, vs8 a, vs8 b) {
    WV_EACH acc.x[i] = (int16_t)(acc.x[i] + ((a.x[i] * b.x[i] + 0x4000) >> 15));
    return acc;
}
/* -a where s < 0, else a */
WV_INLINE vs8 vs8_copy_sign(vs8 a, vs8 s) { WV_EACH a.x[i] = (int16_t)(s.x[i] < 0 ? -a.x[i] : a.x[i]); return a; }
/* Q15: halfway from a to 1 */
WV_INLINE vs8 vs8_halfway(vs8 a) { WV_EACH a.x[i] = (int16_t)((a.x[i] + 32768) >> 1); return a; }

/* min(|a|, b) for 0 <= b */
WV_INLINE vs8 vs8_min_abs(vs8 a, vs8 b) {
    WV_EACH {
        int32_t m = a.x[i] < 0 ? -a.x[i] : a.x[i];
        a.x[i] = (int16_t)(m < b.x[i] ? m : b.x[i]);
    }
    return a;
}

/* For 0 <= a < 8 << shift: the segment a >> shift, in the form vs8_lookup takes, and the rest of a as Q15. */
WV_INLINE vs8 vs8_segment(vs8 a, int shift) { WV_EACH a.x[i] = (int16_t)(a.x[i] >> shift); return a; }
WV_INLINE vs8 vs8_fraction(vs8 a, int shift) {
    WV_EACH a.x[i] = (int16_t)((a.x[i] << (15 - shift)) & 0x7fff);
    return a;
}
WV_INLINE vs8 vs8_lookup(const int16_t table[8], vs8 segment) { WV_EACH segment.x[i] = table[segment.x[i]]; return segment; }

/* q = (a + 128) >> 8, at most 127 */
WV_INLINE void vs8_store_q(int8_t *q, vs8 a) {
    WV_EACH {
        int32_t v = (a.x[i] + 128) >> 8;
        q[i] = (int8_t)(v < 127 ? v : 127);
    }
}

#undef WV_EACH

#include "vec_pair.h"
WV_PAIR_SHORT(16, 8)
WV_PAIR_SHORT_STORE(16, 8)
WV_PAIR(8, 4)
WV_PAIR(16, 8)
WV_PAIR(32, 16)
WV_PAIR_SHORT(32, 16)
WV_PAIR_SHORT_STORE(32, 16)
#define WV_SHORTS 16
WV_PAIR_STORES(8, 4)
WV_PAIR_STORES(16, 8)
WV_PAIR_STORES(32, 16)
WV_EVEN_ODD(4)
WV_PAIR_SUMS(8, 4)
WV_PAIR_SUMS(16, 8)
WV_PAIR_SUMS(32, 16)
WV_LANES_AS_ROWS(4)
WV_LANES_AS_ROWS(8)
WV_LANES_AS_ROWS(16)
WV_LANES_AS_ROWS(32)
#define WV_TILE_ROWS 0 /* lane by lane */

#endif
