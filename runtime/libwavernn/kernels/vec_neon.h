/* vec_neon.h - 4 lanes of float and int32, 8 of int16, in NEON registers; AArch64 and armv7.
 *
 * armv7's NEON flushes subnormal floats to zero and has no division, so there divisions run lane by lane in VFP.
 * (FORMAT.md's arithmetic meets no subnormal that matters: they vanish in the sums they enter.)
 * With WV_NEON_DOT the int8 dot product is one sdot, else smull and pairwise adds: FORMAT.md's |w0| + |w1| <= 128
 * keeps a pair of products within int16. */
#ifndef WV_VEC_NEON_H
#define WV_VEC_NEON_H

#if !defined(__ARM_NEON)
#error "vec_neon.h needs NEON"
#endif

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

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
WV_INLINE vf4 vf4_min(vf4 a, vf4 b) { return vminq_f32(a, b); }
WV_INLINE vf4 vf4_max(vf4 a, vf4 b) { return vmaxq_f32(a, b); }
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
WV_INLINE vf4 vi4_pow2(vi4 n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }
WV_INLINE vi4 vi4_load(const int32_t *p) { return vld1q_s32(p); }
WV_INLINE void vi4_store(int32_t *p, vi4 a) { vst1q_s32(p, a); }
WV_INLINE vi4 vi4_zero(void) { return vdupq_n_s32(0); }
WV_INLINE vi4 vi4_add(vi4 a, vi4 b) { return vaddq_s32(a, b); }
WV_INLINE uint32_t vi4_hsum(vi4 a) {
    int32x2_t s = vadd_s32(vget_low_s32(a), vget_high_s32(a));
    return (uint32_t)vget_lane_s32(vpadd_s32(s, s), 0);
}

WV_INLINE int8x16_t broadcast_quad(const int8_t *x) {
    int32_t quad;
    memcpy(&quad, x, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(quad));
}

WV_INLINE vi4 vi4_dot4(vi4 acc, const int8_t *w, const int8_t *x) {
#if defined(WV_NEON_DOT)
    return vdotq_s32(acc, vld1q_s8(w), broadcast_quad(x));
#else
    /* products of two rows a half, summed in pairs: |w0| + |w1| <= 128 and |x| <= 128 keep a pair within int16 */
    int8x16_t w4 = vld1q_s8(w), x4 = broadcast_quad(x);
    int16x8_t low = vmull_s8(vget_low_s8(w4), vget_low_s8(x4)), high = vmull_s8(vget_high_s8(w4), vget_high_s8(x4));
#if defined(__aarch64__)
    return vpadalq_s16(acc, vpaddq_s16(low, high));
#else
    int16x8_t pairs = vcombine_s16(vpadd_s16(vget_low_s16(low), vget_high_s16(low)),
                                   vpadd_s16(vget_low_s16(high), vget_high_s16(high)));
    return vpadalq_s16(acc, pairs);
#endif
#endif
}

/* v in 1..255 -> q = v - 128 */
WV_INLINE void vi4_store_q(int8_t *q, vi4 v) {
    int16x4_t s = vmovn_s32(vsubq_s32(v, vdupq_n_s32(128)));
    int8x8_t b = vmovn_s16(vcombine_s16(s, s));
    int32_t quad = vget_lane_s32(vreinterpret_s32_s8(b), 0);
    memcpy(q, &quad, 4);
}
/* v in 0..65535 -> v - 32768 as int16 */
WV_INLINE void vi4_store_i16(int16_t *p, vi4 v) { vst1_s16(p, vmovn_s32(vsubq_s32(v, vdupq_n_s32(32768)))); }

WV_INLINE vs8 vs8_set1(int16_t x) { return vdupq_n_s16(x); }
WV_INLINE vs8 vs8_load(const int16_t *p) { return vld1q_s16(p); }
WV_INLINE void vs8_store(int16_t *p, vs8 a) { vst1q_s16(p, a); }
WV_INLINE vs8 vs8_adds(vs8 a, vs8 b) { return vqaddq_s16(a, b); }
WV_INLINE vs8 vs8_add(vs8 a, vs8 b) { return vaddq_s16(a, b); }
WV_INLINE vs8 vs8_sub(vs8 a, vs8 b) { return vsubq_s16(a, b); }
WV_INLINE vs8 vs8_mulhrs(vs8 a, vs8 b) { return vqrdmulhq_s16(a, b); }
WV_INLINE vs8 vs8_xor(vs8 a, vs8 b) { return veorq_s16(a, b); }
WV_INLINE vs8 vs8_sign(vs8 a) { return vshrq_n_s16(a, 15); }
WV_INLINE vs8 vs8_half(vs8 a) { return vshrq_n_s16(a, 1); }
WV_INLINE vs8 vs8_min_abs(vs8 a, vs8 b) { return vminq_s16(vqabsq_s16(a), b); }
/* As byte indices into a table of 8 int16: both bytes of lane s are 2 s and 2 s + 1. */
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
WV_PAIR_SHORT(32, 16)

#endif
