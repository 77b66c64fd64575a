/* blocks.h - what spmv.c and spmm.c share: how a product is stored, and one body per block height. */
#ifndef WV_BLOCKS_H
#define WV_BLOCKS_H

typedef enum { WV_TO_FLOAT, WV_TO_Q10, WV_TO_Q } wv_output;

#define WV_DISPATCH_H(name, m, ...)           \
    switch ((m)->block_h) {                   \
    case 4: name##4(m, __VA_ARGS__); break;   \
    case 8: name##8(m, __VA_ARGS__); break;   \
    case 16: name##16(m, __VA_ARGS__); break; \
    default: name##32(m, __VA_ARGS__); break; \
    }

#endif
