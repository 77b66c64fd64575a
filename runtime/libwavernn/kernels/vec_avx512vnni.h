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

WV_INLINE vs16 vs16_segment(vs16 a, int shift) { return _mm256_srli_epi16(a, shift); }
WV_INLINE vs16 vs16_lookup(const int16_t table[8], vs16 segment) {
    return _mm256_permutexvar_epi16(segment, _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)table)));
}

#include "vec_pair.h"
WV_PAIR(32, 16)
WV_PAIR_STORES(32, 16)
WV_EVEN_ODD(4)
WV_EVEN_ODD(8)
WV_EVEN_ODD(16)
WV_PAIR_SUMS(32, 16)
/* f16 blocks of 16 rows are two __m256: on Zen 4 two narrow vcvtph2ps cost less than a wide one. */
WV_PAIR(16y, 8)
#define WV_HALF_16 16y
WV_PAIR_SHORT(32, 16)
#define WV_SHORTS 32

#endif
