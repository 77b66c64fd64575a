/* arm_stage.c - the program whose instructions wv_bench/arm counts: one stage of the sample loop, n times.
 *
 *     arm_stage MODEL.bin STAGE N      STAGE of wv_stage, or -1: N whole mel frames, mels to PCM
 *
 * Prints the ISA in use. */
#include <stdio.h>
#include <stdlib.h>

#include "wavernn.h"

static void check(wv_status status) {
    if (status == WV_OK) return;
    fprintf(stderr, "arm_stage: error: %s\n", wv_status_str(status));
    exit(1);
}

int main(int argc, char **argv) {
    FILE *file = argc == 4 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL || fseek(file, 0, SEEK_END)) return 2;
    const size_t n_bytes = (size_t)ftell(file), n = (size_t)atol(argv[3]);
    void *data = aligned_alloc(64, (n_bytes + 63) & ~(size_t)63);
    rewind(file);
    if (data == NULL || fread(data, 1, n_bytes, file) != n_bytes) return 2;

    wv_model *model;
    wv_state *state;
    wv_info info;
    check(wv_model_load(data, n_bytes, &model));
    check(wv_model_info(model, &info));
    wv_options options = WV_OPTIONS_DEFAULT;
    options.seed = 1;
    check(wv_state_new(model, &options, &state));
    puts(wv_state_isa(state));

    static float mel[64 * 256]; /* frames that differ, by any numbers */
    for (size_t i = 0; i < sizeof mel / sizeof *mel; i++) mel[i] = (float)((int)(i * 7919 % 2001) - 1000) / 1000.0f;
    size_t taken, written;
    check(wv_push(state, mel, 32, &taken));
    const int stage = atoi(argv[2]);
    if (stage >= 0) {
        check(wv_bench_stage(state, (wv_stage)stage, n));
        return 0;
    }
    int16_t *pcm = malloc(n * (size_t)info.hop_length * sizeof *pcm);
    if (pcm == NULL) return 2;
    check(wv_pull(state, pcm, n * (size_t)info.hop_length, &written));
    return written != n * (size_t)info.hop_length;
}
