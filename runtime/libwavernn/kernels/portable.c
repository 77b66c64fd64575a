/* portable.c - the kernels in plain C11, for every CPU; what the other ISAs are compared with. */
#include "kernels.h"
#include "vec_portable.h"
#define WV_ISA portable
#include "isa.h"
