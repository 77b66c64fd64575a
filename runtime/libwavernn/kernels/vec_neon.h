/* vec_neon.h - vectors of 4 float and int32, of 8 int16, in NEON registers; AArch64 and armv7.
 *
 * armv7's NEON has no division, so there divisions run one by one in VFP. It flushes subnormal floats to zero:
 * dispatch.c gives it int8 models alone, and condition_frame stays out of it (WV_VECTORS_FLUSH).
 * With WV_NEON_DOT the int8 dot product is one sdot, else long multiplies and pairwise adds. */
#ifndef WV_VEC_NEON_H
#define WV_VEC_NEON_H

#if !defined(__ARM_NEON)
#error "vec_neon.h needs NEON"
#endif

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#if !defined(__aarch64__)
#define WV_VECTORS_FLUSH 1
#endif
#define WV_INLINE static inline
#define WV_Q_BIAS 0 /* the quantised input is kept as it is */

typedef float32x4_t vf4;
typedef int32x4_t vi4;
typedef int16x8_t vs8;

WV_INLINE vf4 vf4_set1(float x) { return vdupq_n_f32(x); }
WV_INLINE vf4 vf4_load(const float *p) { return vld1q_f32(p); }
WV_INLINE void vf4_store(float *p, vf4 a) { vst1q_f32(p, a); }
WV_INLINE vf4 vf4_add(vf4 a, vf4 b) { return vaddq_f32(a, b); }
WV_INLINE vf4 vf4_sub(vf4 a, vf4 b) { return vsubq_f32(a, b); }
WV_INLINE vf4 vf4_mul(vf4 a, vf4 b) { return vmulq_f32(a, b); }
/* a < b ? a : b and a > b ? a : b, so b where a is NaN; b never is. Arm's vmin and vmax would give NaN. */
#ifdef __aarch64__
WV_INLINE vf4 vf4_min(vf4 a, vf4 b) { return vminnmq_f32(a, b); }
WV_INLINE vf4 vf4_max(vf4 a, vf4 b) { return vmaxnmq_f32(a, b); }
#else
WV_INLINE vf4 vf4_min(vf4 a, vf4 b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
WV_INLINE vf4 vf4_max(vf4 a, vf4 b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
#endif
WV_INLINE vi4 vf4_trunc(vf4 a) { return vcvtq_s32_f32(a); }
WV_INLINE vf4 vi4_to_float(vi4 a) { return vcvtq_f32_s32(a); }

/* Widen IEEE-754 binary16 exactly, as vec_portable.h does. */
WV_INLINE vf4 vf4_load_half(const uint16_t *p) {
#if defined(__aarch64__)
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    uint32x4_t half = vmovl_u16(vld1_u16(p));
    uint32x4_t sign = vshlq_n_u32(vandq_u32(half, vdupq_n_u32(0x8000)), 16);
    uint32x4_t exponent_fraction = vandq_u32(half, vdupq_n_u32(0x7fff));
    /* 2^-14 and above: move into place and rebias; below: fraction * 2^-24 */
    uint32x4_t normal = vaddq_u32(vshlq_n_u32(exponent_fraction, 13), vdupq_n_u32(112u << 23));
    float32x4_t small = vmulq_f32(vcvtq_f32_u32(exponent_fraction), vdupq_n_f32(0x1p-24f));
    uint32x4_t is_small = vcltq_u32(exponent_fraction, vdupq_n_u32(0x0400));
    return vreinterpretq_f32_u32(vorrq_u32(sign, vbslq_u32(is_small, vreinterpretq_u32_f32(small), normal)));
#endif
}

WV_INLINE vf4 vf4_div(vf4 a, vf4 b) {
#if defined(__aarch64__)
    return vdivq_f32(a, b);
#else
    float x[4], y[4];
    vst1q_f32(x, a);
    vst1q_f32(y, b);
    for (int i = 0; i < 4; i++) x[i] /= y[i];
    return vld1q_f32(x);
#endif
}

WV_INLINE float vf4_hmax(vf4 a) {
    float32x2_t m = vpmax_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(vpmax_f32(m, m), 0);
}
WV_INLINE vf4 vi4_pow2(vi4 n, int k) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127 + k)), 23));
}
WV_INLINE vi4 vi4_load(const int32_t *p) { return vld1q_s32(p); }
WV_INLINE void vi4_store(int32_t *p, vi4 a) { vst1q_s32(p, a); }
WV_INLINE vi4 vi4_zero(void) { return vdupq_n_s32(0); }
WV_INLINE vi4 vi4_add(vi4 a, vi4 b) { return vaddq_s32(a, b); }
WV_INLINE uint32_t vi4_hsum(vi4 a) {
    int32x2_t s = vadd_s32(vget_low_s32(a), vget_high_s32(a));
    return (uint32_t)vget_lane_s32(vpadd_s32(s, s), 0);
}

WV_INLINE vs8 vs8_set1(int16_t x) { return vdupq_n_s16(x); }
WV_INLINE vs8 vs8_load(const int16_t *p) { return vld1q_s16(p); }
WV_INLINE void vs8_store(int16_t *p, vs8 a) { vst1q_s16(p, a); }
WV_INLINE vs8 vs8_adds(vs8 a, vs8 b) { return vqaddq_s16(a, b); }
WV_INLINE vs8 vs8_add(vs8 a, vs8 b) { return vaddq_s16(a, b); }
WV_INLINE vs8 vs8_sub(vs8 a, vs8 b) { return vsubq_s16(a, b); }
WV_INLINE vs8 vs8_mulhrs(vs8 a, vs8 b) { return vqrdmulhq_s16(a, b); }
WV_INLINE vs8 vs8_adds_mulhrs(vs8 acc, vs8 a, vs8 b) {
#if defined(__ARM_FEATURE_QRDMX)
    return vqrdmlahq_s16(acc, a, b); /* one rounding, one saturation: the same, as a b never saturates here */
#else
    return vqaddq_s16(acc, vqrdmulhq_s16(a, b));
#endif
}
WV_INLINE vs8 vs8_add_mulhrs(vs8 acc, vs8 a, vs8 b) { return vs8_adds_mulhrs(acc, a, b); }
WV_INLINE vs8 vs8_copy_sign(vs8 a, vs8 s) {
    int16x8_t sign = vshrq_n_s16(s, 15);
    return vsubq_s16(veorq_s16(a, sign), sign);
}
/* Q15: halfway from a to 1 */
WV_INLINE vs8 vs8_halfway(vs8 a) { return vrhaddq_s16(a, vdupq_n_s16(32767)); }
WV_INLINE vs8 vs8_min_abs(vs8 a, vs8 b) { return vminq_s16(vqabsq_s16(a), b); }
/* As byte indices into a table of 8 int16: both bytes of element s are 2 s and 2 s + 1. */
WV_INLINE vs8 vs8_segment(vs8 a, int shift) {
    int16x8_t s = vshlq_s16(a, vdupq_n_s16((int16_t)-shift));
    return vmlaq_s16(vdupq_n_s16(0x0100), s, vdupq_n_s16(0x0202));
}
WV_INLINE vs8 vs8_fraction(vs8 a, int shift) {
    return vandq_s16(vshlq_s16(a, vdupq_n_s16((int16_t)(15 - shift))), vdupq_n_s16(0x7fff));
}
WV_INLINE vs8 vs8_lookup(const int16_t table[8], vs8 segment) {
#if defined(__aarch64__)
    return vreinterpretq_s16_u8(vqtbl1q_u8(vreinterpretq_u8_s16(vld1q_s16(table)), vreinterpretq_u8_s16(segment)));
#else
    uint8x16_t t = vreinterpretq_u8_s16(vld1q_s16(table)), i = vreinterpretq_u8_s16(segment);
    uint8x8x2_t both = {{vget_low_u8(t), vget_high_u8(t)}};
    return vreinterpretq_s16_u8(vcombine_u8(vtbl2_u8(both, vget_low_u8(i)), vtbl2_u8(both, vget_high_u8(i))));
#endif
}
/* q = (a + 128) >> 8, at most 127 */
WV_INLINE void vs8_store_q(int8_t *q, vs8 a) { vst1_s8(q, vqrshrn_n_s16(a, 8)); }

#include "vec_pair.h"
WV_PAIR(8, 4)
WV_PAIR(16, 8)
WV_PAIR(32, 16)
WV_PAIR_SHORT(16, 8)
WV_PAIR_SHORT_STORE(16, 8)
#define WV_SHORTS 16

/* p = Q10 of a. Conversion to unsigned clamps below, narrowing above; 1024 scales inside the conversion: no rounding. */
WV_INLINE uint16x4_t q10_biased(vf4 a) { return vqmovn_u32(vcvtq_n_u32_f32(vaddq_f32(a, vdupq_n_f32(32768.5f / 1024)), 10)); }
WV_INLINE void vf4_store_q10(int16_t *p, vf4 a) { vst1_u16((uint16_t *)p, veor_u16(q10_biased(a), vdup_n_u16(0x8000))); }
WV_INLINE void vf8_store_q10(int16_t *p, vf8 a) {
    vst1q_u16((uint16_t *)p, veorq_u16(vcombine_u16(q10_biased(a.lo), q10_biased(a.hi)), vdupq_n_u16(0x8000)));
}
WV_INLINE void vf16_store_q10(int16_t *p, vf16 a) { vf8_store_q10(p, a.lo); vf8_store_q10(p + 8, a.hi); }

/* q = trunc(a clamped to 1..255) - 128 */
WV_INLINE uint16x4_t clamp_u16(vf4 a) { return vqmovn_u32(vcvtq_u32_f32(vf4_max(a, vdupq_n_f32(1.0f)))); }
WV_INLINE uint8x8_t clamp_u8x8(vf8 a) { return vqmovn_u16(vcombine_u16(clamp_u16(a.lo), clamp_u16(a.hi))); }
WV_INLINE void vf4_store_q(int8_t *q, vf4 a) {
    uint8x8_t b = veor_u8(clamp_u8x8((vf8){a, a}), vdup_n_u8(0x80));
    vst1_lane_u32((uint32_t *)q, vreinterpret_u32_u8(b), 0);
}
WV_INLINE void vf8_store_q(int8_t *q, vf8 a) { vst1_u8((uint8_t *)q, veor_u8(clamp_u8x8(a), vdup_n_u8(0x80))); }
WV_INLINE void vf16_store_q(int8_t *q, vf16 a) {
    uint8x16_t b = vcombine_u8(clamp_u8x8(a.lo), clamp_u8x8(a.hi));
    vst1q_u8((uint8_t *)q, veorq_u8(b, vdupq_n_u8(0x80)));
}
WV_PAIR_STORES(32, 16)

#if defined(WV_NEON_DOT)
/* Four inputs, in the low half of the register whose element 0 sdot takes */
WV_INLINE int8x8_t load_quad(const int8_t *x) {
    uint32_t quad;
    memcpy(&quad, x, 4);
    return vcreate_s8(quad);
}
WV_INLINE vi4 vi4_dot4(vi4 acc, const int8_t *w, const int8_t *x) {
    return vdotq_lane_s32(acc, vld1q_s8(w), load_quad(x), 0);
}
WV_INLINE vi8 vi8_dot4(vi8 acc, const int8_t *w, const int8_t *x) {
    int8x16x2_t w2 = vld1q_s8_x2(w);
    int8x8_t quad = load_quad(x);
    return (vi8){vdotq_lane_s32(acc.lo, w2.val[0], quad, 0), vdotq_lane_s32(acc.hi, w2.val[1], quad, 0)};
}
WV_INLINE vi16 vi16_dot4(vi16 acc, const int8_t *w, const int8_t *x) {
    int8x16x4_t w4 = vld1q_s8_x4(w);
    int8x8_t quad = load_quad(x);
    return (vi16){{vdotq_lane_s32(acc.lo.lo, w4.val[0], quad, 0), vdotq_lane_s32(acc.lo.hi, w4.val[1], quad, 0)},
                  {vdotq_lane_s32(acc.hi.lo, w4.val[2], quad, 0), vdotq_lane_s32(acc.hi.hi, w4.val[3], quad, 0)}};
}
/* sdot adds to the result of the sdot before at once: one sum will do. */
WV_ONE_SUM(4)
WV_ONE_SUM(8)
WV_ONE_SUM(16)
#else
/* Products of two blocks on top of each other in int16, then added in pairs to int32: |w| <= 127 and |x| <= 128 keep two
 * products within int16. Each row has two sums. */
typedef struct { vi4 rows01, rows23; } va4;
WV_INLINE va4 va4_start(const int32_t *p) {
    int32x4x2_t s = vzipq_s32(vi4_load(p), vi4_zero());
    return (va4){s.val[0], s.val[1]};
}
/* four inputs, four times */
WV_INLINE int8x16_t broadcast_quad(const int8_t *x) {
    int32_t quad;
    memcpy(&quad, x, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(quad));
}
#if !defined(__aarch64__)
#define vmull_high_s8(a, b) vmull_s8(vget_high_s8(a), vget_high_s8(b))
#define vmlal_high_s8(s, a, b) vmlal_s8(s, vget_high_s8(a), vget_high_s8(b))
#endif
WV_INLINE va4 va4_dot1(va4 a, const int8_t *w, const int8_t *x) {
    int8x16_t w4 = vld1q_s8(w), quad = broadcast_quad(x);
    a.rows01 = vpadalq_s16(a.rows01, vmull_s8(vget_low_s8(w4), vget_low_s8(quad)));
    a.rows23 = vpadalq_s16(a.rows23, vmull_high_s8(w4, quad));
    return a;
}
WV_INLINE va4 va4_dot2(va4 a, const int8_t *w0, const int8_t *w1, const int8_t *x0, const int8_t *x1) {
    int8x16_t even = vld1q_s8(w0), odd = vld1q_s8(w1), quad0 = broadcast_quad(x0), quad1 = broadcast_quad(x1);
    int16x8_t rows01 = vmull_s8(vget_low_s8(even), vget_low_s8(quad0)), rows23 = vmull_high_s8(even, quad0);
    rows01 = vmlal_s8(rows01, vget_low_s8(odd), vget_low_s8(quad1));
    rows23 = vmlal_high_s8(rows23, odd, quad1);
    return (va4){vpadalq_s16(a.rows01, rows01), vpadalq_s16(a.rows23, rows23)};
}
WV_INLINE vi4 va4_total(va4 a) {
#if defined(__aarch64__)
    return vpaddq_s32(a.rows01, a.rows23);
#else
    return vcombine_s32(vpadd_s32(vget_low_s32(a.rows01), vget_high_s32(a.rows01)),
                        vpadd_s32(vget_low_s32(a.rows23), vget_high_s32(a.rows23)));
#endif
}
WV_PAIR_SUMS(8, 4)
WV_PAIR_SUMS(16, 8)
#endif
WV_PAIR_SUMS(32, 16)
WV_LANES_AS_ROWS(4)
WV_LANES_AS_ROWS(8)
WV_LANES_AS_ROWS(16)
WV_LANES_AS_ROWS(32)
#if defined(WV_NEON_DOT)
#define WV_TILE_ROWS 64 /* 16 registers of sums */
#else
#define WV_TILE_ROWS 32 /* likewise */
#endif

#endif
