/* neon_dot_lanes.c - the matrices of neon_dot.c for several lanes; apart, so that a program without wv_batch links without. */
#include "kernels.h"
#define WV_NEON_DOT
#include "vec_neon.h"
#define WV_ISA neon_dot
#include "spmm.c"
