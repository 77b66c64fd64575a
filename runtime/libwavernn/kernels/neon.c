/* neon.c - the kernels for every NEON CPU. */
#include "kernels.h"
#include "vec_neon.h"
#define WV_ISA neon
#include "isa.h"
