/* report.c - what wv_run says about a run. Twin of wv_runtime/commands/report.py: the same keys and lines. */
#include "report.h"

#include <stdio.h>

static void print_json_string(const char *key, const char *s) {
    printf("\"%s\": \"", key);
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            printf("\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            printf("\\u%04x", (unsigned)*s);
        else
            putchar(*s);
    fputs("\", ", stdout);
}

void print_report(const arguments *a, const wv_info *info, const report *r) {
    static const char *const dtypes[] = {"f32", "f16", "int8"};
    const double audio_s = (double)r->n_samples / info->sample_rate, rtf = r->compute_s / audio_s;
    const double samples_per_s = (double)r->n_samples / r->compute_s;
    if (a->json) {
        putchar('{');
        print_json_string("model", a->model);
        print_json_string("mel", a->mel);
        print_json_string("out", a->out);
        printf("\"backend\": \"c\", \"isa\": \"%s\", \"dtype\": \"%s\", ", r->isa, dtypes[info->dtype]);
        printf("\"seed\": %llu, \"temperature\": %.9g, ", (unsigned long long)a->seed, (double)a->temperature);
        printf("\"n_frames\": %zu, \"n_samples\": %zu, ", r->n_frames, r->n_samples);
        printf("\"sample_rate\": %d, \"audio_s\": %.6f, ", (int)info->sample_rate, audio_s);
        printf("\"compute_s\": %.6f, \"real_time_factor\": %.6f, ", r->compute_s, rtf);
        printf("\"samples_per_s\": %.1f, \"first_audio_s\": %.6f, ", samples_per_s, r->first_audio_s);
        printf("\"jit_s\": 0.0, \"verified\": %s, \"mels\": \"%s\", ", a->verify ? "true" : "false", r->mels);
        printf("\"clipped\": %zu, \"level_db\": %.6f, \"sha256\": \"%s\"}\n", r->clipped, r->level_db, r->sha256);
        return;
    }
    printf("audio             %.3f s, %zu samples at %d Hz -> %s\n", audio_s, r->n_samples, (int)info->sample_rate, a->out);
    printf("model             %s, %s\n", a->model, dtypes[info->dtype]);
    printf("backend           c, %s\n", r->isa);
    printf("compute           %.3f s, %.0f samples/s\n", r->compute_s, samples_per_s);
    printf("real-time factor  %.3f (compute seconds per second of audio)\n", rtf);
    printf("first audio       %.2f ms after the first frame\n", 1e3 * r->first_audio_s);
    printf("JIT               0.0 s, not counted above\n");
    if (a->verify) printf("verified          the same samples from portable and %s\n", r->isa);
    printf("sha256 of PCM     %s\n", r->sha256);
}
