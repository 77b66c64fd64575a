/* avx512vnni.c - the kernels for AVX-512 with VNNI. */
#include "kernels.h"
#include "vec_avx512vnni.h"
#define WV_ISA avx512vnni
#include "isa.h"
