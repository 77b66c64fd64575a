/* libc, as far as it is used: for builds that have none. Android's (android_demo) and WebAssembly's (web_demo). */
#ifndef SYSROOT_STDLIB_H
#define SYSROOT_STDLIB_H
#include <stddef.h>
#define abs(x) __builtin_abs(x)
void *malloc(size_t n_bytes);
void *calloc(size_t n, size_t size);
void free(void *p);
unsigned long long strtoull(const char *text, char **end, int base);
char *getenv(const char *name);
#endif
