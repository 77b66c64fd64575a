/* wavernn_jni.c - WaveRnn.java's native methods. A handle is a model with one state; every status becomes a
 * WaveRnnException. Java checks ranges and null before it calls, so nothing here does. */
#include <jni.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"
#include "wav.h"
#include "wavernn.h"

enum { PULL_SAMPLES = 512 };

typedef struct {
    wv_model *model;
    wv_state *state;
    wv_info info;
    float *frame; /* (n_mels,) */
} handle;

static handle *of(jlong h) { return (handle *)(intptr_t)h; }

static void throw_words(JNIEnv *env, wv_status s, const char *words) {
    jclass type = (*env)->FindClass(env, "org/wavernn/WaveRnnException");
    jmethodID make = type ? (*env)->GetMethodID(env, type, "<init>", "(Ljava/lang/String;Ljava/lang/String;)V") : NULL;
    jstring name = make ? (*env)->NewStringUTF(env, wv_status_name(s)) : NULL;
    jstring text = name ? (*env)->NewStringUTF(env, words) : NULL;
    jobject e = text ? (*env)->NewObject(env, type, make, name, text) : NULL;
    if (e) (*env)->Throw(env, e); /* else one is already on its way: out of memory */
}

static void throw_status(JNIEnv *env, wv_status s) { throw_words(env, s, wv_status_str(s)); }

static void free_handle(handle *h) {
    wv_state_free(h->state);
    wv_model_free(h->model);
    free(h->frame);
    free(h);
}

JNIEXPORT jlong JNICALL Java_org_wavernn_WaveRnn_nativeAddress(JNIEnv *env, jclass self, jobject buffer) {
    (void)self;
    return (jlong)(intptr_t)(*env)->GetDirectBufferAddress(env, buffer);
}

/* The buffer must outlive the handle. */
JNIEXPORT jlong JNICALL Java_org_wavernn_WaveRnn_nativeOpen(JNIEnv *env, jclass self, jobject model, jint n_bytes,
                                                            jlong seed, jfloat temperature, jint max_frames,
                                                            jstring isa, jint n_threads) {
    (void)self;
    const void *bytes = (*env)->GetDirectBufferAddress(env, model);
    const char *name = isa ? (*env)->GetStringUTFChars(env, isa, NULL) : NULL;
    if (isa && name == NULL) return 0;
    handle *h = calloc(1, sizeof *h);
    wv_status s = h ? wv_model_load(bytes, (size_t)n_bytes, &h->model) : WV_ERR_MEMORY;
    if (s == WV_OK) s = wv_model_info(h->model, &h->info);
    if (s == WV_OK && (h->frame = malloc((size_t)h->info.n_mels * sizeof(float))) == NULL) s = WV_ERR_MEMORY;
    wv_options options = {sizeof options, (uint64_t)seed, temperature, max_frames, name, WV_FILTER_AS_MODEL, n_threads};
    if (s == WV_OK) s = wv_state_new(h->model, &options, &h->state);
    if (name) (*env)->ReleaseStringUTFChars(env, isa, name);
    if (s == WV_OK) return (jlong)(intptr_t)h;
    if (h) free_handle(h);
    throw_status(env, s);
    return 0;
}

JNIEXPORT void JNICALL Java_org_wavernn_WaveRnn_nativeClose(JNIEnv *env, jclass self, jlong h) {
    (void)env, (void)self;
    free_handle(of(h));
}

/* {sample_rate, hop_length, n_mels, n_units, lookahead, dtype} */
JNIEXPORT jintArray JNICALL Java_org_wavernn_WaveRnn_nativeInfo(JNIEnv *env, jclass self, jlong h) {
    (void)self;
    const wv_info *i = &of(h)->info;
    const jint values[] = {i->sample_rate, i->hop_length, i->n_mels, i->n_units, i->lookahead, i->dtype};
    jintArray array = (*env)->NewIntArray(env, 6);
    if (array) (*env)->SetIntArrayRegion(env, array, 0, 6, values);
    return array;
}

/* Bytes, not a string: NewStringUTF aborts on a file's name that is no UTF-8. */
JNIEXPORT jbyteArray JNICALL Java_org_wavernn_WaveRnn_nativeMelName(JNIEnv *env, jclass self, jlong h) {
    (void)self;
    const char *name = of(h)->info.mel_name;
    const jsize n = (jsize)strlen(name);
    jbyteArray array = (*env)->NewByteArray(env, n);
    if (array) (*env)->SetByteArrayRegion(env, array, 0, n, (const jbyte *)name);
    return array;
}

JNIEXPORT jstring JNICALL Java_org_wavernn_WaveRnn_nativeIsa(JNIEnv *env, jclass self, jlong h) {
    (void)self;
    return (*env)->NewStringUTF(env, wv_state_isa(of(h)->state));
}

JNIEXPORT jstring JNICALL Java_org_wavernn_WaveRnn_nativeIsaName(JNIEnv *env, jclass self, jint index) {
    (void)self;
    const char *name = wv_isa_name(index);
    return name ? (*env)->NewStringUTF(env, name) : NULL;
}

JNIEXPORT jstring JNICALL Java_org_wavernn_WaveRnn_nativeVersion(JNIEnv *env, jclass self) {
    (void)self;
    return (*env)->NewStringUTF(env, wv_version());
}

JNIEXPORT void JNICALL Java_org_wavernn_WaveRnn_nativeReset(JNIEnv *env, jclass self, jlong h, jlong seed) {
    (void)self;
    wv_status s = wv_reset(of(h)->state, (uint64_t)seed);
    if (s != WV_OK) throw_status(env, s);
}

/* Frames as an array of Java's, (n_frames * n_mels,); NULL throws the message instead. */
static jfloatArray mels_or_words(JNIEnv *env, const handle *h, float *frames, size_t n_frames, char *message) {
    if (frames == NULL) {
        for (char *c = message; *c; c++)
            if (*c < ' ' || *c > '~') *c = '?'; /* NewStringUTF aborts on what is no UTF-8 */
        throw_words(env, WV_ERR_MEL, message);
        return NULL;
    }
    const jsize n = (jsize)(n_frames * (size_t)h->info.n_mels);
    jfloatArray array = (*env)->NewFloatArray(env, n);
    if (array) (*env)->SetFloatArrayRegion(env, array, 0, n, frames);
    free(frames);
    return array;
}

/* The mels in the bytes of a .npy file */
JNIEXPORT jfloatArray JNICALL Java_org_wavernn_WaveRnn_nativeReadMels(JNIEnv *env, jclass self, jlong h, jbyteArray npy) {
    (void)self;
    char message[NPY_MESSAGE_BYTES];
    size_t n_frames = 0;
    jbyte *bytes = (*env)->GetByteArrayElements(env, npy, NULL);
    if (bytes == NULL) return NULL;
    const size_t n_bytes = (size_t)(*env)->GetArrayLength(env, npy);
    float *frames = npy_mels((const unsigned char *)bytes, n_bytes, of(h)->model, &n_frames, message);
    (*env)->ReleaseByteArrayElements(env, npy, bytes, JNI_ABORT);
    return mels_or_words(env, of(h), frames, n_frames, message);
}

/* The mels of the audio in the bytes of a WAV file */
JNIEXPORT jfloatArray JNICALL Java_org_wavernn_WaveRnn_nativeAnalyse(JNIEnv *env, jclass self, jlong h, jbyteArray wav) {
    (void)self;
    char message[WAV_MESSAGE_BYTES];
    size_t n_frames = 0;
    jbyte *bytes = (*env)->GetByteArrayElements(env, wav, NULL);
    if (bytes == NULL) return NULL;
    const size_t n_bytes = (size_t)(*env)->GetArrayLength(env, wav);
    float *frames = wav_mels((const unsigned char *)bytes, n_bytes, of(h)->model, &n_frames, message);
    (*env)->ReleaseByteArrayElements(env, wav, bytes, JNI_ABORT);
    return mels_or_words(env, of(h), frames, n_frames, message);
}

/* mel: (>= first + n_frames, n_mels). Returns how many frames fitted. */
JNIEXPORT jint JNICALL Java_org_wavernn_WaveRnn_nativePush(JNIEnv *env, jclass self, jlong h, jfloatArray mel,
                                                           jint first, jint n_frames) {
    (void)self;
    const jint n_mels = of(h)->info.n_mels;
    size_t taken = 1;
    jint done = 0;
    while (done < n_frames && taken == 1) {
        (*env)->GetFloatArrayRegion(env, mel, (first + done) * n_mels, n_mels, of(h)->frame);
        wv_status s = wv_push(of(h)->state, of(h)->frame, 1, &taken);
        if (s != WV_OK) {
            throw_status(env, s);
            return done;
        }
        done += (jint)taken;
    }
    return done;
}

JNIEXPORT void JNICALL Java_org_wavernn_WaveRnn_nativeFinish(JNIEnv *env, jclass self, jlong h) {
    (void)self;
    wv_status s = wv_finish(of(h)->state);
    if (s != WV_OK) throw_status(env, s);
}

JNIEXPORT jint JNICALL Java_org_wavernn_WaveRnn_nativeAvailable(JNIEnv *env, jclass self, jlong h) {
    (void)env, (void)self;
    return (jint)wv_available(of(h)->state);
}

/* Through a small buffer: pinning pcm would hold up the garbage collector for as long as the audio takes. */
JNIEXPORT jint JNICALL Java_org_wavernn_WaveRnn_nativePull(JNIEnv *env, jclass self, jlong h, jshortArray pcm,
                                                           jint offset, jint n_samples) {
    (void)self;
    int16_t part[PULL_SAMPLES];
    size_t written = PULL_SAMPLES;
    jint done = 0;
    while (done < n_samples && written == PULL_SAMPLES) {
        const jint left = n_samples - done;
        wv_status s = wv_pull(of(h)->state, part, (size_t)(left < PULL_SAMPLES ? left : PULL_SAMPLES), &written);
        if (s != WV_OK) {
            throw_status(env, s);
            return done;
        }
        (*env)->SetShortArrayRegion(env, pcm, offset + done, (jsize)written, part);
        done += (jint)written;
    }
    return done;
}

JNIEXPORT void JNICALL Java_org_wavernn_WaveRnn_nativeBenchStage(JNIEnv *env, jclass self, jlong h, jint stage,
                                                                 jint n_times) {
    (void)self;
    wv_status s = wv_bench_stage(of(h)->state, (wv_stage)stage, (size_t)n_times);
    if (s != WV_OK) throw_status(env, s);
}
