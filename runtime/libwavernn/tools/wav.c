/* wav.c - 16-bit mono WAV files to write. */
#include "wav.h"

#include <string.h>

static void little_endian(unsigned char *p, uint32_t x, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) p[i] = (unsigned char)(x >> 8 * i);
}

void wav_encode(const int16_t *pcm, size_t n_samples, int32_t sample_rate, unsigned char *wav) {
    const uint32_t rate = (uint32_t)sample_rate, data_bytes = (uint32_t)(2 * n_samples);
    memcpy(wav, "RIFF....WAVEfmt ", 16);
    little_endian(wav + 4, 36 + data_bytes, 4);
    little_endian(wav + 16, 16, 4);              /* bytes of the fmt chunk */
    little_endian(wav + 20, 1, 2);               /* PCM */
    little_endian(wav + 22, 1, 2);               /* channels */
    little_endian(wav + 24, rate, 4);
    little_endian(wav + 28, 2 * rate, 4);     /* bytes a second */
    little_endian(wav + 32, 2, 2);               /* bytes a sample */
    little_endian(wav + 34, 16, 2);              /* bits a sample */
    memcpy(wav + 36, "data", 4);
    little_endian(wav + 40, data_bytes, 4);
    for (size_t i = 0; i < n_samples; i++) little_endian(wav + WAV_HEADER_BYTES + 2 * i, (uint16_t)pcm[i], 2);
}
