/* crc32.c - CRC-32 of eight bytes at a time: M. E. Kounavis and F. L. Berry, "A systematic approach to building
 * high performance, software-based, CRC generators", 2005. Byte by byte it would take longer than all other checks. */
#include "crc32.h"

uint32_t wv_crc32(const unsigned char *data, size_t n)
{
    uint32_t table[8][256], crc = 0xffffffffu; /* table[k][b]: byte b with k zero bytes behind it */
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t c = b;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
        table[0][b] = c;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++)
            table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xff];
    for (; n >= 8; n -= 8, data += 8) {
        const uint32_t first = crc ^ ((uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24);
        crc = table[7][first & 0xff] ^ table[6][first >> 8 & 0xff] ^ table[5][first >> 16 & 0xff] ^ table[4][first >> 24]
            ^ table[3][data[4]] ^ table[2][data[5]] ^ table[1][data[6]] ^ table[0][data[7]];
    }
    for (; n > 0; n--, data++)
        crc = crc >> 8 ^ table[0][(crc ^ *data) & 0xff];
    return ~crc;
}
