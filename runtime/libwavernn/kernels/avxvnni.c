/* avxvnni.c - the kernels for AVX2 with VNNI. */
#include "kernels.h"
#include "vec_avxvnni.h"
#define WV_ISA avxvnni
#include "isa.h"
