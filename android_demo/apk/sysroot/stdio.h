/* libc, as far as it is used: see README.md beside this file. */
#ifndef SYSROOT_STDIO_H
#define SYSROOT_STDIO_H
#include <stdarg.h>
#include <stddef.h>
int snprintf(char *to, size_t n_bytes, const char *format, ...);
int vsnprintf(char *to, size_t n_bytes, const char *format, va_list arguments);
#endif
