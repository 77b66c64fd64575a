/* libm, as far as it is used: for builds that have none. Android's (android_demo) and WebAssembly's (web_demo). */
#ifndef SYSROOT_MATH_H
#define SYSROOT_MATH_H
#define isfinite(x) __builtin_isfinite(x)
#define HUGE_VALF __builtin_huge_valf()
#define fabsf(x) __builtin_fabsf(x)
double floor(double x);
#define sqrt(x) __builtin_sqrt(x)
#define sqrtf(x) __builtin_sqrtf(x)
#endif
