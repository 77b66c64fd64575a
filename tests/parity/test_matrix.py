"""One hash whatever compiles it: support/hashes.c and the library under every compiler, flag and CPU at hand.

The x86 and Arm builds of Debian's compilers are always tested; `make matrix` runs the others, and more models. What
they must give comes from the installed library, which the other tests hold to Numba.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from audio_hash import audio_hash
from conftest import LIBWAVERNN, ROOT
from hostile_models import delicate, hostile
from model_fixtures import N_FRAMES
from wv_runtime.model import binary

X86, A64 = ("avx2", "avxvnni", "avx512vnni"), ("neon", "neon_dot")
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion"
N_HOSTILE, N_MANY = 2, 200  # hostile models in `make check`, in `make matrix`
FEW_FRAMES = 5  # that builds of slow code speak of so many models: it is the models that find faults, not their length
NAN = 89  # a hostile model whose products are NaN
TIMEOUT_S = 3600  # on a busy machine


class Build(NamedTuple):
    """isas: that it has to hold. processor: where not the host's. last: flags behind those of CMakeLists.txt"""

    compiler: str
    flags: str
    isas: tuple[str, ...]
    emulator: str = ""
    processor: str = ""
    last: str = ""

    @property
    def is_slow(self) -> bool:
        return bool(self.emulator) or "-O0" in self.flags


KERNEL_HEADERS = "-idirafter /usr/include/x86_64-linux-gnu"
QUICK = {
    "gcc -O2": Build("gcc", "-O2", X86),
    "aarch64": Build("aarch64-linux-gnu-gcc", "-O2 -static", A64, "qemu-aarch64 -cpu max", "aarch64"),
    "armv7": Build("arm-linux-gnueabihf-gcc", "-O2 -static", ("neon",), "qemu-arm -cpu max", "armv7l"),
}
SLOW = {
    "gcc -O0": Build("gcc", "-O0", X86),
    "gcc -O3 -flto": Build("gcc", "-O3 -flto", X86),
    "gcc native": Build("gcc", "-O3 -march=native", X86),
    "gcc fuse": Build("gcc", "-O3 -march=native", X86, last="-std=gnu11 -ffp-contract=fast"),
    # gcc-12-multilib finds no asm/ of the kernel; gcc-multilib, which links it, conflicts with the Arm compilers
    "gcc -m32": Build("gcc", f"-O2 -m32 -msse2 -mfpmath=sse {KERNEL_HEADERS}", (), processor="i686"),
    "musl": Build("musl-gcc", "-O2 -static", X86),
    **{
        f"{cc} {flags}": Build(cc, flags, X86)
        for cc in ("clang-14", "clang-15", "clang-16", "clang-19")
        for flags in ("-O0", "-O2", "-O3 -march=native")
    },
    # of a CPU with AVX10 clang 19 warns that what it takes for native is no valid combination
    "clang-19 -O3 -march=native": Build("clang-19", "-O3 -march=native -Wno-invalid-feature-combination", X86),
}


@pytest.fixture(scope="session")
def wanted(tmp_path_factory):
    """The models' paths, `n_hostile` hostile ones among them, and for each the hash of its audio."""
    folder, made = tmp_path_factory.mktemp("models"), {}

    def get(n_hostile, n_frames):
        models = {f"delicate_{dtype}": lambda d=dtype: delicate(d) for dtype in ("f32", "f16", "int8")}
        models |= {f"hostile_{seed}": lambda s=seed: hostile(s) for seed in {*range(n_hostile), NAN}}
        for name, make in models.items():
            if name not in made:
                binary.save(make(), folder / f"{name}.bin")
                made[name] = folder / f"{name}.bin"
        goldens = sorted((ROOT / "tests/data").glob("golden_*.bin"))
        return {path: audio_hash(path, n_frames) for path in (*goldens, *(made[name] for name in models))}

    return get


def run_cmake(*args: object) -> None:
    cmake = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    done = subprocess.run([cmake, *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def links_32_bit() -> bool:
    command = ["gcc", "-m32", "-x", "c", "-", "-o", os.devnull]
    return subprocess.run(command, input=b"int main(void) { return 0; }", capture_output=True).returncode == 0


def build(b: Build, folder: Path) -> list[str]:
    """The library by its CMakeLists.txt, and hashes.c; returns the command."""
    rule = f"<CMAKE_C_COMPILER> <DEFINES> <INCLUDES> <FLAGS> {b.last} -o <OBJECT> -c <SOURCE>"
    options = [f"-DCMAKE_C_COMPILER={b.compiler}", f"-DCMAKE_C_FLAGS={b.flags} {WARNINGS}", "-DCMAKE_BUILD_TYPE=None"]
    options += ["-DCMAKE_COMPILE_WARNING_AS_ERROR=ON", f"-DCMAKE_C_COMPILE_OBJECT={rule}"]
    if b.processor:
        options += ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={b.processor}"]
    library, program = folder / "libwavernn.a", folder / "hashes"
    sources = [ROOT / "tests/support/hashes.c", LIBWAVERNN / "tools/sha256.c"]
    flags = ["-std=c11", *b.flags.split(), *WARNINGS.split(), "-Werror", f"-I{LIBWAVERNN / 'include'}"]
    run_cmake("-S", LIBWAVERNN, "-B", folder, *options)
    run_cmake("--build", folder, "--target", "wavernn_static", "-j2")
    command = [b.compiler, *flags, *sources, library, "-lm", "-lpthread", "-o", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    symbols = library.read_bytes()
    assert all(f"wv_kernels_{isa}".encode() in symbols for isa in b.isas)
    return [*b.emulator.split(), str(program)]


@pytest.mark.parametrize(
    ("name", "n_hostile"),
    [
        *(pytest.param(name, N_HOSTILE, marks=pytest.mark.slow) for name in QUICK),
        *(pytest.param(name, N_MANY, marks=pytest.mark.matrix) for name in (*QUICK, *SLOW)),
    ],
)
def test_one_hash(name, n_hostile, wanted, tmp_path):
    b = {**QUICK, **SLOW}[name]
    for program in (b.compiler, *b.emulator.split()[:1]):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    if name == "gcc -m32" and not links_32_bit():
        pytest.skip("gcc has no 32-bit C library; gcc-12-multilib is not installed")
    n_frames = FEW_FRAMES if b.is_slow and n_hostile == N_MANY else N_FRAMES
    command, hashes = build(b, tmp_path), wanted(n_hostile, n_frames)
    command += ["1", str(n_frames), *map(str, hashes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    assert {Path(line[65:]): line[:64] for line in done.stdout.splitlines()} == hashes


@pytest.mark.matrix
def test_windows(tmp_path):
    """wavernn.dll and wv_run.exe of mingw-w64; under wine the demo has its hash, and a file is replaced."""
    toolchain = LIBWAVERNN / "cmake/mingw64.cmake"
    compiler = re.search(r"C_COMPILER (\S+?)\)", toolchain.read_text())[1]
    for program in (compiler, "wine"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    run_cmake("-S", LIBWAVERNN, "-B", tmp_path, f"-DCMAKE_TOOLCHAIN_FILE={toolchain}")
    run_cmake("--build", tmp_path, "-j2")
    imports = subprocess.run([compiler.replace("gcc-posix", "objdump"), "-p", tmp_path / "wavernn.dll"],
                             capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert set(re.findall(r"DLL Name: (.*)", imports)) <= {"ADVAPI32.dll", "KERNEL32.dll", "msvcrt.dll"}

    voice = ROOT / "voices/kathleen16"
    env = os.environ | {"WINEPREFIX": str(tmp_path / "wine"), "WINEDEBUG": "-all"}

    def wv_run(*args: object) -> subprocess.CompletedProcess[str]:
        command = ["wine", tmp_path / "wv_run.exe", *args]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S)

    for _ in range(2):
        done = wv_run(voice / "voice.bin", voice / "demo.npy", "-o", "demo.wav")
        assert (voice / "demo.sha256").read_text().strip() in done.stdout, done.stderr
    assert not list(tmp_path.glob("demo.wav.*"))
    (tmp_path / "bad.bin").write_bytes(b"WaveRNN\n\r\n\x1a" * 9)
    for args in (["bad.bin", voice / "demo.npy"], [tmp_path, voice / "demo.npy"], ["nothing.bin", "nothing.npy"]):
        done = wv_run(*args)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    done = wv_run(voice / "voice.bin", voice / "demo.npy", "-o", voice / "demo.npy")
    assert done.returncode == 2 and "which is read" in done.stderr
