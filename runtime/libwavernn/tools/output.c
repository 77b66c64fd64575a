/* output.c - where the audio of wv_run goes. Twin of wv_runtime/commands/output.py, but for FLAC. */
#define _POSIX_C_SOURCE 200809L
#include "output.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "posix.h"
#include "program.h"
#include "wav.h"

static int is_stdout(const char *path) {
    static const char *const names[] = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(path, names[i]) == 0) return 1;
    return 0;
}

static audio_format format_of(const char *path) {
    const char *name = file_name(path), *dot = strrchr(name, '.');
    if (dot == NULL || dot == name) return FORMAT_BY_SUFFIX; /* ".wav" is a name without a suffix */
    if (strcasecmp(dot, ".wav") == 0) return FORMAT_WAV;
    return strcasecmp(dot, ".raw") == 0 || strcasecmp(dot, ".pcm") == 0 ? FORMAT_S16LE : FORMAT_BY_SUFFIX;
}

static void check_folder(const char *path) {
    const size_t n = (size_t)(file_name(path) - path); /* with the separator behind it */
    char *folder = strcpy(allocate(strlen(path) + 2), path);
    strcpy(n > 0 ? folder + n - (n > 1) : folder, n > 0 ? "" : ".");
    if (access(folder, W_OK) != 0) fail(BAD_DATA, "%s: %s", folder, strerror(errno));
    free(folder);
}

output make_output(const char *path, audio_format format, const char *const inputs[2]) {
    struct stat status;
    output o = {path, format, is_stdout(path), 0, -1};
    const int there = !o.to_stdout && stat(path, &status) == 0;
    if (there && S_ISDIR(status.st_mode)) fail(BAD_DATA, "%s: %s", path, strerror(EISDIR));
    o.is_pipe = o.to_stdout || (there && !S_ISREG(status.st_mode));
    for (int i = 0; i < 2 && !o.is_pipe && there; i++)
        if (is_same_file(inputs[i], path))
            fail(BAD_USAGE, "--out: found %s, which is read, wanted another file", path);
    if (format == FORMAT_BY_SUFFIX) o.format = format_of(path);
    if (o.format == FORMAT_BY_SUFFIX && o.is_pipe) o.format = FORMAT_WAV;
    if (o.format == FORMAT_BY_SUFFIX) fail(BAD_USAGE, "--out: found %s, wanted a name ending in .wav, .raw or .pcm", path);
    if (!o.is_pipe) check_folder(path);
    return o;
}

static const char *name_of(const output *o) { return o->to_stdout ? "standard output" : o->path; }

static void open_pipe(output *o) {
    o->file = o->to_stdout ? STDOUT_FILENO : open(o->path, O_WRONLY);
    if (o->file < 0) fail(BAD_DATA, "%s: %s", o->path, strerror(errno));
    set_binary(o->file);
}

void write_audio(output *o, const int16_t *pcm, size_t n_samples, int32_t sample_rate) {
    const size_t header = o->format == FORMAT_WAV ? WAV_HEADER_BYTES : 0, n_bytes = header + 2 * n_samples;
    unsigned char *wav = allocate(WAV_HEADER_BYTES + 2 * n_samples);
    wav_encode(pcm, n_samples, sample_rate, wav);
    const unsigned char *bytes = wav + WAV_HEADER_BYTES - header;
    if (o->is_pipe) {
        open_pipe(o);
        write_all(o->file, bytes, n_bytes, name_of(o));
        if (close(o->file) != 0) fail(BAD_DATA, "%s: %s", name_of(o), strerror(errno));
    } else {
        write_file(o->path, bytes, n_bytes);
    }
    free(wav);
}

void begin_audio(output *o, int32_t sample_rate) {
    unsigned char header[WAV_HEADER_BYTES];
    open_pipe(o);
    wav_encode(NULL, 0, sample_rate, header);
    memset(header + 4, 0xff, 4);
    memset(header + 40, 0xff, 4);
    if (o->format == FORMAT_WAV) write_all(o->file, header, sizeof header, name_of(o));
}

void add_audio(output *o, const int16_t *pcm, size_t n_samples) {
    unsigned char bytes[2 * 1024];
    for (size_t n; n_samples > 0; pcm += n, n_samples -= n) {
        n = n_samples < 1024 ? n_samples : 1024;
        for (size_t i = 0; i < n; i++) {
            bytes[2 * i] = (unsigned char)((uint16_t)pcm[i] & 255);
            bytes[2 * i + 1] = (unsigned char)((uint16_t)pcm[i] >> 8);
        }
        write_all(o->file, bytes, 2 * n, name_of(o));
    }
}
