/* npy.c - mels out of a .npy. Twin of wv_runtime/features/mel_file.py (load_mel): the same checks in the same order. */
#include "npy.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wav.h"

enum { MAX_HEADER_BYTES = 65536, MAX_DIMS = 8 };
#define LOWEST_MEL (-16.0f) /* log(1e-5) = -11.5 is the floor of every preset, speech peaks near 3; the rest is slack */
#define HIGHEST_MEL 6.0f
#define NOT_NPY "not a .npy file, wanted a mel array of wv-mel or numpy.save"

#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
static float *refuse(char *message, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(message, NPY_MESSAGE_BYTES, format, args);
    va_end(args);
    return NULL;
}

/* The value of a key of the header; NULL when there is none. */
static const char *value_of(const char *header, const char *key) {
    const char *p = strstr(header, key);
    if (p == NULL) return NULL;
    p += strlen(key);
    while (*p == ' ') p++;
    return p;
}

/* Copies the text between an opening and a closing character, up to n - 1 bytes. */
static void between(const char *p, char open, const char *close, char *to, size_t n) {
    if (*p++ != open) return;
    size_t length = strcspn(p, close);
    length = length < n - 1 ? length : n - 1;
    if (length == 0) return;
    memcpy(to, p, length);
    to[length] = '\0';
}

/* From the text of the header and the data after it. */
static float *parse(const char *header, const unsigned char *data, size_t data_bytes, const wv_info *info,
                    size_t *n_frames, char *message) {
    const char *descr = value_of(header, "'descr':"), *order = value_of(header, "'fortran_order':");
    const char *dims_text = value_of(header, "'shape':");
    if (descr == NULL || order == NULL || dims_text == NULL) return refuse(message, NOT_NPY);

    /* 2) float32 or float64 */
    char dtype[16] = "?";
    between(descr, '\'', "'", dtype, sizeof dtype);
    const size_t item = strcmp(dtype, "<f4") == 0 ? 4 : strcmp(dtype, "<f8") == 0 ? 8 : 0;
    if (item == 0) return refuse(message, "dtype %s, wanted <f4 (float32) or <f8", dtype);

    /* 3) (n_mels, n_frames) */
    const int fortran_order = strncmp(order, "True", 4) == 0;
    char shape[64] = "";
    between(dims_text, '(', ")", shape, sizeof shape);
    size_t dims[MAX_DIMS] = {0}, n_dims = 0;
    for (const char *p = shape; *p && n_dims < MAX_DIMS;)
        if (*p >= '0' && *p <= '9') {
            char *end;
            dims[n_dims++] = (size_t)strtoull(p, &end, 10);
            p = end;
        } else {
            p++;
        }
    const size_t n_mels = (size_t)info->n_mels, longest = WAV_MAX_SAMPLES / (size_t)info->hop_length;
    if (n_dims == 2 && dims[0] != n_mels && dims[1] == n_mels)
        return refuse(message, "shape (%s) is transposed, wanted (n_mels, n_frames) = (%zu, %zu)", shape, dims[1], dims[0]);
    if (n_dims != 2 || dims[0] != n_mels) return refuse(message, "shape (%s), wanted (%zu, n_frames)", shape, n_mels);
    if (dims[1] == 0) return refuse(message, "0 frames, wanted at least 1");
    if (dims[1] > longest)
        return refuse(message, "%zu frames, wanted at most the %zu that fit a WAV file", dims[1], longest);
    if (dims[1] > data_bytes / item / n_mels)
        return refuse(message, "truncated: %zu bytes of data, wanted (%s) of %s", data_bytes, shape, dtype);
    *n_frames = dims[1];

    /* 4) the settings it was made with, if wv-mel wrote them */
    char wanted[80];
    snprintf(wanted, sizeof wanted, "%s, %d Hz, hop %d", info->mel_name, (int)info->sample_rate, (int)info->hop_length);
    const char *tag = strstr(header, "# mel: ");
    if (tag != NULL && (strncmp(tag + 7, wanted, strlen(wanted)) != 0 || tag[7 + strlen(wanted)] != ';'))
        return refuse(message, "made for %.*s; the model wants %s", (int)strcspn(tag + 7, ";\n"), tag + 7, wanted);

    /* 5) finite natural logarithms, frame after frame as wv_push wants them */
    float *frames = malloc(n_mels * *n_frames * sizeof(float)), low = HUGE_VALF, high = -HUGE_VALF;
    if (frames == NULL) return refuse(message, "out of memory");
    for (size_t band = 0; band < n_mels; band++)
        for (size_t t = 0; t < *n_frames; t++) {
            const unsigned char *p = data + item * (fortran_order ? t * n_mels + band : band * *n_frames + t);
            float x;
            double wide;
            if (item == 4) {
                memcpy(&x, p, 4);
            } else {
                memcpy(&wide, p, 8);
                x = (float)wide;
            }
            if (!isfinite(x)) {
                free(frames);
                return refuse(message, "NaN or infinite at band %zu, frame %zu", band, t);
            }
            low = x < low ? x : low;
            high = x > high ? x : high;
            frames[t * n_mels + band] = x;
        }
    if (low < LOWEST_MEL || high > HIGHEST_MEL || low >= 0.0f) {
        free(frames);
        return refuse(message, "values from %.4g to %.4g, wanted natural-log mels, about -11.5 to 3%s", (double)low,
                      (double)high, low >= 0.0f ? "; these look linear" : low < LOWEST_MEL ? "; these look like decibels" : "");
    }
    return frames;
}

float *npy_mels(const unsigned char *bytes, size_t n_bytes, const wv_info *info, size_t *n_frames,
                char message[NPY_MESSAGE_BYTES]) {
    /* 1) a .npy header: magic, version, length, a dictionary in text */
    if (n_bytes < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0 || bytes[6] < 1 || bytes[6] > 3) return refuse(message, NOT_NPY);
    size_t start = 10, length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1) {
        start = 12;
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    }
    if (length > MAX_HEADER_BYTES || start + length > n_bytes) return refuse(message, NOT_NPY);
    char *header = malloc(length + 1);
    if (header == NULL) return refuse(message, "out of memory");
    memcpy(header, bytes + start, length);
    header[length] = '\0';
    float *frames = parse(header, bytes + start + length, n_bytes - start - length, info, n_frames, message);
    free(header);
    return frames;
}
