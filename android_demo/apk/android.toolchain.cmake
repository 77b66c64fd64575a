# Android shared libraries from Debian's clang and lld, without an NDK.
# -DANDROID_TRIPLE=aarch64-linux-android23 -DSYSROOT=headers -DFREESTANDING=more headers -DSTUBS=folder of libc.so and libm.so -DJNI=folder of jni.h
# CMake's own Android support wants an NDK; to it, this is a Linux that happens to link other libraries.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ANDROID_TRIPLE SYSROOT FREESTANDING STUBS JNI)
string(REGEX REPLACE "-.*" "" CMAKE_SYSTEM_PROCESSOR ${ANDROID_TRIPLE})
set(CMAKE_C_COMPILER clang-19)
set(CMAKE_C_COMPILER_TARGET ${ANDROID_TRIPLE})
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # there is no start-up code for programs

set(CMAKE_C_FLAGS_INIT "-ffreestanding -nostdlibinc -isystem ${SYSROOT} -isystem ${FREESTANDING} -isystem ${JNI} -ffunction-sections -fdata-sections")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-nostdlib -fuse-ld=lld -L${STUBS} -Wl,--hash-style=both,--gc-sections,--as-needed")
string(APPEND CMAKE_SHARED_LINKER_FLAGS_INIT ",--build-id=none,-s,-z,relro,-z,now,-z,common-page-size=16384,-z,separate-loadable-segments")
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
    string(APPEND CMAKE_C_FLAGS_INIT " -mno-outline-atomics")
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "armv7a")
    string(APPEND CMAKE_C_FLAGS_INIT " -mfpu=neon -mfloat-abi=softfp -mthumb")
endif()
set(WV_THREADS OFF CACHE BOOL "") # these headers have no pthread.h; an NDK has
set(CMAKE_C_STANDARD_LIBRARIES "-lc -lm")
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "armv7a")
    string(APPEND CMAKE_C_STANDARD_LIBRARIES " ${STUBS}/aeabi.o")
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64") # __builtin_cpu_supports
    string(APPEND CMAKE_C_STANDARD_LIBRARIES " -L/usr/lib/llvm-19/lib/clang/19/lib/linux -lclang_rt.builtins-x86_64")
endif()
