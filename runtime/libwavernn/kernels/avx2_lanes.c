/* avx2_lanes.c - the matrices of avx2.c for several lanes; apart, so that a program without wv_batch links without. */
#include "kernels.h"
#include "vec_avx2.h"
#define WV_ISA avx2
#include "spmm.c"
