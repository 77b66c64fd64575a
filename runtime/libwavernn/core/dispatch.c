/* dispatch.c - which kernels this build holds and this CPU runs; chosen once, when a state is made. */
/* WV_HAVE_<ISA> come from CMakeLists.txt, which builds an ISA only where the compiler can. */
#include <stdlib.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "fp_mode.h"

#ifdef WV_HAVE_X86
#include <cpuid.h>
#endif
#if defined(WV_HAVE_NEON) || defined(WV_HAVE_NEON_DOT)
#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#endif

/* relaxed_u8.c, relaxed_s8.c: whether this engine reads bytes so */
int wv_has_relaxed_u8(void);
int wv_has_relaxed_s8(void);
/* simd128_dot.c: whether this is x86 */
int wv_has_simd128_dot(void);

typedef struct {
    const wv_kernels *kernels;
    int (*runs_here)(void);
    int (*gives_the_bits)(const wv_model *model); /* NULL: of every model */
} candidate;

static int always(void) { return 1; }

#ifdef WV_HAVE_X86
static int has_avx2(void) {
    unsigned eax, ebx, ecx, edx; /* clang's __builtin_cpu_supports knows f16c from version 17 on */
    return __builtin_cpu_supports("avx2") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & 1u << 29) != 0;
}
#endif
#ifdef WV_HAVE_AVXVNNI
static int has_avxvnni(void) {
    unsigned eax, ebx, ecx, edx;
    return has_avx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 4) != 0;
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

#if defined(WV_HAVE_NEON) && !defined(__aarch64__)
#include <float.h>
/* armv7's NEON takes subnormal numbers as 0 and gives none. In an int8 model whose scales are no such numbers it meets
 * none but in C1, which spmv.c keeps out of NEON, and in terms too small to change their sums. A float model has them in
 * any sum and in its state. */
static int meets_no_subnormal(const wv_model *model) {
    for (int i = 0; i < WV_N_MATRICES; i++) {
        const wv_matrix *m = &model->matrix[i];
        if (m->dtype != WV_I8 && i != WV_C1) return 0;
        if (m->dtype != WV_I8) continue;
        if (m->x_scale < FLT_MIN) return 0;
        for (int32_t row = 0; row < m->rows; row++)
            if (m->scale[row] < FLT_MIN) return 0;
    }
    return 1;
}
#else
#define meets_no_subnormal NULL
#endif

/* Best first, as in wv_runtime/engine/kernels/isa.py (ISAS). */
static const candidate candidates[] = {
#ifdef WV_HAVE_AVX512VNNI
    {&wv_kernels_avx512vnni, has_avx512vnni, NULL},
#endif
#ifdef WV_HAVE_AVXVNNI
    {&wv_kernels_avxvnni, has_avxvnni, NULL},
#endif
#ifdef WV_HAVE_AVX2
    {&wv_kernels_avx2, has_avx2, NULL},
#endif
#ifdef WV_HAVE_NEON_DOT
    {&wv_kernels_neon_dot, has_neon_dot, NULL},
#endif
#ifdef WV_HAVE_NEON
    {&wv_kernels_neon, has_neon, meets_no_subnormal},
#endif
#ifdef WV_HAVE_RELAXED_U8
    {&wv_kernels_relaxed_u8, wv_has_relaxed_u8, NULL},
#endif
#ifdef WV_HAVE_RELAXED_S8
    {&wv_kernels_relaxed_s8, wv_has_relaxed_s8, NULL},
#endif
#ifdef WV_HAVE_SIMD128_DOT
    {&wv_kernels_simd128_dot, wv_has_simd128_dot, NULL},
#endif
#ifdef WV_HAVE_SIMD128
    {&wv_kernels_simd128, always, NULL}, /* an engine without it refuses the module */
#endif
    {&wv_kernels_portable, always, NULL},
};
enum { N_CANDIDATES = sizeof candidates / sizeof candidates[0] };

/* A build that fuses products and sums has no ISA at all, rather than other samples. */
static int usable(const candidate *c) {
    const wv_fp_mode mode = wv_fp_enter();
    const int rounds = c->runs_here() && c->kernels->rounds_products();
    wv_fp_leave(mode);
    return rounds;
}

const char *wv_isa_name(int32_t index) {
    if (index < 0) return NULL;
    for (int32_t i = 0; i < N_CANDIDATES; i++)
        if (usable(&candidates[i]) && index-- == 0) return candidates[i].kernels->name;
    return NULL;
}

const wv_kernels *wv_kernels_find(const char *name, const wv_model *model) {
    if (name == NULL) name = getenv("WV_ISA");
    for (int32_t i = 0; i < N_CANDIDATES; i++) {
        const candidate *c = &candidates[i];
        if (usable(c) && (name == NULL || *name == '\0' || strcmp(name, c->kernels->name) == 0))
            return c->gives_the_bits == NULL || c->gives_the_bits(model) ? c->kernels : &wv_kernels_portable;
    }
    return NULL;
}
