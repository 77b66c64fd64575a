# A static wv_run for 64-bit ARM Linux and Android's adb shell: cmake -B build -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake
# Debian: apt install gcc-aarch64-linux-gnu. With musl it is a third of the size of one with glibc:
# dpkg --add-architecture arm64 && apt update && apt install musl-dev:arm64, or WV_MUSL_SPECS=PATH of its musl-gcc.specs.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -s -Wl,-z,max-page-size=16384") # no Android has larger pages

set(WV_MUSL_SPECS "$ENV{WV_MUSL_SPECS}")
if(NOT WV_MUSL_SPECS)
    set(WV_MUSL_SPECS /usr/lib/aarch64-linux-musl/musl-gcc.specs)
endif()
if(EXISTS ${WV_MUSL_SPECS})
    set(CMAKE_C_FLAGS_INIT "-specs=${WV_MUSL_SPECS}")
endif()
