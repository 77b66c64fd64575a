/* message.h - why a reader refuses a file, for its caller to print. */
#ifndef WV_MESSAGE_H
#define WV_MESSAGE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

enum { MESSAGE_BYTES = 256 };

/* Write the reason, and give what a reader returns then. */
#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
static inline float *refuse(char message[MESSAGE_BYTES], const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(message, MESSAGE_BYTES, format, args);
    va_end(args);
    return NULL;
}

#endif
