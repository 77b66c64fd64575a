/* vec_x86.h - the vector primitives that AVX2 and AVX-512 share: vectors of 4 in __m128, of 8 in __m256.
 * The quantised input is kept as the unsigned byte q + 128, because x86 multiplies unsigned by signed bytes. */
#ifndef WV_VEC_X86_H
#define WV_VEC_X86_H

#if !defined(__AVX2__) || !defined(__F16C__)
#error "vec_x86.h needs -mavx2 -mf16c"
#endif

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define WV_INLINE static inline
#define WV_Q_BIAS 128 /* the quantised input is kept as the byte q + 128 */

typedef __m128 vf4;
typedef __m128i vi4;
typedef __m256 vf8;
typedef __m256i vi8;

WV_INLINE int32_t load_quad(const int8_t *x) {
    int32_t quad;
    memcpy(&quad, x, 4);
    return quad;
}

/* Keeps a block in its register, of constraint c: the compiler would read it again for every lane, as an operand in memory. */
#define WV_IN_REGISTER(b, c) __asm__("" : "+" #c(b))

#define WV_X86_FLOAT(W, mm, load_bits)                                                             \
    WV_INLINE vf##W vf##W##_set1(float x) { return mm##_set1_ps(x); }                               \
    WV_INLINE vf##W vf##W##_load(const float *p) { return mm##_loadu_ps(p); }                       \
    WV_INLINE vf##W vf##W##_load_half(const uint16_t *p) { return mm##_cvtph_ps(load_bits); }       \
    WV_INLINE void vf##W##_store(float *p, vf##W a) { mm##_storeu_ps(p, a); }                       \
    WV_INLINE vf##W vf##W##_add(vf##W a, vf##W b) { return mm##_add_ps(a, b); }                     \
    WV_INLINE vf##W vf##W##_sub(vf##W a, vf##W b) { return mm##_sub_ps(a, b); }                     \
    WV_INLINE vf##W vf##W##_mul(vf##W a, vf##W b) { return mm##_mul_ps(a, b); }                     \
    WV_INLINE vf##W vf##W##_div(vf##W a, vf##W b) { return mm##_div_ps(a, b); }                     \
    WV_INLINE vf##W vf##W##_min(vf##W a, vf##W b) { return mm##_min_ps(a, b); }                     \
    WV_INLINE vf##W vf##W##_max(vf##W a, vf##W b) { return mm##_max_ps(a, b); }                     \
    WV_INLINE vi##W vf##W##_trunc(vf##W a) { return mm##_cvttps_epi32(a); }                         \
    WV_INLINE vf##W vi##W##_to_float(vi##W a) { return mm##_cvtepi32_ps(a); }                       \
    WV_INLINE vi##W vi##W##_add(vi##W a, vi##W b) { return mm##_add_epi32(a, b); }

WV_X86_FLOAT(4, _mm, _mm_loadl_epi64((const void *)p))
WV_X86_FLOAT(8, _mm256, _mm_loadu_si128((const void *)p))

WV_INLINE float vf4_hmax(vf4 a) {
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_shuffle_ps(a, a, 1)));
}
WV_INLINE float vf8_hmax(vf8 a) {
    return vf4_hmax(_mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1)));
}
WV_INLINE vf4 vi4_pow2(vi4 n, int k) {
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(n, _mm_set1_epi32(127 + k)), 23));
}
WV_INLINE vf8 vi8_pow2(vi8 n, int k) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127 + k)), 23));
}
WV_INLINE void vi4_store(int32_t *p, vi4 a) { _mm_storeu_si128((void *)p, a); }
WV_INLINE void vi8_store(int32_t *p, vi8 a) { _mm256_storeu_si256((void *)p, a); }
WV_INLINE vi4 vi4_zero(void) { return _mm_setzero_si128(); }
WV_INLINE vi8 vi8_zero(void) { return _mm256_setzero_si256(); }
WV_INLINE uint32_t vi4_hsum(vi4 a) {
    a = _mm_add_epi32(a, _mm_shuffle_epi32(a, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(a, _mm_shuffle_epi32(a, 0xb1)));
}
WV_INLINE uint32_t vi8_hsum(vi8 a) {
    return vi4_hsum(_mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1)));
}
WV_INLINE vi4 vi4_load(const int32_t *p) { return _mm_loadu_si128((const void *)p); }
WV_INLINE vi8 vi8_load(const int32_t *p) { return _mm256_loadu_si256((const void *)p); }
/* q = trunc(a clamped to 1..255), which is q + 128 */
WV_INLINE void vf4_store_q(int8_t *q, vf4 a) {
    vi4 v = _mm_cvttps_epi32(_mm_min_ps(_mm_max_ps(a, _mm_set1_ps(1.0f)), _mm_set1_ps(255.0f)));
    v = _mm_packs_epi32(v, v);
    int32_t quad = _mm_cvtsi128_si32(_mm_packus_epi16(v, v));
    memcpy(q, &quad, 4);
}
WV_INLINE void vf8_store_q(int8_t *q, vf8 a) {
    vi8 v = _mm256_cvttps_epi32(_mm256_min_ps(_mm256_max_ps(a, _mm256_set1_ps(1.0f)), _mm256_set1_ps(255.0f)));
    __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((void *)q, _mm_packus_epi16(half, half));
}

/* p = Q10 of a. The pack clamps below, and what the conversion cannot hold is below too. */
WV_INLINE void vf4_store_q10(int16_t *p, vf4 a) {
    a = vf4_add(vf4_mul(a, vf4_set1(1024.0f)), vf4_set1(32768.5f));
    vi4 v = _mm_cvttps_epi32(_mm_min_ps(a, _mm_set1_ps(65535.0f)));
    _mm_storel_epi64((void *)p, _mm_xor_si128(_mm_packus_epi32(v, v), _mm_set1_epi16(INT16_MIN)));
}
WV_INLINE void vf8_store_q10(int16_t *p, vf8 a) {
    a = vf8_add(vf8_mul(a, vf8_set1(1024.0f)), vf8_set1(32768.5f));
    vi8 v = _mm256_cvttps_epi32(_mm256_min_ps(a, _mm256_set1_ps(65535.0f)));
    __m128i s = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storeu_si128((void *)p, _mm_xor_si128(s, _mm_set1_epi16(INT16_MIN)));
}

/* vs16: 16 elements of int16. */
typedef __m256i vs16;

WV_INLINE vs16 vs16_set1(int16_t x) { return _mm256_set1_epi16(x); }
WV_INLINE vs16 vs16_load(const int16_t *p) { return _mm256_loadu_si256((const void *)p); }
WV_INLINE void vs16_store(int16_t *p, vs16 a) { _mm256_storeu_si256((void *)p, a); }
WV_INLINE vs16 vs16_adds(vs16 a, vs16 b) { return _mm256_adds_epi16(a, b); }
WV_INLINE vs16 vs16_add(vs16 a, vs16 b) { return _mm256_add_epi16(a, b); }
WV_INLINE vs16 vs16_sub(vs16 a, vs16 b) { return _mm256_sub_epi16(a, b); }
WV_INLINE vs16 vs16_mulhrs(vs16 a, vs16 b) { return _mm256_mulhrs_epi16(a, b); }
WV_INLINE vs16 vs16_adds_mulhrs(vs16 acc, vs16 a, vs16 b) { return vs16_adds(acc, vs16_mulhrs(a, b)); }
WV_INLINE vs16 vs16_add_mulhrs(vs16 acc, vs16 a, vs16 b) { return vs16_add(acc, vs16_mulhrs(a, b)); }
WV_INLINE vs16 vs16_copy_sign(vs16 a, vs16 s) { return _mm256_sign_epi16(a, _mm256_or_si256(s, _mm256_set1_epi16(1))); }
/* Q15: halfway from a to 1 */
WV_INLINE vs16 vs16_halfway(vs16 a) { return _mm256_add_epi16(_mm256_srai_epi16(a, 1), _mm256_set1_epi16(16384)); }
WV_INLINE vs16 vs16_min_abs(vs16 a, vs16 b) { return _mm256_min_epu16(_mm256_abs_epi16(a), b); }
WV_INLINE vs16 vs16_fraction(vs16 a, int shift) {
    return _mm256_and_si256(_mm256_slli_epi16(a, 15 - shift), _mm256_set1_epi16(0x7fff));
}
/* q = (a + 128) >> 8, at most 127; kept as q + 128 */
WV_INLINE void vs16_store_q(int8_t *q, vs16 a) {
    a = _mm256_mulhrs_epi16(a, _mm256_set1_epi16(128));
    __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storeu_si128((void *)q, _mm_xor_si128(bytes, _mm_set1_epi8(INT8_MIN)));
}

#endif
