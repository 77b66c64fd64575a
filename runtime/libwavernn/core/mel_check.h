/* mel_check.h - what mel_causes.c tells mel_check.c and the reader of mels. */
#ifndef WV_MEL_CHECK_H
#define WV_MEL_CHECK_H

#include "wavernn.h"

/* The likeliest cause of n values of mels of which none is below zero, as speech never is. */
wv_mels wv_positive_cause(const float *mel, size_t n);

#endif
