/* posix.h - the files of POSIX, which program.c and output.c use; on Windows the same from its C library. */
#ifndef WV_POSIX_H
#define WV_POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#ifdef _WIN32
#include <io.h>
#include <windows.h>

#define IS_SEPARATOR(c) ((c) == '/' || (c) == '\\')

static inline void *allocate_aligned(size_t n) { return _aligned_malloc(n, 64); }
static inline void free_aligned(void *p) { _aligned_free(p); }

/* Standard input or output as bytes, without ends of lines put in */
static inline void set_binary(int file) { _setmode(file, _O_BINARY); }

static inline double seconds(void) {
    LARGE_INTEGER now, per_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&per_second);
    return (double)now.QuadPart / (double)per_second.QuadPart;
}

/* Its rename() replaces nothing. */
static inline int replace_file(const char *from, const char *to) {
    if (MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING)) return 0;
    errno = EACCES;
    return -1;
}

/* By their paths: inodes are always 0. */
static inline int is_same_file(const char *a, const char *b) {
    char *full_a = _fullpath(NULL, a, 0), *full_b = _fullpath(NULL, b, 0);
    const int same = full_a != NULL && full_b != NULL && _stricmp(full_a, full_b) == 0;
    free(full_a);
    free(full_b);
    return same;
}
#else
#include <time.h>
#include <unistd.h>

#define IS_SEPARATOR(c) ((c) == '/')
#define O_BINARY 0

static inline void *allocate_aligned(size_t n) { return aligned_alloc(64, n); }
static inline void free_aligned(void *p) { free(p); }
static inline void set_binary(int file) { (void)file; }

static inline double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int replace_file(const char *from, const char *to) { return rename(from, to); }

static inline int is_same_file(const char *a, const char *b) {
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}
#endif

/* Behind the last separator: the file's name in its folder */
static inline const char *file_name(const char *path) {
    const char *name = path;
    for (const char *p = path; *p != '\0'; p++)
        if (IS_SEPARATOR(*p)) name = p + 1;
    return name;
}

#endif
