/* avx512vnni_lanes.c - the matrices of avx512vnni.c for several lanes; apart, so that a program without wv_batch links without. */
#include "kernels.h"
#include "vec_avx512vnni.h"
#define WV_ISA avx512vnni
#include "spmm.c"
