/* neon_dot.c - the kernels for NEON CPUs with dot-product instructions (Cortex-A55, A75 and later). */
#include "kernels.h"
#if !defined(__ARM_FEATURE_DOTPROD)
#error "neon_dot.c needs -march=armv8.2-a+dotprod"
#endif
#define WV_NEON_DOT
#include "vec_neon.h"
#define WV_ISA neon_dot
#include "isa.h"
