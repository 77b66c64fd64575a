/* isa.h - the last include of every <isa>.c: the kernel bodies over the primitives of its vec_<isa>.h, and their table.
 * Wants WV_ISA, e.g. avx2. */
#include "spmv.c"
#include "gates.c"
#include "sample.c"
#include "predict.c"
#include "wavernn.c"

#define WV_TABLE_(isa) \
    const wv_kernels wv_kernels_##isa = {#isa, reset, condition_frame, condition_sub, sample_loop, stage}
#define WV_TABLE(isa) WV_TABLE_(isa)
WV_TABLE(WV_ISA);
