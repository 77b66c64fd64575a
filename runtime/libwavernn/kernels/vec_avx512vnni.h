/* vec_avx512vnni.h - vectors of 4, 8 and 16 in registers; the int8 dot product is VNNI's vpdpbusd, exact in int32. */
#ifndef WV_VEC_AVX512VNNI_H
#define WV_VEC_AVX512VNNI_H

#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512VL__) || !defined(__AVX512VNNI__)
#error "vec_avx512vnni.h needs -mavx512f -mavx512bw -mavx512vl -mavx512vnni"
#endif

#include "vec_x86.h"

typedef __m512 vf16;
typedef __m512i vi16;

WV_X86_FLOAT(16, _mm512, _mm256_loadu_si256((const void *)p))

WV_INLINE float vf16_hmax(vf16 a) {
    return vf8_hmax(_mm256_max_ps(_mm512_castps512_ps256(a), _mm256_castsi256_ps(_mm512_extracti64x4_epi64(_mm512_castps_si512(a), 1))));
}
WV_INLINE vf16 vi16_pow2(vi16 n, int k) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127 + k)), 23));
}
WV_INLINE void vi16_store(int32_t *p, vi16 a) { _mm512_storeu_si512(p, a); }
WV_INLINE vi16 vi16_zero(void) { return _mm512_setzero_si512(); }
WV_INLINE uint32_t vi16_hsum(vi16 a) {
    return vi8_hsum(_mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1)));
}
WV_INLINE vi16 vi16_load(const int32_t *p) { return _mm512_loadu_si512(p); }
WV_INLINE void vf16_store_q(int8_t *q, vf16 a) {
    vi16 v = _mm512_cvttps_epi32(_mm512_max_ps(a, _mm512_set1_ps(1.0f)));
    _mm_storeu_si128((void *)q, _mm512_cvtusepi32_epi8(v)); /* what the conversion cannot hold is 2^31: 255 */
}
WV_INLINE void vf16_store_q10(int16_t *p, vf16 a) {
    a = vf16_add(vf16_mul(a, vf16_set1(1024.0f)), vf16_set1(32768.5f));
    __m256i s = _mm512_cvtusepi32_epi16(_mm512_cvttps_epi32(_mm512_max_ps(a, _mm512_setzero_ps())));
    _mm256_storeu_si256((void *)p, _mm256_xor_si256(s, _mm256_set1_epi16(INT16_MIN)));
}

WV_INLINE vi4 vi4_dot4(vi4 acc, const int8_t *w, const int8_t *x) {
    return _mm_dpbusd_epi32(acc, _mm_set1_epi32(load_quad(x)), _mm_loadu_si128((const void *)w));
}
WV_INLINE vi8 vi8_dot4(vi8 acc, const int8_t *w, const int8_t *x) {
    return _mm256_dpbusd_epi32(acc, _mm256_set1_epi32(load_quad(x)), _mm256_loadu_si256((const void *)w));
}
WV_INLINE vi16 vi16_dot4(vi16 acc, const int8_t *w, const int8_t *x) {
    return _mm512_dpbusd_epi32(acc, _mm512_set1_epi32(load_quad(x)), _mm512_loadu_si512(w));
}

/* As vi16_dot4, but rows 4 i to 4 i + 3 with the quad col_idx[i] of x. One load for four indices: loads are what is short. */
WV_INLINE vi16 vi16_dot4_of_four(vi16 acc, const int8_t *w, const int8_t *x, const uint16_t *col_idx) {
    uint64_t j;
    memcpy(&j, col_idx, sizeof j);
    __m512i quads = _mm512_set1_epi32(load_quad(x + 4 * (j & 0xffff)));
    quads = _mm512_mask_set1_epi32(quads, 0x00f0, load_quad(x + 4 * (j >> 16 & 0xffff)));
    quads = _mm512_mask_set1_epi32(quads, 0x0f00, load_quad(x + 4 * (j >> 32 & 0xffff)));
    quads = _mm512_mask_set1_epi32(quads, 0xf000, load_quad(x + 4 * (j >> 48)));
    return _mm512_dpbusd_epi32(acc, quads, _mm512_loadu_si512(w));
}

/* For lanes */
typedef __m128i vb4;
typedef __m256i vb8;
typedef __m512i vb16;
WV_INLINE vb4 vb4_load(const int8_t *w) {
    vb4 b = _mm_loadu_si128((const void *)w);
    WV_IN_REGISTER(b, v);
    return b;
}
WV_INLINE vb8 vb8_load(const int8_t *w) {
    vb8 b = _mm256_loadu_si256((const void *)w);
    WV_IN_REGISTER(b, v);
    return b;
}
WV_INLINE vb16 vb16_load(const int8_t *w) {
    vb16 b = _mm512_loadu_si512(w);
    WV_IN_REGISTER(b, v);
    return b;
}
WV_INLINE vi4 vb4_dot4(vi4 acc, vb4 w, const int8_t *x) { return _mm_dpbusd_epi32(acc, _mm_set1_epi32(load_quad(x)), w); }
WV_INLINE vi8 vb8_dot4(vi8 acc, vb8 w, const int8_t *x) {
    return _mm256_dpbusd_epi32(acc, _mm256_set1_epi32(load_quad(x)), w);
}
WV_INLINE vi16 vb16_dot4(vi16 acc, vb16 w, const int8_t *x) {
    return _mm512_dpbusd_epi32(acc, _mm512_set1_epi32(load_quad(x)), w);
}

/* vs32: 32 elements of int16. */
typedef __m512i vs32;

WV_INLINE vs32 vs32_set1(int16_t x) { return _mm512_set1_epi16(x); }
WV_INLINE vs32 vs32_load(const int16_t *p) { return _mm512_loadu_si512(p); }
WV_INLINE void vs32_store(int16_t *p, vs32 a) { _mm512_storeu_si512(p, a); }
WV_INLINE vs32 vs32_adds(vs32 a, vs32 b) { return _mm512_adds_epi16(a, b); }
WV_INLINE vs32 vs32_sub(vs32 a, vs32 b) { return _mm512_sub_epi16(a, b); }
WV_INLINE vs32 vs32_mulhrs(vs32 a, vs32 b) { return _mm512_mulhrs_epi16(a, b); }
WV_INLINE vs32 vs32_adds_mulhrs(vs32 acc, vs32 a, vs32 b) { return vs32_adds(acc, vs32_mulhrs(a, b)); }
WV_INLINE vs32 vs32_add_mulhrs(vs32 acc, vs32 a, vs32 b) { return _mm512_add_epi16(acc, vs32_mulhrs(a, b)); }
WV_INLINE vs32 vs32_copy_sign(vs32 a, vs32 s) {
    return _mm512_mask_sub_epi16(a, _mm512_movepi16_mask(s), _mm512_setzero_si512(), a);
}
/* Q15: halfway from a to 1 */
WV_INLINE vs32 vs32_halfway(vs32 a) { return _mm512_add_epi16(_mm512_srai_epi16(a, 1), _mm512_set1_epi16(16384)); }
WV_INLINE vs32 vs32_min_abs(vs32 a, vs32 b) { return _mm512_min_epu16(_mm512_abs_epi16(a), b); }
#ifdef __clang__ /* whose header takes the count as unsigned; GCC's takes an int */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wsign-conversion"
#endif
WV_INLINE vs32 vs32_segment(vs32 a, int shift) { return _mm512_srli_epi16(a, shift); }
WV_INLINE vs32 vs32_fraction(vs32 a, int shift) {
    return _mm512_and_si512(_mm512_slli_epi16(a, 15 - shift), _mm512_set1_epi16(0x7fff));
}
#ifdef __clang__
#pragma clang diagnostic pop
#endif
WV_INLINE vs32 vs32_lookup(const int16_t table[8], vs32 segment) {
    return _mm512_permutexvar_epi16(segment, _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)table)));
}
/* q = (a + 128) >> 8, at most 127; kept as q + 128 */
WV_INLINE void vs32_store_q(int8_t *q, vs32 a) {
    __m256i bytes = _mm512_cvtsepi16_epi8(vs32_mulhrs(a, vs32_set1(128)));
    _mm256_storeu_si256((void *)q, _mm256_xor_si256(bytes, _mm256_set1_epi8(INT8_MIN)));
}

#include "vec_pair.h"
WV_PAIR(32, 16)
WV_PAIR_STORES(32, 16)
#define WV_FOURS
WV_EVEN_ODD(4)
WV_EVEN_ODD(8)
WV_EVEN_ODD(16)
WV_PAIR_SUMS(32, 16)
WV_LANES_EVEN_ODD(4)
WV_LANES_EVEN_ODD(8)
WV_LANES_EVEN_ODD(16)
WV_LANES_EVEN_ODD_PAIR(32, 16)
#define WV_TILE_ROWS 128 /* 16 registers of sums */
#define WV_SHORTS 32
#define WV_ONE_COLUMN 1

#endif
