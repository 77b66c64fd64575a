/* wav.h - 16-bit mono WAV files. */
#ifndef WV_WAV_H
#define WV_WAV_H

#include <stddef.h>
#include <stdint.h>

enum { WAV_HEADER_BYTES = 44 };
#define WAV_MAX_SAMPLES ((UINT32_MAX - 36u) / 2u) /* what the 32-bit sizes of a WAV file can say */

/* The file of n_samples: WAV_HEADER_BYTES as libsndfile writes them, then the samples, little-endian.
 * wav : (WAV_HEADER_BYTES + 2 n_samples,) */
void wav_encode(const int16_t *pcm, size_t n_samples, int32_t sample_rate, unsigned char *wav);

#endif
