/* mel_check.h - what mel_causes.c tells mel_check.c and the reader of mels. */
#ifndef WV_MEL_CHECK_H
#define WV_MEL_CHECK_H

#include "wavernn.h"

/* The likeliest cause of mels of which none is below zero, as speech never is. frames : (n_frames, n_mels) */
wv_mels wv_positive_cause(const wv_model *model, const float *frames, size_t n_frames);

#endif
