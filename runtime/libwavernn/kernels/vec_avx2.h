/* vec_avx2.h - vectors of 4 and 8 in registers. The int8 dot product is VNNI's vpdpbusd for vec_avxvnni.h, exact in int32;
 * else vpmaddubsw, which adds two products into int16. FORMAT.md's |w0| + |w1| <= 128 keeps that from saturating:
 * 255 * 128 < 2^15. */
#ifndef WV_VEC_AVX2_H
#define WV_VEC_AVX2_H

#include "vec_x86.h"

#ifdef WV_VNNI
WV_INLINE vi4 vi4_dot4_each(vi4 acc, __m128i w, __m128i quads) { return _mm_dpbusd_avx_epi32(acc, quads, w); }
WV_INLINE vi8 vi8_dot4_each(vi8 acc, __m256i w, __m256i quads) { return _mm256_dpbusd_avx_epi32(acc, quads, w); }
#else
WV_INLINE vi4 vi4_dot4_each(vi4 acc, __m128i w, __m128i quads) {
    return _mm_add_epi32(acc, _mm_madd_epi16(_mm_maddubs_epi16(quads, w), _mm_set1_epi16(1)));
}
WV_INLINE vi8 vi8_dot4_each(vi8 acc, __m256i w, __m256i quads) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(quads, w), _mm256_set1_epi16(1)));
}
#endif
WV_INLINE vi4 vi4_dot4(vi4 acc, const int8_t *w, const int8_t *x) {
    return vi4_dot4_each(acc, _mm_loadu_si128((const void *)w), _mm_set1_epi32(load_quad(x)));
}
WV_INLINE vi8 vi8_dot4(vi8 acc, const int8_t *w, const int8_t *x) {
    return vi8_dot4_each(acc, _mm256_loadu_si256((const void *)w), _mm256_set1_epi32(load_quad(x)));
}

/* For lanes */
typedef __m128i vb4;
typedef __m256i vb8;
WV_INLINE vb4 vb4_load(const int8_t *w) {
    vb4 b = _mm_loadu_si128((const void *)w);
    WV_IN_REGISTER(b, x);
    return b;
}
WV_INLINE vb8 vb8_load(const int8_t *w) {
    vb8 b = _mm256_loadu_si256((const void *)w);
    WV_IN_REGISTER(b, x);
    return b;
}
WV_INLINE vi4 vl4_dot1(vi4 acc, vb4 w, const int8_t *x) { return vi4_dot4_each(acc, w, _mm_set1_epi32(load_quad(x))); }
WV_INLINE vi8 vl8_dot1(vi8 acc, vb8 w, const int8_t *x) { return vi8_dot4_each(acc, w, _mm256_set1_epi32(load_quad(x))); }

/* As byte indices into a table of 8 int16: both bytes of element s are 2 s and 2 s + 1. At shift 9, 2 s is in the high byte. */
WV_INLINE vs16 vs16_segment(vs16 a, int shift) {
    const __m256i high_byte = _mm256_set_epi64x(0x0f0f0d0d0b0b0909, 0x0707050503030101, 0x0f0f0d0d0b0b0909, 0x0707050503030101);
    a = _mm256_shuffle_epi8(shift == 9 ? a : _mm256_srli_epi16(a, shift - 9), high_byte);
    return _mm256_add_epi16(_mm256_and_si256(a, _mm256_set1_epi16(0x0e0e)), _mm256_set1_epi16(0x0100));
}
WV_INLINE vs16 vs16_lookup(const int16_t table[8], vs16 segment) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)table)), segment);
}

#include "vec_pair.h"
WV_PAIR(16, 8)
WV_PAIR(32, 16)
WV_PAIR_SHORT(32, 16)
#define WV_SHORTS 32
#define WV_UNROLL_INPUTS /* an iteration is too long to overlap with the next */
/* Two halves in one pack */
WV_INLINE void vf16_store_q(int8_t *q, vf16 a) {
    const __m256 low = _mm256_set1_ps(1.0f), high = _mm256_set1_ps(255.0f);
    vi8 lo = _mm256_cvttps_epi32(_mm256_min_ps(_mm256_max_ps(a.lo, low), high));
    vi8 hi = _mm256_cvttps_epi32(_mm256_min_ps(_mm256_max_ps(a.hi, low), high));
    vi8 s = _mm256_permute4x64_epi64(_mm256_packs_epi32(lo, hi), 0xd8);
    _mm_storeu_si128((void *)q, _mm_packus_epi16(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)));
}
WV_INLINE void vf16_store_q10(int16_t *p, vf16 a) {
    const __m256 scale = _mm256_set1_ps(1024.0f), zero = _mm256_set1_ps(32768.5f), high = _mm256_set1_ps(65535.0f);
    vi8 lo = _mm256_cvttps_epi32(_mm256_min_ps(_mm256_add_ps(_mm256_mul_ps(a.lo, scale), zero), high));
    vi8 hi = _mm256_cvttps_epi32(_mm256_min_ps(_mm256_add_ps(_mm256_mul_ps(a.hi, scale), zero), high));
    vi8 s = _mm256_permute4x64_epi64(_mm256_packus_epi32(lo, hi), 0xd8);
    _mm256_storeu_si256((void *)p, _mm256_xor_si256(s, _mm256_set1_epi16(INT16_MIN)));
}
WV_INLINE void vs32_store_q(int8_t *q, vs32 a) {
    const vs16 scale = _mm256_set1_epi16(128);
    vi8 s = _mm256_packs_epi16(vs16_mulhrs(a.lo, scale), vs16_mulhrs(a.hi, scale));
    _mm256_storeu_si256((void *)q, _mm256_xor_si256(_mm256_permute4x64_epi64(s, 0xd8), _mm256_set1_epi8(INT8_MIN)));
}
WV_PAIR_STORES(32, 16)
#define WV_FOURS
/* As vi16_dot4, but rows 4 i to 4 i + 3 with the quad col_idx[i] of x. A load for two indices: of four, shifts and masks cost more. */
WV_INLINE vi16 vi16_dot4_of_four(vi16 acc, const int8_t *w, const int8_t *x, const uint16_t *col_idx) {
    uint32_t j01, j23;
    memcpy(&j01, col_idx, sizeof j01);
    memcpy(&j23, col_idx + 2, sizeof j23);
    const __m256i x0 = _mm256_set1_epi32(load_quad(x + 4 * (size_t)(j01 & 0xffff)));
    const __m256i x1 = _mm256_set1_epi32(load_quad(x + 4 * (size_t)(j01 >> 16)));
    const __m256i x2 = _mm256_set1_epi32(load_quad(x + 4 * (size_t)(j23 & 0xffff)));
    const __m256i x3 = _mm256_set1_epi32(load_quad(x + 4 * (size_t)(j23 >> 16)));
    acc.lo = vi8_dot4_each(acc.lo, _mm256_loadu_si256((const void *)w), _mm256_blend_epi32(x0, x1, 0xf0));
    acc.hi = vi8_dot4_each(acc.hi, _mm256_loadu_si256((const void *)(w + 32)), _mm256_blend_epi32(x2, x3, 0xf0));
    return acc;
}
#define WV_ROWS_APART 16
WV_ONE_SUM(4)
WV_ONE_SUM(8)
WV_PAIR_SUMS(16, 8)
WV_PAIR_SUMS(32, 16)
WV_LANES_ONE_SUM(4)
WV_LANES_ONE_SUM(8)
WV_LANES_PAIR(16, 8)
WV_LANES_PAIR(32, 16)
#define WV_TILE_ROWS 64 /* 8 registers of sums */

#endif
