/* arm_stage.c - the program whose instructions wv_bench/arm counts: one stage of the sample loop, n times.
 *
 *     arm_stage MODEL.bin STAGE N LANES      STAGE of wv_stage, or -1: N whole mel frames, mels to PCM
 *
 * LANES streams in step, 1 to 16. Prints the ISA in use. */
#include <stdio.h>
#include <stdlib.h>

#include "wavernn.h"

static void check(wv_status status) {
    if (status == WV_OK) return;
    fprintf(stderr, "arm_stage: error: %s\n", wv_status_str(status));
    exit(1);
}

int main(int argc, char **argv) {
    FILE *file = argc == 5 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL || fseek(file, 0, SEEK_END)) return 2;
    const size_t n_bytes = (size_t)ftell(file), n = (size_t)atol(argv[3]);
    void *data = aligned_alloc(64, (n_bytes + 63) & ~(size_t)63);
    rewind(file);
    if (data == NULL || fread(data, 1, n_bytes, file) != n_bytes) return 2;

    wv_model *model;
    wv_state *state[16];
    wv_batch *batch;
    wv_info info;
    const size_t lanes = (size_t)atol(argv[4]);
    check(wv_model_load(data, n_bytes, &model));
    check(wv_model_info(model, &info));
    wv_options options = WV_OPTIONS_DEFAULT;
    options.seed = 1;
    check(wv_batch_new(model, (int32_t)lanes, 1, &batch));

    static float mel[64 * 256]; /* frames that differ, by any numbers */
    for (size_t i = 0; i < sizeof mel / sizeof *mel; i++) mel[i] = (float)((int)(i * 7919 % 2001) - 1000) / 1000.0f;
    size_t taken, n_samples[16], written[16];
    int16_t *pcm[16];
    for (size_t l = 0; l < lanes; l++) {
        check(wv_state_new(model, &options, &state[l]));
        check(wv_push(state[l], mel, 32, &taken));
        n_samples[l] = n * (size_t)info.hop_length;
        pcm[l] = malloc(n_samples[l] * sizeof **pcm);
        if (pcm[l] == NULL) return 2;
    }
    puts(wv_state_isa(state[0]));
    const int stage = atoi(argv[2]);
    if (stage >= 0 && lanes == 1)
        check(wv_bench_stage(state[0], (wv_stage)stage, n));
    else if (stage >= 0)
        check(wv_batch_bench_stage(batch, state, lanes, (wv_stage)stage, n));
    else if (lanes == 1)
        check(wv_pull(state[0], pcm[0], n_samples[0], written));
    else
        check(wv_batch_pull(batch, state, lanes, pcm, n_samples, written));
    return stage < 0 && written[0] != n_samples[0];
}
