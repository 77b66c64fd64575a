/* wav_read.c - WAV files to read. */
#include "wav.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t number(const unsigned char *p, int n_bytes) {
    uint32_t x = 0;
    for (int i = 0; i < n_bytes; i++) x |= (uint32_t)p[i] << 8 * i;
    return x;
}

/* One sample of n_bytes */
static float sample(const unsigned char *p, int n_bytes, int is_float) {
    const uint32_t bits = number(p, n_bytes) << (32 - 8 * n_bytes);
    float x;
    if (n_bytes == 1) return (float)(p[0] - 128) / 128.0f;
    if (!is_float) return (float)((double)(int32_t)bits / 2147483648.0);
    memcpy(&x, &bits, sizeof x);
    return x;
}

float *wav_decode(const unsigned char *bytes, size_t n_bytes, size_t *n_samples, int32_t *sample_rate,
                  char message[WAV_MESSAGE_BYTES]) {
    enum { PCM = 1, FLOAT = 3, EXTENSIBLE = 0xfffe };
    if (n_bytes < 12 || memcmp(bytes, "RIFF", 4) != 0 || memcmp(bytes + 8, "WAVE", 4) != 0)
        return refuse(message, "not a WAV file, wanted one of PCM or float samples");
    /* 1) the chunks up to the samples; one that says it is longer than the file ends there, as streams are written */
    const unsigned char *format = NULL, *data = NULL;
    size_t data_bytes = 0;
    for (size_t at = 12; data == NULL && at + 8 <= n_bytes;) {
        const size_t left = n_bytes - at - 8, size = number(bytes + at + 4, 4);
        const size_t held = size < left ? size : left;
        if (memcmp(bytes + at, "fmt ", 4) == 0 && held >= 16) {
            format = bytes + at + 8;
            if (number(format, 2) == EXTENSIBLE && held < 26) format = NULL;
        } else if (memcmp(bytes + at, "data", 4) == 0) {
            data = bytes + at + 8;
            data_bytes = held;
        }
        at += 8 + held + held % 2;
    }
    if (format == NULL || data == NULL) return refuse(message, "a WAV file without samples, wanted chunks fmt and data");
    /* 2) what the samples are */
    uint32_t kind = number(format, 2), rate = number(format + 4, 4), n_channels = number(format + 2, 2), bits = number(format + 14, 2);
    if (kind == EXTENSIBLE) kind = number(format + 24, 2);
    const int is_float = kind == FLOAT && bits == 32, is_pcm = kind == PCM && bits >= 8 && bits <= 32 && bits % 8 == 0;
    if (!is_float && !is_pcm)
        return refuse(message, "WAV format %u of %u bits, wanted PCM of 8, 16, 24 or 32 or float of 32", (unsigned)kind, (unsigned)bits);
    if (n_channels == 0 || rate == 0 || rate > INT32_MAX)
        return refuse(message, "%u channels at %u Hz, wanted audio", (unsigned)n_channels, (unsigned)rate);
    /* 3) the mean of the channels */
    const size_t width = bits / 8, frame = width * n_channels;
    *n_samples = data_bytes / frame;
    *sample_rate = (int32_t)rate;
    if (*n_samples == 0) return refuse(message, "found 0 samples, wanted audio");
    float *audio = malloc(*n_samples * sizeof *audio);
    if (audio == NULL) return refuse(message, "out of memory");
    for (size_t i = 0; i < *n_samples; i++) {
        float sum = 0.0f;
        for (uint32_t c = 0; c < n_channels; c++) sum += sample(data + i * frame + c * width, (int)width, is_float);
        audio[i] = sum / (float)n_channels;
        if (!isfinite(audio[i])) {
            free(audio);
            return refuse(message, "found NaN or infinite samples, wanted finite ones");
        }
    }
    return audio;
}
