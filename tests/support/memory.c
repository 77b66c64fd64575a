/* memory.c - what the library does with memory, for each model named.
 *
 * 1) The n-th allocation fails, for every n until none does: WV_ERR_MEMORY each time, nothing left behind.
 * 2) After wv_model_load, wv_state_new, wv_batch_new and wv_mel_new nothing allocates.
 *
 * Linked with --wrap=malloc,--wrap=calloc,--wrap=free. Prints "allocations MODEL"; exit 1 otherwise. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wavernn.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *p);

static long n_allocated, n_living, failing = -1; /* failing: index of the allocation that fails */

static int fails(void) { return n_allocated++ == failing; }

void *__wrap_malloc(size_t n) {
    if (fails()) return NULL;
    n_living++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
    if (fails()) return NULL;
    n_living++;
    return __real_calloc(n, size);
}

void __wrap_free(void *p) {
    if (p != NULL) n_living--;
    __real_free(p);
}

static void need(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "memory: %s\n", what);
    exit(1);
}

enum { N_FRAMES = 6, MAX_BANDS = 512, N_PCM = 4096 };
static _Alignas(64) unsigned char file[1 << 22];
static float mel[N_FRAMES * MAX_BANDS], audio[2000];
static int16_t pcm[2][N_PCM];

/* Everything that pushes and pulls; none of it may allocate. */
static void use(wv_state *state, wv_batch *batch, wv_mel *ears) {
    const long before = n_allocated;
    size_t done, alone = 0, wanted[1] = {N_PCM}, written[1];
    int16_t *to[1] = {pcm[1]};
    for (int i = 0; i < 2; i++) {
        need(wv_push(state, mel, N_FRAMES, &done) == WV_OK && done > 0, "wv_push");
        need(wv_finish(state) == WV_OK, "wv_finish");
        if (i == 0) need(wv_pull(state, pcm[0], N_PCM, &alone) == WV_OK && alone > 0, "wv_pull");
        if (i == 1) need(wv_batch_pull(batch, &state, 1, to, wanted, written) == WV_OK && written[0] == alone, "wv_batch_pull");
        need(wv_reset(state, 0) == WV_OK, "wv_reset");
    }
    need(memcmp(pcm[0], pcm[1], alone * sizeof **pcm) == 0, "a batch gives other samples");
    need(wv_mel_push(ears, audio, sizeof audio / sizeof *audio, &done) == WV_OK, "wv_mel_push");
    need(wv_mel_pull(ears, mel, 1, &done) == WV_OK, "wv_mel_pull");
    need(n_allocated == before, "an allocation after the creation");
}

/* The status of the first call that fails */
static wv_status whole(size_t n_bytes) {
    wv_model *model = NULL;
    wv_state *state = NULL;
    wv_batch *batch = NULL;
    wv_mel *ears = NULL;
    const wv_options options = WV_OPTIONS_DEFAULT;
    wv_status status = wv_model_load(file, n_bytes, &model);
    if (status == WV_OK) status = wv_state_new(model, &options, &state);
    if (status == WV_OK) status = wv_batch_new(model, 2, 1, &batch);
    if (status == WV_OK) status = wv_mel_new(model, &ears);
    if (status == WV_OK) use(state, batch, ears);
    need(status != WV_OK || (model && state && batch && ears), "NULL with WV_OK");
    wv_mel_free(ears);
    wv_batch_free(batch);
    wv_state_free(state);
    wv_model_free(model);
    return status;
}

int main(int argc, char **argv) {
    for (int k = 1; k < argc; k++) {
        FILE *f = fopen(argv[k], "rb");
        need(f != NULL, argv[k]);
        const size_t n_bytes = fread(file, 1, sizeof file, f);
        fclose(f);
        wv_status status = WV_ERR_MEMORY;
        for (failing = 0; status != WV_OK; failing++) {
            const long living = n_living;
            need(failing < 1000, "too many allocations");
            n_allocated = 0;
            status = whole(n_bytes);
            need(n_living == living, "memory that nobody frees");
            need(status == WV_OK ? n_allocated <= failing : status == WV_ERR_MEMORY, wv_status_str(status));
        }
        printf("%ld %s\n", n_allocated, argv[k]);
    }
    return 0;
}
