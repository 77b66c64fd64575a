// lyra.cc - the fixed-point 8x4 mat-vec of Lyra's sparse_matmul, for peers/native.py to call and time.
#include "sparse_matmul/compute/matmul_fixed_avx2.h"

extern "C" __attribute__((visibility("default"))) void peer_matvec(const int16_t* weights, const int16_t* x,
                                                                   const int32_t* bias, const int32_t* blocks_in_row,
                                                                   const int16_t* columns, int n_block_rows, int32_t* y,
                                                                   int n_times) {
  for (int i = 0; i < n_times; i++)
    csrblocksparse::detail::MatVec8x4FixedAVX2(weights, x, bias, blocks_in_row, columns, 0, n_block_rows, false, 11, y);
}
