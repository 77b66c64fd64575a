/* fuzz.h - what the fuzz targets share: a stream driven by bytes, on every ISA, whose samples must be equal.
 *
 * A finding is a report of a sanitizer, or an abort() of `need`. */
#ifndef WV_FUZZ_H
#define WV_FUZZ_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wavernn.h"

enum { MAX_SAMPLES = 24, MAX_PULL = 21, MAX_PUSH = 7, MAX_BANDS = 512, MAX_OPERATIONS = 24 };

static void need(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

/* The fuzzer's bytes; random ones, the same each time, once they are used up */
typedef struct {
    const uint8_t *data;
    size_t n;
    uint32_t state;
} source;

static uint32_t next(source *s, uint32_t below) {
    s->state = s->state * 1664525u + 1013904223u;
    if (s->n == 0) return (s->state >> 8) % below;
    s->n--;
    return (s->state >> 24 ^ *s->data++) % below;
}

/* A copy of exactly n bytes at a multiple of 64, so that one byte beyond is seen */
static void *exactly(const void *data, size_t n) {
    void *copy = NULL;
    need(posix_memalign(&copy, 64, n > 0 ? n : 1) == 0, "out of memory");
    if (n > 0) memcpy(copy, data, n);
    return copy;
}

static const float FINITE[] = {0.0f,    -0.0f,  1.0f, -1.0f,  1e38f, -1e38f, 3.402823466e38f, -3.402823466e38f,      1e-45f,
                               -1e-45f, 1e-40f, 6.0f, -16.0f, 1e10f, -1e10f, 0.5f,            1.17549435e-38f, -8.0f};
enum { N_FINITE = sizeof FINITE / sizeof *FINITE };

/* Mels: ordinary, extreme or, if `legal` is 0, now and then not finite. Returns the frames before the first such one. */
static size_t hostile_mels(source *s, size_t n_frames, size_t n_mels, int legal, float *mel) {
    const uint32_t how = next(s, 4);
    for (size_t i = 0; i < n_frames * n_mels; i++) {
        s->state = s->state * 1664525u + 1013904223u;
        mel[i] = how < 2 ? (float)(s->state >> 16) / 8192.0f - 8.0f : FINITE[(s->state >> 16) % N_FINITE];
    }
    if (legal || n_frames == 0 || next(s, 8) > 0) return n_frames;
    const size_t at = next(s, 256) % (n_frames * n_mels);
    mel[at] = next(s, 2) ? NAN : -INFINITY;
    return at / n_mels;
}

static wv_options options_of(source *s, const char *isa) {
    static const float TEMPERATURES[] = {1.0f, 0.5f, 0.02f, WV_TEMPERATURE_MIN, WV_TEMPERATURE_MAX};
    wv_options o = WV_OPTIONS_DEFAULT;
    o.seed = next(s, 256);
    o.temperature = TEMPERATURES[next(s, 5)];
    o.max_frames = 1 + (int32_t)next(s, 9);
    o.isa = isa;
    o.n_threads = next(s, 4);
    return o;
}

/* One stream's life: pushes, pulls, resets. Returns how many samples came; pcm : (MAX_SAMPLES,) */
static size_t live(const wv_model *model, const wv_info *info, source s, const char *isa, int filter, int16_t *pcm) {
    wv_state *state = (wv_state *)&s;
    wv_options options = options_of(&s, isa);
    if (!filter) options.postfilter = WV_FILTER_OFF;
    need(wv_state_new(model, &options, &state) == WV_OK && state != NULL, "no state");
    const size_t n_mels = (size_t)info->n_mels;
    size_t n_pcm = 0;
    int finished = 0;
    for (int i = 0; i < MAX_OPERATIONS && n_pcm < MAX_SAMPLES; i++) {
        const uint32_t what = next(&s, 16);
        size_t done = 99;
        if (what < 7) {
            const size_t n = next(&s, MAX_PUSH + 1);
            float *mel = malloc(n * n_mels * sizeof(float) + (n == 0)); /* of its own, so that a read beyond is seen */
            const size_t legal = hostile_mels(&s, n, n_mels, 0, mel);
            const wv_status status = wv_push(state, mel, n, &done);
            need(done <= legal, "took what is not finite");
            need(finished ? status == WV_ERR_FINISHED && done == 0 : status == WV_OK || (status == WV_ERR_MEL && done == legal),
                 "status of wv_push");
            free(mel);
        } else if (what < 14) {
            size_t n = next(&s, MAX_PULL);
            if (n > MAX_SAMPLES - n_pcm) n = MAX_SAMPLES - n_pcm;
            const size_t available = wv_available(state);
            int16_t *samples = malloc(n * sizeof *samples + (n == 0));
            need(wv_pull(state, samples, n, &done) == WV_OK, "status of wv_pull");
            need(done == (available < n ? available : n) && wv_available(state) == available - done, "wv_available");
            memcpy(pcm + n_pcm, samples, done * sizeof *samples);
            n_pcm += done;
            free(samples);
        } else if (what == 14) {
            need(wv_finish(state) == WV_OK, "status of wv_finish");
            finished = 1;
        } else if (next(&s, 4) == 0) {
            need(wv_reset(state, next(&s, 256)) == WV_OK && wv_available(state) == 0, "wv_reset");
            finished = 0;
        }
    }
    wv_state_free(state);
    return n_pcm;
}

/* `live` on every ISA */
static void live_everywhere(const wv_model *model, source s, int filter) {
    static int16_t first[MAX_SAMPLES], pcm[MAX_SAMPLES];
    wv_info info;
    need(wv_model_info(model, &info) == WV_OK && strlen(info.mel_name) < sizeof info.mel_name, "wv_model_info");
    const size_t n_first = live(model, &info, s, "portable", filter, first);
    for (int32_t i = 0; wv_isa_name(i) != NULL; i++) {
        if (strcmp(wv_isa_name(i), "portable") == 0) continue;
        const size_t n = live(model, &info, s, wv_isa_name(i), filter, pcm);
        need(n == n_first && memcmp(pcm, first, n * sizeof *pcm) == 0, wv_isa_name(i));
    }
}

#endif
