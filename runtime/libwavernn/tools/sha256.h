/* sha256.h - SHA-256 (FIPS 180-4). */
#ifndef WV_SHA256_H
#define WV_SHA256_H

#include <stddef.h>

/* The digest as 64 hexadecimal digits and a zero. */
void sha256(const unsigned char *bytes, size_t n_bytes, char hex[65]);

#endif
