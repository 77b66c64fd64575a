/* stream.c - mels from stdin, audio to stdout, sample by sample as the mels come.
 *
 *     cc -O2 stream.c $(pkg-config --cflags --libs wavernn) -o stream
 *     ./stream voice.bin < mels.f32 | aplay -q -f S16_LE -r 16000
 *
 * stdin: frames of n_mels float32, one after the other. stdout: raw 16-bit mono samples. Both little-endian. */
#include <stdio.h>
#include <stdlib.h>

#include <wavernn.h>

static void check(wv_status status, const char *what) {
    if (status == WV_OK) return;
    fprintf(stderr, "stream: error: %s: %s\n", what, wv_status_str(status));
    exit(1);
}

/* A file's bytes on a 64-byte boundary, as wv_model_load wants them. */
static void *read_file(const char *path, size_t *n_bytes) {
    FILE *file = fopen(path, "rb");
    void *bytes = NULL;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        *n_bytes = (size_t)ftell(file);
        rewind(file);
        bytes = aligned_alloc(64, (*n_bytes / 64 + 1) * 64);
        if (bytes != NULL && fread(bytes, 1, *n_bytes, file) != *n_bytes) {
            free(bytes);
            bytes = NULL;
        }
    }
    if (file != NULL) fclose(file);
    if (bytes != NULL) return bytes;
    perror(path);
    exit(1);
}

/* Writes every sample that the pushed frames allow. */
static void pull_all(wv_state *state) {
    int16_t pcm[256];
    size_t n;
    do {
        check(wv_pull(state, pcm, 256, &n), "pull");
        if (fwrite(pcm, sizeof pcm[0], n, stdout) != n) exit(1); /* nobody listens any more */
    } while (n > 0);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fputs("usage: stream MODEL < mels.f32 > audio.s16\n", stderr);
        return 2;
    }

    /* 1) the model: its bytes are used in place */
    size_t n_bytes, n_read, taken;
    void *bytes = read_file(argv[1], &n_bytes);
    wv_model *model;
    wv_info info;
    check(wv_model_load(bytes, n_bytes, &model), argv[1]);
    check(wv_model_info(model, &info), argv[1]);

    /* 2) a stream */
    wv_state *state;
    wv_options options = WV_OPTIONS_DEFAULT;
    check(wv_state_new(model, &options, &state), "stream");

    /* 3) one frame in, the samples that it allows out: room is always there, since every sample is pulled at once */
    float *frame = malloc((size_t)info.n_mels * sizeof *frame);
    if (frame == NULL) return 1;
    while ((n_read = fread(frame, sizeof *frame, (size_t)info.n_mels, stdin)) == (size_t)info.n_mels) {
        check(wv_push(state, frame, 1, &taken), "push");
        pull_all(state);
    }
    if (n_read != 0) {
        fprintf(stderr, "stream: error: stdin: %zu values at the end, wanted frames of %d\n", n_read, (int)info.n_mels);
        return 1;
    }

    /* 4) no more frames: the rest */
    check(wv_finish(state), "finish");
    pull_all(state);

    free(frame);
    wv_state_free(state);
    wv_model_free(model);
    free(bytes);
    return 0;
}
