/* vec_wasm.h - vectors of 4 float and int32, of 8 int16, in WebAssembly's 128 bits.
 *
 * min and max are the machine's "a < b ? a : b" (pmin, pmax): WebAssembly's own look at NaN and the sign of zero first.
 *
 * With WV_RELAXED_SIGN the int8 dot product is relaxed SIMD's, one instruction where the CPU has one. It leaves open how an
 * engine reads an input above 7 bits, once and for all: -1 wants it read as signed, 1 as unsigned; reads_bytes_so asks the
 * engine. Our inputs are kept as it wants them, and FORMAT.md's |w0| + |w1| <= 128 keeps sums of two products within int16, so the bits are
 * the same. What else is relaxed here differs only where no value of ours goes: conversions out of range, lookups above 15, -1 times -1
 * in Q15.
 *
 * Constants pass through `opaque`: a loop then keeps their vector. As v128.const an engine may build it anew each time. */
#ifndef WV_VEC_WASM_H
#define WV_VEC_WASM_H

#if !defined(__wasm_simd128__)
#error "vec_wasm.h needs -msimd128"
#endif

#include <stdint.h>
#include <wasm_simd128.h>

#define WV_INLINE static inline
#if defined(WV_RELAXED_SIGN) && WV_RELAXED_SIGN > 0
#define WV_Q_BIAS 128 /* the quantised input is kept as the byte q + 128 */
#else
#define WV_Q_BIAS 0 /* the quantised input is kept as it is */
#endif
#define WV_Q_FLIP (WV_Q_BIAS ? 0 : INT8_MIN) /* from the byte q + 128 */

typedef v128_t vf4;
typedef v128_t vi4;
typedef v128_t vs8;

/* The compiler knows nothing about x from here on. */
#define opaque(x) __asm__("" : "+r"(x))
WV_INLINE v128_t i16_set1(int32_t x) {
    opaque(x);
    return wasm_i16x8_splat(x);
}
WV_INLINE v128_t i8_set1(int32_t x) {
    opaque(x);
    return wasm_i8x16_splat(x);
}

WV_INLINE vf4 vf4_set1(float x) {
    opaque(x);
    return wasm_f32x4_splat(x);
}
WV_INLINE vf4 vf4_load(const float *p) { return wasm_v128_load(p); }
WV_INLINE void vf4_store(float *p, vf4 a) { wasm_v128_store(p, a); }
WV_INLINE vf4 vf4_add(vf4 a, vf4 b) { return wasm_f32x4_add(a, b); }
WV_INLINE vf4 vf4_sub(vf4 a, vf4 b) { return wasm_f32x4_sub(a, b); }
WV_INLINE vf4 vf4_mul(vf4 a, vf4 b) { return wasm_f32x4_mul(a, b); }
WV_INLINE vf4 vf4_div(vf4 a, vf4 b) { return wasm_f32x4_div(a, b); }
WV_INLINE vf4 vf4_min(vf4 a, vf4 b) { return wasm_f32x4_pmin(b, a); }
WV_INLINE vf4 vf4_max(vf4 a, vf4 b) { return wasm_f32x4_pmax(b, a); }
#if defined(WV_RELAXED_SIGN)
#define trunc_in_range wasm_i32x4_relaxed_trunc_f32x4
#define swizzle_below_16 wasm_i8x16_relaxed_swizzle
#define mulhrs_in_range wasm_i16x8_relaxed_q15mulr
#else
#define trunc_in_range wasm_i32x4_trunc_sat_f32x4
#define swizzle_below_16 wasm_i8x16_swizzle
#define mulhrs_in_range wasm_i16x8_q15mulr_sat
#endif
WV_INLINE vi4 vf4_trunc(vf4 a) { return trunc_in_range(a); }
WV_INLINE vf4 vi4_to_float(vi4 a) { return wasm_f32x4_convert_i32x4(a); }

/* Widen IEEE-754 binary16 exactly, as vec_portable.h does. */
WV_INLINE vf4 vf4_load_half(const uint16_t *p) {
    v128_t half = wasm_u32x4_load16x4(p), sign = wasm_v128_and(half, wasm_i32x4_const_splat(0x8000));
    v128_t bits = wasm_i32x4_shl(wasm_v128_xor(half, sign), 13);
    return wasm_v128_or(wasm_f32x4_mul(bits, wasm_f32x4_const_splat(0x1p112f)), wasm_i32x4_shl(sign, 16));
}

WV_INLINE float vf4_hmax(vf4 a) {
    a = vf4_max(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(vf4_max(a, wasm_i32x4_shuffle(a, a, 1, 0, 3, 2)), 0);
}
WV_INLINE vf4 vi4_pow2(vi4 n, int k) { return wasm_i32x4_shl(wasm_i32x4_add(n, wasm_i32x4_splat(127 + k)), 23); }
WV_INLINE vi4 vi4_load(const int32_t *p) { return wasm_v128_load(p); }
WV_INLINE void vi4_store(int32_t *p, vi4 a) { wasm_v128_store(p, a); }
WV_INLINE vi4 vi4_zero(void) { return wasm_i32x4_const_splat(0); }
WV_INLINE vi4 vi4_add(vi4 a, vi4 b) { return wasm_i32x4_add(a, b); }
WV_INLINE uint32_t vi4_hsum(vi4 a) {
    v128_t s = wasm_i32x4_add(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return (uint32_t)wasm_i32x4_extract_lane(wasm_i32x4_add(s, wasm_i32x4_shuffle(s, s, 1, 0, 3, 2)), 0);
}

WV_INLINE vs8 vs8_set1(int16_t x) { return i16_set1(x); }
WV_INLINE vs8 vs8_load(const int16_t *p) { return wasm_v128_load(p); }
WV_INLINE void vs8_store(int16_t *p, vs8 a) { wasm_v128_store(p, a); }
WV_INLINE vs8 vs8_adds(vs8 a, vs8 b) { return wasm_i16x8_add_sat(a, b); }
WV_INLINE vs8 vs8_add(vs8 a, vs8 b) { return wasm_i16x8_add(a, b); }
WV_INLINE vs8 vs8_sub(vs8 a, vs8 b) { return wasm_i16x8_sub(a, b); }
WV_INLINE vs8 vs8_mulhrs(vs8 a, vs8 b) { return mulhrs_in_range(a, b); }
WV_INLINE vs8 vs8_adds_mulhrs(vs8 acc, vs8 a, vs8 b) { return vs8_adds(acc, vs8_mulhrs(a, b)); }
WV_INLINE vs8 vs8_add_mulhrs(vs8 acc, vs8 a, vs8 b) { return vs8_add(acc, vs8_mulhrs(a, b)); }
WV_INLINE vs8 vs8_copy_sign(vs8 a, vs8 s) {
    v128_t sign = wasm_i16x8_shr(s, 15);
    return wasm_i16x8_sub(wasm_v128_xor(a, sign), sign);
}
/* Q15: halfway from a to 1 */
WV_INLINE vs8 vs8_halfway(vs8 a) { return wasm_i16x8_add(wasm_i16x8_shr(a, 1), i16_set1(16384)); }
WV_INLINE vs8 vs8_min_abs(vs8 a, vs8 b) { return wasm_u16x8_min(wasm_i16x8_abs(a), b); }
/* As byte indices into a table of 8 int16: both bytes of element s are 2 s and 2 s + 1. */
WV_INLINE vs8 vs8_segment(vs8 a, int shift) {
    v128_t s = wasm_i16x8_mul(wasm_i16x8_shr(a, (uint32_t)shift), i16_set1(0x0202));
    return wasm_i16x8_add(s, i16_set1(0x0100));
}
WV_INLINE vs8 vs8_fraction(vs8 a, int shift) {
    return wasm_v128_and(wasm_i16x8_shl(a, (uint32_t)(15 - shift)), i16_set1(0x7fff));
}
WV_INLINE vs8 vs8_lookup(const int16_t table[8], vs8 segment) {
    opaque(table);
    return swizzle_below_16(wasm_v128_load(table), segment);
}
/* q = (a + 128) >> 8, at most 127 */
WV_INLINE void vs8_store_q(int8_t *q, vs8 a) {
    v128_t half = mulhrs_in_range(a, i16_set1(128)), bytes = wasm_i8x16_narrow_i16x8(half, half);
    wasm_v128_store64_lane(q, wasm_v128_xor(bytes, i8_set1(WV_Q_BIAS ? INT8_MIN : 0)), 0);
}

#include "vec_pair.h"
WV_PAIR(8, 4)
WV_PAIR(16, 8)
WV_PAIR(32, 16)
WV_PAIR_SHORT(16, 8)
WV_PAIR_SHORT_STORE(16, 8)
#define WV_SHORTS 16

/* p = Q10 of a. Narrowing clamps once more, to 0..65535. */
WV_INLINE v128_t q10_biased(vf4 a) {
    a = vf4_add(vf4_mul(a, vf4_set1(1024.0f)), vf4_set1(32768.5f));
    return vf4_trunc(vf4_min(vf4_max(a, vf4_set1(0.0f)), vf4_set1(65535.0f)));
}
WV_INLINE v128_t q10(vf8 a) {
    return wasm_v128_xor(wasm_u16x8_narrow_i32x4(q10_biased(a.lo), q10_biased(a.hi)), i16_set1(INT16_MIN));
}
WV_INLINE void vf4_store_q10(int16_t *p, vf4 a) { wasm_v128_store64_lane(p, q10((vf8){a, a}), 0); }
WV_INLINE void vf8_store_q10(int16_t *p, vf8 a) { wasm_v128_store(p, q10(a)); }
WV_INLINE void vf16_store_q10(int16_t *p, vf16 a) { vf8_store_q10(p, a.lo); vf8_store_q10(p + 8, a.hi); }

/* q = trunc(a clamped to 1..255) - 128 */
WV_INLINE v128_t to_int(vf4 a) { return vf4_trunc(vf4_min(vf4_max(a, vf4_set1(1.0f)), vf4_set1(255.0f))); }
WV_INLINE v128_t to_short(vf8 a) { return wasm_i16x8_narrow_i32x4(to_int(a.lo), to_int(a.hi)); }
WV_INLINE v128_t to_q(v128_t lo, v128_t hi) {
    return wasm_v128_xor(wasm_u8x16_narrow_i16x8(lo, hi), i8_set1(WV_Q_FLIP));
}
WV_INLINE void vf4_store_q(int8_t *q, vf4 a) {
    v128_t s = to_short((vf8){a, a});
    wasm_v128_store32_lane(q, to_q(s, s), 0);
}
WV_INLINE void vf8_store_q(int8_t *q, vf8 a) {
    v128_t s = to_short(a);
    wasm_v128_store64_lane(q, to_q(s, s), 0);
}
WV_INLINE void vf16_store_q(int8_t *q, vf16 a) { wasm_v128_store(q, to_q(to_short(a.lo), to_short(a.hi))); }
WV_PAIR_STORES(32, 16)

#if defined(WV_RELAXED_SIGN)
WV_INLINE vi4 vi4_dot4(vi4 acc, const int8_t *w, const int8_t *x) {
    v128_t quads = wasm_v128_load32_splat(x); /* four inputs, four times */
#if WV_RELAXED_SIGN > 0 /* x86: without AVX-VNNI an engine makes five instructions of the sum of four products */
    v128_t pairs = wasm_i16x8_relaxed_dot_i8x16_i7x16(wasm_v128_load(w), quads);
    return wasm_i32x4_add(acc, wasm_i32x4_dot_i16x8(pairs, i16_set1(1)));
#else
    return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_v128_load(w), quads, acc);
#endif
}
WV_EVEN_ODD(4)

/* Whether this engine reads inputs above 7 bits as these kernels keep them, for the largest weights of every sign. */
WV_INLINE int reads_bytes_so(void) {
    static const int8_t WEIGHTS[4][4] = {{64, 64, 64, 64}, {-64, -64, -64, -64}, {127, -1, 127, 1}, {-127, 1, 1, -127}};
    for (int32_t byte = 128; byte < 256; byte++) {
        const int8_t x[4] = {(int8_t)byte, (int8_t)byte, (int8_t)byte, (int8_t)byte};
        int32_t sums[4];
        vi4_store(sums, vi4_dot4(vi4_zero(), WEIGHTS[0], x));
        for (int i = 0; i < 4; i++) {
            int32_t wanted = 0;
            for (int j = 0; j < 4; j++) wanted += WEIGHTS[i][j] * (WV_Q_BIAS ? byte : byte - 256);
            if (sums[i] != wanted) return 0;
        }
    }
    return 1;
}
#else
/* Each row has two sums. */
typedef struct { v128_t rows01, rows23; } va4;
WV_INLINE va4 va4_start(const int32_t *p) {
    v128_t s = wasm_v128_load(p), zero = vi4_zero();
    return (va4){wasm_i32x4_shuffle(s, zero, 0, 4, 1, 5), wasm_i32x4_shuffle(s, zero, 2, 6, 3, 7)};
}
#if defined(WV_DOT_I16)
/* Two products of int16 added in int32: one instruction on x86, three on Arm. */
WV_INLINE va4 va4_dot1(va4 a, const int8_t *w, const int8_t *x) {
    v128_t quads = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(x)); /* four inputs, twice */
    return (va4){wasm_i32x4_add(a.rows01, wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(w), quads)),
                 wasm_i32x4_add(a.rows23, wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(w + 8), quads))};
}
WV_INLINE va4 va4_dot2(va4 a, const int8_t *w0, const int8_t *w1, const int8_t *x0, const int8_t *x1) {
    return va4_dot1(va4_dot1(a, w0, x0), w1, x1);
}
#else
/* Products of two blocks on top of each other in int16, then added in pairs to int32: |w| <= 127 and |x| <= 128 keep two
 * products within int16. An engine on Arm makes multiply-adds of these. */
WV_INLINE va4 add_pairs(va4 a, v128_t rows01, v128_t rows23) {
    return (va4){wasm_i32x4_add(a.rows01, wasm_i32x4_extadd_pairwise_i16x8(rows01)),
                 wasm_i32x4_add(a.rows23, wasm_i32x4_extadd_pairwise_i16x8(rows23))};
}
WV_INLINE va4 va4_dot1(va4 a, const int8_t *w, const int8_t *x) {
    v128_t w4 = wasm_v128_load(w), quad = wasm_v128_load32_splat(x); /* four inputs, four times */
    return add_pairs(a, wasm_i16x8_extmul_low_i8x16(w4, quad), wasm_i16x8_extmul_high_i8x16(w4, quad));
}
WV_INLINE va4 va4_dot2(va4 a, const int8_t *w0, const int8_t *w1, const int8_t *x0, const int8_t *x1) {
    v128_t even = wasm_v128_load(w0), odd = wasm_v128_load(w1);
    v128_t quad0 = wasm_v128_load32_splat(x0), quad1 = wasm_v128_load32_splat(x1);
    v128_t rows01 = wasm_i16x8_add(wasm_i16x8_extmul_low_i8x16(even, quad0), wasm_i16x8_extmul_low_i8x16(odd, quad1));
    v128_t rows23 = wasm_i16x8_add(wasm_i16x8_extmul_high_i8x16(even, quad0), wasm_i16x8_extmul_high_i8x16(odd, quad1));
    return add_pairs(a, rows01, rows23);
}
#endif
WV_INLINE vi4 va4_total(va4 a) {
    v128_t even = wasm_i32x4_shuffle(a.rows01, a.rows23, 0, 2, 4, 6), odd = wasm_i32x4_shuffle(a.rows01, a.rows23, 1, 3, 5, 7);
    return wasm_i32x4_add(even, odd);
}
#endif
WV_PAIR_SUMS(8, 4)
WV_PAIR_SUMS(16, 8)
WV_PAIR_SUMS(32, 16)

#endif
