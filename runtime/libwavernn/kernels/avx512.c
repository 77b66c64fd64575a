/* avx512.c - the kernels for AVX-512 with VNNI. */
#include "kernels.h"
#include "vec_avx512.h"
#define WV_ISA avx512
#include "isa.h"
