/* neon_lanes.c - the matrices of neon.c for several lanes; apart, so that a program without wv_batch links without. */
#include "kernels.h"
#include "vec_neon.h"
#define WV_ISA neon
#include "spmm.c"
