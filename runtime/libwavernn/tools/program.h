/* program.h - what wv_run and wv_mel share: options, errors that end the program, memory, a clock, files. POSIX or Windows. */
#ifndef WV_PROGRAM_H
#define WV_PROGRAM_H

#include <stddef.h>

enum { BAD_DATA = 1, BAD_USAGE = 2 }; /* exit statuses */

/* What opens every message; each program defines its own. */
extern const char program_name[];

/* A command line of two files and options, read from the left. Behind "--" everything is a file. */
typedef struct {
    int argc;
    char **argv;
    const char *usage, *files; /* for --help, and the names of the two in messages */
    const char *path[2];
    int n_paths, i, options_end;
} command_line;

/* Whether argv[i] is an option now; files before it are in `path`, and --help and --version end the program. 0: there is no more. */
int next_option(command_line *line);

/* The value of option `name` if argv[i] is that option, as "--name value", "--name=value" or "-o value". */
const char *value_of(const char *name, command_line *line);

/* Whether argv[i] is option `name`, which has no value. */
int is_option(const char *name, const command_line *line);

/* Print one line, remove a half-written output and exit. */
#ifdef __GNUC__
__attribute__((noreturn, format(printf, 2, 3)))
#endif
void fail(int code, const char *format, ...);

/* What may be meant and is not likely: one line, or with `strict` the end of the program. */
#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
void doubt(int strict, const char *format, ...);

/* malloc that ends the program when there is no memory. */
void *allocate(size_t bytes);

/* Seconds of a clock that never goes back. */
double now_s(void);

typedef struct {
    unsigned char *bytes; /* from a 64-byte boundary, never NULL once something was read; `release` frees them */
    size_t n_bytes, room;
} contents;

/* A file to read, standard input for "-"; and what messages call it. */
int open_input(const char *path);
const char *input_name(const char *path);

/* Read on until there are n_bytes or the file ends. */
void read_up_to(int file, size_t n_bytes, const char *name, contents *c);

/* Read what is there, or wait for the next bytes; how many came, 0 at the end. */
size_t read_some(int file, const char *name, contents *c);

/* A copy of a file, which may change afterwards; the program ends if it cannot be read. */
contents read_file(const char *path);

void release(contents *c);

/* Write to an open file, all of it. */
void write_all(int file, const unsigned char *bytes, size_t n_bytes, const char *name);

/* Write a file whole or not at all: to a temporary name, then rename. A link stays one. */
void write_file(const char *path, const unsigned char *bytes, size_t n_bytes);

#endif
