/* simd128_dot.c - the kernels for WebAssembly's 128-bit vectors on x86, whose multiply-add of int16 is one instruction. */
#include "kernels.h"
#define WV_DOT_I16
#include "vec_wasm.h"
#define WV_ISA simd128_dot
#include "isa.h"

/* No bits depend on the answer, only speed: 0 / 0 has its sign set on x86 alone. */
int wv_has_simd128_dot(void);
int wv_has_simd128_dot(void) {
    volatile float zero = 0.0f;
    const float nan = zero / zero;
    uint32_t bits;
    memcpy(&bits, &nan, sizeof bits);
    return bits >> 31 == 1;
}
