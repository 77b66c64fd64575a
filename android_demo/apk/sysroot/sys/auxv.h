/* libc, as far as it is used: see README.md beside this file. */
#ifndef SYSROOT_AUXV_H
#define SYSROOT_AUXV_H
#define AT_HWCAP 16
unsigned long getauxval(unsigned long type);
#endif
