/* simd128.c - the kernels for WebAssembly's 128-bit vectors. */
#include "kernels.h"
#include "vec_wasm.h"
#define WV_ISA simd128
#include "isa.h"
