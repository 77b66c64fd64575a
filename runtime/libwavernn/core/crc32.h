/* crc32.h - the checksum of a .bin. */
#ifndef WV_CRC32_H
#define WV_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 as in zlib and PNG. */
uint32_t wv_crc32(const unsigned char *data, size_t n);

#endif
