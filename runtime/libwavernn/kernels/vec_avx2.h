/* vec_avx2.h - vectors of 4 and 8 in registers; the int8 dot product by vpmaddubsw, which adds two products into
 * int16. FORMAT.md's |w0| + |w1| <= 128 keeps that from saturating: 255 * 128 < 2^15. */
#ifndef WV_VEC_AVX2_H
#define WV_VEC_AVX2_H

#include "vec_x86.h"

WV_INLINE vi4 vi4_dot4(vi4 acc, const int8_t *w, const int8_t *x) {
    __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi32(load_quad(x)), _mm_loadu_si128((const void *)w));
    return _mm_add_epi32(acc, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
}
WV_INLINE vi8 vi8_dot4_each(vi8 acc, const int8_t *w, __m256i quads) {
    __m256i pairs = _mm256_maddubs_epi16(quads, _mm256_loadu_si256((const void *)w));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
WV_INLINE vi8 vi8_dot4(vi8 acc, const int8_t *w, const int8_t *x) {
    return vi8_dot4_each(acc, w, _mm256_set1_epi32(load_quad(x)));
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
WV_INLINE vi4 vl4_dot1(vi4 acc, vb4 w, const int8_t *x) {
    return _mm_add_epi32(acc, _mm_madd_epi16(_mm_maddubs_epi16(_mm_set1_epi32(load_quad(x)), w), _mm_set1_epi16(1)));
}
WV_INLINE vi8 vl8_dot1(vi8 acc, vb8 w, const int8_t *x) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi32(load_quad(x)), w);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* As byte indices into a table of 8 int16: both bytes of element s are 2 s and 2 s + 1. */
WV_INLINE vs16 vs16_segment(vs16 a, int shift) {
    const __m256i low_byte = _mm256_set_epi64x(0x0e0e0c0c0a0a0808, 0x0606040402020000, 0x0e0e0c0c0a0a0808, 0x0606040402020000);
    a = _mm256_and_si256(_mm256_srli_epi16(a, shift - 1), _mm256_set1_epi16(0x0e));
    return _mm256_add_epi16(_mm256_shuffle_epi8(a, low_byte), _mm256_set1_epi16(0x0100));
}
WV_INLINE vs16 vs16_lookup(const int16_t table[8], vs16 segment) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)table)), segment);
}

#include "vec_pair.h"
WV_PAIR(16, 8)
WV_PAIR(32, 16)
WV_PAIR_SHORT(32, 16)
#define WV_SHORTS 32
WV_PAIR_STORES(16, 8)
WV_PAIR_STORES(32, 16)
#define WV_FOURS
/* As vi16_dot4, but rows 4 i to 4 i + 3 with the quad col_idx[i] of x. One load for four indices: loads are what is short. */
WV_INLINE vi16 vi16_dot4_of_four(vi16 acc, const int8_t *w, const int8_t *x, const uint16_t *col_idx) {
    uint64_t j;
    memcpy(&j, col_idx, sizeof j);
    const __m256i x0 = _mm256_set1_epi32(load_quad(x + 4 * (j & 0xffff)));
    const __m256i x1 = _mm256_set1_epi32(load_quad(x + 4 * (j >> 16 & 0xffff)));
    const __m256i x2 = _mm256_set1_epi32(load_quad(x + 4 * (j >> 32 & 0xffff)));
    const __m256i x3 = _mm256_set1_epi32(load_quad(x + 4 * (j >> 48)));
    acc.lo = vi8_dot4_each(acc.lo, w, _mm256_blend_epi32(x0, x1, 0xf0));
    acc.hi = vi8_dot4_each(acc.hi, w + 32, _mm256_blend_epi32(x2, x3, 0xf0));
    return acc;
}
WV_EVEN_ODD(4)
WV_EVEN_ODD(8)
WV_PAIR_SUMS(16, 8)
WV_PAIR_SUMS(32, 16)
WV_LANES_ONE_SUM(4)
WV_LANES_ONE_SUM(8)
WV_LANES_PAIR(16, 8)
WV_LANES_PAIR(32, 16)
#define WV_TILE_ROWS 64 /* 8 registers of sums */

#endif
