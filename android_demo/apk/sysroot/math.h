/* libm, as far as it is used: see README.md beside this file. */
#ifndef SYSROOT_MATH_H
#define SYSROOT_MATH_H
#define isfinite(x) __builtin_isfinite(x)
#define HUGE_VALF __builtin_huge_valf()
#define fabsf(x) __builtin_fabsf(x)
double floor(double x);
#define sqrt(x) __builtin_sqrt(x)
#define sqrtf(x) __builtin_sqrtf(x)
#endif
