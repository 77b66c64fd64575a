/* lpcnet.c - LPCNet with random weights of its real shapes, for peers/native.py to call and time. */
#include <stdlib.h>
#include <string.h>

#include "lpcnet_private.h"
#include "nnet.h"

#define PEER __attribute__((visibility("default")))

int init_lpcnet_model(LPCNetModel *model, const WeightArray *arrays) {
    (void)model;
    (void)arrays;
    return 0;
}

/* the codec, which needs tables that are not in the checkout and is not run here */
void decode_packet(float features[4][NB_TOTAL_FEATURES], float *vq_mem, const unsigned char buf[8]) {
    (void)features;
    (void)vq_mem;
    (void)buf;
}

static const float *random_floats(size_t n, float scale) {
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = scale * ((float)rand() / (float)RAND_MAX - 0.5f);
    return x;
}

static const qweight *random_weights(size_t n) {
    qweight *w = aligned_alloc(64, (n + 63) & ~(size_t)63);
    for (size_t i = 0; i < n; i++) w[i] = (qweight)(rand() % 64 - 32);
    return w;
}

static DenseLayer dense(int n_in, int n_out, int activation) {
    return (DenseLayer){random_floats(n_out, 0.1f), random_floats(n_in * n_out, 0.2f), n_in, n_out, activation};
}

static EmbeddingLayer embedding(int dim) { return (EmbeddingLayer){random_floats(256 * dim, 0.5f), 256, dim}; }

/* A model whose recurrent blocks are idx (row of 8: count, then columns), and whose GRU B reads all of GRU A. */
PEER void *peer_new(const int *idx, int n_blocks) {
    LPCNetState *st = lpcnet_create();
    LPCNetModel *m = &st->model;
    m->gru_a_embed_sig = embedding(3 * UNITS_A);
    m->gru_a_embed_pred = embedding(3 * UNITS_A);
    m->gru_a_embed_exc = embedding(3 * UNITS_A);
    m->embed_pitch = embedding(PITCH_EMBED);
    m->gru_a_dense_feature = dense(COND, 3 * UNITS_A, ACTIVATION_LINEAR);
    m->gru_b_dense_feature = dense(COND, 3 * UNITS_B, ACTIVATION_LINEAR);
    m->feature_dense1 = dense(COND, COND, ACTIVATION_TANH);
    m->feature_dense2 = dense(COND, COND, ACTIVATION_TANH);
    DenseLayer c1 = dense(3 * 84, COND, ACTIVATION_TANH), c2 = dense(3 * COND, COND, ACTIVATION_TANH);
    m->feature_conv1 = (Conv1DLayer){c1.bias, c1.input_weights, 84, 3, COND, ACTIVATION_TANH};
    m->feature_conv2 = (Conv1DLayer){c2.bias, c2.input_weights, COND, 3, COND, ACTIVATION_TANH};
    int *all = malloc(3 * UNITS_B / 8 * (1 + UNITS_A / 4) * sizeof *all), *p = all;
    for (int row = 0; row < 3 * UNITS_B / 8; row++) {
        *p++ = UNITS_A / 4;
        for (int k = 0; k < UNITS_A / 4; k++) *p++ = 4 * k;
    }
    const float *bias_a = random_floats(6 * UNITS_A, 0.1f), *bias_b = random_floats(6 * UNITS_B, 0.1f);
    const qweight *input_b = random_weights(3 * UNITS_B * UNITS_A), *recurrent_b = random_weights(3 * UNITS_B * UNITS_B);
    m->gru_b = (GRULayer){bias_b, bias_b, input_b, all, recurrent_b, UNITS_A, UNITS_B, ACTIVATION_TANH, 1};
    const float *fc_bias = random_floats(512, 0.1f), *fc_factor = random_floats(512, 1.f);
    m->dual_fc = (MDenseLayer){fc_bias, random_floats(512 * UNITS_B, 0.5f), fc_factor, UNITS_B, 256, 2, ACTIVATION_SIGMOID};
    const qweight *recurrent_a = random_weights(32 * (size_t)n_blocks);
    const float *diagonal = random_floats(3 * UNITS_A, 0.1f);
    m->sparse_gru_a = (SparseGRULayer){bias_a, bias_a, diagonal, recurrent_a, idx, UNITS_A, ACTIVATION_TANH, 1};
    return st;
}

/* Its frames of 160 samples, features to PCM. */
PEER void peer_frames(void *st, int n_frames) {
    static float features[NB_TOTAL_FEATURES];
    static short pcm[LPCNET_FRAME_SIZE];
    for (int i = 0; i < n_frames; i++) lpcnet_synthesize(st, features, pcm, LPCNET_FRAME_SIZE);
}

/* The recurrent mat-vec of GRU A, as compute_sparse_gru calls it. */
PEER void peer_matvec(void *st, int n_times) {
    static float x[UNITS_A], y[3 * UNITS_A];
    const SparseGRULayer *a = &((LPCNetState *)st)->model.sparse_gru_a;
    for (int i = 0; i < UNITS_A; i++) x[i] = (float)(i % 17) / 17.f - 0.5f;
    memset(y, 0, sizeof y);
    for (int i = 0; i < n_times; i++) sparse_sgemv_accum8x4(y, a->recurrent_weights, 3 * UNITS_A, UNITS_A, a->idx, x);
}
