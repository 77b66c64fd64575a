/* isa.h - the last include of every <isa>.c: the kernel bodies over the primitives of its vec_<isa>.h, and their table.
 * Wants WV_ISA, e.g. avx2. */
#ifndef WV_VECTORS_FLUSH
#define WV_VECTORS_FLUSH 0 /* 1: float vectors flush subnormal numbers to zero */
#endif

#include "spmv.c"
#include "gates.c"
#include "sample.c"
#include "predict.c"
#include "wavernn.c"

/* Whether these kernels round a product before they add to it */
static int rounds_products(void) {
    volatile float x = 1.0f + 0x1p-12f; /* x x = 1 + 2^-11 + 2^-24, whose last part is rounded away */
    float z[4];
    vf4_store(z, vf4_sub(vf4_mul(vf4_set1(x), vf4_set1(x)), vf4_set1(1.0f + 0x1p-11f)));
    const float y = x * x - (1.0f + 0x1p-11f);
    return z[0] == 0.0f && y == 0.0f;
}

#define WV_TABLE_(isa)                                                                                            \
    const wv_kernels wv_kernels_##isa = {#isa,        rounds_products, reset,       condition_frame, condition_sub, \
                                         sample_loop, sample_bytes,    stage,       lane_coarse,     lane_fine,     \
                                         lane_draw,   stage_pcm,       stage_sample, interpolate_lanes, condition_lane}
#define WV_TABLE(isa) WV_TABLE_(isa)
WV_TABLE(WV_ISA);
