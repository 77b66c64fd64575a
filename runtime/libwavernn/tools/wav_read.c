/* wav_read.c - WAV files to read. What reads like audio and cannot be meant is refused, what is unlikely gets a remark:
 * wv_runtime/features/recording.py, without what it says of rates and spectra. */
#include "wav.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTEGER_SCALE 8.0f      /* a float file that peaks above it holds integers */
#define CANCELLED 1e-3          /* share of the channels' power that is left of their mean */
#define SILENCE 1e-4f           /* of full scale: -80 dB */
#define CLIPPED_SHARE 1e-3      /* of the samples */
#define STREAMED 0x7F000000u    /* bytes: programs that write WAV into a pipe say about 2 or 4 GiB */

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

/* Of all channels: the largest magnitude, the mean of their energies; and the energy of their mean. 0: `message` says why not */
static int check_recording(uint32_t n_channels, float peak, double power, double left, char message[WAV_MESSAGE_BYTES]) {
    if (peak > INTEGER_SCALE) {
        const int bits = peak <= 32768.0f ? 16 : peak <= 8388608.0f ? 24 : 32;
        snprintf(message, WAV_MESSAGE_BYTES, "found a peak of %.0f, wanted full scale at 1; these look like %d-bit integers in a float "
                 "file: divide them by %u", (double)peak, bits, 1u << (bits - 1));
        return 0;
    }
    if (peak > SILENCE && left < CANCELLED * power) {
        snprintf(message, WAV_MESSAGE_BYTES, "found %u channels that cancel each other, wanted ones whose mean is the speech: one of "
                 "them has its sign reversed", (unsigned)n_channels);
        return 0;
    }
    return 1;
}

/* Into `message`, which is empty if there is nothing to say. n_clipped : samples beyond full scale, of n_samples */
static void remark(const unsigned char *bytes, size_t n_bytes, float peak, size_t n_clipped, size_t n_samples,
                   char message[WAV_MESSAGE_BYTES]) {
    const uint32_t size = number(bytes + 4, 4);
    int n = 0;
    message[0] = '\0';
    if (size < STREAMED && n_bytes + 1 < 8 + (size_t)size) /* one byte may be of padding */
        n = snprintf(message, WAV_MESSAGE_BYTES, "found %zu bytes, wanted %zu by its header: its end is missing", n_bytes, 8 + (size_t)size);
    const double share = (double)n_clipped / (double)n_samples;
    if (peak <= SILENCE)
        snprintf(message + n, WAV_MESSAGE_BYTES - (size_t)n, "%sfound silence, wanted speech", n ? "; " : "");
    else if (share > CLIPPED_SHARE)
        snprintf(message + n, WAV_MESSAGE_BYTES - (size_t)n, "%sfound %.1f%% of the samples beyond full scale, wanted a peak of at most 1",
                 n ? "; " : "", 100.0 * share);
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
    float peak = 0.0f, mono_peak = 0.0f;
    double power = 0.0, left = 0.0;
    size_t n_clipped = 0;
    int finite = 1;
    for (size_t i = 0; i < *n_samples; i++) {
        float sum = 0.0f;
        for (uint32_t c = 0; c < n_channels; c++) {
            const float x = sample(data + i * frame + c * width, (int)width, is_float);
            sum += x;
            finite = finite && isfinite(x);
            peak = fabsf(x) > peak ? fabsf(x) : peak;
            power += (double)x * (double)x;
        }
        audio[i] = sum / (float)n_channels;
        mono_peak = fabsf(audio[i]) > mono_peak ? fabsf(audio[i]) : mono_peak;
        left += (double)audio[i] * (double)audio[i];
        n_clipped += fabsf(audio[i]) > 1.0f;
    }
    if (!finite)
        refuse(message, "found NaN or infinite samples, wanted finite ones");
    else if (check_recording(n_channels, peak, power / n_channels, left, message)) {
        remark(bytes, n_bytes, mono_peak, n_clipped, *n_samples, message);
        return audio;
    }
    free(audio);
    return NULL;
}
