/* wavernn.c - twin of wv_runtime/engine/kernels/wavernn.py. Included by every ISA after spmv.c, gates.c and sample.c. */

/* 0..255 -> [-1, 1] */
static inline float scale_byte(int32_t byte) { return (float)byte * (1.0f / 127.5f) - 1.0f; }

/* b = tanh(C2 tanh(C1 window)): one mel frame's n_sub conditioning vectors, and its linear prediction; of a subscale voice r,
 * at the beginning of s->work.
 * window : (cond_width * n_mels,) */
static void condition_frame(const wv_model *m, wv_lane *s, const float *window) {
    if (WV_VECTORS_FLUSH) { /* mels and C1 may be subnormal */
        wv_kernels_portable.condition_frame(m, s, window);
        return;
    }
    linear(&m->matrix[WV_C1], window, WV_NO_FLOOR, s->q, s->z);
    tanh_inplace(m->n_cond, s->z);
    linear(&m->matrix[WV_C2], s->z, WV_NO_FLOOR, s->q, s->b);
    tanh_inplace(m->n_sub * m->n_cond, s->b);
    if (m->lpc_order > 0) {
        const float *centre = window + m->cond_width / 2 * m->n_mels;
        if (WV_SUBSCALE(m) > 1)
            autocorrelation(m->lags, m->n_mels, m->M, centre, s->work + m->lags + 1, s->work);
        else
            predictor(m->lpc_order, m->n_mels, m->M, centre, s->work, s->lpc, s->inverse);
    }
}

/* g = C3 b_sub: what enters the gates for one sub-frame */
static void condition_sub(const wv_model *m, wv_lane *s, int32_t sub) {
    const wv_matrix *C3 = &m->matrix[WV_C3];
    const float *b = s->b + sub * m->n_cond;
    if (C3->dtype == WV_I8) {
        quantize(C3->cols, b, C3->x_scale, C3->x_zero, s->q);
        linear_q_to_q10(C3, s->q, s->g_q10);
    } else {
        linear(C3, b, WV_NO_FLOOR, s->q, s->g);
    }
}

/* The coefficients of lanes first to end of a subscale voice, from r of a frame: lpc and inverse have a row for each lane. */
static void interpolate_lanes(const wv_model *m, const double *r, int32_t first, int32_t end, double *work, int16_t *lpc,
                              int64_t *inverse) {
    for (int32_t l = first; WV_SUBSCALE(m) > 1 && l < end; l += 4)
        interpolators(r, min_i32(end - l, 4), m->n_seen + l, m->seen + l, work, m->lpc_order, lpc + l * m->lpc_order,
                      inverse + 2 * l);
}

/* g of lane l of a subscale voice, from C3 b of the sub-frame */
static void condition_lane(const wv_model *m, wv_lane *s, int32_t l, const float *g, const int16_t *g_q10) {
    const int32_t n = 3 * m->n_units;
    if (m->matrix[WV_C3].dtype == WV_I8)
        for (int32_t i = 0; i < n; i += 16)
            vs16_store(s->g_q10 + i, vs16_adds(vs16_load(g_q10 + i), vs16_load(m->lane_q10 + l * n + i)));
    else
        for (int32_t i = 0; i < n; i += 16)
            vf16_store(s->g + i, vf16_add(vf16_load(g + i), vf16_load(m->lane + l * n + i)));
}

/* The state before the first sample. */
static void reset(const wv_model *m, wv_lane *s) {
    for (int32_t i = 0; i < m->n_units; i += 16) {
        vf16_store(s->h + i, vf16_set1(0.0f));
        vs16_store(s->h_q15 + i, vs16_set1(0));
        vs16_store_q(s->h_q + i, vs16_set1(0));
    }
    s->t = 0;
    s->y = 0.0f;
    s->coarse = 128; /* silence: sample 32768 of 0..65535 */
    s->fine = 0;
    s->p = s->d = 0;
    for (int32_t k = 0; k < m->lpc_order; k++) s->past[k] = 0;
}

/* The stages of one sample. A float model and an int8 model differ in stage_R, stage_gates and stage_logits alone. */
static void stage_R(const wv_model *m, wv_lane *s) {
    if (m->matrix[WV_R].dtype == WV_I8)
        linear_q_to_q10(&m->matrix[WV_R], s->h_q, s->a_q10);
    else
        linear(&m->matrix[WV_R], s->h, WV_NO_FLOOR, s->q, s->a);
}

/* x_j of one of the paper's bytes */
static inline void byte_input(wv_lane *s, int32_t j, int32_t byte) {
    s->x_q15[j] = (int16_t)((2 * byte - 255) * 128);
    s->x[j] = scale_byte(byte);
}

/* x_j of an input that is Q15 already */
static inline void q15_input(wv_lane *s, int32_t j, int16_t x) {
    s->x_q15[j] = x;
    s->x[j] = (float)x * (1.0f / 32768.0f);
}

/* x_t but c_t, from the last sample, and from what a lane sees */
static void stage_inputs(const wv_model *m, wv_lane *s) {
    if (m->lpc_order == 0) {
        byte_input(s, 0, s->coarse);
        byte_input(s, 1, s->fine);
        return;
    }
    int64_t p, last;
    if (WV_SUBSCALE(m) > 1) {
        const wv_signal *c = s->signal;
        const int32_t l = (int32_t)(s->t % (uint64_t)WV_SUBSCALE(m)), n = m->n_seen[l];
        see(c->s, c->mask, s->t, m->seen[l], n, s->past);
        p = predict(n, s->lpc, s->past);
        last = c->s[(s->t - (uint64_t)WV_SUBSCALE(m)) & c->mask];
        inputs_context(p, n, s->past, s->inverse, m->context, s->x_q15 + WV_N_X - 1);
    } else {
        p = predict(m->lpc_order, s->lpc, s->past);
        last = s->past[m->lpc_order - 1];
    }
    inputs(s->d, p, last, s->inverse, s->x_q15);
    for (int32_t j = 0; j < m->n_x - 1; j++) q15_input(s, j, s->x_q15[j]);
    s->p = p;
}

/* The last of x_t, once c_t is drawn */
static void stage_coarse(const wv_model *m, wv_lane *s, int32_t coarse) {
    if (m->lpc_order > 0)
        q15_input(s, m->n_x - 1, input_coarse(coarse));
    else
        byte_input(s, 2, coarse);
}

/* The sample that both bytes make, pre-emphasised, -32768..32767; it is the last one from now on. */
static int32_t stage_sample(const wv_model *m, wv_lane *s, int32_t coarse, int32_t fine) {
    const uint64_t t = s->t;
    s->t += (uint64_t)WV_SUBSCALE(m);
    s->coarse = coarse;
    s->fine = fine;
    if (m->lpc_order == 0) return 256 * coarse + fine - 32768;
    int64_t sample = clamp_int(s->p + (256 * coarse + fine - WV_OFFSET), -32768, 32767);
    s->d = sample - s->p;
    if (WV_SUBSCALE(m) > 1) {
        s->signal->s[t & s->signal->mask] = (int16_t)sample;
        return (int32_t)sample;
    }
    for (int32_t k = 1; k < m->lpc_order; k++) s->past[k - 1] = s->past[k];
    s->past[m->lpc_order - 1] = (int16_t)sample;
    return (int32_t)sample;
}

/* One half of h_t from the first n_x inputs */
static void stage_gates(const wv_model *m, wv_lane *s, int32_t first, int32_t n_x) {
    if (m->matrix[WV_R].dtype == WV_I8)
        gates_q(m->n_units, first, n_x, s->a_q10, s->g_q10, m->I_q, m->I_shift, s->x_q15, s->h_q15, s->h_q);
    else
        gates(m->n_units, first, n_x, s->a, s->g, m->I, s->x, s->h);
}

static void stage_logits(wv_lane *s, int32_t first, const wv_matrix *O_in, const wv_matrix *O_out) {
    if (O_in->dtype == WV_I8) {
        linear_q_to_q(O_in, s->h_q + first, O_out, s->q);
        linear_q_to_float(O_out, s->q, s->logits);
    } else {
        linear(O_in, s->h + first, 0.0f, s->q, s->z);
        linear(O_out, s->z, WV_NO_FLOOR, s->q, s->logits);
    }
}

/* What is heard of it */
static int16_t stage_pcm(const wv_model *m, wv_lane *s, int32_t coarse, int32_t fine) {
    return heard(stage_sample(m, s, coarse, fine), m->preemphasis, &s->y);
}

/* What lanes.c wants of one lane between the products: the coarse half of h_t; a byte; the fine half. */
static void lane_coarse(const wv_model *m, wv_lane *s) {
    stage_inputs(m, s);
    stage_gates(m, s, 0, m->n_x - 1);
}

static int32_t lane_draw(wv_lane *s, int32_t shift) {
    const uint32_t bits = (uint32_t)(random_bits(s->seed, s->t) >> shift);
    return sample_byte(s->logits, s->log2e_over_temperature, bits, s->p_softmax);
}

static void lane_fine(const wv_model *m, wv_lane *s, int32_t coarse) {
    stage_coarse(m, s, coarse);
    stage_gates(m, s, m->n_units / 2, m->n_x);
}

/* Both bytes of a sample (Kalchbrenner et al. 2018, eq. 2) */
static void sample_bytes(const wv_model *m, wv_lane *s, int32_t *coarse, int32_t *fine) {
    const wv_matrix *O = &m->matrix[WV_O1];
    /* 1) R h_{t-1}, once for both halves */
    stage_R(m, s);
    /* 2) the coarse half of h_t, and c_t */
    uint64_t bits = random_bits(s->seed, s->t);
    stage_inputs(m, s);
    stage_gates(m, s, 0, m->n_x - 1);
    stage_logits(s, 0, &O[0], &O[1]);
    *coarse = sample_byte(s->logits, s->log2e_over_temperature, (uint32_t)(bits >> 32), s->p_softmax);
    /* 3) the fine half, and f_t */
    stage_coarse(m, s, *coarse);
    stage_gates(m, s, m->n_units / 2, m->n_x);
    stage_logits(s, m->n_units / 2, &O[2], &O[3]);
    *fine = sample_byte(s->logits, s->log2e_over_temperature, (uint32_t)bits, s->p_softmax);
}

/* n samples under one g */
static void sample_loop(const wv_model *m, wv_lane *s, int32_t n, int16_t *pcm) {
    for (int32_t i = 0; i < n; i++) {
        int32_t coarse, fine;
        sample_bytes(m, s, &coarse, &fine);
        /* 4) undo the pre-emphasis, round, clip */
        pcm[i] = stage_pcm(m, s, coarse, fine);
    }
}

/* One stage n_times, for benchmarks. */
static void stage(const wv_model *m, wv_lane *s, const float *window, wv_stage which, size_t n_times) {
    const wv_matrix *O = &m->matrix[WV_O1];
    const int32_t half = m->n_units / 2;
    int32_t bytes[3] = {120, 7, 121};
    int16_t pcm[1];
    for (size_t i = 0; i < n_times; i++) {
        switch (which) {
        case WV_STAGE_SAMPLE: sample_loop(m, s, 1, pcm); break;
        case WV_STAGE_R: stage_R(m, s); break;
        case WV_STAGE_GATES:
            stage_inputs(m, s);
            stage_gates(m, s, 0, m->n_x - 1);
            stage_coarse(m, s, bytes[2]);
            stage_gates(m, s, half, m->n_x);
            break;
        case WV_STAGE_O:
            stage_logits(s, 0, &O[0], &O[1]);
            stage_logits(s, half, &O[2], &O[3]);
            break;
        case WV_STAGE_SAMPLING:
            for (int32_t byte = 0; byte < 2; byte++)
                bytes[byte] = sample_byte(s->logits, s->log2e_over_temperature, (uint32_t)random_bits(0, i), s->p_softmax);
            break;
        case WV_STAGE_CONDITION: /* one frame */
            condition_frame(m, s, window);
            for (int32_t sub = 0; sub < m->n_sub; sub++) condition_sub(m, s, sub);
            break;
        }
    }
    s->coarse = bytes[0]; /* keeps the draws alive */
}
