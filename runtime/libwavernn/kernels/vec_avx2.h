/* vec_avx2.h - 4 and 8 lanes in registers; the int8 dot product by vpmaddubsw, which adds two products into
 * int16. FORMAT.md's |w0| + |w1| <= 128 keeps that from saturating: 255 * 128 < 2^15. */
#ifndef WV_VEC_AVX2_H
#define WV_VEC_AVX2_H

#include "vec_x86.h"

WV_INLINE vi4 vi4_dot4(vi4 acc, const int8_t *w, const int8_t *x) {
    __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi32(load_quad(x)), _mm_loadu_si128((const void *)w));
    return _mm_add_epi32(acc, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
}
WV_INLINE vi8 vi8_dot4(vi8 acc, const int8_t *w, const int8_t *x) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi32(load_quad(x)), _mm256_loadu_si256((const void *)w));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#include "vec_pair.h"
WV_PAIR(16, 8)
WV_PAIR(32, 16)
WV_PAIR_SHORT(32, 16)

#endif
