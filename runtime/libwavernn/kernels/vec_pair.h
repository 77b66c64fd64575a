/* vec_pair.h - a vector of W elements as two of N = W/2, for every primitive an ISA header defines.
 *
 * vfN holds N floats, viN N int32, vsN N int16. Each float operation is one IEEE-754 binary32 rounding per element.
 */
#define WV_PAIR(W, N)                                                                                                  \
    typedef struct { vf##N lo, hi; } vf##W;                                                                            \
    typedef struct { vi##N lo, hi; } vi##W;                                                                            \
    WV_INLINE vf##W vf##W##_set1(float x) { return (vf##W){vf##N##_set1(x), vf##N##_set1(x)}; }                        \
    WV_INLINE vf##W vf##W##_load(const float *p) { return (vf##W){vf##N##_load(p), vf##N##_load(p + N)}; }             \
    WV_INLINE vf##W vf##W##_load_half(const uint16_t *p) {                                                             \
        return (vf##W){vf##N##_load_half(p), vf##N##_load_half(p + N)};                                                \
    }                                                                                                                  \
    WV_INLINE void vf##W##_store(float *p, vf##W a) { vf##N##_store(p, a.lo); vf##N##_store(p + N, a.hi); }            \
    WV_INLINE vf##W vf##W##_add(vf##W a, vf##W b) {                                                                    \
        return (vf##W){vf##N##_add(a.lo, b.lo), vf##N##_add(a.hi, b.hi)};                                              \
    }                                                                                                                  \
    WV_INLINE vf##W vf##W##_sub(vf##W a, vf##W b) {                                                                    \
        return (vf##W){vf##N##_sub(a.lo, b.lo), vf##N##_sub(a.hi, b.hi)};                                              \
    }                                                                                                                  \
    WV_INLINE vf##W vf##W##_mul(vf##W a, vf##W b) {                                                                    \
        return (vf##W){vf##N##_mul(a.lo, b.lo), vf##N##_mul(a.hi, b.hi)};                                              \
    }                                                                                                                  \
    WV_INLINE vf##W vf##W##_div(vf##W a, vf##W b) {                                                                    \
        return (vf##W){vf##N##_div(a.lo, b.lo), vf##N##_div(a.hi, b.hi)};                                              \
    }                                                                                                                  \
    WV_INLINE vf##W vf##W##_min(vf##W a, vf##W b) {                                                                    \
        return (vf##W){vf##N##_min(a.lo, b.lo), vf##N##_min(a.hi, b.hi)};                                              \
    }                                                                                                                  \
    WV_INLINE vf##W vf##W##_max(vf##W a, vf##W b) {                                                                    \
        return (vf##W){vf##N##_max(a.lo, b.lo), vf##N##_max(a.hi, b.hi)};                                              \
    }                                                                                                                  \
    WV_INLINE float vf##W##_hmax(vf##W a) { return vf##N##_hmax(vf##N##_max(a.lo, a.hi)); }                            \
    WV_INLINE vi##W vf##W##_trunc(vf##W a) { return (vi##W){vf##N##_trunc(a.lo), vf##N##_trunc(a.hi)}; }               \
    WV_INLINE vf##W vi##W##_to_float(vi##W a) {                                                                        \
        return (vf##W){vi##N##_to_float(a.lo), vi##N##_to_float(a.hi)};                                                \
    }                                                                                                                  \
    WV_INLINE vf##W vi##W##_pow2(vi##W n, int k) {                                                                     \
        return (vf##W){vi##N##_pow2(n.lo, k), vi##N##_pow2(n.hi, k)};                                                  \
    }                                                                                                                  \
    WV_INLINE void vi##W##_store(int32_t *p, vi##W a) { vi##N##_store(p, a.lo); vi##N##_store(p + N, a.hi); }          \
    WV_INLINE vi##W vi##W##_add(vi##W a, vi##W b) {                                                                    \
        return (vi##W){vi##N##_add(a.lo, b.lo), vi##N##_add(a.hi, b.hi)};                                              \
    }                                                                                                                  \
    WV_INLINE uint32_t vi##W##_hsum(vi##W a) { return vi##N##_hsum(vi##N##_add(a.lo, a.hi)); }                         \
    WV_INLINE vi##W vi##W##_zero(void) { return (vi##W){vi##N##_zero(), vi##N##_zero()}; }                             \
    WV_INLINE vi##W vi##W##_load(const int32_t *p) { return (vi##W){vi##N##_load(p), vi##N##_load(p + N)}; }

/* The stores that narrow, where two halves are no worse than a whole. */
#define WV_PAIR_STORES(W, N)                                                                                           \
    WV_INLINE void vf##W##_store_q(int8_t *q, vf##W a) {                                                               \
        vf##N##_store_q(q, a.lo);                                                                                      \
        vf##N##_store_q(q + N, a.hi);                                                                                  \
    }                                                                                                                  \
    WV_INLINE void vf##W##_store_q10(int16_t *p, vf##W a) {                                                            \
        vf##N##_store_q10(p, a.lo);                                                                                    \
        vf##N##_store_q10(p + N, a.hi);                                                                                \
    }

/* vaW: what a block row of W rows has summed up so far. vaN of an ISA's own vectors is a sum of the even blocks, with what
 * the row starts from, and a sum of the odd blocks, unless the ISA knows better. w : (W, 4), x : (4,) int8 */
#define WV_EVEN_ODD(N)                                                                                                 \
    typedef struct { vi##N even, odd; } va##N;                                                                         \
    WV_INLINE va##N va##N##_start(const int32_t *p) { return (va##N){vi##N##_load(p), vi##N##_zero()}; }               \
    WV_INLINE va##N va##N##_dot1(va##N a, const int8_t *w, const int8_t *x) {                                          \
        a.even = vi##N##_dot4(a.even, w, x);                                                                           \
        return a;                                                                                                      \
    }                                                                                                                  \
    WV_INLINE va##N va##N##_dot2(va##N a, const int8_t *w0, const int8_t *w1, const int8_t *x0, const int8_t *x1) {    \
        return (va##N){vi##N##_dot4(a.even, w0, x0), vi##N##_dot4(a.odd, w1, x1)};                                     \
    }                                                                                                                  \
    WV_INLINE vi##N va##N##_total(va##N a) { return vi##N##_add(a.even, a.odd); }

#define WV_ONE_SUM(N)                                                                                                  \
    typedef vi##N va##N;                                                                                               \
    WV_INLINE va##N va##N##_start(const int32_t *p) { return vi##N##_load(p); }                                        \
    WV_INLINE va##N va##N##_dot1(va##N a, const int8_t *w, const int8_t *x) { return vi##N##_dot4(a, w, x); }          \
    WV_INLINE va##N va##N##_dot2(va##N a, const int8_t *w0, const int8_t *w1, const int8_t *x0, const int8_t *x1) {    \
        return vi##N##_dot4(vi##N##_dot4(a, w0, x0), w1, x1);                                                          \
    }                                                                                                                  \
    WV_INLINE vi##N va##N##_total(va##N a) { return a; }

#define WV_PAIR_SUMS(W, N)                                                                                             \
    typedef struct { va##N lo, hi; } va##W;                                                                            \
    WV_INLINE va##W va##W##_start(const int32_t *p) { return (va##W){va##N##_start(p), va##N##_start(p + N)}; }        \
    WV_INLINE va##W va##W##_dot1(va##W a, const int8_t *w, const int8_t *x) {                                          \
        return (va##W){va##N##_dot1(a.lo, w, x), va##N##_dot1(a.hi, w + 4 * N, x)};                                    \
    }                                                                                                                  \
    WV_INLINE va##W va##W##_dot2(va##W a, const int8_t *w0, const int8_t *w1, const int8_t *x0, const int8_t *x1) {    \
        return (va##W){va##N##_dot2(a.lo, w0, w1, x0, x1), va##N##_dot2(a.hi, w0 + 4 * N, w1 + 4 * N, x0, x1)};        \
    }                                                                                                                  \
    WV_INLINE vi##W va##W##_total(va##W a) { return (vi##W){va##N##_total(a.lo), va##N##_total(a.hi)}; }

/* For several lanes: vbN is a block of N rows, loaded once, and vlN what one lane has summed up. By default the sums of
 * vaN, and a block is where it lies: compilers load it once where an operand cannot be in memory. */
#define WV_LANES_AS_ROWS(N)                                                                                            \
    typedef const int8_t *vb##N;                                                                                       \
    typedef va##N vl##N;                                                                                               \
    WV_INLINE vb##N vb##N##_load(const int8_t *w) { return w; }                                                        \
    WV_INLINE vl##N vl##N##_start(const int32_t *p) { return va##N##_start(p); }                                       \
    WV_INLINE vl##N vl##N##_dot1(vl##N a, vb##N w, const int8_t *x) { return va##N##_dot1(a, w, x); }                  \
    WV_INLINE vl##N vl##N##_dot2(vl##N a, vb##N w0, vb##N w1, const int8_t *x0, const int8_t *x1) {                    \
        return va##N##_dot2(a, w0, w1, x0, x1);                                                                        \
    }                                                                                                                  \
    WV_INLINE vf##N vl##N##_to_float(vl##N a) { return vi##N##_to_float(va##N##_total(a)); }

/* Or sums of the even and of the odd blocks of a lane, over blocks in registers, by vbN_dot4: where the latency of a
 * product is long, lanes alone do not hide it. */
#define WV_LANES_EVEN_ODD(N)                                                                                           \
    typedef va##N vl##N;                                                                                               \
    WV_INLINE vl##N vl##N##_start(const int32_t *p) { return va##N##_start(p); }                                       \
    WV_INLINE vl##N vl##N##_dot1(vl##N a, vb##N w, const int8_t *x) {                                                  \
        a.even = vb##N##_dot4(a.even, w, x);                                                                           \
        return a;                                                                                                      \
    }                                                                                                                  \
    WV_INLINE vl##N vl##N##_dot2(vl##N a, vb##N w0, vb##N w1, const int8_t *x0, const int8_t *x1) {                    \
        return (vl##N){vb##N##_dot4(a.even, w0, x0), vb##N##_dot4(a.odd, w1, x1)};                                     \
    }                                                                                                                  \
    WV_INLINE vf##N vl##N##_to_float(vl##N a) { return vi##N##_to_float(va##N##_total(a)); }

/* The same of two vectors */
#define WV_LANES_EVEN_ODD_PAIR(W, N)                                                                                             \
    typedef struct { vb##N lo, hi; } vb##W;                                                                            \
    typedef struct { vl##N lo, hi; } vl##W;                                                                            \
    WV_INLINE vb##W vb##W##_load(const int8_t *w) { return (vb##W){vb##N##_load(w), vb##N##_load(w + 4 * N)}; }        \
    WV_INLINE vl##W vl##W##_start(const int32_t *p) { return (vl##W){vl##N##_start(p), vl##N##_start(p + N)}; }        \
    WV_INLINE vl##W vl##W##_dot1(vl##W a, vb##W w, const int8_t *x) {                                                  \
        return (vl##W){vl##N##_dot1(a.lo, w.lo, x), vl##N##_dot1(a.hi, w.hi, x)};                                      \
    }                                                                                                                  \
    WV_INLINE vl##W vl##W##_dot2(vl##W a, vb##W w0, vb##W w1, const int8_t *x0, const int8_t *x1) {                    \
        return (vl##W){vl##N##_dot2(a.lo, w0.lo, w1.lo, x0, x1), vl##N##_dot2(a.hi, w0.hi, w1.hi, x0, x1)};            \
    }                                                                                                                  \
    WV_INLINE vf##W vl##W##_to_float(vl##W a) { return (vf##W){vl##N##_to_float(a.lo), vl##N##_to_float(a.hi)}; }

/* Or one sum a lane, over blocks in registers: the other lanes hide the latency. */
#define WV_LANES_ONE_SUM(N)                                                                                            \
    typedef vi##N vl##N;                                                                                               \
    WV_INLINE vl##N vl##N##_start(const int32_t *p) { return vi##N##_load(p); }                                        \
    WV_INLINE vl##N vl##N##_dot2(vl##N a, vb##N w0, vb##N w1, const int8_t *x0, const int8_t *x1) {                    \
        return vl##N##_dot1(vl##N##_dot1(a, w0, x0), w1, x1);                                                          \
    }                                                                                                                  \
    WV_INLINE vf##N vl##N##_to_float(vl##N a) { return vi##N##_to_float(a); }

#define WV_LANES_PAIR(W, N)                                                                                            \
    typedef struct { vb##N lo, hi; } vb##W;                                                                            \
    WV_INLINE vb##W vb##W##_load(const int8_t *w) { return (vb##W){vb##N##_load(w), vb##N##_load(w + 4 * N)}; }        \
    WV_INLINE vi##W vl##W##_dot1(vi##W a, vb##W w, const int8_t *x) {                                                  \
        return (vi##W){vl##N##_dot1(a.lo, w.lo, x), vl##N##_dot1(a.hi, w.hi, x)};                                      \
    }                                                                                                                  \
    WV_LANES_ONE_SUM(W)

/* The same for int16 vectors. */
#define WV_PAIR_SHORT(W, N)                                                                                            \
    typedef struct { vs##N lo, hi; } vs##W;                                                                            \
    WV_INLINE vs##W vs##W##_set1(int16_t x) { return (vs##W){vs##N##_set1(x), vs##N##_set1(x)}; }                      \
    WV_INLINE vs##W vs##W##_load(const int16_t *p) { return (vs##W){vs##N##_load(p), vs##N##_load(p + N)}; }           \
    WV_INLINE void vs##W##_store(int16_t *p, vs##W a) { vs##N##_store(p, a.lo); vs##N##_store(p + N, a.hi); }          \
    WV_INLINE vs##W vs##W##_adds(vs##W a, vs##W b) {                                                                   \
        return (vs##W){vs##N##_adds(a.lo, b.lo), vs##N##_adds(a.hi, b.hi)};                                            \
    }                                                                                                                  \
    WV_INLINE vs##W vs##W##_add(vs##W a, vs##W b) {                                                                    \
        return (vs##W){vs##N##_add(a.lo, b.lo), vs##N##_add(a.hi, b.hi)};                                              \
    }                                                                                                                  \
    WV_INLINE vs##W vs##W##_sub(vs##W a, vs##W b) {                                                                    \
        return (vs##W){vs##N##_sub(a.lo, b.lo), vs##N##_sub(a.hi, b.hi)};                                              \
    }                                                                                                                  \
    WV_INLINE vs##W vs##W##_mulhrs(vs##W a, vs##W b) {                                                                 \
        return (vs##W){vs##N##_mulhrs(a.lo, b.lo), vs##N##_mulhrs(a.hi, b.hi)};                                        \
    }                                                                                                                  \
    WV_INLINE vs##W vs##W##_adds_mulhrs(vs##W acc, vs##W a, vs##W b) {                                                 \
        return (vs##W){vs##N##_adds_mulhrs(acc.lo, a.lo, b.lo), vs##N##_adds_mulhrs(acc.hi, a.hi, b.hi)};              \
    }                                                                                                                  \
    WV_INLINE vs##W vs##W##_add_mulhrs(vs##W acc, vs##W a, vs##W b) {                                                  \
        return (vs##W){vs##N##_add_mulhrs(acc.lo, a.lo, b.lo), vs##N##_add_mulhrs(acc.hi, a.hi, b.hi)};                \
    }                                                                                                                  \
    WV_INLINE vs##W vs##W##_copy_sign(vs##W a, vs##W s) {                                                              \
        return (vs##W){vs##N##_copy_sign(a.lo, s.lo), vs##N##_copy_sign(a.hi, s.hi)};                                  \
    }                                                                                                                  \
    WV_INLINE vs##W vs##W##_halfway(vs##W a) { return (vs##W){vs##N##_halfway(a.lo), vs##N##_halfway(a.hi)}; }         \
    WV_INLINE vs##W vs##W##_min_abs(vs##W a, vs##W b) {                                                                \
        return (vs##W){vs##N##_min_abs(a.lo, b.lo), vs##N##_min_abs(a.hi, b.hi)};                                      \
    }                                                                                                                  \
    WV_INLINE vs##W vs##W##_segment(vs##W a, int shift) {                                                              \
        return (vs##W){vs##N##_segment(a.lo, shift), vs##N##_segment(a.hi, shift)};                                    \
    }                                                                                                                  \
    WV_INLINE vs##W vs##W##_fraction(vs##W a, int shift) {                                                             \
        return (vs##W){vs##N##_fraction(a.lo, shift), vs##N##_fraction(a.hi, shift)};                                  \
    }                                                                                                                  \
    WV_INLINE vs##W vs##W##_lookup(const int16_t table[8], vs##W segment) {                                            \
        return (vs##W){vs##N##_lookup(table, segment.lo), vs##N##_lookup(table, segment.hi)};                          \
    }

/* The store of int16 that narrows, where two halves are no worse than a whole. */
#define WV_PAIR_SHORT_STORE(W, N)                                                                                      \
    WV_INLINE void vs##W##_store_q(int8_t *q, vs##W a) {                                                               \
        vs##N##_store_q(q, a.lo);                                                                                      \
        vs##N##_store_q(q + N, a.hi);                                                                                  \
    }
