# wavernn.dll, the static library, wv_run.exe and wv_mel.exe for 64-bit Windows. Debian: apt install gcc-mingw-w64-x86-64-posix
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
