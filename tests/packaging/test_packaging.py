"""What a stranger gets: a library that builds from its folder alone, and a wheel that runs in a clean environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from conftest import DATA, LIBWAVERNN, ROOT, build_c
from model_fixtures import tiny_mel, tiny_model
from wv_runtime import __version__
from wv_runtime.engine.native import isa_names
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary as bin_format

SOURCES = {p.relative_to(LIBWAVERNN).as_posix() for p in LIBWAVERNN.rglob("*.c") if "build" not in p.parts}
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-Iinclude", "-fsyntax-only"]


def run(*args: object, **kwargs) -> str:
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, f"{args}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_cmake_lists_every_c_file():
    cmake = (LIBWAVERNN / "CMakeLists.txt").read_text()
    listed = set(re.findall(r"[\w/]+\.c\b", re.sub(r"#.*", "", cmake)))
    isas = re.findall(r"add_isa\((\w+) -", cmake)
    listed |= {f"kernels/{isa}.c" for isa in isas}
    listed |= {lanes for isa in isas if (lanes := f"kernels/{isa}_lanes.c") in SOURCES}  # WebAssembly has none
    listed.discard("_lanes.c")
    included = {f"kernels/{name}" for p in LIBWAVERNN.rglob("*.[ch]")
                for name in re.findall(r'#include "(\w+\.c)"', p.read_text())}  # fmt: skip
    assert listed | included == SOURCES and not listed & included


def test_flags_that_keep_the_bits():
    cmake = (LIBWAVERNN / "CMakeLists.txt").read_text()
    assert "-ffp-contract=off" in cmake
    assert not re.search(r"march=native|fast-math|-Ofast|-mfma\b", cmake)


def test_fast_math_is_refused():
    done = subprocess.run(["cc", "-ffast-math", "-Iinclude", "-fsyntax-only", "kernels/portable.c"], cwd=LIBWAVERNN,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode != 0 and "-ffast-math changes the bits" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="readelf")
def test_library_and_program_are_hardened(c_build):
    for file in (c_build / "libwavernn.so", c_build / "wv_run"):
        text = run("readelf", "-W", "-l", "-d", "-s", file)
        assert "GNU_RELRO" in text and "BIND_NOW" in text and "__stack_chk_fail" in text, file


CLANGS = sorted({path.name for path in Path("/usr/bin").glob("clang-[0-9]*")} | {"clang"} & {shutil.which("clang")})


@pytest.mark.skipif(not CLANGS, reason="no clang")
@pytest.mark.parametrize("compiler", CLANGS)
@pytest.mark.slow
def test_every_clang_builds_it(compiler, folder):
    """clang 14 to 16 do not know __builtin_cpu_supports("f16c")."""
    program = build_c(folder, f"-DCMAKE_C_COMPILER={compiler}", "-DCMAKE_C_FLAGS=-Werror") / "wv_run"
    for isa in isa_names():
        run(program, "tiny.bin", "mel.npy", "--isa", isa, "--verify")


def test_library_exports_its_api_and_nothing_else(c_build):
    library = next(c_build.glob("libwavernn.[sd]*"))
    flags = ["-gU"] if sys.platform == "darwin" else ["-D", "--defined-only"]
    exported = {line.split()[-1].lstrip("_") for line in run("nm", *flags, library).splitlines()}
    api = set(re.findall(r"WV_API .*?(wv_\w+)\(", (LIBWAVERNN / "include/wavernn.h").read_text()))
    assert {name for name in exported if name not in ("init", "fini")} == api


def test_header_is_self_contained_c_and_cpp(tmp_path):
    compilers = [("a.c", ["cc", "-std=c11"]), ("a.cpp", ["c++", "-std=c++11"])]
    for name, compiler in [c for c in compilers if shutil.which(c[1][0])]:
        (tmp_path / name).write_text('#include "wavernn.h"\nint f(void) { return WV_ABI_VERSION; }\n')
        strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
        run(*compiler, *strict, f"-I{LIBWAVERNN / 'include'}", tmp_path / name)


@pytest.mark.parametrize("source", [*sorted(s for s in SOURCES if "kernels/" not in s), "kernels/portable.c"])  # noqa: RUF005
def test_strict_warnings(source):
    run("cc", *STRICT, source, cwd=LIBWAVERNN)


@pytest.mark.slow
def test_sanitizers_find_nothing(folder):
    """wv_run on good and damaged files, compiled with AddressSanitizer and UndefinedBehaviorSanitizer."""
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=all"
    program = build_c(folder, "-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_C_FLAGS={flags}") / "wv_run"
    mel = Path("mel.npy").read_bytes()
    for dtype in ("f32", "f16", "int8"):
        good = bin_format.pack(tiny_model(dtype))
        Path("good.bin").write_bytes(good)
        for isa in isa_names():
            run(program, "good.bin", "mel.npy", "--isa", isa, "--verify", "--chunk-frames", 2)
    pairs = [(good[:n], mel) for n in (0, 1, 191, 192, 700, len(good) - 1)]
    pairs += [(bin_format.with_checksum(good[:n] + b"\xff" + good[n + 1 :]), mel) for n in range(16, 704, 37)]
    pairs += [(good, mel[:n]) for n in (0, 5, 9, 11, 64, 127, 128, 200)]
    for model_bytes, mel_bytes in pairs:
        Path("bad.bin").write_bytes(model_bytes)
        Path("bad.npy").write_bytes(mel_bytes)
        # on an error the program leaves its memory to the system
        done = subprocess.run([program, "bad.bin", "bad.npy"], capture_output=True, text=True,
                              env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})  # fmt: skip
        assert (done.returncode, done.stderr.count("\n")) in ((0, 0), (1, 1)), done.stderr


@pytest.mark.wheel
def test_wheel_runs_in_a_clean_environment(tmp_path):
    """`pip install .` with the core dependencies alone: both backends run, and what is missing is named in one line."""
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT)
    wheel = next(tmp_path.glob("wavernn-*.whl"))
    assert wheel.name.startswith(f"wavernn-{__version__}-py3-none-")
    bin_dir = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    venv.create(bin_dir.parent, with_pip=True)
    run(bin_dir / "python", "-m", "pip", "install", "--only-binary=:all:", wheel)
    installed = run(bin_dir / "python", "-m", "pip", "list").lower()
    assert "numba" in installed and not re.search(r"^(torch|librosa|matplotlib|scipy) ", installed, re.M)

    work = tmp_path / "work"
    work.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "WV_", "NUMBA"))}
    for dtype in ("f32", "f16", "int8"):
        model = tiny_model(dtype)
        bin_format.save(model, work / "tiny.bin")
        save_mel(work / "mel.npy", tiny_mel(model.config, 20), model.config.mel)
        out = run(bin_dir / "wv-run", "tiny.bin", "mel.npy", "--verify", "--json", cwd=work, env=clean)
        assert json.loads(out)["verified"] is True
        assert "tiny" in run(bin_dir / "wv-inspect", "tiny.bin", cwd=work, env=clean)

    run(bin_dir / "wv-export", ROOT / "voices/kathleen16/dense.pt", "dense.bin", cwd=work, env=clean)
    small = ROOT / "voices/kathleen16-small/model.pt"  # linear prediction wants a mel basis
    clip = DATA / "clips/arctic_b0182.flac"
    for extra, *command in (["audio", "wv-mel", clip, "o.npy", "--preset", "16k"],
                            ["plot", "wv-inspect", "tiny.bin", "--plot", "o.png"],
                            ["train", "wv-train", ".", "-o", "m.pt"], ["audio", "wv-export", small, "o.bin"],
                            ["eval", "wv-eval", "tiny.bin", "--data", "."]):  # fmt: skip
        done = subprocess.run([bin_dir / command[0], *command[1:]], cwd=work, env=clean, capture_output=True, text=True)
        assert done.returncode in (1, 2), done
        assert f"wavernn[{extra}]" in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_make_arm_without_compilers_names_make_deps(tmp_path):
    """One line before anything is installed or built."""
    for name in ("sh", "sed", "make", "find"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run([tmp_path / "make", "SHELL=sh", "arm"], cwd=ROOT, env={"PATH": str(tmp_path)},
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0 and done.stdout == ""
    assert ours == ["aarch64-linux-gnu-gcc: not found, wanted for make arm; make deps installs it"], done.stderr
