/* wv_mel.c - a WAV file in, the mels that wv_run takes out: wv-mel (wv_runtime/commands/mel.py) as a C program.
 *
 *     wv_mel in.wav mels.npy --model out.bin
 *
 * The same .npy file and texts as wv-mel, several remarks in one line, the mels within 1e-4. It reads WAV alone, at the model's rate: it does not resample.
 * Exit 0: done, 1: bad data, 2: bad usage. POSIX or Windows: files. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"
#include "program.h"
#include "wav.h"
#include "wavernn.h"

#define USAGE "usage: wv_mel AUDIO MEL --model MODEL [--version]\n" \
              "Writes the log-mels of AUDIO (a WAV file at the rate of the model, mixed to mono) to MEL, a .npy file. AUDIO may be a\n" \
              "pipe; - is standard input.\n"

const char program_name[] = "wv_mel";

typedef struct {
    const char *audio, *mel, *model;
} arguments;

static arguments parse_arguments(int argc, char **argv) {
    command_line line = {.argc = argc, .argv = argv, .usage = USAGE, .files = "AUDIO MEL"};
    const char *model = NULL, *value;
    while (next_option(&line)) {
        if ((value = value_of("--model", &line))) {
            model = value;
        } else {
            fail(BAD_USAGE, "no such option: %s", argv[line.i]);
        }
    }
    if (line.n_paths < 2 || model == NULL) fail(BAD_USAGE, "wanted AUDIO, MEL and --model: wv_mel in.wav mels.npy --model out.bin (see --help)");
    const size_t length = strlen(line.path[1]);
    if (length < 4 || strcmp(line.path[1] + length - 4, ".npy") != 0)
        fail(BAD_USAGE, "MEL: found %s, wanted a name ending in .npy", line.path[1]);
    return (arguments){line.path[0], line.path[1], model};
}

int main(int argc, char **argv) {
    const arguments a = parse_arguments(argc, argv);
    contents file = read_file(a.model), sound = read_file(a.audio);
    wv_model *model;
    wv_info info;
    wv_status s = wv_model_load(file.bytes, file.n_bytes, &model);
    if (s == WV_OK) s = wv_model_info(model, &info);
    if (s != WV_OK) fail(BAD_DATA, "%s: %s", input_name(a.model), wv_status_str(s));

    char message[WAV_MESSAGE_BYTES], settings[NPY_SETTINGS_BYTES];
    size_t n_frames, n_bytes;
    float *frames = wav_mels(sound.bytes, sound.n_bytes, model, &n_frames, message);
    if (frames == NULL) fail(BAD_DATA, "%s: %s", input_name(a.audio), message);
    if (message[0]) doubt(0, "%s: %s", input_name(a.audio), message);
    unsigned char *bytes = npy_encode(frames, n_frames, &info, &n_bytes);
    if (bytes == NULL) fail(BAD_DATA, "out of memory (%zu bytes)", n_bytes);
    write_file(a.mel, bytes, n_bytes);
    npy_settings(&info, settings);
    printf("%s: %d bands x %zu frames, %.3f s, %s\n", a.mel, (int)info.n_mels, n_frames,
           (double)n_frames * info.hop_length / info.sample_rate, settings);
    if (fflush(stdout) != 0 || ferror(stdout)) fail(BAD_DATA, "standard output: %s", strerror(errno));
    free(bytes);
    free(frames);
    wv_model_free(model);
    release(&sound);
    release(&file);
    return 0;
}
