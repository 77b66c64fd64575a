/* vec_avxvnni.h - vec_avx2.h with VNNI in vectors of 256 bits, as CPUs without AVX-512 have it. */
#ifndef WV_VEC_AVXVNNI_H
#define WV_VEC_AVXVNNI_H

#ifndef __AVXVNNI__
#error "vec_avxvnni.h needs -mavxvnni"
#endif

#define WV_VNNI
#include "vec_avx2.h"

#endif
