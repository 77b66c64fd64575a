/* avx2.c - the kernels for AVX2. */
#include "kernels.h"
#include "vec_avx2.h"
#define WV_ISA avx2
#include "isa.h"
