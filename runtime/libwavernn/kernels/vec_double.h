/* vec_double.h - four float64 side by side, for every ISA: one vector where the CPU has such wide ones, else two.
 *
 * Each operation is one IEEE-754 binary64 rounding per element.
 */
#ifndef WV_VEC_DOUBLE_H
#define WV_VEC_DOUBLE_H

#include <stdint.h>
#include <string.h>

#ifdef __AVX__
#define WV_N_DOUBLES 4
#else
#define WV_N_DOUBLES 2
#endif

typedef double wv_doubles __attribute__((vector_size(8 * WV_N_DOUBLES)));
typedef int64_t wv_masks __attribute__((vector_size(8 * WV_N_DOUBLES)));
typedef struct { wv_doubles part[4 / WV_N_DOUBLES]; } vd4;

#if WV_N_DOUBLES == 4
#define WV_PARTS(operation, a, b) (vd4){{operation((a).part[0], (b).part[0])}}
#else
#define WV_PARTS(operation, a, b) (vd4){{operation((a).part[0], (b).part[0]), operation((a).part[1], (b).part[1])}}
#endif
#define WV_CHOOSE(mask, a, b) (wv_doubles)(((mask) & (wv_masks)(a)) | (~(mask) & (wv_masks)(b)))
#define WV_SUB(a, b) (a) - (b)
#define WV_MUL(a, b) (a) * (b)
#define WV_DIV(a, b) (a) / (b)
#define WV_MIN(a, b) WV_CHOOSE((a) < (b), a, b)
#define WV_MAX(a, b) WV_CHOOSE((a) > (b), a, b)

WV_INLINE vd4 vd4_load(const double *p) { vd4 a; memcpy(&a, p, sizeof a); return a; }
WV_INLINE void vd4_store(double *p, vd4 a) { memcpy(p, &a, sizeof a); }
WV_INLINE vd4 vd4_set1(double x) { double a[4] = {x, x, x, x}; return vd4_load(a); }
WV_INLINE vd4 vd4_sub(vd4 a, vd4 b) { return WV_PARTS(WV_SUB, a, b); }
WV_INLINE vd4 vd4_mul(vd4 a, vd4 b) { return WV_PARTS(WV_MUL, a, b); }
WV_INLINE vd4 vd4_div(vd4 a, vd4 b) { return WV_PARTS(WV_DIV, a, b); }
WV_INLINE vd4 vd4_min(vd4 a, vd4 b) { return WV_PARTS(WV_MIN, a, b); } /* a < b ? a : b */
WV_INLINE vd4 vd4_max(vd4 a, vd4 b) { return WV_PARTS(WV_MAX, a, b); } /* a > b ? a : b */
WV_INLINE vd4 vd4_clamp(vd4 a, double low, double high) {
    return vd4_max(vd4_min(a, vd4_set1(high)), vd4_set1(low)); /* as clamp_double */
}

#endif
