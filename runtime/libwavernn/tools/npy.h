/* npy.h - mels in a .npy of wv-mel or numpy.save. No POSIX, no exit: the Android app reads with it, too. */
#ifndef WV_NPY_H
#define WV_NPY_H

#include <stddef.h>

#include "message.h"
#include "wavernn.h"

enum { NPY_MESSAGE_BYTES = MESSAGE_BYTES, NPY_MAGIC_BYTES = 6, NPY_SETTINGS_BYTES = 80 };

#define NPY_TAG "# mel: " /* opens the comment of wv-mel, before npy_settings */

/* What the maker of mels and the model must agree on, as text. */
void npy_settings(const wv_info *info, char text[NPY_SETTINGS_BYTES]);

/* The mels in a file's bytes, for a model: (n_frames, n_mels) finite natural logarithms, which the
 * caller frees. NULL if it is no such array; then `message` is one line: what was found, what was wanted. */
float *npy_mels(const unsigned char *bytes, size_t n_bytes, const wv_model *model, size_t *n_frames,
                char message[NPY_MESSAGE_BYTES]);

/* The file that holds frames : (n_frames, n_mels) for a model that is `info`, as wv-mel writes it; the caller frees it. NULL
 * where there is no memory. */
unsigned char *npy_encode(const float *frames, size_t n_frames, const wv_info *info, size_t *n_bytes);

/* Whether they are the first bytes of a .npy; no mel has the float32 of these, 2.2e8. */
int npy_starts(const unsigned char *bytes, size_t n_bytes);

/* Whether frame t of those that come one by one is one of natural log-mels, (n_mels,); `message` as above. */
int npy_check_frame(const float *frame, size_t t, const wv_info *info, char message[NPY_MESSAGE_BYTES]);

#endif
