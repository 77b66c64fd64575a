/* arithmetic.h - what the compiler must do for the samples to be the same everywhere: every operation is rounded once,
 * to its own type. Included before everything else, so that it holds for intrinsics, too. */
#ifndef WV_ARITHMETIC_H
#define WV_ARITHMETIC_H

#include <float.h>

#ifdef __FAST_MATH__
#error "-ffast-math changes the bits of the audio: compile without it"
#endif
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16 /* 16: as 0, and half floats are not widened either */
#error "floats are computed in a wider type: on 32-bit x86 compile with -msse2 -mfpmath=sse"
#endif

/* No fused multiply-add, whatever the command line says; only clang's -ffp-contract=fast does not listen, and isa.h finds
 * that out */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#endif
