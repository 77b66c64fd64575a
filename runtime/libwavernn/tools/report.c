/* report.c - what wv_run says about a run. Twin of wv_runtime/commands/report.py: the same keys and lines. */
#include "report.h"

#include <stdio.h>

static void print_json_string(FILE *to, const char *key, const char *s) {
    fprintf(to, "\"%s\": \"", key);
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            fprintf(to, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            fprintf(to, "\\u%04x", (unsigned)*s);
        else
            fputc(*s, to);
    fputs("\", ", to);
}

void print_report(FILE *to, const arguments *a, const wv_info *info, const report *r) {
    static const char *const dtypes[] = {"f32", "f16", "int8"};
    const double audio_s = (double)r->n_samples / info->sample_rate, rtf = r->compute_s / audio_s;
    const double samples_per_s = (double)r->n_samples / r->compute_s;
    if (a->json) {
        fputc('{', to);
        print_json_string(to, "model", a->model);
        print_json_string(to, "mel", a->mel);
        print_json_string(to, "out", a->out);
        fprintf(to, "\"backend\": \"c\", \"isa\": \"%s\", \"dtype\": \"%s\", ", r->isa, dtypes[info->dtype]);
        fprintf(to, "\"seed\": %llu, \"temperature\": %.9g, ", (unsigned long long)a->seed, (double)a->temperature);
        fprintf(to, "\"n_frames\": %zu, \"n_samples\": %zu, ", r->n_frames, r->n_samples);
        fprintf(to, "\"sample_rate\": %d, \"audio_s\": %.6f, ", (int)info->sample_rate, audio_s);
        fprintf(to, "\"compute_s\": %.6f, \"real_time_factor\": %.6f, ", r->compute_s, rtf);
        fprintf(to, "\"samples_per_s\": %.1f, \"first_audio_s\": %.6f, ", samples_per_s, r->first_audio_s);
        fprintf(to, "\"jit_s\": 0.0, \"verified\": %s, \"mels\": \"%s\", ", a->verify ? "true" : "false", r->mels);
        fprintf(to, "\"clipped\": %zu, \"level_db\": %.6f, \"sha256\": \"%s\"}\n", r->clipped, r->level_db, r->sha256);
        return;
    }
    fprintf(to, "audio             %.3f s, %zu samples at %d Hz -> %s\n", audio_s, r->n_samples, (int)info->sample_rate, a->out);
    fprintf(to, "model             %s, %s\n", a->model, dtypes[info->dtype]);
    fprintf(to, "backend           c, %s\n", r->isa);
    fprintf(to, "compute           %.3f s, %.0f samples/s\n", r->compute_s, samples_per_s);
    fprintf(to, "real-time factor  %.3f (compute seconds per second of audio)\n", rtf);
    fprintf(to, "first audio       %.2f ms after the first frame\n", 1e3 * r->first_audio_s);
    fprintf(to, "JIT               0.0 s, not counted above\n");
    if (a->verify) fprintf(to, "verified          the same samples from portable and %s\n", r->isa);
    fprintf(to, "sha256 of PCM     %s\n", r->sha256);
}
