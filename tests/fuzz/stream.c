/* stream.c - any order of calls and any mels, on the models of the folder $WV_MODELS: streams, batches, mels of audio. */
#include <dirent.h>

#include "fuzz.h"

enum { MAX_MODELS = 64, MAX_LANES = 4, MAX_MODEL_BYTES = 1 << 22 };

static wv_model *models[MAX_MODELS];
static size_t n_models;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    static unsigned char bytes[MAX_MODEL_BYTES];
    const char *folder = getenv("WV_MODELS");
    need(folder != NULL, "wanted $WV_MODELS, a folder of .bin files");
    struct dirent **names;
    const int n_names = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < n_names; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (strstr(names[i]->d_name, ".bin") != NULL) {
            FILE *f = fopen(path, "rb");
            need(f != NULL && n_models < MAX_MODELS, path);
            const size_t n = fread(bytes, 1, sizeof bytes, f);
            fclose(f);
            need(wv_model_load(exactly(bytes, n), n, &models[n_models++]) == WV_OK, path);
        }
        free(names[i]);
    }
    free(names);
    need(n_models > 0, "no models");
    return 0;
}

/* A finished stream with mels of its own, the same for the same source */
static wv_state *stream(const wv_model *model, const wv_info *info, source *s) {
    wv_state *state;
    const wv_options options = options_of(s, NULL);
    need(wv_state_new(model, &options, &state) == WV_OK, "no state");
    const size_t n = 1 + next(s, MAX_PUSH);
    float *mel = malloc(n * (size_t)info->n_mels * sizeof *mel);
    hostile_mels(s, n, (size_t)info->n_mels, 1, mel);
    size_t taken;
    need(wv_push(state, mel, n, &taken) == WV_OK && wv_finish(state) == WV_OK, "status of wv_push or wv_finish");
    free(mel);
    return state;
}

/* Streams in step make what each makes alone. */
static void live_in_step(const wv_model *model, source s) {
    static int16_t alone[MAX_SAMPLES], pcm[MAX_LANES][MAX_SAMPLES];
    wv_info info;
    wv_batch *batch;
    wv_state *states[MAX_LANES];
    int16_t *to[MAX_LANES];
    size_t wanted[MAX_LANES], written[MAX_LANES], n_pcm[MAX_LANES] = {0};
    wv_model_info(model, &info);
    const uint32_t n_states = 1 + next(&s, MAX_LANES);
    need(wv_batch_new(model, 1 + (int32_t)next(&s, 3), 1 + (int32_t)next(&s, 2), &batch) == WV_OK, "no batch");
    source again = s;
    for (uint32_t l = 0; l < n_states; l++) states[l] = stream(model, &info, &s);
    for (int call = 0; call < 4; call++) {
        for (uint32_t l = 0; l < n_states; l++) {
            to[l] = pcm[l] + n_pcm[l];
            wanted[l] = next(&s, MAX_SAMPLES / 4 + 1);
        }
        need(wv_batch_pull(batch, states, n_states, to, wanted, written) == WV_OK, "status of wv_batch_pull");
        for (uint32_t l = 0; l < n_states; l++) n_pcm[l] += written[l];
    }
    wv_batch_free(batch);
    for (uint32_t l = 0; l < n_states; l++) {
        size_t n;
        wv_state_free(states[l]);
        states[l] = stream(model, &info, &again);
        need(wv_pull(states[l], alone, n_pcm[l], &n) == WV_OK && n == n_pcm[l], "samples of a stream alone");
        need(memcmp(alone, pcm[l], n * sizeof *alone) == 0, "a stream in step differs");
        wv_state_free(states[l]);
    }
}

/* Audio to mels, in any pieces */
static void listen(const wv_model *model, source s) {
    wv_mel *mel;
    wv_info info;
    float audio[300], frames[4 * MAX_BANDS];
    wv_model_info(model, &info);
    const wv_status status = wv_mel_new(model, &mel);
    need(status == WV_OK || (status == WV_ERR_ARGUMENT && mel == NULL), "status of wv_mel_new");
    for (int i = 0; status == WV_OK && i < 8; i++) {
        size_t done, n = next(&s, 256);
        for (size_t k = 0; k < n; k++) audio[k] = FINITE[next(&s, N_FINITE)];
        const wv_status pushed = wv_mel_push(mel, audio, n, &done);
        need(done <= n && (pushed == WV_OK || pushed == WV_ERR_ARGUMENT), "wv_mel_push");
        if (next(&s, 8) == 0) need(wv_mel_finish(mel) == WV_OK, "wv_mel_finish");
        n = next(&s, 5);
        const size_t available = wv_mel_available(mel);
        need(wv_mel_pull(mel, frames, n, &done) == WV_OK && done == (available < n ? available : n), "wv_mel_pull");
        if (wv_mel_push(mel, audio, 0, &done) == WV_ERR_FINISHED) break;
    }
    wv_mel_free(mel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    source s = {data, size, (uint32_t)size};
    const wv_model *model = models[next(&s, 256) % n_models];
    switch (next(&s, 8)) {
    case 0: live_in_step(model, s); break;
    case 1: listen(model, s); break;
    default: live_everywhere(model, s, 1);
    }
    return 0;
}
