/* lpcnet_shape.h - the sizes and structs that LPCNet's scripts would write for a trained network, for one with random
 * weights: stands in for its nnet_data.h, plc_data.h and dred_rdovae_constants.h. UNITS_A, UNITS_B: of the GRUs, by -D. */
#ifndef LPCNET_SHAPE_H
#define LPCNET_SHAPE_H

#include "nnet.h"

enum { COND = 128, PITCH_EMBED = 64 };
#define LPC_GAMMA 1.f
#define FEATURES_DELAY 2
#define GRU_A_STATE_SIZE UNITS_A
#define GRU_B_STATE_SIZE UNITS_B
#define EMBED_PITCH_OUT_SIZE 64
#define FEATURE_CONV1_OUT_SIZE 128
#define FEATURE_CONV1_STATE_SIZE (84 * 2)
#define FEATURE_CONV1_DELAY 1
#define FEATURE_CONV2_STATE_SIZE (128 * 2)
#define FEATURE_CONV2_OUT_SIZE 128
#define FEATURE_CONV2_DELAY 1
#define FEATURE_DENSE1_OUT_SIZE 128
#define FEATURE_DENSE2_OUT_SIZE 128
#define DUAL_FC_OUT_SIZE 256
#define MAX_RNN_NEURONS UNITS_A
#define MAX_CONV_INPUTS (128 * 3)
#define MAX_MDENSE_TMP 512
#define PLC_MAX_RNN_NEURONS 1
#define DRED_MAX_RNN_NEURONS 1
#define DRED_MAX_CONV_INPUTS 1
typedef int PLCModel, PLCNetState;

typedef struct {
    float feature_conv1_state[FEATURE_CONV1_STATE_SIZE];
    float feature_conv2_state[FEATURE_CONV2_STATE_SIZE];
    float gru_a_state[UNITS_A];
    float gru_b_state[UNITS_B];
} NNetState;

typedef struct {
    EmbeddingLayer gru_a_embed_sig, gru_a_embed_pred, gru_a_embed_exc, embed_pitch;
    DenseLayer gru_a_dense_feature, gru_b_dense_feature, feature_dense1, feature_dense2;
    Conv1DLayer feature_conv1, feature_conv2;
    GRULayer gru_b;
    MDenseLayer dual_fc;
    SparseGRULayer sparse_gru_a;
} LPCNetModel;

int init_lpcnet_model(LPCNetModel *model, const WeightArray *arrays);

#endif
