/* program.c - errors, memory, a clock and files of wv_run. */
#define _POSIX_C_SOURCE 200809L
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *temporary; /* a half-written output, removed on the way out */

static void say(const char *what, const char *format, va_list args) {
    fprintf(stderr, "wv_run: %s: ", what);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

#ifdef __GNUC__
__attribute__((noreturn))
#endif
static void stop(int code) {
    if (temporary) unlink(temporary);
    exit(code);
}

void fail(int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    say("error", format, args);
    va_end(args);
    stop(code);
}

void doubt(int strict, const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(strict ? "error" : "warning", format, args);
    va_end(args);
    if (strict) stop(BAD_DATA);
}

void *allocate(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (p == NULL) fail(BAD_DATA, "out of memory (%zu bytes)", bytes);
    return p;
}

double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

contents read_file(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status) != 0) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode)) fail(BAD_DATA, "%s: %s", path, strerror(EISDIR));
    if (status.st_size < 0 || (uintmax_t)status.st_size > SIZE_MAX / 2) fail(BAD_DATA, "%s: too large", path);
    const size_t size = (size_t)status.st_size;
    contents c = {aligned_alloc(64, (size + 64) & ~(size_t)63), 0};
    if (c.bytes == NULL) fail(BAD_DATA, "%s: out of memory (%zu bytes)", path, size);
    for (ssize_t n = 1; n != 0 && c.n_bytes < size; c.n_bytes += (size_t)n) {
        n = read(file, c.bytes + c.n_bytes, size - c.n_bytes);
        if (n < 0) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    }
    close(file);
    return c;
}

void check_output(const char *path) {
    struct stat status;
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode)) fail(BAD_DATA, "%s: %s", path, strerror(EISDIR));
        if (!S_ISREG(status.st_mode)) return;
    }
    if (dot == NULL || strcasecmp(dot, ".wav") != 0) fail(BAD_USAGE, "--out: found %s, wanted a name ending in .wav", path);
    char *folder = allocate(strlen(path) + 2);
    strcpy(folder, path);
    strcpy(slash ? folder + (slash - path) + (slash == path) : folder, slash ? "" : ".");
    if (access(folder, W_OK) != 0) fail(BAD_DATA, "%s: %s", folder, strerror(errno));
    free(folder);
}

/* A file of a name that nobody can guess and where nothing stood before, beside `path`; its name in `name`. */
static int open_beside(const char *path, char *name) {
    sprintf(name, "%s.XXXXXX", path);
    const int file = mkstemp(name);
    const mode_t mask = umask(0); /* mkstemp lets nobody else read it */
    umask(mask);
    if (file >= 0) fchmod(file, 0666 & ~mask);
    return file;
}

void write_file(const char *path, const unsigned char *bytes, size_t n_bytes) {
    struct stat status;
    const int there = stat(path, &status) == 0;
    if (!there && errno != ENOENT) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    const int in_place = there && !S_ISREG(status.st_mode);
    char *name = allocate(strlen(path) + 8);
    const int file = in_place ? open(path, O_WRONLY) : open_beside(path, name);
    FILE *f = file < 0 ? NULL : fdopen(file, "wb");
    if (f == NULL) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    if (!in_place) temporary = name;
    int ok = fwrite(bytes, 1, n_bytes, f) == n_bytes;
    ok = fclose(f) == 0 && ok;
    if (!ok || (!in_place && rename(name, path) != 0)) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    temporary = NULL;
    free(name);
}
