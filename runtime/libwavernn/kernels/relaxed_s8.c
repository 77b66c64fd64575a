/* relaxed_s8.c - the kernels for WebAssembly's relaxed SIMD on engines whose int8 dot product reads its inputs as signed. */
#include "kernels.h"
#define WV_RELAXED_SIGN -1
#include "vec_wasm.h"
#define WV_ISA relaxed_s8
#include "isa.h"

int wv_has_relaxed_s8(void);
int wv_has_relaxed_s8(void) { return reads_bytes_so(); }
