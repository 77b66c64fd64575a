/* fp_mode.h - the floating-point mode that the samples are defined in: round to nearest even, subnormals kept.
 *
 * A thread's mode is its program's: audio code often flushes subnormals, other code rounds down. Every function that
 * computes enters this mode and leaves with the caller's, its exception flags included. */
#ifndef WV_FP_MODE_H
#define WV_FP_MODE_H

#include <stdint.h>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#elif !defined(__SSE__) && !defined(__aarch64__) && !defined(__ARM_FP) && !defined(__wasm__)
#include <fenv.h>
#endif

typedef uint64_t wv_fp_mode; /* the control register */

/* The assembler is volatile and clobbers memory: no load moves across it, nor what is computed from one. What is computed
 * from locals and arguments may: they are volatile where that matters. */
static inline wv_fp_mode wv_fp_get(void) {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_ARM64)
    return (wv_fp_mode)_ReadStatusReg(ARM64_FPCR);
#else
    return _mm_getcsr();
#endif
#elif defined(__SSE__)
    uint32_t mode;
    __asm__ volatile("stmxcsr %0" : "=m"(mode) : : "memory");
    return mode;
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode) : : "memory");
    return mode;
#elif defined(__ARM_FP)
    uint32_t mode;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(mode) : : "memory");
    return mode;
#elif defined(__wasm__)
    return 0; /* has no other mode */
#else
    return (wv_fp_mode)fegetround();
#endif
}

static inline void wv_fp_set(wv_fp_mode mode) {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_ARM64)
    _WriteStatusReg(ARM64_FPCR, (__int64)mode);
#else
    _mm_setcsr((unsigned)mode);
#endif
#elif defined(__SSE__)
    const uint32_t word = (uint32_t)mode;
    __asm__ volatile("ldmxcsr %0" : : "m"(word) : "memory");
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory");
#elif defined(__ARM_FP)
    __asm__ volatile("vmsr fpscr, %0" : : "r"((uint32_t)mode) : "memory");
#elif defined(__wasm__)
    (void)mode;
#else
    fesetround((int)mode);
#endif
}

static inline wv_fp_mode wv_fp_enter(void) {
    const wv_fp_mode callers = wv_fp_get();
#if defined(__SSE__) || defined(_M_X64) || defined(_M_IX86)
    wv_fp_set(0x1f80); /* every exception masked */
#elif defined(__aarch64__) || defined(__ARM_FP) || defined(__wasm__) || defined(_M_ARM64)
    wv_fp_set(0);
#else
    wv_fp_set(FE_TONEAREST);
#endif
    return callers;
}

static inline void wv_fp_leave(wv_fp_mode callers) { wv_fp_set(callers); }

#endif
