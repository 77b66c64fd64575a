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
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *temporary; /* a half-written output, removed on the way out */

void fail(int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("wv_run: error: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    if (temporary) unlink(temporary);
    exit(code);
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

mapped map_file(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status) != 0) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode)) fail(BAD_DATA, "%s: %s", path, strerror(EISDIR));
    mapped m = {(const unsigned char *)"", (size_t)status.st_size};
    if (m.n_bytes > 0) {
        void *p = mmap(NULL, m.n_bytes, PROT_READ, MAP_PRIVATE, file, 0);
        if (p == MAP_FAILED) fail(BAD_DATA, "%s: %s", path, strerror(errno));
        m.bytes = p;
    }
    close(file);
    return m;
}

void unmap_file(mapped file) {
    if (file.n_bytes > 0) munmap((void *)(uintptr_t)file.bytes, file.n_bytes);
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

void write_file(const char *path, const unsigned char *bytes, size_t n_bytes) {
    struct stat status;
    int in_place = stat(path, &status) == 0 && !S_ISREG(status.st_mode);
    char *name = allocate(strlen(path) + 32);
    sprintf(name, in_place ? "%s" : "%s.%ld.tmp", path, (long)getpid());
    if (!in_place) temporary = name;
    FILE *f = fopen(name, "wb");
    if (f == NULL) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    int ok = fwrite(bytes, 1, n_bytes, f) == n_bytes;
    ok = fclose(f) == 0 && ok;
    if (!ok || (!in_place && rename(name, path) != 0)) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    temporary = NULL;
    free(name);
}
