/* wv_run.c - out.bin and mels.npy in, out.wav out: wv-run (wv_runtime/commands/run.py) as a C program, for laptops and
 * phones.
 *
 *     wv_run out.bin mels.npy [-o out.wav] [--format wav] [--seed N] [--temperature T] [--isa NAME] [--threads N]
 *            [--chunk-frames N] [--rtf-limit X] [--verify] [--strict] [--json] [--backend c]
 *
 * The same WAV file, report and error texts as wv-run. Exit 0: done, 1: bad data, 2: bad usage.
 * POSIX or Windows: program.c. Only this program prints and exits; the library never does. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"
#include "posix.h"
#include "program.h"
#include "report.h"
#include "sha256.h"
#include "wav.h"
#include "wavernn.h"

#define USAGE "usage: wv_run MODEL MEL [-o OUT] [--format wav|s16le] [--backend c] [--seed N] [--temperature T]\n" \
              "              [--isa NAME] [--threads N] [--chunk-frames N] [--postfilter | --no-postfilter] [--rtf-limit X]\n" \
              "              [--verify] [--strict] [--json] [--version]\n" \
              "--threads are those that share the lanes of a Subscale voice; others take one.\n" \
              "MODEL, MEL and OUT may be pipes; - is standard input or output. Standard input that is no .npy is taken as frames of\n" \
              "n_mels float32, spoken as they come. The report goes to stderr where audio goes to standard output.\n" \
              "Folders, --jobs, --overwrite, --mel-format, --dask, --play and --latency are wv-run's.\n"

const char program_name[] = "wv_run";

/* ---- command line */

static double to_double(const char *option, const char *text) {
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !isfinite(x) || !((float)x > 0.0f) || !isfinite((float)x))
        fail(BAD_USAGE, "%s: found %s, wanted a number above 0", option, text);
    return x;
}

static float to_temperature(const char *text) {
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !((float)x >= WV_TEMPERATURE_MIN && (float)x <= WV_TEMPERATURE_MAX))
        fail(BAD_USAGE, "--temperature: found %s, wanted a number from %g to %g", text, (double)WV_TEMPERATURE_MIN, (double)WV_TEMPERATURE_MAX);
    return (float)x;
}

static uint64_t to_integer(const char *option, const char *text, uint64_t low, uint64_t high) {
    char *end;
    errno = 0;
    unsigned long long x = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || x < low || x > high)
        fail(BAD_USAGE, "%s: found %s, wanted %llu..%llu", option, text, (unsigned long long)low, (unsigned long long)high);
    return x;
}

static arguments parse_arguments(int argc, char **argv) {
    arguments a = {.out = "out.wav", .temperature = 1.0f, .n_threads = 1, .chunk_frames = 64};
    command_line line = {.argc = argc, .argv = argv, .usage = USAGE, .files = "MODEL MEL"};
    const char *value;
    while (next_option(&line)) {
        if ((value = value_of("-o", &line)) || (value = value_of("--out", &line))) {
            a.out = value;
        } else if ((value = value_of("--format", &line))) {
            a.format = strcmp(value, "wav") == 0 ? FORMAT_WAV : strcmp(value, "s16le") == 0 ? FORMAT_S16LE : FORMAT_BY_SUFFIX;
            if (a.format == FORMAT_BY_SUFFIX) fail(BAD_USAGE, "--format: found %s, wanted wav or s16le: this is the C program", value);
        } else if ((value = value_of("--seed", &line))) {
            a.seed = to_integer("--seed", value, 0, UINT64_MAX);
        } else if ((value = value_of("--temperature", &line))) {
            a.temperature = to_temperature(value);
        } else if ((value = value_of("--isa", &line))) {
            a.isa = value;
        } else if ((value = value_of("--threads", &line))) {
            a.n_threads = (int32_t)to_integer("--threads", value, 1, 64);
        } else if ((value = value_of("--chunk-frames", &line))) {
            a.chunk_frames = (int32_t)to_integer("--chunk-frames", value, 1, 65536);
        } else if ((value = value_of("--rtf-limit", &line))) {
            a.rtf_limit = to_double("--rtf-limit", value);
        } else if ((value = value_of("--backend", &line))) {
            if (strcmp(value, "c") != 0) fail(BAD_USAGE, "--backend: found %s, wanted c: this is the C program", value);
        } else if (is_option("--verify", &line)) {
            a.verify = 1;
        } else if (is_option("--postfilter", &line)) {
            a.postfilter = WV_FILTER_ON;
        } else if (is_option("--no-postfilter", &line)) {
            a.postfilter = WV_FILTER_OFF;
        } else if (is_option("--strict", &line)) {
            a.strict = 1;
        } else if (is_option("--json", &line)) {
            a.json = 1;
        } else {
            fail(BAD_USAGE, "no such option: %s", argv[line.i]);
        }
    }
    if (line.n_paths < 2) fail(BAD_USAGE, "wanted MODEL and MEL: wv_run out.bin mels.npy (see --help)");
    a.model = line.path[0];
    a.mel = line.path[1];
    if (strcmp(a.model, "-") == 0 && strcmp(a.mel, "-") == 0)
        fail(BAD_USAGE, "MEL: found -, which MODEL is read from already, wanted a file");
    return a;
}

/* ---- synthesis */

typedef struct {
    float *frames; /* (n_frames, n_mels) */
    size_t n_frames;
} mel_array;

/* The mels, or none and the first bytes in `file` if frames without a header come from standard input */
static mel_array load_mel(const char *path, const wv_model *model, contents *file) {
    char message[NPY_MESSAGE_BYTES];
    mel_array mel = {NULL, 0};
    const int from = open_input(path), pipe = strcmp(path, "-") == 0;
    read_up_to(from, pipe ? NPY_MAGIC_BYTES : SIZE_MAX, input_name(path), file);
    if (pipe && !npy_starts(file->bytes, file->n_bytes)) return mel;
    read_up_to(from, SIZE_MAX, input_name(path), file);
    close(from);
    mel.frames = npy_mels(file->bytes, file->n_bytes, model, &mel.n_frames, message);
    if (mel.frames == NULL) fail(BAD_DATA, "%s: %s", input_name(path), message);
    release(file);
    return mel;
}

static wv_state *new_state(const wv_model *model, const arguments *a, const char *isa) {
    wv_state *state;
    wv_options options = {sizeof options, a->seed, a->temperature, a->chunk_frames, isa, a->postfilter, a->n_threads};
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

/* Samples that are drawn as frames come */
typedef struct {
    wv_state *state;
    output *out;
    report *r;
    int16_t *pcm;
    size_t n, room;
} live;

/* Pull and, into a pipe, write what is there. `start`: when the work for it began */
static void pull_ready(live *l, double start) {
    const size_t available = wv_available(l->state);
    size_t n;
    if (l->n + available > l->room) {
        l->room = 2 * (l->n + available);
        l->pcm = realloc(l->pcm, l->room * sizeof *l->pcm);
        if (l->pcm == NULL) fail(BAD_DATA, "out of memory (%zu bytes)", l->room * sizeof *l->pcm);
    }
    need(wv_pull(l->state, l->pcm + l->n, available, &n));
    l->r->compute_s += now_s() - start;
    if (n == 0) return;
    if (l->n == 0) l->r->first_audio_s = l->r->compute_s;
    if (l->out->is_pipe) add_audio(l->out, l->pcm + l->n, n);
    l->n += n;
}

/* Frames of n_mels float32 from standard input, spoken as they come. `file`: its first bytes, in the end all of them, which
 * mel->frames then are. Returns the samples. */
static int16_t *speak_live(wv_state *state, const wv_info *info, output *out, contents *file, mel_array *mel, report *r) {
    const size_t n_mels = (size_t)info->n_mels, frame_bytes = n_mels * sizeof(float);
    char message[NPY_MESSAGE_BYTES];
    live l = {state, out, r, NULL, 0, 0};
    size_t taken;
    if (out->is_pipe) begin_audio(out, info->sample_rate);
    do {
        for (; (mel->n_frames + 1) * frame_bytes <= file->n_bytes; mel->n_frames++) {
            const float *frame = (const float *)(const void *)file->bytes + mel->n_frames * n_mels;
            const double start = now_s();
            if (!npy_check_frame(frame, mel->n_frames, info, message)) fail(BAD_DATA, "standard input: %s", message);
            need(wv_push(state, frame, 1, &taken));
            pull_ready(&l, start);
        }
    } while (read_some(STDIN_FILENO, "standard input", file) > 0);
    const size_t rest = file->n_bytes - mel->n_frames * frame_bytes;
    if (rest > 0 || mel->n_frames == 0)
        fail(BAD_DATA, "standard input: %zu bytes after %zu frames, wanted a .npy file, or frames of %zu float32: %zu bytes each",
             rest, mel->n_frames, n_mels, frame_bytes);
    need(wv_finish(state));
    pull_ready(&l, now_s());
    mel->frames = (float *)(void *)file->bytes;
    file->bytes = NULL;
    r->n_frames = mel->n_frames;
    r->n_samples = l.n;
    return l.pcm;
}

static void check_mels(const wv_model *model, const arguments *a, const mel_array *mel, report *r) {
    wv_mels_found found;
    need(wv_check_mels(model, mel->frames, mel->n_frames, &found));
    r->mels = wv_mels_name(found.cause);
    if (found.cause != WV_MELS_FIT && found.cause != WV_MELS_UNCHECKED)
        doubt(a->strict, "%s: found mels unlike those of training (mean %+.2f nats, changes %.2f times), %s", a->mel, found.offset,
              found.step, wv_mels_advice(found.cause));
}

/* Of the samples as little-endian bytes */
static void sha256_of_samples(const int16_t *pcm, size_t n_samples, char hex[65]) {
    unsigned char *wav = allocate(WAV_HEADER_BYTES + 2 * n_samples);
    wav_encode(pcm, n_samples, 0, wav);
    sha256(wav + WAV_HEADER_BYTES, 2 * n_samples, hex);
    free(wav);
}

static void check_audio(const wv_model *model, const arguments *a, const mel_array *mel, const int16_t *pcm, report *r) {
    wv_audio_found found;
    need(wv_check_audio(model, mel->frames, mel->n_frames, pcm, r->n_samples, &found));
    r->clipped = found.clipped;
    r->level_db = found.level_db;
    if (found.doubtful)
        doubt(a->strict, "%s: found %.1f %% of the samples clipped and a level %+.1f dB over that of the mels, wanted at most 0.1 %% and 4 dB",
              a->out, 100.0 * (double)found.clipped / (double)r->n_samples, found.level_db);
}

int main(int argc, char **argv) {
    arguments a = parse_arguments(argc, argv);
    const char *const inputs[2] = {a.model, a.mel};
    output out = make_output(a.out, a.format, inputs);

    /* 1) the model: a private copy, because a mapped file may change after it has been checked */
    contents file = read_file(a.model);
    wv_model *model;
    wv_info info;
    wv_status s = wv_model_load(file.bytes, file.n_bytes, &model);
    if (s != WV_OK) fail(BAD_DATA, "%s: %s", input_name(a.model), wv_status_str(s));
    need(wv_model_info(model, &info));

    /* 2) the mels */
    contents first = {NULL, 0, 0};
    mel_array mel = load_mel(a.mel, model, &first);
    const int is_live = mel.frames == NULL;
    report r = {.n_frames = mel.n_frames, .n_samples = mel.n_frames * (size_t)info.hop_length};
    if (!is_live) check_mels(model, &a, &mel, &r);

    /* 3) the audio */
    int16_t *pcm;
    if (!is_live) r.first_audio_s = first_audio(model, &info, &a, &mel);
    wv_state *state = new_state(model, &a, a.isa);
    r.isa = wv_state_isa(state);
    if (is_live) {
        pcm = speak_live(state, &info, &out, &first, &mel, &r);
        check_mels(model, &a, &mel, &r);
    } else {
        pcm = allocate(r.n_samples * sizeof *pcm);
        const double start = now_s();
        synthesize(state, &a, &mel, (size_t)info.n_mels, pcm, r.n_samples);
        r.compute_s = now_s() - start;
    }
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

    check_audio(model, &a, &mel, pcm, &r);

    /* 4) the file and the report */
    sha256_of_samples(pcm, r.n_samples, r.sha256);
    if (!(is_live && out.is_pipe)) write_audio(&out, pcm, r.n_samples, info.sample_rate);
    print_report(out.to_stdout ? stderr : stdout, &a, &info, &r);
    if (fflush(stdout) != 0 || ferror(stdout)) fail(BAD_DATA, "standard output: %s", strerror(errno));

    const double rtf = r.compute_s * info.sample_rate / (double)r.n_samples;
    if (a.rtf_limit > 0 && rtf > a.rtf_limit)
        fail(BAD_DATA, "real-time factor %.3f, wanted at most %g: this machine is too slow", rtf, a.rtf_limit);
    free(pcm);
    free(mel.frames);
    wv_model_free(model);
    release(&file);
    return 0;
}
