/* gates.c - twin of wv_runtime/engine/kernels/gates.py. Included by every ISA after its vec_<isa>.h. */

/* tanh(x) = num(x) / den(x^2) for |x| <= 6; the constants are explained in gates.py. */
#define WV_TANH_X 6.0f
#define WV_TANH_P0 0.9999711513519287f
#define WV_TANH_P1 0.11447278410196304f
#define WV_TANH_P2 0.001495557138696313f
#define WV_TANH_Q1 0.4477141499519348f
#define WV_TANH_Q2 0.017487427219748497f
#define WV_TANH_Q3 5.5186250392580405e-05f

static inline vf16 tanh_clamp(vf16 x) {
    return vf16_min(vf16_max(x, vf16_set1(-WV_TANH_X)), vf16_set1(WV_TANH_X));
}

static inline vf16 tanh_num(vf16 x, vf16 y) {
    vf16 p = vf16_add(vf16_mul(y, vf16_set1(WV_TANH_P2)), vf16_set1(WV_TANH_P1));
    return vf16_mul(x, vf16_add(vf16_mul(y, p), vf16_set1(WV_TANH_P0)));
}

static inline vf16 tanh_den(vf16 y) {
    vf16 q = vf16_add(vf16_mul(y, vf16_set1(WV_TANH_Q3)), vf16_set1(WV_TANH_Q2));
    return vf16_add(vf16_mul(y, vf16_add(vf16_mul(y, q), vf16_set1(WV_TANH_Q1))), vf16_set1(1.0f));
}

/* x = tanh(x), in place; n a multiple of 16 */
static void tanh_inplace(int32_t n, float *x) {
    for (int32_t i = 0; i < n; i += 16) {
        vf16 v = tanh_clamp(vf16_load(x + i)), y = vf16_mul(v, v);
        vf16_store(x + i, vf16_div(tanh_num(v, y), tanh_den(y)));
    }
}

/* 2^f on (-1, 0]; the constants are explained in gates.py. */
#define WV_EXP2_C1 0.6930635571479797f
#define WV_EXP2_C2 0.23945674300193787f
#define WV_EXP2_C3 0.05322357639670372f
#define WV_EXP2_C4 0.006831894163042307f

/* 2^(x + k) for x <= 0, as 2^x times 2^k; -126 <= x + k < 126 */
static inline vf16 exp2_negative(vf16 x, int k) {
    vi16 n = vf16_trunc(x);
    vf16 f = vf16_sub(x, vi16_to_float(n));
    vf16 e = vf16_add(vf16_mul(f, vf16_set1(WV_EXP2_C4)), vf16_set1(WV_EXP2_C3));
    e = vf16_add(vf16_mul(f, e), vf16_set1(WV_EXP2_C2));
    e = vf16_add(vf16_mul(f, e), vf16_set1(WV_EXP2_C1));
    e = vf16_add(vf16_mul(f, e), vf16_set1(1.0f));
    return vf16_mul(e, vi16_pow2(n, k));
}

/* 1 / sigmoid(x) = 1 + 2^(-x log2(e)), the exponent clamped to +-30 */
static inline vf16 sigmoid_den(vf16 x) {
    vf16 z = vf16_mul(x, vf16_set1(-1.4426950408889634f));
    z = vf16_min(vf16_max(z, vf16_set1(-30.0f)), vf16_set1(30.0f));
    return vf16_add(exp2_negative(vf16_sub(z, vf16_set1(31.0f)), 31), vf16_set1(1.0f));
}

/* One half of the state: h_t from a = R h_{t-1} + b_R, the conditioning g and the inputs x. */
static void gates(int32_t n_units, int32_t first, int32_t n_x, const float *a, const float *g, const float *I,
                  const float *x, float *h) {
    const vf16 one = vf16_set1(1.0f);
    for (int32_t i = first; i < first + n_units / 2; i += 16) {
        /* 1) u, r, e before their nonlinearities: g + I* x */
        vf16 u = vf16_load(g + i), r = vf16_load(g + n_units + i), e = vf16_load(g + 2 * n_units + i);
        for (int32_t j = 0; j < n_x; j++) {
            const float *column = I + 3 * n_units * j + i;
            const vf16 x_j = vf16_set1(x[j]);
            u = vf16_add(u, vf16_mul(vf16_load(column), x_j));
            r = vf16_add(r, vf16_mul(vf16_load(column + n_units), x_j));
            e = vf16_add(e, vf16_mul(vf16_load(column + 2 * n_units), x_j));
        }
        u = vf16_add(u, vf16_load(a + i));
        r = vf16_add(r, vf16_load(a + n_units + i));
        /* 2) r = sigmoid(r), then e += r o a_e */
        vf16 r_den = sigmoid_den(r), v_den = sigmoid_den(vf16_sub(vf16_set1(0.0f), u));
        r = vf16_div(one, r_den);
        e = vf16_add(e, vf16_mul(r, vf16_load(a + 2 * n_units + i)));
        /* 3) v = 1 - u = sigmoid(-u) and e = tanh(e) share one division */
        e = tanh_clamp(e);
        vf16 y = vf16_mul(e, e), e_den = tanh_den(y);
        vf16 d = vf16_div(one, vf16_mul(v_den, e_den)), v = vf16_mul(e_den, d);
        e = vf16_mul(tanh_num(e, y), vf16_mul(v_den, d));
        /* 4) h = u o h + (1 - u) o e = h + v o (e - h) */
        vf16 h_i = vf16_load(h + i);
        vf16_store(h + i, vf16_add(h_i, vf16_mul(v, vf16_sub(e, h_i))));
    }
}

/* tanh on [0, 4) as eight cubics in Q15, t = the fraction of the segment; explained in gates.py. */
static const int16_t WV_TANH_C0[8] = {-2, 15140, 24957, 29662, 31590, 32331, 32604, 32710};
static const int16_t WV_TANH_C1[8] = {16447, 12943, 6872, 2947, 1157, 436, 160, 57};
static const int16_t WV_TANH_C2[8] = {-280, -3280, -2612, -1273, -532, -215, -74, 0};
static const int16_t WV_TANH_C3[8] = {-1025, 151, 444, 252, 114, 56, 18, 0};

/* The int16 vector of the gates: WV_SHORTS elements, a number that each ISA chooses by the registers it has. */
#define WV_CAT_(a, b) a##b
#define WV_CAT(a, b) WV_CAT_(a, b)
#define SHORT_VECTOR WV_CAT(vs, WV_SHORTS)
#define SHORT(op) WV_CAT(SHORT_VECTOR, _##op)

/* Q15 tanh of x in units of 2^-(shift + 1): shift 9 reads Q10 as it is, shift 10 halves it. */
static inline SHORT_VECTOR tanh_q15(SHORT_VECTOR x, int shift) {
    SHORT_VECTOR x_abs = SHORT(min_abs)(x, SHORT(set1)((int16_t)((8 << shift) - 1)));
    SHORT_VECTOR segment = SHORT(segment)(x_abs, shift), t = SHORT(fraction)(x_abs, shift);
    SHORT_VECTOR y = SHORT(add_mulhrs)(SHORT(lookup)(WV_TANH_C2, segment), t, SHORT(lookup)(WV_TANH_C3, segment));
    y = SHORT(add_mulhrs)(SHORT(lookup)(WV_TANH_C1, segment), t, y);
    y = SHORT(add_mulhrs)(SHORT(lookup)(WV_TANH_C0, segment), t, y);
    return SHORT(copy_sign)(y, x);
}

/* Q15 sigmoid of Q10: halfway from tanh(x / 2) to 1 */
static inline SHORT_VECTOR sigmoid_q15(SHORT_VECTOR x) { return SHORT(halfway)(tanh_q15(x, 10)); }

/* The body of gates_q, which the compiler sees for I_shift = 0 too; with WV_UNROLL_INPUTS for every n_x, once each */
#ifdef WV_UNROLL_INPUTS
__attribute__((always_inline))
#endif
static inline void gates_q_shifted(int32_t n_units, int32_t first, int32_t n_x, const int16_t *a, const int16_t *g,
                               const int16_t *I, int32_t I_shift, const int16_t *x, int16_t *h, int8_t *h_q) {
    for (int32_t i = first; i < first + n_units / 2; i += WV_SHORTS) {
        /* 1) u, r, e before their nonlinearities: I* x, then + g */
        const SHORT_VECTOR x_0 = SHORT(set1)(x[0]);
        SHORT_VECTOR u = SHORT(mulhrs)(SHORT(load)(I + i), x_0);
        SHORT_VECTOR r = SHORT(mulhrs)(SHORT(load)(I + n_units + i), x_0);
        SHORT_VECTOR e = SHORT(mulhrs)(SHORT(load)(I + 2 * n_units + i), x_0);
        for (int32_t j = 1; j < n_x; j++) {
            const int16_t *column = I + 3 * n_units * j + i;
            const SHORT_VECTOR x_j = SHORT(set1)(x[j]);
            u = SHORT(adds_mulhrs)(u, SHORT(load)(column), x_j);
            r = SHORT(adds_mulhrs)(r, SHORT(load)(column + n_units), x_j);
            e = SHORT(adds_mulhrs)(e, SHORT(load)(column + 2 * n_units), x_j);
        }
        for (int32_t k = 0; k < I_shift; k++) {
            u = SHORT(adds)(u, u);
            r = SHORT(adds)(r, r);
            e = SHORT(adds)(e, e);
        }
        u = SHORT(adds)(u, SHORT(load)(g + i));
        r = SHORT(adds)(r, SHORT(load)(g + n_units + i));
        e = SHORT(adds)(e, SHORT(load)(g + 2 * n_units + i));
        /* 2) r = sigmoid(r + a_r), u = sigmoid(u + a_u) */
        r = sigmoid_q15(SHORT(adds)(r, SHORT(load)(a + n_units + i)));
        u = sigmoid_q15(SHORT(adds)(u, SHORT(load)(a + i)));
        /* 3) e = tanh(e + r o a_e) */
        e = tanh_q15(SHORT(adds_mulhrs)(e, r, SHORT(load)(a + 2 * n_units + i)), 9);
        /* 4) h = u o h + (e - u o e) */
        e = SHORT(sub)(e, SHORT(mulhrs)(u, e));
        e = SHORT(add_mulhrs)(e, u, SHORT(load)(h + i));
        SHORT(store)(h + i, e);
        SHORT(store_q)(h_q + i, e);
    }
}

/* `gates` in 16-bit fixed point; also leaves h in 8 bits. x : (3,) bytes as (2 byte - 255) * 128 */
static void gates_q(int32_t n_units, int32_t first, int32_t n_x, const int16_t *a, const int16_t *g, const int16_t *I,
                    int32_t I_shift, const int16_t *x, int16_t *h, int8_t *h_q) {
#ifdef WV_UNROLL_INPUTS
    switch (I_shift == 0 ? n_x : 0) {
    case 2: gates_q_shifted(n_units, first, 2, a, g, I, 0, x, h, h_q); return;
    case 3: gates_q_shifted(n_units, first, 3, a, g, I, 0, x, h, h_q); return;
    case WV_N_X - 1: gates_q_shifted(n_units, first, WV_N_X - 1, a, g, I, 0, x, h, h_q); return;
    case WV_N_X: gates_q_shifted(n_units, first, WV_N_X, a, g, I, 0, x, h, h_q); return;
    default: break;
    }
#endif
    if (I_shift == 0)
        gates_q_shifted(n_units, first, n_x, a, g, I, 0, x, h, h_q);
    else
        gates_q_shifted(n_units, first, n_x, a, g, I, I_shift, x, h, h_q);
}

#undef SHORT_VECTOR
#undef SHORT
#undef WV_CAT
#undef WV_CAT_
