/* android_armv7.c - runs the APK's armeabi-v7a library where there is no Java: a JNI environment of eight functions,
 * whose objects are plain pointers, speaks mels with a model.
 *
 *     android_armv7 libwavernn_jni.so MODEL MELS N_FRAMES SEED ISA CHUNK > pcm
 *
 * MELS: (n_frames, n_mels) float32. Built as a hard-float program for glibc; the library passes floats in integer
 * registers, as Android does: hence aapcs on the one function that takes a float. */
#include <dlfcn.h>
#include <jni.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME(x) "Java_org_wavernn_WaveRnn_native" x
#define NEED(x) ((x) ? (void)0 : (fprintf(stderr, "android_armv7: %s: %s\n", #x, dlerror()), exit(1)))

typedef jlong (*open_function)(JNIEnv *, jclass, jobject, jint, jlong, jfloat, jint, jstring) __attribute__((pcs("aapcs")));
typedef jint (*push_function)(JNIEnv *, jclass, jlong, jfloatArray, jint, jint);
typedef jint (*pull_function)(JNIEnv *, jclass, jlong, jshortArray, jint, jint);
typedef void (*handle_function)(JNIEnv *, jclass, jlong);
typedef jstring (*isa_function)(JNIEnv *, jclass, jlong);

static void *get_direct_buffer_address(JNIEnv *env, jobject buffer) { (void)env; return buffer; }
static const char *get_string_utf_chars(JNIEnv *env, jstring s, jboolean *copy) { (void)env, (void)copy; return s; }
static void release_string_utf_chars(JNIEnv *env, jstring s, const char *chars) { (void)env, (void)s, (void)chars; }
static jstring new_string_utf(JNIEnv *env, const char *chars) { (void)env; return (jstring)(uintptr_t)chars; }
static void get_float_array_region(JNIEnv *env, jfloatArray a, jsize start, jsize n, jfloat *to) {
    (void)env;
    memcpy(to, (float *)a + start, (size_t)n * sizeof *to);
}
static void set_short_array_region(JNIEnv *env, jshortArray a, jsize start, jsize n, const jshort *from) {
    (void)env;
    memcpy((jshort *)a + start, from, (size_t)n * sizeof *from);
}
static jmethodID get_method_id(JNIEnv *env, jclass type, const char *name, const char *signature) {
    (void)env, (void)type, (void)name, (void)signature;
    return NULL;
}
static jclass find_class(JNIEnv *env, const char *name) { /* only a failure asks for a class: WaveRnnException */
    (void)env;
    fprintf(stderr, "android_armv7: %s thrown\n", name);
    exit(1);
}

static void *read_file(const char *path, size_t *n_bytes) {
    FILE *f = fopen(path, "rb");
    NEED(f);
    NEED(fseek(f, 0, SEEK_END) == 0);
    *n_bytes = (size_t)ftell(f);
    rewind(f);
    void *bytes = aligned_alloc(64, (*n_bytes + 63) / 64 * 64);
    NEED(bytes && fread(bytes, 1, *n_bytes, f) == *n_bytes);
    fclose(f);
    return bytes;
}

int main(int argc, char **argv) {
    NEED(argc == 8);
    void *library = dlopen(argv[1], RTLD_NOW);
    NEED(library);
    open_function open = (open_function)dlsym(library, NAME("Open"));
    push_function push = (push_function)dlsym(library, NAME("Push"));
    pull_function pull = (pull_function)dlsym(library, NAME("Pull"));
    handle_function finish = (handle_function)dlsym(library, NAME("Finish"));
    handle_function close = (handle_function)dlsym(library, NAME("Close"));
    isa_function isa = (isa_function)dlsym(library, NAME("Isa"));
    NEED(open && push && pull && finish && close && isa);

    struct JNINativeInterface table = {
        .FindClass = find_class, .GetMethodID = get_method_id, .GetDirectBufferAddress = get_direct_buffer_address,
        .GetStringUTFChars = get_string_utf_chars, .ReleaseStringUTFChars = release_string_utf_chars,
        .NewStringUTF = new_string_utf, .GetFloatArrayRegion = get_float_array_region,
        .SetShortArrayRegion = set_short_array_region};
    JNIEnv environment = &table, *env = &environment;

    size_t model_bytes, mel_bytes;
    void *model = read_file(argv[2], &model_bytes), *mel = read_file(argv[3], &mel_bytes);
    const jint n_frames = atoi(argv[4]), chunk = atoi(argv[7]);
    jlong h = open(env, NULL, model, (jint)model_bytes, (jlong)strtoull(argv[5], NULL, 10), 1.0f, 3, argv[6]);
    NEED(h != 0 && strcmp((const char *)isa(env, NULL, h), argv[6]) == 0);
    jshort pcm[100];
    for (jint pushed = 0, n = 1; pushed < n_frames || n > 0;) {
        const jint left = n_frames - pushed;
        pushed += push(env, NULL, h, mel, pushed, left < chunk ? left : chunk);
        if (pushed == n_frames) finish(env, NULL, h);
        while ((n = pull(env, NULL, h, (jshortArray)pcm, 0, 100)) > 0) NEED(fwrite(pcm, 2, (size_t)n, stdout) == (size_t)n);
    }
    close(env, NULL, h);
    return 0;
}
