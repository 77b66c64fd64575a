/* dispatch.c - which kernels this build holds and this CPU runs; chosen once, when a state is made. */
/* WV_HAVE_<ISA> come from CMakeLists.txt, which builds an ISA only where the compiler can. */
#include <stdlib.h>
#include <string.h>

#include "../kernels/kernels.h"

#if defined(WV_HAVE_AVX2) || defined(WV_HAVE_AVX512VNNI)
#include <cpuid.h>
#endif
#if defined(WV_HAVE_NEON) || defined(WV_HAVE_NEON_DOT)
#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#endif

extern const wv_kernels wv_kernels_portable, wv_kernels_avx2, wv_kernels_avx512vnni, wv_kernels_neon, wv_kernels_neon_dot;

typedef struct {
    const wv_kernels *kernels;
    int (*runs_here)(void);
} candidate;

static int always(void) { return 1; }

#if defined(WV_HAVE_AVX2) || defined(WV_HAVE_AVX512VNNI)
static int has_avx2(void) {
    unsigned eax, ebx, ecx, edx; /* clang's __builtin_cpu_supports knows f16c from version 17 on */
    return __builtin_cpu_supports("avx2") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & 1u << 29) != 0;
}
#endif
#ifdef WV_HAVE_AVX512VNNI
static int has_avx512vnni(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#endif

#ifdef WV_HAVE_NEON_DOT
static int has_neon_dot(void) {
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & (1ul << 20)) != 0; /* HWCAP_ASIMDDP */
#elif defined(__APPLE__)
    int value = 0;
    size_t n_bytes = sizeof value;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &value, &n_bytes, NULL, 0) == 0 && value != 0;
#else
    return 0;
#endif
}
#endif
#ifdef WV_HAVE_NEON
static int has_neon(void) {
#if defined(__aarch64__)
    return 1;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & (1ul << 12)) != 0; /* HWCAP_NEON */
#else
    return 0;
#endif
}
#endif

/* Best first, as in wv_runtime/engine/kernels/simd.py (ISAS). */
static const candidate candidates[] = {
#ifdef WV_HAVE_AVX512VNNI
    {&wv_kernels_avx512vnni, has_avx512vnni},
#endif
#ifdef WV_HAVE_AVX2
    {&wv_kernels_avx2, has_avx2},
#endif
#ifdef WV_HAVE_NEON_DOT
    {&wv_kernels_neon_dot, has_neon_dot},
#endif
#ifdef WV_HAVE_NEON
    {&wv_kernels_neon, has_neon},
#endif
    {&wv_kernels_portable, always},
};
enum { N_CANDIDATES = sizeof candidates / sizeof candidates[0] };

const char *wv_isa_name(int32_t index) {
    for (int32_t i = 0; i < N_CANDIDATES; i++)
        if (candidates[i].runs_here() && index-- == 0) return candidates[i].kernels->name;
    return NULL;
}

const wv_kernels *wv_kernels_find(const char *name) {
    if (name == NULL) name = getenv("WV_ISA");
    for (int32_t i = 0; i < N_CANDIDATES; i++)
        if (candidates[i].runs_here() && (name == NULL || *name == '\0' || strcmp(name, candidates[i].kernels->name) == 0))
            return candidates[i].kernels;
    return NULL;
}
