/* libc, as far as it is used: for builds that have none. Android's (android_demo) and WebAssembly's (web_demo). */
#ifndef SYSROOT_STDIO_H
#define SYSROOT_STDIO_H
#include <stdarg.h>
#include <stddef.h>
int snprintf(char *to, size_t n_bytes, const char *format, ...);
int vsnprintf(char *to, size_t n_bytes, const char *format, va_list arguments);
#endif
