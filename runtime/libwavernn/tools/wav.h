/* wav.h - WAV files: 16-bit mono ones to write, PCM and float ones to read. */
#ifndef WV_WAV_H
#define WV_WAV_H

#include <stddef.h>
#include <stdint.h>

#include "message.h"
#include "wavernn.h"

enum { WAV_HEADER_BYTES = 44 };
#define WAV_MAX_SAMPLES ((UINT32_MAX - 36u) / 2u) /* what the 32-bit sizes of a WAV file can say */

/* The file of n_samples: WAV_HEADER_BYTES as libsndfile writes them, then the samples, little-endian.
 * wav : (WAV_HEADER_BYTES + 2 n_samples,) */
void wav_encode(const int16_t *pcm, size_t n_samples, int32_t sample_rate, unsigned char *wav);

enum { WAV_MESSAGE_BYTES = MESSAGE_BYTES };
/* The samples in a file's bytes, 8-bit to 32-bit PCM or float32, the mean of its channels; full scale is [-1, 1]. The caller
 * frees them. NULL if it is no such file; `message` is what was found and what was wanted, then and where it is unlikely that
 * this was meant: a file whose end is missing, silence, too loud; else it is empty. */
float *wav_decode(const unsigned char *bytes, size_t n_bytes, size_t *n_samples, int32_t *sample_rate,
                  char message[WAV_MESSAGE_BYTES]);
/* The mels of such a file at the rate of a model, as the model wants them. frames : (n_frames, n_mels), the caller frees them.
 * NULL and `message` as above. */
float *wav_mels(const unsigned char *bytes, size_t n_bytes, const wv_model *model, size_t *n_frames, char message[WAV_MESSAGE_BYTES]);

#endif
