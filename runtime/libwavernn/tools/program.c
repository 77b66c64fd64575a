/* program.c - options, errors, memory, a clock and files of wv_run and wv_mel. */
#define _POSIX_C_SOURCE 200809L
#include "program.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "posix.h"
#include "wavernn.h"

enum { MOST_AT_ONCE = 1 << 30 }; /* Windows counts in int */

static const char *temporary; /* a half-written output, removed on the way out */

static void say(const char *what, const char *format, va_list args) {
    fprintf(stderr, "%s: %s: ", program_name, what);
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

int next_option(command_line *line) {
    while (++line->i < line->argc) {
        const char *text = line->argv[line->i];
        if (line->options_end || text[0] != '-' || text[1] == '\0') {
            if (line->n_paths == 2) fail(BAD_USAGE, "found a third argument %s, wanted %s", text, line->files);
            line->path[line->n_paths++] = text;
        } else if (strcmp(text, "--") == 0) {
            line->options_end = 1;
        } else if (strcmp(text, "--help") == 0) {
            fputs(line->usage, stdout);
            exit(0);
        } else if (strcmp(text, "--version") == 0) {
            printf("%s, version %s\n", program_name, wv_version());
            exit(0);
        } else {
            return 1;
        }
    }
    return 0;
}

const char *value_of(const char *name, command_line *line) {
    const size_t n = strlen(name);
    const char *text = line->argv[line->i];
    if (strncmp(text, name, n) != 0) return NULL;
    if (text[n] == '=' && n > 2) return text + n + 1;
    if (text[n] != '\0') return NULL;
    if (line->i + 1 >= line->argc) fail(BAD_USAGE, "%s: wanted a value", name);
    return line->argv[++line->i];
}

int is_option(const char *name, const command_line *line) { return strcmp(line->argv[line->i], name) == 0; }

void *allocate(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (p == NULL) fail(BAD_DATA, "out of memory (%zu bytes)", bytes);
    return p;
}

double now_s(void) { return seconds(); }

int open_input(const char *path) {
    struct stat status;
    const int is_folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode); /* Windows does not open one */
    if (is_folder && strcmp(path, "-") != 0) fail(BAD_DATA, "%s: %s", path, strerror(EISDIR));
    int file = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_BINARY);
    if (file < 0 || fstat(file, &status) != 0) fail(BAD_DATA, "%s: %s", input_name(path), strerror(errno));
    if (S_ISDIR(status.st_mode)) fail(BAD_DATA, "%s: %s", input_name(path), strerror(EISDIR));
    set_binary(file);
    return file;
}

const char *input_name(const char *path) { return strcmp(path, "-") == 0 ? "standard input" : path; }

/* Room for `room` bytes, what is there kept */
static void grow(contents *c, size_t room, const char *name) {
    unsigned char *bytes = room > SIZE_MAX / 2 ? NULL : allocate_aligned((room + 64) & ~(size_t)63);
    if (bytes == NULL) fail(BAD_DATA, "%s: out of memory (%zu bytes)", name, room);
    if (c->n_bytes > 0) memcpy(bytes, c->bytes, c->n_bytes);
    free_aligned(c->bytes);
    c->bytes = bytes;
    c->room = room;
}

/* One read() of at most `most` bytes; how many came */
static size_t read_bytes(int file, size_t most, const char *name, contents *c) {
    if (c->n_bytes == c->room) grow(c, 2 * c->room, name);
    const size_t left = c->room - c->n_bytes;
    if (most > left) most = left;
    const ssize_t n = read(file, c->bytes + c->n_bytes, most < MOST_AT_ONCE ? most : MOST_AT_ONCE);
    if (n < 0) fail(BAD_DATA, "%s: %s", name, strerror(errno));
    c->n_bytes += (size_t)n;
    return (size_t)n;
}

void read_up_to(int file, size_t n_bytes, const char *name, contents *c) {
    struct stat status;
    size_t expected = 0; /* a pipe has no size */
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) expected = (size_t)status.st_size;
    if (c->bytes == NULL) grow(c, expected > 0 ? expected + 1 : 4096, name);
    for (size_t n = 1; n != 0 && c->n_bytes < n_bytes;) n = read_bytes(file, n_bytes - c->n_bytes, name, c);
}

size_t read_some(int file, const char *name, contents *c) { return read_bytes(file, SIZE_MAX, name, c); }

contents read_file(const char *path) {
    contents c = {NULL, 0, 0};
    const int file = open_input(path);
    read_up_to(file, SIZE_MAX, input_name(path), &c);
    close(file);
    return c;
}

/* A file of a name that nobody can guess and where nothing stood before, beside `path`; its name in `name`. */
static int open_beside(const char *path, char *name) {
    sprintf(name, "%s.XXXXXX", path);
    const int file = mkstemp(name);
#ifndef _WIN32
    const mode_t mask = umask(0); /* mkstemp lets nobody else read it */
    umask(mask);
    if (file >= 0) fchmod(file, 0666 & ~mask);
#endif
    return file;
}

void write_all(int file, const unsigned char *bytes, size_t n_bytes, const char *name) {
    for (ssize_t n; n_bytes > 0; bytes += n, n_bytes -= (size_t)n) {
        n = write(file, bytes, n_bytes < MOST_AT_ONCE ? n_bytes : MOST_AT_ONCE);
        if (n < 0) fail(BAD_DATA, "%s: %s", name, strerror(errno));
    }
}

/* Where a symbolic link leads, which stays one; the caller frees it */
static char *behind_links(const char *path) {
    char *at = strcpy(allocate(strlen(path) + 1), path);
#ifndef _WIN32
    char to[4096];
    for (ssize_t n; (n = readlink(at, to, sizeof to - 1)) > 0;) { /* the kernel has refused a circle in stat() */
        to[n] = '\0';
        const char *slash = to[0] == '/' ? NULL : strrchr(at, '/');
        const size_t folder = slash ? (size_t)(slash - at) + 1 : 0;
        char *next = allocate(folder + (size_t)n + 1);
        memcpy(next, at, folder);
        strcpy(next + folder, to);
        free(at);
        at = next;
    }
#endif
    return at;
}

void release(contents *c) {
    free_aligned(c->bytes);
    c->bytes = NULL;
}

void write_file(const char *path, const unsigned char *bytes, size_t n_bytes) {
    struct stat status;
    if (stat(path, &status) != 0 && errno != ENOENT) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    char *target = behind_links(path), *name = allocate(strlen(target) + 8);
    const int file = open_beside(target, name);
    if (file < 0) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    temporary = name;
    write_all(file, bytes, n_bytes, path);
    if (close(file) != 0 || replace_file(name, target) != 0) fail(BAD_DATA, "%s: %s", path, strerror(errno));
    temporary = NULL;
    free(name);
    free(target);
}
