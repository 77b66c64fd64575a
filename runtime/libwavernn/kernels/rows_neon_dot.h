/* rows_neon_dot.h - block rows of 16 x 4 int8 blocks, in an order that an in-order core does not wait in.
 *
 * A Cortex-A55 stands still between a load and its use. So a block's index, inputs and weights are loaded among the
 * products of the one before, across the ends of block rows too: values and col_idx go on from row to row. Weights and
 * inputs alternate between the registers a (v16-19, v20) and b (v24-27, v21); a row with an odd number of blocks hands
 * over to the code that begins with the other. The order within the loops and ends is a search's, over llvm-mca's cycles
 * of a Cortex-A55: docs/arm.md. The sums are integers, so any order gives the same; the ends are vec_neon.h's
 * vf16_store, _store_q10 and _store_q.
 */
#ifndef WV_ROWS_NEON_DOT_H
#define WV_ROWS_NEON_DOT_H

#define WV_REGISTERS_A 16, 17, 18, 19, 20 /* four registers of weights, one whose element 0 is the four inputs */
#define WV_REGISTERS_B 24, 25, 26, 27, 21
#define WV_LOAD(n0, n1, n2, n3) "ld1 {v" #n0 ".16b, v" #n1 ".16b, v" #n2 ".16b, v" #n3 ".16b}, [%[values]]\n"

/* A block of the registers w, x, loading the next to n, n_x, and the index of the one after that */
#define WV_ONE(...) WV_ONE_(__VA_ARGS__)
#define WV_ONE_(w0, w1, w2, w3, x, n0, n1, n2, n3, n_x) \
    "ldr s" #n_x ", [%[q], %x[j], lsl #2]\n"            \
    "sdot v1.4s, v" #w1 ".16b, v" #x ".4b[0]\n"         \
    WV_LOAD(n0, n1, n2, n3)                             \
    "sdot v0.4s, v" #w0 ".16b, v" #x ".4b[0]\n"         \
    "add %[values], %[values], #64\n"                   \
    "ldrh %w[j], [%[col_idx]]\n"                        \
    "subs %w[n], %w[n], #1\n"                           \
    "sdot v3.4s, v" #w3 ".16b, v" #x ".4b[0]\n"         \
    "sdot v2.4s, v" #w2 ".16b, v" #x ".4b[0]\n"         \
    "add %[col_idx], %[col_idx], #2\n"

/* Two blocks: of w, x, then of n, n_x */
#define WV_TWO(...) WV_TWO_(__VA_ARGS__)
#define WV_TWO_(w0, w1, w2, w3, x, n0, n1, n2, n3, n_x) \
    "ldr s" #n_x ", [%[q], %x[j], lsl #2]\n"            \
    "sdot v1.4s, v" #w1 ".16b, v" #x ".4b[0]\n"         \
    WV_LOAD(n0, n1, n2, n3)                             \
    "sdot v0.4s, v" #w0 ".16b, v" #x ".4b[0]\n"         \
    "add %[values], %[values], #64\n"                   \
    "ldrh %w[j], [%[col_idx]]\n"                        \
    "sdot v3.4s, v" #w3 ".16b, v" #x ".4b[0]\n"         \
    "sdot v2.4s, v" #w2 ".16b, v" #x ".4b[0]\n"         \
    "sdot v0.4s, v" #n0 ".16b, v" #n_x ".4b[0]\n"       \
    "sdot v1.4s, v" #n1 ".16b, v" #n_x ".4b[0]\n"       \
    "ldr s" #x ", [%[q], %x[j], lsl #2]\n"              \
    "ldrh %w[j], [%[col_idx], #2]\n"                    \
    "subs %w[n], %w[n], #2\n"                           \
    "sdot v2.4s, v" #n2 ".16b, v" #n_x ".4b[0]\n"       \
    WV_LOAD(w0, w1, w2, w3)                             \
    "sdot v3.4s, v" #n3 ".16b, v" #n_x ".4b[0]\n"       \
    "add %[values], %[values], #64\n"                   \
    "add %[col_idx], %[col_idx], #4\n"

/* Block rows of n blocks that begin with the registers a; after an odd one b's code goes on */
#define WV_ROWS(a, A, b, B, END)                        \
    ".Lrow_" a "%=:\n"                                  \
    "tbnz %w[n], #0, .Lodd_" a "%=\n"                   \
    "cbz %w[n], .Lend_" a "%=\n"                        \
    ".Lloop_" a "%=:\n"                                 \
    WV_TWO(A, B)                                        \
    "b.ne .Lloop_" a "%=\n"                             \
    ".Lend_" a "%=:\n"                                  \
    END                                                 \
    "b.ne .Lrow_" a "%=\n"                              \
    "b .Ldone%=\n"                                      \
    ".Lodd_" b "%=:\n"                                  \
    WV_ONE(B, A)                                        \
    "b.ne .Lloop_" a "%=\n"                             \
    "b .Lend_" a "%=\n"

/* A row's end: float of the sums times scale, stored in three ways; among that, what the next row starts from, and its n */
#define WV_END_FLOAT                                    \
    "ld1 {v4.4s, v5.4s, v6.4s, v7.4s}, [%[scale]]\n"    \
    "scvtf v1.4s, v1.4s\n"                              \
    "scvtf v2.4s, v2.4s\n"                              \
    "scvtf v0.4s, v0.4s\n"                              \
    "scvtf v3.4s, v3.4s\n"                              \
    "ldp %w[k], %w[n], [%[row_ptr]]\n"                  \
    "add %[scale], %[scale], #64\n"                     \
    "subs %w[rows], %w[rows], #1\n"                     \
    "fmul v6.4s, v2.4s, v6.4s\n"                        \
    "fmul v5.4s, v1.4s, v5.4s\n"                        \
    "fmul v4.4s, v0.4s, v4.4s\n"                        \
    "fmul v7.4s, v3.4s, v7.4s\n"                        \
    "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [%[start]]\n"    \
    "stp q4, q5, [%[y]]\n"                              \
    "stp q6, q7, [%[y], #32]\n"                         \
    "add %[row_ptr], %[row_ptr], #4\n"                  \
    "add %[start], %[start], #64\n"                     \
    "sub %w[n], %w[n], %w[k]\n"                         \
    "add %[y], %[y], #64\n"
#define WV_END_Q10                                      \
    "ld1 {v4.4s, v5.4s, v6.4s, v7.4s}, [%[scale]]\n"    \
    "scvtf v3.4s, v3.4s\n"                              \
    "scvtf v0.4s, v0.4s\n"                              \
    "scvtf v2.4s, v2.4s\n"                              \
    "scvtf v1.4s, v1.4s\n"                              \
    "add %[scale], %[scale], #64\n"                     \
    "ldp %w[k], %w[n], [%[row_ptr]]\n"                  \
    "fmul v4.4s, v0.4s, v4.4s\n"                        \
    "fmul v5.4s, v1.4s, v5.4s\n"                        \
    "fmul v6.4s, v2.4s, v6.4s\n"                        \
    "fmul v7.4s, v3.4s, v7.4s\n"                        \
    "fadd v4.4s, v4.4s, v22.4s\n"                       \
    "fadd v5.4s, v5.4s, v22.4s\n"                       \
    "fadd v6.4s, v6.4s, v22.4s\n"                       \
    "subs %w[rows], %w[rows], #1\n"                     \
    "fadd v7.4s, v7.4s, v22.4s\n"                       \
    "fcvtzu v4.4s, v4.4s, #10\n"                        \
    "fcvtzu v5.4s, v5.4s, #10\n"                        \
    "fcvtzu v6.4s, v6.4s, #10\n"                        \
    "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [%[start]]\n"    \
    "uqxtn v4.4h, v4.4s\n"                              \
    "fcvtzu v7.4s, v7.4s, #10\n"                        \
    "uqxtn v6.4h, v6.4s\n"                              \
    "add %[row_ptr], %[row_ptr], #4\n"                  \
    "add %[start], %[start], #64\n"                     \
    "uqxtn2 v4.8h, v5.4s\n"                             \
    "uqxtn2 v6.8h, v7.4s\n"                             \
    "eor v4.16b, v4.16b, v23.16b\n"                     \
    "eor v6.16b, v6.16b, v23.16b\n"                     \
    "sub %w[n], %w[n], %w[k]\n"                         \
    "stp q4, q6, [%[y]]\n"                              \
    "add %[y], %[y], #32\n"
#define WV_END_Q                                        \
    "ld1 {v4.4s, v5.4s, v6.4s, v7.4s}, [%[scale]]\n"    \
    "scvtf v3.4s, v3.4s\n"                              \
    "scvtf v0.4s, v0.4s\n"                              \
    "scvtf v2.4s, v2.4s\n"                              \
    "scvtf v1.4s, v1.4s\n"                              \
    "fmul v4.4s, v0.4s, v4.4s\n"                        \
    "fmul v5.4s, v1.4s, v5.4s\n"                        \
    "fmul v6.4s, v2.4s, v6.4s\n"                        \
    "fmul v7.4s, v3.4s, v7.4s\n"                        \
    "fmul v4.4s, v4.4s, v23.4s\n"                       \
    "fmul v5.4s, v5.4s, v23.4s\n"                       \
    "fmul v6.4s, v6.4s, v23.4s\n"                       \
    "fmul v7.4s, v7.4s, v23.4s\n"                       \
    "fadd v4.4s, v4.4s, v22.4s\n"                       \
    "fadd v5.4s, v5.4s, v22.4s\n"                       \
    "fadd v6.4s, v6.4s, v22.4s\n"                       \
    "fadd v7.4s, v7.4s, v22.4s\n"                       \
    "fcvtzu v4.4s, v4.4s\n"                             \
    "subs %w[rows], %w[rows], #1\n"                     \
    "fcvtzu v6.4s, v6.4s\n"                             \
    "fcvtzu v5.4s, v5.4s\n"                             \
    "add %[scale], %[scale], #64\n"                     \
    "fcvtzu v7.4s, v7.4s\n"                             \
    "uqxtn v4.4h, v4.4s\n"                              \
    "ldp %w[k], %w[n], [%[row_ptr]]\n"                  \
    "uqxtn v6.4h, v6.4s\n"                              \
    "uqxtn2 v4.8h, v5.4s\n"                             \
    "uqxtn2 v6.8h, v7.4s\n"                             \
    "add %[row_ptr], %[row_ptr], #4\n"                  \
    "uqxtn v4.8b, v4.8h\n"                              \
    "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [%[start]]\n"    \
    "uqxtn2 v4.16b, v6.8h\n"                            \
    "sub %w[n], %w[n], %w[k]\n"                         \
    "umax v4.16b, v4.16b, v28.16b\n"                    \
    "add %[start], %[start], #64\n"                     \
    "eor v4.16b, v4.16b, v29.16b\n"                     \
    "str q4, [%[y]]\n"                                  \
    "add %[y], %[y], #16\n"

#define WV_RUN_ROWS(END)                                                                                                \
    __asm__ volatile("ldrh %w[j], [%[col_idx]]\n"                                                                       \
                     "ld1 {v16.16b, v17.16b, v18.16b, v19.16b}, [%[values]], #64\n"                                     \
                     "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [%[start]], #64\n"                                              \
                     "ldr s20, [%[q], %x[j], lsl #2]\n"                                                                 \
                     "ldrh %w[j], [%[col_idx], #2]\n"                                                                   \
                     "add %[col_idx], %[col_idx], #4\n"                                                                 \
                     "dup v22.4s, %w[v22]\n"                                                                            \
                     "dup v23.4s, %w[v23]\n"                                                                            \
                     "movi v28.16b, #1\n"                                                                               \
                     "movi v29.16b, #128\n"                                                                             \
                     WV_ROWS("a", WV_REGISTERS_A, "b", WV_REGISTERS_B, END)                                             \
                     WV_ROWS("b", WV_REGISTERS_B, "a", WV_REGISTERS_A, END)                                             \
                     ".Ldone%=:\n"                                                                                      \
                     : [values] "+&r"(values), [col_idx] "+&r"(col_idx), [row_ptr] "+&r"(row_ptr), [start] "+&r"(start), \
                       [scale] "+&r"(scale), [y] "+&r"(y), [rows] "+&r"(rows), [n] "+&r"(n), [j] "=&r"(j), [k] "=&r"(k) \
                     : [q] "r"(q), [v22] "r"(v22), [v23] "r"(v23)                                                       \
                     : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19",       \
                       "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29")

WV_INLINE uint32_t float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

/* The block rows, but for those at the end that no block follows: there would be no input to load ahead. (An index read
 * ahead past col_idx is not used; what follows it in the file is the bias.) Returns how many. */
static int32_t rows_by_hand(const wv_matrix *m, const int8_t *q, wv_output to, const wv_matrix *next, void *y) {
    const int32_t *row_ptr = m->row_ptr, *start = m->start;
    const uint16_t *col_idx = m->col_idx;
    const int8_t *values = m->values;
    const float *scale = m->scale;
    int32_t n_rows = m->n_block_rows;
    while (n_rows > 0 && row_ptr[n_rows] == m->nnz_blocks) n_rows--;
    if (n_rows == 0) return 0;
    int32_t rows = n_rows, n = row_ptr[1], k;
    int64_t j;
    row_ptr++;
    if (to == WV_TO_FLOAT) {
        const uint32_t v22 = 0, v23 = 0;
        WV_RUN_ROWS(WV_END_FLOAT);
    } else if (to == WV_TO_Q10) {
        const uint32_t v22 = float_bits(32768.5f / 1024), v23 = 0x80008000;
        WV_RUN_ROWS(WV_END_Q10);
    } else {
        const uint32_t v22 = float_bits((float)next->x_zero + 128.5f), v23 = float_bits(next->x_scale);
        WV_RUN_ROWS(WV_END_Q);
    }
    return n_rows;
}

#endif
