/* libc, as far as it is used: for builds that have none. Android's (android_demo) and WebAssembly's (web_demo). */
#ifndef SYSROOT_STRING_H
#define SYSROOT_STRING_H
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t n_bytes);
void *memmove(void *to, const void *from, size_t n_bytes);
void *memset(void *p, int byte, size_t n_bytes);
int memcmp(const void *a, const void *b, size_t n_bytes);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
size_t strlen(const char *s);
size_t strspn(const char *s, const char *any);
size_t strcspn(const char *s, const char *any);
char *strstr(const char *text, const char *part);
#endif
