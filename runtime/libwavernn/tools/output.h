/* output.h - where the audio of wv_run goes: a file, a pipe or standard output; as WAV or bare samples. POSIX. */
#ifndef WV_OUTPUT_H
#define WV_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

typedef enum { FORMAT_BY_SUFFIX, FORMAT_WAV, FORMAT_S16LE } audio_format;

typedef struct {
    const char *path;
    audio_format format;
    int to_stdout;
    int is_pipe; /* what is written is gone: there is no file to be replaced as a whole */
    int file;    /* of a pipe that is open, or -1 */
} output;

/* Checked, before minutes are spent on audio for it: the program ends if it cannot be written or is one of the inputs. */
output make_output(const char *path, audio_format format, const char *const inputs[2]);

/* All samples: a file whole or not at all. */
void write_audio(output *o, const int16_t *pcm, size_t n_samples, int32_t sample_rate);

/* For a pipe: a header without sizes, then samples as they come. */
void begin_audio(output *o, int32_t sample_rate);
void add_audio(output *o, const int16_t *pcm, size_t n_samples);

#endif
