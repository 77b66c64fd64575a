/* aeabi.c - what clang calls on armv7 instead of instructions that not every such CPU has: an NDK takes these from
 * its compiler runtime, which Debian does not build for this target. Names and results: ARM's run-time ABI (RTABI). */
#include <stdint.h>
#include <string.h>

#define RUNTIME __attribute__((visibility("hidden")))

/* Quotient in r0, remainder in r1: the halves of a 64-bit result. Shift and subtract; nothing here is in a loop
 * that matters. A quotient by zero is all ones, as the ABI leaves open. */
RUNTIME uint64_t __aeabi_uidivmod(uint32_t n, uint32_t d) {
    uint32_t quotient = 0, remainder = 0;
    for (int bit = 31; bit >= 0; bit--) {
        const uint32_t carry = remainder >> 31;
        remainder = remainder << 1 | (n >> bit & 1);
        if (carry || remainder >= d) {
            remainder -= d;
            quotient |= 1u << bit;
        }
    }
    return (uint64_t)remainder << 32 | quotient;
}

RUNTIME uint32_t __aeabi_uidiv(uint32_t n, uint32_t d) { return (uint32_t)__aeabi_uidivmod(n, d); }

static uint32_t magnitude(int32_t x) { return x < 0 ? 0u - (uint32_t)x : (uint32_t)x; }

RUNTIME uint64_t __aeabi_idivmod(int32_t n, int32_t d) {
    const uint64_t u = __aeabi_uidivmod(magnitude(n), magnitude(d));
    const uint32_t quotient = (n < 0) != (d < 0) ? 0u - (uint32_t)u : (uint32_t)u;
    const uint32_t remainder = n < 0 ? 0u - (uint32_t)(u >> 32) : (uint32_t)(u >> 32);
    return (uint64_t)remainder << 32 | quotient;
}

RUNTIME int32_t __aeabi_idiv(int32_t n, int32_t d) { return (int32_t)(uint32_t)__aeabi_idivmod(n, d); }

/* The same in 64 bits: a quotient in r0 and r1, a remainder in r2 and r3. C returns no such pair, so the first goes back
 * as C does it and the second through a pointer, which assembly gives and reads. */
__attribute__((used, visibility("hidden"))) uint64_t wv_uldivmod(uint64_t n, uint64_t d, uint64_t *rest) {
    uint64_t quotient = 0, remainder = 0;
    for (int bit = 63; bit >= 0; bit--) {
        const uint64_t carry = remainder >> 63;
        remainder = remainder << 1 | (n >> bit & 1);
        if (carry || remainder >= d) {
            remainder -= d;
            quotient |= (uint64_t)1 << bit;
        }
    }
    *rest = remainder;
    return quotient;
}

__attribute__((used, visibility("hidden"))) int64_t wv_ldivmod(int64_t n, int64_t d, int64_t *rest) {
    uint64_t remainder;
    const uint64_t quotient = wv_uldivmod(n < 0 ? 0u - (uint64_t)n : (uint64_t)n, d < 0 ? 0u - (uint64_t)d : (uint64_t)d,
                                          &remainder);
    *rest = (int64_t)(n < 0 ? 0u - remainder : remainder);
    return (int64_t)((n < 0) != (d < 0) ? 0u - quotient : quotient);
}

/* [sp] is the third argument, [sp, #8] the remainder; the stack stays on 8 bytes. */
#define DIVMOD(name, of)                                                                                            \
    __attribute__((naked)) RUNTIME void name(void) {                                                                \
        __asm__("push {r4, lr}\n\tsub sp, sp, #16\n\tadd r4, sp, #8\n\tstr r4, [sp]\n\tbl " #of                      \
                "\n\tldrd r2, r3, [sp, #8]\n\tadd sp, sp, #16\n\tpop {r4, pc}");                                     \
    }
DIVMOD(__aeabi_uldivmod, wv_uldivmod)
DIVMOD(__aeabi_ldivmod, wv_ldivmod)

/* The suffix says how both addresses are aligned. memset's last arguments are swapped against C. */
#define MEMORY(suffix)                                                                                              \
    RUNTIME void __aeabi_memcpy##suffix(void *to, const void *from, size_t n) { memcpy(to, from, n); }               \
    RUNTIME void __aeabi_memmove##suffix(void *to, const void *from, size_t n) { memmove(to, from, n); }             \
    RUNTIME void __aeabi_memset##suffix(void *p, size_t n, int byte) { memset(p, byte, n); }                         \
    RUNTIME void __aeabi_memclr##suffix(void *p, size_t n) { memset(p, 0, n); }
MEMORY()
MEMORY(4)
MEMORY(8)
