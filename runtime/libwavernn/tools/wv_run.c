/* wv_run.c - out.bin and mels.npy in, out.wav out: wv-run (wv_runtime/commands/run.py) as one C file, for laptops and phones.
 *
 *     wv_run out.bin mels.npy [-o out.wav] [--seed N] [--temperature T] [--isa NAME] [--chunk-frames N]
 *            [--rtf-limit X] [--verify] [--json] [--backend c]
 *
 * The same WAV file, report and error texts as wv-run. Exit 0: done, 1: bad data, 2: bad usage.
 * POSIX: mmap, clock_gettime. Only this program prints and exits; the library never does. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "wavernn.h"

#define USAGE "usage: wv_run MODEL MEL [-o OUT] [--backend c] [--seed N] [--temperature T] [--isa NAME]\n" \
              "              [--chunk-frames N] [--[no-]postfilter] [--rtf-limit X] [--verify] [--json]\n"

enum { BAD_DATA = 1, BAD_USAGE = 2, MAX_DIMS = 8, WAV_HEADER_BYTES = 44 };
#define MAX_SAMPLES ((UINT32_MAX - 36u) / 2u) /* what the 32-bit sizes of a WAV file can say */
#define LOWEST_MEL (-16.0f) /* log(1e-5) = -11.5 is the floor of every preset, speech peaks near 3; the rest is slack */
#define HIGHEST_MEL 6.0f

static const char *temporary; /* a half-written output, removed on the way out */

#ifdef __GNUC__
__attribute__((noreturn, format(printf, 2, 3)))
#endif
static void fail(int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("wv_run: error: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    if (temporary) unlink(temporary);
    exit(code);
}

static void *allocate(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (p == NULL) fail(BAD_DATA, "out of memory (%zu bytes)", bytes);
    return p;
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- command line */

typedef struct {
    const char *model, *mel, *out, *isa;
    uint64_t seed;
    float temperature;
    int32_t chunk_frames, postfilter;
    double rtf_limit; /* 0: none */
    int verify, json;
} arguments;

static double to_double(const char *option, const char *text) {
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !isfinite(x) || !((float)x > 0.0f) || !isfinite((float)x))
        fail(BAD_USAGE, "%s: found %s, wanted a number above 0", option, text);
    return x;
}

static uint64_t to_integer(const char *option, const char *text, uint64_t low, uint64_t high) {
    char *end;
    errno = 0;
    unsigned long long x = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || x < low || x > high)
        fail(BAD_USAGE, "%s: found %s, wanted %llu..%llu", option, text, (unsigned long long)low, (unsigned long long)high);
    return x;
}

/* The value of option `name` if argv[*i] is that option, as "--name value", "--name=value" or "-o value". */
static const char *value_of(const char *name, int argc, char **argv, int *i) {
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0) return NULL;
    if (argv[*i][n] == '=' && n > 2) return argv[*i] + n + 1;
    if (argv[*i][n] != '\0') return NULL;
    if (*i + 1 >= argc) fail(BAD_USAGE, "%s: wanted a value", name);
    return argv[++*i];
}

static arguments parse_arguments(int argc, char **argv) {
    arguments a = {.out = "out.wav", .temperature = 1.0f, .chunk_frames = 64};
    const char *positional[2] = {NULL, NULL}, *value;
    int n = 0, options = 1;
    for (int i = 1; i < argc; i++) {
        if (!options || argv[i][0] != '-' || argv[i][1] == '\0') {
            if (n == 2) fail(BAD_USAGE, "found a third argument %s, wanted MODEL MEL", argv[i]);
            positional[n++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            options = 0;
        } else if (strcmp(argv[i], "--help") == 0) {
            fputs(USAGE, stdout);
            exit(0);
        } else if ((value = value_of("-o", argc, argv, &i)) || (value = value_of("--out", argc, argv, &i))) {
            a.out = value;
        } else if ((value = value_of("--seed", argc, argv, &i))) {
            a.seed = to_integer("--seed", value, 0, UINT64_MAX);
        } else if ((value = value_of("--temperature", argc, argv, &i))) {
            a.temperature = (float)to_double("--temperature", value);
        } else if ((value = value_of("--isa", argc, argv, &i))) {
            a.isa = value;
        } else if ((value = value_of("--chunk-frames", argc, argv, &i))) {
            a.chunk_frames = (int32_t)to_integer("--chunk-frames", value, 1, 65536);
        } else if ((value = value_of("--rtf-limit", argc, argv, &i))) {
            a.rtf_limit = to_double("--rtf-limit", value);
        } else if ((value = value_of("--backend", argc, argv, &i))) {
            if (strcmp(value, "c") != 0) fail(BAD_USAGE, "--backend: found %s, wanted c: this is the C program", value);
        } else if (strcmp(argv[i], "--verify") == 0) {
            a.verify = 1;
        } else if (strcmp(argv[i], "--postfilter") == 0) {
            a.postfilter = WV_FILTER_ON;
        } else if (strcmp(argv[i], "--no-postfilter") == 0) {
            a.postfilter = WV_FILTER_OFF;
        } else if (strcmp(argv[i], "--json") == 0) {
            a.json = 1;
        } else {
            fail(BAD_USAGE, "no such option: %s", argv[i]);
        }
    }
    if (n < 2) fail(BAD_USAGE, "wanted MODEL and MEL: wv_run out.bin mels.npy (see --help)");
    a.model = positional[0];
    a.mel = positional[1];
    return a;
}

/* ---- input files */

typedef struct {
    const unsigned char *bytes;
    size_t n_bytes;
} mapped;

static mapped map_file(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status) != 0) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode)) fail(BAD_DATA, "%s: %s", path, strerror(EISDIR));
    mapped m = {(const unsigned char *)"", (size_t)status.st_size};
    if (m.n_bytes > 0) {
        void *p = mmap(NULL, m.n_bytes, PROT_READ, MAP_PRIVATE, file, 0);
        if (p == MAP_FAILED) fail(BAD_DATA, "%s: %s", path, strerror(errno));
        m.bytes = p;
    }
    close(file);
    return m;
}

typedef struct {
    float *frames; /* (n_frames, n_mels) */
    size_t n_frames;
} mel_array;

/* The text after "'key':" in the header of a .npy; `path` and a message when there is none. */
static const char *npy_field(const char *header, const char *key, const char *path) {
    const char *p = strstr(header, key);
    if (p == NULL) fail(BAD_DATA, "%s: not a .npy file, wanted a mel array of wv-mel or numpy.save", path);
    p += strlen(key);
    while (*p == ' ') p++;
    return p;
}

/* Twin of wv_runtime/features/mel_file.py load_mel: the same checks in the same order. */
static mel_array load_mel(const char *path, const wv_info *info) {
    mapped file = map_file(path);
    const unsigned char *b = file.bytes;

    /* 1) a .npy header: magic, version, length, a dictionary in text */
    size_t start = 10, length = 0;
    int is_npy = file.n_bytes >= 12 && memcmp(b, "\x93NUMPY", 6) == 0 && b[6] >= 1 && b[6] <= 3;
    if (is_npy) {
        length = (size_t)b[8] | (size_t)b[9] << 8;
        if (b[6] > 1) {
            start = 12;
            length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
        }
        is_npy = length <= 65536 && start + length <= file.n_bytes;
    }
    if (!is_npy) fail(BAD_DATA, "%s: not a .npy file, wanted a mel array of wv-mel or numpy.save", path);
    char *header = allocate(length + 1);
    memcpy(header, b + start, length);
    header[length] = '\0';
    const unsigned char *data = b + start + length;
    const size_t data_bytes = file.n_bytes - start - length;

    /* 2) float32 or float64 */
    char dtype[16] = "?";
    sscanf(npy_field(header, "'descr':", path), "'%15[^']'", dtype);
    const size_t item = strcmp(dtype, "<f4") == 0 ? 4 : strcmp(dtype, "<f8") == 0 ? 8 : 0;
    if (item == 0) fail(BAD_DATA, "%s: dtype %s, wanted <f4 (float32) or <f8", path, dtype);

    /* 3) (n_mels, n_frames) */
    const int fortran_order = strncmp(npy_field(header, "'fortran_order':", path), "True", 4) == 0;
    char shape[64] = "(";
    sscanf(npy_field(header, "'shape':", path), "(%61[^)]", shape + 1);
    strcat(shape, ")");
    size_t dims[MAX_DIMS] = {0}, n_dims = 0;
    for (const char *p = shape; *p && n_dims < MAX_DIMS;)
        if (*p >= '0' && *p <= '9') {
            char *end;
            dims[n_dims++] = (size_t)strtoull(p, &end, 10);
            p = end;
        } else {
            p++;
        }
    const size_t n_mels = (size_t)info->n_mels;
    if (n_dims == 2 && dims[0] != n_mels && dims[1] == n_mels)
        fail(BAD_DATA, "%s: shape %s is transposed, wanted (n_mels, n_frames) = (%zu, %zu)", path, shape, dims[1], dims[0]);
    if (n_dims != 2 || dims[0] != n_mels)
        fail(BAD_DATA, "%s: shape %s, wanted (%zu, n_frames)", path, shape, n_mels);
    const size_t n_frames = dims[1];
    if (n_frames == 0) fail(BAD_DATA, "%s: 0 frames, wanted at least 1", path);
    if (n_frames > MAX_SAMPLES / (size_t)info->hop_length)
        fail(BAD_DATA, "%s: %zu frames, wanted at most the %zu that fit a WAV file", path, n_frames,
             MAX_SAMPLES / (size_t)info->hop_length);
    if (n_frames > data_bytes / item / n_mels)
        fail(BAD_DATA, "%s: truncated: %zu bytes of data, wanted %s of %s", path, data_bytes, shape, dtype);

    /* 4) the settings it was made with, if wv-mel wrote them */
    char wanted[80];
    snprintf(wanted, sizeof wanted, "%s, %d Hz, hop %d", info->mel_name, (int)info->sample_rate, (int)info->hop_length);
    const char *tag = strstr(header, "# mel: ");
    if (tag != NULL && (strncmp(tag + 7, wanted, strlen(wanted)) != 0 || tag[7 + strlen(wanted)] != ';'))
        fail(BAD_DATA, "%s: made for %.*s; the model wants %s", path, (int)strcspn(tag + 7, ";\n"), tag + 7, wanted);

    /* 5) finite natural logarithms, frame after frame as wv_push wants them */
    mel_array mel = {allocate(n_mels * n_frames * sizeof(float)), n_frames};
    float low = HUGE_VALF, high = -HUGE_VALF;
    for (size_t band = 0; band < n_mels; band++)
        for (size_t t = 0; t < n_frames; t++) {
            const unsigned char *p = data + item * (fortran_order ? t * n_mels + band : band * n_frames + t);
            float x;
            double wide;
            if (item == 4) {
                memcpy(&x, p, 4);
            } else {
                memcpy(&wide, p, 8);
                x = (float)wide;
            }
            if (!isfinite(x)) fail(BAD_DATA, "%s: NaN or infinite at band %zu, frame %zu", path, band, t);
            low = x < low ? x : low;
            high = x > high ? x : high;
            mel.frames[t * n_mels + band] = x;
        }
    if (low < LOWEST_MEL || high > HIGHEST_MEL || low >= 0.0f)
        fail(BAD_DATA, "%s: values from %.4g to %.4g, wanted natural-log mels, about -11.5 to 3%s", path, (double)low,
             (double)high, low >= 0.0f ? "; these look linear" : low < LOWEST_MEL ? "; these look like decibels" : "");
    munmap((void *)(uintptr_t)file.bytes, file.n_bytes);
    free(header);
    return mel;
}

/* ---- synthesis */

static wv_state *new_state(const wv_model *model, const arguments *a, const char *isa) {
    wv_state *state;
    const wv_options options = {
        sizeof options, a->seed, a->temperature, a->chunk_frames, isa, a->postfilter,
    };
    wv_status s = wv_state_new(model, &options, &state);
    if (s == WV_OK) return state;
    char names[256] = "";
    for (int32_t i = 0; wv_isa_name(i) != NULL; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", wv_isa_name(i));
    if (s == WV_ERR_ISA) fail(BAD_USAGE, "isa: found %s, wanted one of %s", isa ? isa : getenv("WV_ISA"), names);
    fail(BAD_DATA, "%s", wv_status_str(s));
}

static void need(wv_status s) {
    if (s != WV_OK) fail(BAD_DATA, "%s", wv_status_str(s));
}

/* Push chunks of chunk_frames frames and pull after each, until n_wanted samples are there. */
static void synthesize(wv_state *state, const arguments *a, const mel_array *mel, size_t n_mels, int16_t *pcm,
                       size_t n_wanted) {
    size_t pushed = 0, done = 0, n;
    while (done < n_wanted) {
        size_t chunk = mel->n_frames - pushed;
        if (chunk > (size_t)a->chunk_frames) chunk = (size_t)a->chunk_frames;
        if (chunk > 0) {
            need(wv_push(state, mel->frames + pushed * n_mels, chunk, &n));
            pushed += n;
        }
        if (pushed == mel->n_frames) need(wv_finish(state));
        need(wv_pull(state, pcm + done, n_wanted - done, &n));
        if (n == 0 && chunk == 0) fail(BAD_DATA, "the library gave %zu samples, wanted %zu", done, n_wanted);
        done += n;
    }
}

/* Seconds from pushing the first frame to holding the first frame's samples, in a stream of single frames. */
static double first_audio(const wv_model *model, const wv_info *info, const arguments *a, const mel_array *mel) {
    arguments single = *a;
    single.chunk_frames = 1;
    int16_t *pcm = allocate((size_t)info->hop_length * sizeof *pcm);
    wv_state *state = new_state(model, &single, a->isa);
    double start = now_s();
    synthesize(state, &single, mel, (size_t)info->n_mels, pcm, (size_t)info->hop_length);
    double seconds = now_s() - start;
    wv_state_free(state);
    free(pcm);
    return seconds;
}

/* ---- output */

static void little_endian(unsigned char *p, uint32_t x, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) p[i] = (unsigned char)(x >> 8 * i);
}

/* The canonical 44 bytes before 16-bit mono PCM, as libsndfile writes them. */
static void wav_header(unsigned char *h, uint32_t sample_rate, uint32_t data_bytes) {
    memcpy(h, "RIFF....WAVEfmt ", 16);
    little_endian(h + 4, 36 + data_bytes, 4);
    little_endian(h + 16, 16, 4);              /* bytes of the fmt chunk */
    little_endian(h + 20, 1, 2);               /* PCM */
    little_endian(h + 22, 1, 2);               /* channels */
    little_endian(h + 24, sample_rate, 4);
    little_endian(h + 28, 2 * sample_rate, 4); /* bytes a second */
    little_endian(h + 32, 2, 2);               /* bytes a sample */
    little_endian(h + 34, 16, 2);              /* bits a sample */
    memcpy(h + 36, "data", 4);
    little_endian(h + 40, data_bytes, 4);
}

/* What would make writing `path` fail, before minutes are spent on audio for it. */
static void check_output(const char *path) {
    struct stat status;
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode)) fail(BAD_DATA, "%s: %s", path, strerror(EISDIR));
        if (!S_ISREG(status.st_mode)) return;
    }
    if (dot == NULL || strcasecmp(dot, ".wav") != 0) fail(BAD_USAGE, "--out: found %s, wanted a name ending in .wav", path);
    char *folder = allocate(strlen(path) + 2);
    strcpy(folder, path);
    strcpy(slash ? folder + (slash - path) + (slash == path) : folder, slash ? "" : ".");
    if (access(folder, W_OK) != 0) fail(BAD_DATA, "%s: %s", folder, strerror(errno));
    free(folder);
}

/* Write a file whole or not at all: to a temporary name, then rename. A device or pipe is written in place. */
static void write_file(const char *path, const unsigned char *bytes, size_t n_bytes) {
    struct stat status;
    int in_place = stat(path, &status) == 0 && !S_ISREG(status.st_mode);
    char *name = allocate(strlen(path) + 32);
    sprintf(name, in_place ? "%s" : "%s.%ld.tmp", path, (long)getpid());
    if (!in_place) temporary = name;
    FILE *f = fopen(name, "wb");
    if (f == NULL) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    int ok = fwrite(bytes, 1, n_bytes, f) == n_bytes;
    ok = fclose(f) == 0 && ok;
    if (!ok || (!in_place && rename(name, path) != 0)) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    temporary = NULL;
    free(name);
}

/* SHA-256 (FIPS 180-4) as 64 hexadecimal digits. */
static void sha256(const unsigned char *bytes, size_t n_bytes, char hex[65]) {
    static const uint32_t K[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t H[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
    const size_t n_blocks = n_bytes / 64 + (n_bytes % 64 < 56 ? 1 : 2);
    for (size_t block = 0; block < n_blocks; block++) {
        /* 1) 64 bytes of the message, then 0x80, zeros, and its length in bits in the last eight bytes */
        unsigned char part[64] = {0};
        size_t start = 64 * block, n = start < n_bytes ? n_bytes - start : 0;
        memcpy(part, bytes + (n ? start : 0), n < 64 ? n : 64);
        if (start <= n_bytes && n < 64) part[n] = 0x80;
        if (block == n_blocks - 1)
            for (int i = 0; i < 8; i++) part[56 + i] = (unsigned char)((uint64_t)n_bytes * 8 >> (56 - 8 * i));
        /* 2) the schedule and 64 rounds */
        uint32_t W[64], v[8];
        for (int i = 0; i < 16; i++)
            W[i] = (uint32_t)part[4 * i] << 24 | (uint32_t)part[4 * i + 1] << 16 | (uint32_t)part[4 * i + 2] << 8 | part[4 * i + 3];
        for (int i = 16; i < 64; i++)
            W[i] = W[i - 16] + W[i - 7] + (ROTATE(W[i - 15], 7) ^ ROTATE(W[i - 15], 18) ^ W[i - 15] >> 3) +
                   (ROTATE(W[i - 2], 17) ^ ROTATE(W[i - 2], 19) ^ W[i - 2] >> 10);
        memcpy(v, H, sizeof v);
        for (int i = 0; i < 64; i++) {
            uint32_t S1 = ROTATE(v[4], 6) ^ ROTATE(v[4], 11) ^ ROTATE(v[4], 25), choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
            uint32_t S0 = ROTATE(v[0], 2) ^ ROTATE(v[0], 13) ^ ROTATE(v[0], 22);
            uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]), t = v[7] + S1 + choice + K[i] + W[i];
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += t;
            v[0] = t + S0 + majority;
        }
        for (int i = 0; i < 8; i++) H[i] += v[i];
    }
    for (int i = 0; i < 8; i++) sprintf(hex + 8 * i, "%08x", (unsigned)H[i]);
}

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

typedef struct {
    const char *isa;
    size_t n_frames, n_samples;
    double compute_s, first_audio_s;
    char sha256[65];
} report;

/* Twin of wv_runtime/commands/report.py: the same keys in the same order, the same lines. */
static void print_report(const arguments *a, const wv_info *info, const report *r) {
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
        printf("\"jit_s\": 0.0, \"verified\": %s, \"sha256\": \"%s\"}\n", a->verify ? "true" : "false", r->sha256);
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

int main(int argc, char **argv) {
    arguments a = parse_arguments(argc, argv);
    check_output(a.out);

    /* 1) the model, mapped and used in place */
    mapped file = map_file(a.model);
    wv_model *model;
    wv_info info;
    /* mmap aligns to a page; the empty file, which is not mapped, is refused before its address is looked at */
    static const _Alignas(64) unsigned char nothing[64];
    wv_status s = wv_model_load(file.n_bytes ? file.bytes : nothing, file.n_bytes, &model);
    if (s != WV_OK) fail(BAD_DATA, "%s: %s", a.model, wv_status_str(s));
    need(wv_model_info(model, &info));

    /* 2) the mels */
    mel_array mel = load_mel(a.mel, &info);

    /* 3) the audio */
    report r = {.n_frames = mel.n_frames, .n_samples = mel.n_frames * (size_t)info.hop_length};
    r.first_audio_s = first_audio(model, &info, &a, &mel);
    wv_state *state = new_state(model, &a, a.isa);
    r.isa = wv_state_isa(state);
    int16_t *pcm = allocate(r.n_samples * sizeof *pcm);
    double start = now_s();
    synthesize(state, &a, &mel, (size_t)info.n_mels, pcm, r.n_samples);
    r.compute_s = now_s() - start;
    wv_state_free(state);
    if (a.verify) {
        int16_t *again = allocate(r.n_samples * sizeof *again);
        state = new_state(model, &a, "portable");
        synthesize(state, &a, &mel, (size_t)info.n_mels, again, r.n_samples);
        wv_state_free(state);
        for (size_t i = 0; i < r.n_samples; i++)
            if (pcm[i] != again[i])
                fail(BAD_DATA, "verify: sample %zu is %d on %s, %d on portable", i, pcm[i], r.isa, again[i]);
        free(again);
    }

    /* 4) the file and the report */
    const size_t data_bytes = 2 * r.n_samples;
    unsigned char *wav = allocate(WAV_HEADER_BYTES + data_bytes);
    wav_header(wav, (uint32_t)info.sample_rate, (uint32_t)data_bytes);
    for (size_t i = 0; i < r.n_samples; i++) little_endian(wav + WAV_HEADER_BYTES + 2 * i, (uint16_t)pcm[i], 2);
    sha256(wav + WAV_HEADER_BYTES, data_bytes, r.sha256);
    write_file(a.out, wav, WAV_HEADER_BYTES + data_bytes);
    print_report(&a, &info, &r);

    const double rtf = r.compute_s * info.sample_rate / (double)r.n_samples;
    if (a.rtf_limit > 0 && rtf > a.rtf_limit)
        fail(BAD_DATA, "real-time factor %.3f, wanted at most %g: this machine is too slow", rtf, a.rtf_limit);
    free(wav);
    free(pcm);
    free(mel.frames);
    wv_model_free(model);
    munmap((void *)(uintptr_t)file.bytes, file.n_bytes);
    return 0;
}
