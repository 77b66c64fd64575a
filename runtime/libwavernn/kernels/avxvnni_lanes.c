/* avxvnni_lanes.c - the matrices of avxvnni.c for several lanes; apart, so that a program without wv_batch links without. */
#include "kernels.h"
#include "vec_avxvnni.h"
#define WV_ISA avxvnni
#include "spmm.c"
