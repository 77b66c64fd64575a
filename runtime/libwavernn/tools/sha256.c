/* sha256.c - SHA-256 (FIPS 180-4). */
#include "sha256.h"

#include <stdint.h>
#include <string.h>

void sha256(const unsigned char *bytes, size_t n_bytes, char hex[65]) {
    static const uint32_t K[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t H[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
    const size_t n_blocks = n_bytes / 64 + (n_bytes % 64 < 56 ? 1 : 2);
    for (size_t block = 0; block < n_blocks; block++) {
        /* 1) 64 bytes of the message, then 0x80, zeros, and its length in bits in the last eight bytes */
        unsigned char part[64] = {0};
        size_t start = 64 * block, n = start < n_bytes ? n_bytes - start : 0;
        memcpy(part, bytes + (n ? start : 0), n < 64 ? n : 64);
        if (start <= n_bytes && n < 64) part[n] = 0x80;
        if (block == n_blocks - 1)
            for (int i = 0; i < 8; i++) part[56 + i] = (unsigned char)((uint64_t)n_bytes * 8 >> (56 - 8 * i));
        /* 2) the schedule and 64 rounds */
        uint32_t W[64], v[8];
        for (int i = 0; i < 16; i++)
            W[i] = (uint32_t)part[4 * i] << 24 | (uint32_t)part[4 * i + 1] << 16 | (uint32_t)part[4 * i + 2] << 8 | part[4 * i + 3];
        for (int i = 16; i < 64; i++)
            W[i] = W[i - 16] + W[i - 7] + (ROTATE(W[i - 15], 7) ^ ROTATE(W[i - 15], 18) ^ W[i - 15] >> 3) +
                   (ROTATE(W[i - 2], 17) ^ ROTATE(W[i - 2], 19) ^ W[i - 2] >> 10);
        memcpy(v, H, sizeof v);
        for (int i = 0; i < 64; i++) {
            uint32_t S1 = ROTATE(v[4], 6) ^ ROTATE(v[4], 11) ^ ROTATE(v[4], 25), choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
            uint32_t S0 = ROTATE(v[0], 2) ^ ROTATE(v[0], 13) ^ ROTATE(v[0], 22);
            uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]), t = v[7] + S1 + choice + K[i] + W[i];
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += t;
            v[0] = t + S0 + majority;
        }
        for (int i = 0; i < 8; i++) H[i] += v[i];
    }
    for (int i = 0; i < 64; i++) hex[i] = "0123456789abcdef"[H[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = '\0';
}
