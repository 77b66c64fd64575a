/* npy_write.c - mels into a .npy. Twin of wv_runtime/features/mel_file.py (save_mel). */
#include "npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned char *npy_encode(const float *frames, size_t n_frames, const wv_info *info, size_t *n_bytes) {
    enum { START = 10 };
    char header[512], made_for[NPY_SETTINGS_BYTES];
    const size_t n_mels = (size_t)info->n_mels;
    npy_settings(info, made_for);
    const int said = snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }  " NPY_TAG "%s;",
                              n_mels, n_frames, made_for);
    const size_t length = (size_t)(START + said + 1 + 63) / 64 * 64 - START; /* the data starts at a multiple of 64 */
    *n_bytes = START + length + 4 * n_mels * n_frames;
    unsigned char *bytes = malloc(*n_bytes);
    if (bytes == NULL) return NULL;
    memset(header + said, ' ', length - (size_t)said);
    header[length - 1] = '\n';
    memcpy(bytes, "\x93NUMPY\1", 7);
    bytes[7] = 0;
    bytes[8] = (unsigned char)length;
    bytes[9] = (unsigned char)(length >> 8);
    memcpy(bytes + START, header, length);
    for (size_t band = 0; band < n_mels; band++)
        for (size_t t = 0; t < n_frames; t++) memcpy(bytes + START + length + 4 * (band * n_frames + t), frames + t * n_mels + band, 4);
    return bytes;
}
