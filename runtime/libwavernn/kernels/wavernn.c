/* wavernn.c - twin of wv_runtime/engine/kernels/wavernn.py. Included by every ISA after spmv.c, gates.c and sample.c. */

#define WV_NO_FLOOR (-3.402823466e+38f)

/* 0..255 -> [-1, 1] */
WV_INLINE float scale_byte(int32_t byte) { return (float)byte * (1.0f / 127.5f) - 1.0f; }

/* b = tanh(C2 tanh(C1 window)): one mel frame's n_sub conditioning vectors. window : (cond_width * n_mels,) */
static void condition_frame(const wv_model *m, wv_lane *s, const float *window) {
    linear(&m->matrix[WV_C1], window, WV_NO_FLOOR, s->q, s->z);
    tanh_inplace(m->n_cond, s->z);
    linear(&m->matrix[WV_C2], s->z, WV_NO_FLOOR, s->q, s->b);
    tanh_inplace(m->n_sub * m->n_cond, s->b);
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
}

/* The stages of one sample. A float model and an int8 model differ in these three alone. */
static void stage_R(const wv_model *m, wv_lane *s) {
    if (m->matrix[WV_R].dtype == WV_I8)
        linear_q_to_q10(&m->matrix[WV_R], s->h_q, s->a_q10);
    else
        linear(&m->matrix[WV_R], s->h, WV_NO_FLOOR, s->q, s->a);
}

static void stage_gates(const wv_model *m, wv_lane *s, int32_t first, int32_t n_x, const int32_t *bytes) {
    if (m->matrix[WV_R].dtype == WV_I8) {
        int16_t x[3];
        for (int32_t j = 0; j < n_x; j++) x[j] = (int16_t)((2 * bytes[j] - 255) * 128);
        gates_q(m->n_units, first, n_x, s->a_q10, s->g_q10, m->I_q, m->I_shift, x, s->h_q15, s->h_q);
    } else {
        float x[3];
        for (int32_t j = 0; j < n_x; j++) x[j] = scale_byte(bytes[j]);
        gates(m->n_units, first, n_x, s->a, s->g, m->I, x, s->h);
    }
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

/* n samples under one g (Kalchbrenner et al. 2018, eq. 2) */
static void sample_loop(const wv_model *m, wv_lane *s, int32_t n, int16_t *pcm) {
    const wv_matrix *O = &m->matrix[WV_O1];
    const int32_t half = m->n_units / 2;
    for (int32_t i = 0; i < n; i++) {
        /* 1) R h_{t-1}, once for both halves */
        stage_R(m, s);
        /* 2) the coarse half of h_t, and c_t */
        uint64_t bits = random_bits(s->seed, s->t++);
        int32_t bytes[3] = {s->coarse, s->fine, 0};
        stage_gates(m, s, 0, 2, bytes);
        stage_logits(s, 0, &O[0], &O[1]);
        s->coarse = bytes[2] = sample_byte(s->logits, s->log2e_over_temperature, (uint32_t)(bits >> 32), s->p);
        /* 3) the fine half, and f_t */
        stage_gates(m, s, half, 3, bytes);
        stage_logits(s, half, &O[2], &O[3]);
        s->fine = sample_byte(s->logits, s->log2e_over_temperature, (uint32_t)bits, s->p);
        /* 4) undo the pre-emphasis, round, clip */
        s->y = (float)(256 * s->coarse + s->fine - 32768) + m->preemphasis * s->y;
        float y = s->y > -32768.0f ? s->y : -32768.0f;
        y = y < 32767.0f ? y : 32767.0f;
        pcm[i] = (int16_t)((int32_t)(y + 32768.5f) - 32768);
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
            stage_gates(m, s, 0, 2, bytes);
            stage_gates(m, s, half, 3, bytes);
            break;
        case WV_STAGE_O:
            stage_logits(s, 0, &O[0], &O[1]);
            stage_logits(s, half, &O[2], &O[3]);
            break;
        case WV_STAGE_SAMPLING:
            for (int32_t byte = 0; byte < 2; byte++)
                bytes[byte] = sample_byte(s->logits, s->log2e_over_temperature, (uint32_t)random_bits(0, i), s->p);
            break;
        case WV_STAGE_CONDITION: /* one frame */
            condition_frame(m, s, window);
            for (int32_t sub = 0; sub < m->n_sub; sub++) condition_sub(m, s, sub);
            break;
        }
    }
    s->coarse = bytes[0]; /* keeps the draws alive */
}
