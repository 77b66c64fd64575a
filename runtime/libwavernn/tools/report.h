/* report.h - what wv_run says about a run. */
#ifndef WV_REPORT_H
#define WV_REPORT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "output.h"
#include "wavernn.h"

/* The command line. */
typedef struct {
    const char *model, *mel, *out, *isa;
    uint64_t seed;
    float temperature;
    audio_format format;
    int32_t n_threads, chunk_frames, postfilter;
    double rtf_limit; /* 0: none */
    int verify, strict, json;
} arguments;

/* What was measured. */
typedef struct {
    const char *isa;
    size_t n_frames, n_samples;
    double compute_s, first_audio_s;
    const char *mels; /* wv_mels_name of what was found */
    size_t clipped;
    double level_db;
    char sha256[65];
} report;

/* As text, or as JSON with a->json. */
void print_report(FILE *to, const arguments *a, const wv_info *info, const report *r);

#endif
