/* wav_mels.c - from a WAV file to the mels of its audio. */
#include <stdio.h>
#include <stdlib.h>

#include "wav.h"

/* The mels of all samples, at least one frame; NULL: `message` says why */
static float *analyse(wv_mel *mel, const wv_info *info, const float *audio, size_t n_samples, size_t *n_frames,
                      char message[WAV_MESSAGE_BYTES]) {
    const size_t n_mels = (size_t)info->n_mels, n_wanted = n_samples / (size_t)info->hop_length;
    float *frames = malloc(n_wanted * n_mels * sizeof *frames);
    wv_status s = frames ? WV_OK : WV_ERR_MEMORY;
    *n_frames = 0;
    for (size_t taken = 0, got = 1; s == WV_OK && *n_frames < n_wanted && (got > 0 || taken < n_samples); *n_frames += got) {
        size_t more = 0;
        got = 0;
        if (taken < n_samples) s = wv_mel_push(mel, audio + taken, n_samples - taken, &more);
        taken += more;
        if (s == WV_OK && taken == n_samples) s = wv_mel_finish(mel);
        if (s == WV_OK) s = wv_mel_pull(mel, frames + *n_frames * n_mels, n_wanted - *n_frames, &got);
    }
    if (s == WV_OK) return frames;
    snprintf(message, WAV_MESSAGE_BYTES, "%s", wv_status_str(s));
    free(frames);
    return NULL;
}

float *wav_mels(const unsigned char *bytes, size_t n_bytes, const wv_model *model, size_t *n_frames, char message[WAV_MESSAGE_BYTES]) {
    size_t n_samples;
    int32_t rate;
    wv_info info;
    wv_mel *mel = NULL;
    float *frames = NULL, *audio = wav_decode(bytes, n_bytes, &n_samples, &rate, message);
    if (audio == NULL) return NULL;
    wv_status s = wv_model_info(model, &info);
    if (s == WV_OK && rate != info.sample_rate)
        snprintf(message, WAV_MESSAGE_BYTES, "%d Hz, wanted the model's %d Hz; wv-mel resamples", (int)rate, (int)info.sample_rate);
    else if (s == WV_OK && n_samples < (size_t)info.hop_length)
        snprintf(message, WAV_MESSAGE_BYTES, "audio: found %zu samples, wanted at least one frame (%d)", n_samples, (int)info.hop_length);
    else if (s == WV_OK && (s = wv_mel_new(model, &mel)) == WV_OK)
        frames = analyse(mel, &info, audio, n_samples, n_frames, message);
    if (s == WV_ERR_ARGUMENT)
        snprintf(message, WAV_MESSAGE_BYTES, "the model's n_fft is no power of two, which wv_mel wants; use wv-mel");
    else if (s != WV_OK)
        snprintf(message, WAV_MESSAGE_BYTES, "%s", wv_status_str(s));
    wv_mel_free(mel);
    free(audio);
    return frames;
}
