/* npy.c - mels out of a .npy. Twin of wv_runtime/features/mel_file.py (load_mel): the same checks in the same order. */
#include "npy.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/mel_check.h"
#include "wav.h"

enum { MAX_HEADER_BYTES = 65535, MAX_DIMS = 8, SHAPE_BYTES = 192, MAX_DESCR = 15, SHOWN_DESCR = 60 };
#define LOWEST_MEL (-16.0f) /* log(1e-5) = -11.5 is the floor of every preset, speech peaks near 3; the rest is slack */
#define HIGHEST_MEL 6.0f
#define DECIBELS_FROM (-30.0f) /* what is lower are decibels, what is higher logarithms of power */
#define LOWEST_DECIBELS (-400.0f)
#define LOG2_FLOOR (-16.609640f) /* log2(1e-5) */
#define NOT_NPY "not a .npy file, wanted a mel array of wv-mel or numpy.save"

static wv_mels range_cause(float low) {
    if (LOG2_FLOOR - 1e-3f < low && low < LOG2_FLOOR + 1e-3f) return WV_MELS_LOG2;
    return low < LOWEST_DECIBELS ? WV_MELS_OTHER : low < DECIBELS_FROM ? WV_MELS_DECIBELS : WV_MELS_POWER;
}

static float *refuse_range(char *message, float low, float high, wv_mels cause) {
    return refuse(message, "values from %.4g to %.4g, wanted natural-log mels, about -11.5 to 3%s%s", (double)low, (double)high,
                  cause == WV_MELS_FIT ? "" : "; ", cause == WV_MELS_FIT ? "" : wv_mels_advice(cause));
}

/* The header as FORMAT.md, "The .npy of a mel", writes it. */
typedef struct {
    const char *descr; /* without its quotes */
    size_t descr_length;
    int fortran_order;
    size_t dims[MAX_DIMS], n_dims;
    const char *comment; /* from its #, or "" */
} npy_header;

static void skip_space(const char **p) { *p += strspn(*p, " \t\r\n"); }

/* Whether `word` stands at *p, white space before it; moves behind it. */
static int take(const char **p, const char *word) {
    skip_space(p);
    const size_t n = strlen(word);
    if (strncmp(*p, word, n) != 0) return 0;
    *p += n;
    return 1;
}

/* An integer without sign or leading zeros, of at most 18 digits */
static int take_integer(const char **p, size_t *value) {
    skip_space(p);
    const size_t n = strspn(*p, "0123456789");
    if (n == 0 || n > 18 || (**p == '0' && n > 1)) return 0;
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++) x = 10 * x + (uint64_t)((*p)[i] - '0');
    *value = x > SIZE_MAX ? SIZE_MAX : (size_t)x;
    *p += n;
    return 1;
}

static int take_descr(const char **p, npy_header *h) {
    skip_space(p);
    if (**p == '[') { /* of a record, with its brackets */
        h->descr = (*p)++;
        while (**p >= ' ' && **p <= '~' && **p != '[' && **p != ']') ++*p;
        if (*(*p)++ != ']') return 0;
        h->descr_length = (size_t)(*p - h->descr);
        return 1;
    }
    if (!take(p, "'")) return 0;
    h->descr = *p;
    h->descr_length = strspn(*p, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz<>=|");
    *p += h->descr_length;
    return h->descr_length >= 1 && h->descr_length <= MAX_DESCR && *(*p)++ == '\'';
}

static int descr_is(const npy_header *h, const char *descr) {
    return h->descr_length == strlen(descr) && memcmp(h->descr, descr, h->descr_length) == 0;
}

/* (), (1,), (1, 2), (1, 2,), .. */
static int take_shape(const char **p, npy_header *h) {
    if (!take(p, "(")) return 0;
    for (h->n_dims = 0; !take(p, ")"); h->n_dims++) {
        if (h->n_dims == MAX_DIMS || !take_integer(p, &h->dims[h->n_dims])) return 0;
        if (!take(p, ",") && (h->n_dims == 0 || !(skip_space(p), **p == ')'))) return 0;
    }
    return 1;
}

static int take_header(const char *p, npy_header *h) {
    enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
    int seen = 0;
    memset(h, 0, sizeof *h);
    if (!take(&p, "{")) return 0;
    for (int i = 0; i < 3; i++) {
        if (i > 0 && !take(&p, ",")) return 0;
        const int key = take(&p, "'descr'") ? DESCR : take(&p, "'fortran_order'") ? ORDER : take(&p, "'shape'") ? SHAPE : 0;
        if (key == 0 || (seen & key) || !take(&p, ":")) return 0;
        seen |= key;
        if (key == ORDER) {
            h->fortran_order = take(&p, "True");
            if (!h->fortran_order && !take(&p, "False")) return 0;
        } else if (!(key == DESCR ? take_descr(&p, h) : take_shape(&p, h))) {
            return 0;
        }
    }
    (void)take(&p, ",");
    if (!take(&p, "}")) return 0;
    skip_space(&p);
    h->comment = *p == '#' ? p : "";
    if (*p == '#')
        while (*p == '\t' || *p == '\r' || (*p >= ' ' && *p <= '~')) p++;
    skip_space(&p);
    return *p == '\0';
}

/* Its shape as Python prints it */
static void print_shape(const npy_header *h, char text[SHAPE_BYTES]) {
    int at = snprintf(text, SHAPE_BYTES, "(");
    for (size_t i = 0; i < h->n_dims; i++) at += snprintf(text + at, SHAPE_BYTES - (size_t)at, i ? ", %zu" : "%zu", h->dims[i]);
    snprintf(text + at, SHAPE_BYTES - (size_t)at, h->n_dims == 1 ? ",)" : ")");
}

void npy_settings(const wv_info *info, char text[NPY_SETTINGS_BYTES]) {
    snprintf(text, NPY_SETTINGS_BYTES, "%s, %d Hz, hop %d", info->mel_name, (int)info->sample_rate, (int)info->hop_length);
}

/* From the text of the header and the data after it. */
static float *parse(const char *header, const unsigned char *data, size_t data_bytes, const wv_model *model,
                    size_t *n_frames, char *message) {
    npy_header h;
    char shape[SHAPE_BYTES];
    wv_info known, *info = &known;
    (void)wv_model_info(model, info);
    if (!take_header(header, &h)) return refuse(message, NOT_NPY);
    const size_t *dims = h.dims;
    print_shape(&h, shape);

    /* 2) float32 or float64 */
    const size_t item = descr_is(&h, "<f4") ? 4 : descr_is(&h, "<f8") ? 8 : 0;
    const int shown = h.descr_length < SHOWN_DESCR ? (int)h.descr_length : SHOWN_DESCR;
    if (item == 0)
        return refuse(message, "dtype %.*s%s, wanted <f4 (float32) or <f8", shown, h.descr,
                      h.descr_length > SHOWN_DESCR ? "..." : "");

    /* 3) (n_mels, n_frames) */
    const int fortran_order = h.fortran_order;
    const size_t n_mels = (size_t)info->n_mels, longest = WAV_MAX_SAMPLES / (size_t)info->hop_length;
    if (h.n_dims == 2 && dims[0] != n_mels && dims[1] == n_mels)
        return refuse(message, "shape %s is transposed, wanted (n_mels, n_frames) = (%zu, %zu)", shape, dims[1], dims[0]);
    if (h.n_dims != 2 || dims[0] != n_mels) return refuse(message, "shape %s, wanted (%zu, n_frames)", shape, n_mels);
    if (dims[1] == 0) return refuse(message, "0 frames, wanted at least 1");
    if (dims[1] > longest)
        return refuse(message, "%zu frames, wanted at most the %zu that fit a WAV file", dims[1], longest);
    if (dims[1] > data_bytes / item / n_mels)
        return refuse(message, "truncated: %zu bytes of data, wanted %s of <f%zu", data_bytes, shape, item);
    *n_frames = dims[1];

    /* 4) the settings it was made with, if wv-mel wrote them */
    char wanted[NPY_SETTINGS_BYTES];
    npy_settings(info, wanted);
    const char *made = h.comment + sizeof NPY_TAG - 1;
    if (strncmp(h.comment, NPY_TAG, sizeof NPY_TAG - 1) == 0 &&
        (strncmp(made, wanted, strlen(wanted)) != 0 || made[strlen(wanted)] != ';'))
        return refuse(message, "made for %.*s; the model wants %s", (int)strcspn(made, ";\n"), made, wanted);

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
        const wv_mels cause = low >= 0.0f ? wv_positive_cause(model, frames, *n_frames)
                              : low < LOWEST_MEL ? range_cause(low) : WV_MELS_FIT;
        free(frames);
        return refuse_range(message, low, high, cause);
    }
    return frames;
}

int npy_starts(const unsigned char *bytes, size_t n_bytes) {
    return n_bytes >= NPY_MAGIC_BYTES && memcmp(bytes, "\x93NUMPY", NPY_MAGIC_BYTES) == 0;
}

int npy_check_frame(const float *frame, size_t t, const wv_info *info, char message[NPY_MESSAGE_BYTES]) {
    float low = HUGE_VALF, high = -HUGE_VALF;
    for (size_t band = 0; band < (size_t)info->n_mels; band++) {
        if (!isfinite(frame[band])) return refuse(message, "NaN or infinite at band %zu, frame %zu", band, t), 0;
        low = frame[band] < low ? frame[band] : low;
        high = frame[band] > high ? frame[band] : high;
    }
    if (low >= LOWEST_MEL && high <= HIGHEST_MEL) return 1;
    return refuse_range(message, low, high, low < LOWEST_MEL ? range_cause(low) : WV_MELS_FIT), 0;
}

float *npy_mels(const unsigned char *bytes, size_t n_bytes, const wv_model *model, size_t *n_frames,
                char message[NPY_MESSAGE_BYTES]) {
    /* 1) a .npy header: magic, version, length, a dictionary in text */
    if (n_bytes < 12 || !npy_starts(bytes, n_bytes) || bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        return refuse(message, NOT_NPY);
    size_t start = 10, length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1) {
        start = 12;
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    }
    if (length > MAX_HEADER_BYTES || start + length > n_bytes) return refuse(message, NOT_NPY);
    char *header = malloc(length + 1);
    if (header == NULL) return refuse(message, "out of memory");
    memcpy(header, bytes + start, length);
    header[length] = '\0'; /* a zero before it ends the text too early, and is refused */
    if (strlen(header) != length) header[0] = '\0';
    float *frames = parse(header, bytes + start + length, n_bytes - start - length, model, n_frames, message);
    free(header);
    return frames;
}
