/* hashes.c - the audio of models on every ISA and in every floating-point mode of the calling thread, as one hash each.
 *
 *     hashes TEMPERATURE FRAMES MODEL..        prints "sha256 MODEL"; exit 1 where two ISAs or modes differ
 *
 * Built by every compiler of `make matrix`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/fp_mode.h"
#include "../tools/sha256.h"
#include "wavernn.h"

enum { MAX_FRAMES = 17, MAX_SAMPLES = 1 << 16 };

/* The default, flush to zero (and subnormal operands as zero), up or down, down or up, towards zero. FLAGS are what operations set. */
#if defined(__SSE__)
static const wv_fp_mode FLAGS = 0x3f, MODES[] = {0x1f80, 0x9fc0, 0x3f80, 0x5f80, 0x7f80};
#elif defined(__aarch64__) || defined(__ARM_FP)
static const wv_fp_mode FLAGS = 0xf800009f, MODES[] = {0, 1u << 24, 1u << 22, 2u << 22, 3u << 22};
#elif defined(__wasm__)
static const wv_fp_mode FLAGS = 0, MODES[] = {0};
#else
static const wv_fp_mode FLAGS = 0, MODES[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
#endif

static _Alignas(64) unsigned char file[1 << 22];
static int16_t pcm[MAX_SAMPLES];
static float mel[MAX_FRAMES * 512];

static void need(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "hashes: %s\n", what);
    exit(1);
}

static void one(const char *path, size_t n_bytes, float temperature, int32_t n_frames, const char *isa, wv_fp_mode mode, char hex[65]) {
    wv_model *model;
    wv_state *state;
    wv_info info;
    size_t taken = 0, written = 0;
    wv_options options = WV_OPTIONS_DEFAULT;
    options.seed = 7;
    options.temperature = temperature;
    options.isa = isa;
    const wv_fp_mode before = wv_fp_get();
    wv_fp_set(mode);
    wv_status status = wv_model_load(file, n_bytes, &model);
    wv_fp_set(before);
    need(status == WV_OK, path);
    wv_model_info(model, &info);
    for (int32_t t = 0; t < n_frames; t++) /* as tests/parity/test_end_to_end.py */
        for (int32_t band = 0; band < info.n_mels; band++) mel[t * info.n_mels + band] = (float)((7 * band + 3 * t) % 11) / 4.0f - 2.0f;
    wv_fp_set(mode);
    status = wv_state_new(model, &options, &state);
    if (status == WV_OK) status = wv_push(state, mel, (size_t)n_frames, &taken);
    if (status == WV_OK) status = wv_finish(state);
    if (status == WV_OK) status = wv_pull(state, pcm, MAX_SAMPLES, &written);
    const int kept = ((wv_fp_get() ^ mode) & ~FLAGS) == 0;
    wv_fp_set(before);
    need(status == WV_OK, wv_status_str(status));
    need(kept, "the mode of the thread has changed");
    need(written == (size_t)(n_frames * info.hop_length), "samples are missing");
    sha256((const unsigned char *)pcm, written * sizeof *pcm, hex);
    wv_state_free(state);
    wv_model_free(model);
}

int main(int argc, char **argv) {
    need(argc > 3, "wanted a temperature, a number of frames and models");
    const float temperature = (float)atof(argv[1]);
    const int32_t n_frames = atoi(argv[2]);
    need(n_frames > 0 && n_frames <= MAX_FRAMES, "too many frames, or none");
    need(wv_isa_name(INT32_MIN) == NULL && wv_isa_name(INT32_MAX) == NULL, "an ISA with no name");
    for (int k = 3; k < argc; k++) {
        char first[65] = "", hex[65];
        FILE *f = fopen(argv[k], "rb");
        need(f != NULL, argv[k]);
        const size_t n_bytes = fread(file, 1, sizeof file, f);
        fclose(f);
        for (int32_t i = 0; wv_isa_name(i) != NULL; i++)
            for (size_t mode = 0; mode < sizeof MODES / sizeof *MODES; mode++) {
                one(argv[k], n_bytes, temperature, n_frames, wv_isa_name(i), MODES[mode], hex);
                if (first[0] == '\0') memcpy(first, hex, sizeof first);
                if (strcmp(first, hex) != 0) {
                    fprintf(stderr, "hashes: %s: %s on %s in mode %zu, wanted %s\n", argv[k], hex, wv_isa_name(i), mode, first);
                    return 1;
                }
            }
        printf("%s %s\n", first, argv[k]);
    }
    return 0;
}
