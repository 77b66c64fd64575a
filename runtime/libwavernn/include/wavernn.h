/* wavernn.h - the entire public API of libwavernn: log-mels in, 16-bit audio out, as a stream.
 *
 *     wv_model *model;  wv_state *state;  wv_info info;  wv_options options = WV_OPTIONS_DEFAULT;
 *     wv_status s = wv_model_load(bytes, n_bytes, &model);    // bytes stay yours and must outlive the model
 *     wv_model_info(model, &info);
 *     wv_state_new(model, &options, &state);
 *     for (;;) {
 *         wv_push(state, mel, n_frames, &taken);              // mel: (n_frames, n_mels) float32, frame after frame
 *         wv_pull(state, pcm, n_samples, &written);           // as many samples as the pushed frames allow
 *     }
 *     wv_finish(state);                                       // no more frames: pull what is left
 *     wv_state_free(state);  wv_model_free(model);
 *
 * The audio depends on the model, the mels, the seed and the temperature alone: not on the CPU, the ISA, or
 * how the stream is cut into pushes and pulls (FORMAT.md and docs/numerics.md define every bit), nor on the calling
 * thread's floating-point mode: functions that compute set the mode they need and leave the caller's behind.
 * The library prints nothing, has no globals that change after load, and allocates, and starts threads, only in
 * wv_model_load, wv_state_new and wv_batch_new. A model is immutable and may be shared by threads; a state belongs to one at a time.
 *
 * Versions are semantic. WV_VERSION is MAJOR.MINOR.PATCH of the source. WV_ABI_VERSION is the major number of the binary
 * interface, and the number in the shared library's name: a program runs with any library of the ABI version that it
 * was compiled for. The number rises when a function goes or changes, when wv_info or a field of wv_options changes, or
 * when a value of an enum changes. It stays when a function, a status, a stage or a field at the end of wv_options is
 * added. A program that loads the library at run time compares WV_ABI_VERSION with wv_abi_version().
 */
#ifndef WAVERNN_H
#define WAVERNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(WV_API) /* the build has its own */
#elif defined(_WIN32)
#define WV_API __declspec(dllexport)
#else
#define WV_API __attribute__((visibility("default")))
#endif

#define WV_VERSION "0.2.0"
#define WV_ABI_VERSION 2

typedef enum {
    WV_OK = 0,
    WV_ERR_ARGUMENT,    /* a null pointer or a value out of range */
    WV_ERR_MEMORY,      /* out of memory */
    WV_ERR_ALIGNMENT,   /* the model bytes do not start on a 64-byte boundary */
    WV_ERR_TRUNCATED,   /* fewer bytes than the header says, or than a header */
    WV_ERR_MAGIC,       /* not a .bin of this project */
    WV_ERR_VERSION,     /* a format version this library does not read */
    WV_ERR_CHECKSUM,    /* the bytes were damaged */
    WV_ERR_HEADER,      /* a header field is out of its legal range */
    WV_ERR_SECTION,     /* a section lies wrong: bounds, order, alignment, padding, dtype or shape */
    WV_ERR_ROW_PTR,     /* row_ptr does not start at 0, decreases, or does not end at nnz_blocks */
    WV_ERR_COL_IDX,     /* a column index is out of range or not ascending within its row */
    WV_ERR_VALUES,      /* an int8 pair exceeds |w0| + |w1| <= 128, or a float is not finite */
    WV_ERR_MEL,         /* a pushed mel value is NaN or infinite */
    WV_ERR_FINISHED,    /* pushed after wv_finish */
    WV_ERR_ISA,         /* the ISA asked for is unknown, or this build or CPU lacks it */
    WV_ERR_SUBSCALE,    /* a Subscale voice, in a build with WV_NO_SUBSCALE */
} wv_status;

typedef struct wv_model wv_model;
typedef struct wv_state wv_state;

/* What a model is; sizes as in FORMAT.md. */
typedef struct {
    int32_t sample_rate;   /* Hz */
    int32_t hop_length;    /* samples per mel frame */
    int32_t n_mels;
    int32_t n_units;
    int32_t lookahead;     /* frames that must be pushed beyond the one being pulled */
    int32_t dtype;         /* of R: 0 f32, 1 f16, 2 int8 */
    char mel_name[32];     /* preset, zero-terminated */
    int32_t postfilter;    /* the mel post-filter: 0 has none, 1 off, 2 on unless wv_options says otherwise */
    int32_t filter_delay;  /* frames that it adds to lookahead */
} wv_info;

enum { WV_FILTER_AS_MODEL, WV_FILTER_OFF, WV_FILTER_ON };

/* A caller whose struct is shorter than the library's gets the default for what it lacks. One whose struct is longer gets
 * WV_ERR_ARGUMENT if the rest is not zero: it asks for what this library does not know. */
typedef struct {
    size_t struct_size;    /* sizeof(wv_options) */
    uint64_t seed;
    float temperature;     /* WV_TEMPERATURE_MIN..MAX; logits are divided by it; 1 samples the model as trained */
    int32_t max_frames;    /* frames that may wait inside the state, 1..65536 */
    const char *isa;       /* one of wv_isa_name(); NULL takes $WV_ISA if set, else the best one */
    int32_t postfilter;    /* WV_FILTER_..; ON wants a model that has one */
    int64_t n_threads;     /* of a Subscale voice: threads that its lanes are split over, 0..64, the caller's among them. 0 is 1.
                              Other voices, and a build without threads, use the caller's alone. */
} wv_options;
#define WV_TEMPERATURE_MIN 1e-6f
#define WV_TEMPERATURE_MAX 1e6f
#define WV_OPTIONS_DEFAULT {sizeof(wv_options), 0, 1.0f, 64, NULL, WV_FILTER_AS_MODEL, 1}

/* WV_ABI_VERSION and WV_VERSION of the library. */
WV_API int32_t wv_abi_version(void);
WV_API const char *wv_version(void);
/* One lower-case line for a status, e.g. "column index out of range"; never NULL. */
WV_API const char *wv_status_str(wv_status status);
/* Its name without the prefix, in lower case, e.g. "col_idx": FormatError.status in Python. Never NULL. */
WV_API const char *wv_status_name(wv_status status);

/* Names of the ISAs this build holds and this CPU runs, best first, of avx512vnni, avxvnni, avx2, neon_dot,
 * neon, relaxed_u8, relaxed_s8, simd128_dot, simd128, portable; NULL past the end. */
WV_API const char *wv_isa_name(int32_t index);

/* Checks everything FORMAT.md demands, once. `data` is used in place: 64-byte aligned, unchanged and alive until
 * wv_model_free. Read the file into memory of your own (aligned_alloc(64, ..)) if others may write to it: a file that is
 * mapped and changes afterwards makes indices that nothing checks any more, or SIGBUS. mmap is for files that only you
 * can change, such as those of an app's package. */
WV_API wv_status wv_model_load(const void *data, size_t n_bytes, wv_model **model);
WV_API void wv_model_free(wv_model *model);
WV_API wv_status wv_model_info(const wv_model *model, wv_info *info);

WV_API wv_status wv_state_new(const wv_model *model, const wv_options *options, wv_state **state);
WV_API void wv_state_free(wv_state *state);
/* The ISA this state runs on. */
WV_API const char *wv_state_isa(const wv_state *state);
/* Back to silence and sample 0 with another seed; what was pushed is forgotten. */
WV_API wv_status wv_reset(wv_state *state, uint64_t seed);

/* Copies up to n_frames frames into the state; *taken says how many fitted. */
WV_API wv_status wv_push(wv_state *state, const float *mel, size_t n_frames, size_t *taken);
/* No more frames will come: the last one is repeated to the right, as training did. */
WV_API wv_status wv_finish(wv_state *state);
/* Samples that wv_pull could give now. */
WV_API size_t wv_available(const wv_state *state);
/* Writes up to n_samples int16 samples; *written says how many there were. */
WV_API wv_status wv_pull(wv_state *state, int16_t *pcm, size_t n_samples, size_t *written);

/* Streams in step: one load of the weights serves a sample of each of them, which makes 8 streams about twice as fast on a
 * core. The audio of each stays what wv_pull gives.
 *
 *     wv_batch_new(model, 8, 1, &batch);
 *     for (i = 0; i < 8; i++) wv_state_new(model, &options, &states[i]);  // as ever; also wv_push, wv_finish, wv_reset
 *     wv_batch_pull(batch, states, 8, pcm, n_samples, written);
 *
 * A batch is room to work in: n_lanes (1..16) streams step together on each of n_threads (1..64) threads. A build without
 * threads uses one. It allocates, and starts its threads, in wv_batch_new alone, and serves one call at a time. */
typedef struct wv_batch wv_batch;
WV_API wv_status wv_batch_new(const wv_model *model, int32_t n_lanes, int32_t n_threads, wv_batch **batch);
WV_API void wv_batch_free(wv_batch *batch);
/* wv_pull of n_states different streams of one model and ISA: up to n_samples[i] of states[i] into pcm[i]; written[i] says
 * how many there were. Any number of streams, also between calls: where one ends, the next takes its lane. */
WV_API wv_status wv_batch_pull(wv_batch *batch, wv_state *const states[], size_t n_states, int16_t *const pcm[],
                               const size_t n_samples[], size_t written[]);

/* Audio in, log-mels out, as a model wants them: the other direction, for a copy of a recording. Streams like a wv_state. The
 * model is needed for wv_mel_new alone; its n_fft must be a power of two, else WV_ERR_ARGUMENT. */
typedef struct wv_mel wv_mel;
WV_API wv_status wv_mel_new(const wv_model *model, wv_mel **mel);
WV_API void wv_mel_free(wv_mel *mel);
/* Copies up to n_samples samples in [-1, 1] at the model's sample rate; *taken says how many fitted. NaN: WV_ERR_ARGUMENT. */
WV_API wv_status wv_mel_push(wv_mel *mel, const float *audio, size_t n_samples, size_t *taken);
/* No more samples will come. All in all there are n_samples / hop_length frames. */
WV_API wv_status wv_mel_finish(wv_mel *mel);
/* Frames that wv_mel_pull could give now. */
WV_API size_t wv_mel_available(const wv_mel *mel);
/* Writes up to n_frames frames of n_mels float32, frame after frame; *written says how many there were. */
WV_API wv_status wv_mel_pull(wv_mel *mel, float *frames, size_t n_frames, size_t *written);

/* Are mels like those that the model was trained on? If not, the likeliest mistake. */
typedef enum {
    WV_MELS_FIT,
    WV_MELS_UNCHECKED,     /* fewer than 40 frames that are not silent, or a model of a format version below 4 */
    WV_MELS_ZEROS,         /* padded with zeros */
    WV_MELS_LINEAR,
    WV_MELS_LOG1P,
    WV_MELS_LOG10,
    WV_MELS_LOG2,
    WV_MELS_DECIBELS,
    WV_MELS_POWER,         /* logarithms of power instead of magnitude */
    WV_MELS_LOG10_POWER,
    WV_MELS_NO_AREA_NORM,
    WV_MELS_NORMALISED,    /* to mean 0 and deviation 1 */
    WV_MELS_0_1,           /* scaled to 0..1 */
    WV_MELS_1_1,           /* to -1..1 */
    WV_MELS_4_4,           /* to -4..4 */
    WV_MELS_INTEGERS,      /* of audio that was not divided by 32768 */
    WV_MELS_REVERSED,      /* highest band first */
    WV_MELS_HTK,           /* bands on HTK's mel scale */
    WV_MELS_22K,           /* mels of that preset */
    WV_MELS_24K,
    WV_MELS_16K,
    WV_MELS_80_7600,       /* bands of that range in Hz */
    WV_MELS_N_FFT,         /* half the n_fft */
    WV_MELS_OTHER,         /* unlike those of training, by none of these */
} wv_mels;
typedef struct {
    wv_mels cause;
    double offset;         /* mean over bands of mean minus that of training, in nats */
    double step;           /* change from frame to frame over that of natural log-mels */
} wv_mels_found;
/* Looks at n_frames frames of an utterance; the more, the surer. From about 300 on short mistakes are told, too. */
WV_API wv_status wv_check_mels(const wv_model *model, const float *frames, size_t n_frames, wv_mels_found *found);
/* One word for a cause, and a line that says what undoes it; NULL for what is no cause. */
WV_API const char *wv_mels_name(wv_mels cause);
WV_API const char *wv_mels_advice(wv_mels cause);

/* Is audio what the mels that it was made from say? */
typedef struct {
    size_t clipped;        /* samples at the ends of the range */
    double level_db;       /* level of the audio over that of the mels; 0 where those are silent */
    int32_t doubtful;      /* more than 0.1 % clipped, or a level more than 4 dB off */
} wv_audio_found;
WV_API wv_status wv_check_audio(const wv_model *model, const float *frames, size_t n_frames, const int16_t *pcm,
                                size_t n_samples, wv_audio_found *found);

/* For benchmarks alone: runs one stage of the loop n_times. The audio after it is undefined until wv_reset. */
typedef enum {
    WV_STAGE_SAMPLE,    /* a whole sample */
    WV_STAGE_R,         /* the mat-vec R h */
    WV_STAGE_GATES,     /* both halves */
    WV_STAGE_O,         /* O1..O4 */
    WV_STAGE_SAMPLING,  /* both bytes drawn from their logits */
    WV_STAGE_CONDITION, /* one mel frame through C1, C2 and C3 */
} wv_stage;
WV_API wv_status wv_bench_stage(wv_state *state, wv_stage stage, size_t n_times);
/* The same of up to n_lanes streams in step, on this thread */
WV_API wv_status wv_batch_bench_stage(wv_batch *batch, wv_state *const states[], size_t n_states, wv_stage stage,
                                      size_t n_times);

#ifdef __cplusplus
}
#endif
#endif
