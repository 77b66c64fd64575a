/* portable_lanes.c - the matrices of portable.c for several lanes; apart, so that a program without wv_batch links without. */
#include "kernels.h"
#include "vec_portable.h"
#define WV_ISA portable
#include "spmm.c"
