"""The app's Java, executed as far as a computer without a phone can.

Without its screens it runs in JUnit on three native libraries: one built for this host
(-Xcheck:jni), and the very x86-64 and arm64 ones out of the signed APK, the latter in Debian's arm64 Java under qemu.
They want `make deps`; WV_NEED_ANDROID=1, as in CI, makes a missing tool a failure instead of a skip.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import build_apk
import fetch_debs
import numpy as np
import pytest
import soundfile
from android import APK, DEMO, OUT, entries, sh, unavailable
from conftest import ROOT, SUPPORT
from model_fixtures import tiny_config, tiny_mel, tiny_model
from wv_bench.measure import Case, measure
from wv_bench.report import summarize
from wv_runtime.engine import native as _native
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary as bin_format

pytestmark = pytest.mark.slow

JUNIT = Path("/usr/share/java/junit4.jar")
ENJARIFY = ["/usr/bin/python3", "-O", "-m", "enjarify.main"]  # Debian's program takes any other python3 in PATH
HAMCREST = Path("/usr/share/java/hamcrest-core.jar")
ISAS = [name for name in _native.isa_names() if name != "avx512vnni"]  # of this CPU in the app
CORE = "org.wavernn.demo.core."
JAVA_ARM64 = dict.fromkeys(("openjdk-17-jre-headless", "libc6", "zlib1g", "libstdc++6", "libgcc-s1"), "")


@pytest.fixture(scope="session")
def data(apk, c_build, tmp_path_factory) -> Path:
    """Models and mels for JUnit, and what wv_run says of them."""
    folder = tmp_path_factory.mktemp("android")
    cfg = tiny_model().config

    def wv_run(*args: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(a) for a in (c_build / "wv_run", *args)], cwd=folder, capture_output=True, text=True)

    mel = tiny_mel(cfg)
    save_mel(folder / "mel.npy", mel, cfg.mel)
    save_mel(folder / "long.npy", tiny_mel(cfg, 40), cfg.mel)  # more samples than one buffer of the JNI code holds
    np.save(folder / "plain.npy", mel)
    np.save(folder / "fortran.npy", np.asfortranarray(mel))
    np.save(folder / "double.npy", mel.astype(np.float64))
    with open(folder / "version2.npy", "wb") as f:
        np.lib.format.write_array(f, mel, (2, 0))
    (folder / "empty").write_bytes(b"")
    rows = []
    for dtype in ("f32", "f16", "int8"):
        bin_format.save(tiny_model(dtype), folder / f"{dtype}.bin")
        for seed, temperature in ((3, 1.0), (2**64 - 1, 0.7)):
            out = "out.wav" if not rows else "other.wav"
            done = wv_run(f"{dtype}.bin", "mel.npy", "-o", out, "--seed", seed, "--temperature", temperature, "--json")
            rows.append([f"{dtype}.bin", "mel.npy", seed, temperature, json.loads(done.stdout)["sha256"]])
    lanes = tiny_config(lpc_order=6, subscale=5, horizon=2, lookback=3, context=3)
    bin_format.save(tiny_model("int8", cfg=lanes), folder / "lanes.bin")
    done = wv_run("lanes.bin", "mel.npy", "-o", "other.wav", "--json")
    rows.append(["lanes.bin", "mel.npy", 0, 1.0, json.loads(done.stdout)["sha256"]])
    done = wv_run("int8.bin", "long.npy", "-o", "other.wav", "--json")
    rows.append(["int8.bin", "long.npy", 0, 1.0, json.loads(done.stdout)["sha256"]])
    # a recording and its copy: a stereo WAV, its mels computed by wv_mel
    tone = 0.3 * np.sin(np.arange(1600) ** 1.3 / 20)[:, None] * [1.0, 0.5]
    soundfile.write(folder / "copy.wav", tone, cfg.mel.sample_rate, "PCM_24")

    def wv_mel(wav: str, npy: str) -> subprocess.CompletedProcess[str]:
        command = [c_build / "wv_mel", wav, npy, "--model", "int8.bin"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True)

    soundfile.write(folder / "speech.wav", np.tile(tone[:, 0], 8), cfg.mel.sample_rate, "PCM_16")  # for the microphone
    for wav in ("copy", "speech"):
        assert wv_mel(f"{wav}.wav", f"{wav}.npy").returncode == 0
        done = wv_run("int8.bin", f"{wav}.npy", "-o", "other.wav", "--json")
        rows.append(["int8.bin", f"{wav}.wav", 0, 1.0, json.loads(done.stdout)["sha256"]])
    _table(folder / "hashes.tsv", rows)

    bad = {  # every check of load_mel
        "text.npy": b"these are no mels at all", "short.npy": b"\x93NUMPY",
        "half.npy": (folder / "mel.npy").read_bytes()[:200], "header.npy": (folder / "mel.npy").read_bytes()[:60],
        "keys.npy": b"\x93NUMPY\1\0\x0a\0{'a': 1}  ",
    }  # fmt: skip
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    arrays = {
        "int.npy": np.zeros((8, 7), int), "bands.npy": np.zeros((9, 7), np.float32), "flat.npy": mel.ravel(),
        "transposed.npy": np.ascontiguousarray(mel.T), "none.npy": mel[:, :0], "linear.npy": abs(mel) + 1,
        "decibels.npy": mel * 20 - 60, "loud.npy": mel - 3 + 1e5, "nan.npy": np.where(mel == mel[3, 2], np.nan, mel),
        "inf.npy": np.where(mel == mel[7, 6], -np.inf, mel), "cube.npy": mel[None],
        "huge.npy": mel.astype(np.float64) * 1e200, "big.npy": mel.astype(">f4"),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(folder / name, array)
    save_mel(folder / "preset.npy", mel, type(cfg.mel)(**{**vars(cfg.mel), "name": "16k", "sample_rate": 24000}))
    rows = []
    for name in (*bad, *arrays, "preset.npy"):
        done = wv_run("f32.bin", name)
        assert done.returncode == 1, name
        rows.append([name, done.stderr.removeprefix("wv_run: error: ").strip()])
    soundfile.write(folder / "rate.wav", tone, 22050)
    soundfile.write(folder / "instant.wav", tone[:5], cfg.mel.sample_rate)
    (folder / "cut.wav").write_bytes((folder / "copy.wav").read_bytes()[:30])
    for name in ("rate.wav", "instant.wav", "cut.wav"):
        done = wv_mel(name, "none.npy")
        assert done.returncode == 1, name
        rows.append([name, done.stderr.removeprefix("wv_mel: error: ").strip()])
    _table(folder / "errors.tsv", rows)
    return folder


def _table(path: Path, rows: list[list[object]]) -> None:
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


@pytest.fixture(scope="session")
def java_classes(apk, tmp_path_factory) -> Path:
    """The library, the app's core and the tests: all of the Java that needs no screen."""
    if not JUNIT.exists():
        unavailable("not installed: junit4 (make deps)")
    out = tmp_path_factory.mktemp("classes")
    folders = ("lib/src/main/java", "app/src/main/java/org/wavernn/demo/core", "app/src/test/java")
    sources = [f for folder in folders for f in (DEMO / folder).rglob("*.java")]
    sh(*build_apk.JAVAC, "-cp", JUNIT, "-d", out, *sources)
    return out


def junit(java: list[object], classes: Path | str, data: Path, isas: str, library: Path, **environment: object) -> str:
    tests = sorted(CORE + f.stem for f in DEMO.glob("app/src/test/java/**/*Test.java"))
    assert len(tests) == 10
    command = [*java, f"-Djava.library.path={library.parent}", f"-Dwavernn.data={data}", f"-Dwavernn.isas={isas}",
               "-cp", f"{classes}:{JUNIT}:{HAMCREST}", "org.junit.runner.JUnitCore", *tests]  # fmt: skip
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **{k: str(v) for k, v in environment.items()}})  # fmt: skip
    assert done.returncode == 0 and re.search(r"^OK \(\d\d tests\)", done.stdout, re.M), done.stdout + done.stderr
    assert "native method" not in done.stdout, done.stdout  # WARNING or FATAL ERROR of -Xcheck:jni
    return done.stdout


def build_with_cmake(source: Path, out: Path, target: str) -> None:
    """For this host, with Java's jni.h."""
    javac = shutil.which("javac")
    if not javac:
        unavailable("not installed: openjdk-17-jdk-headless (make deps)")
    java_home = Path(javac).resolve().parents[1]
    include = f"-I{java_home}/include -I{java_home}/include/linux"
    cmake = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    sh(cmake, "-S", source, "-B", out, f"-DCMAKE_C_FLAGS={include} -Werror")
    sh(cmake, "--build", out, "--target", target, "-j2")


def test_the_java_runs_on_this_host(java_classes, data, tmp_path):
    build_with_cmake(DEMO / "lib/src/main/cpp", tmp_path, "wavernn_jni")
    junit(["java", "-Xcheck:jni"], java_classes, data, ",".join(ISAS), tmp_path / "libwavernn_jni.so")

    # the benchmark's JSON beside wv-bench's: no key is missing, none of the known ones is empty
    model = bin_format.load(data / "int8.bin")
    case = Case(model)
    pairs = [(case, case.native("portable"))]
    (wanted,) = summarize(pairs, measure(pairs, 1, 1e-4), None)
    for name in ("bench.json", "sustained.json"):
        report = json.loads((data / name).read_text())
        assert report["machine"] is None and report["device"] == {"model": 'a "test"'}
        isas = [r["isa"] for r in report["results"]]
        assert isas == (ISAS if name == "bench.json" else ISAS[:1])
        for r in report["results"]:
            assert [k for k in r if k in wanted] == list(wanted)
            assert (r["backend"], r["dtype"], r["n_units"]) == ("c", "int8", 64)
            assert r["samples_per_s"] * r["rtf"] == pytest.approx(16000)
            assert r["sha256"] == (data / "hashes.tsv").read_text().splitlines()[4].split("\t")[4]
            if name == "bench.json":
                assert r["stages_ns"].keys() == wanted["stages_ns"].keys()
                assert all(ns > 0 for ns in r["stages_ns"].values())
            else:
                assert 55 <= len(r["rtf_by_second"]) <= 60


def shims(folder: Path, link: list[object], jump: str, glibc: Path, floor: str = "") -> None:
    """libc.so and libm.so as Android names and versions them, on top of glibc: each function jumps to glibc's.

    link : the command that links a shared library
    floor : instructions of floor(), where glibc takes its argument elsewhere than Android
    """
    for library, names in build_apk.functions().items():
        source, versions = folder / f"{library}.s", folder / f"{library}.map"
        source.write_text("".join(f"""
            .globl android_{n}
            .type android_{n}, %function
            android_{n}: {floor if floor and n == "floor" else jump.format(n)}
            .symver android_{n}, {n}@LIBC
            """ for n in names))  # fmt: skip
        versions.write_text("LIBC { global: *; };\n")
        flags = ["-shared", "-nostdlib", f"-Wl,-soname,{library}.so,--version-script,{versions}"]
        sh(*link, *flags, source, glibc / f"{library}.so.6", "-o", folder / f"{library}.so")


def clang(target: str) -> list[object]:
    return ["clang-19", f"--target={target}", "-fuse-ld=lld"]


def from_apk(abi: str, folder: Path) -> Path:
    (folder / "libwavernn_jni.so").write_bytes(entries()[f"lib/{abi}/libwavernn_jni.so"][2])
    return folder / "libwavernn_jni.so"


def test_the_java_runs_on_the_apks_x86_64_library(java_classes, data, tmp_path):
    glibc = Path("/lib/x86_64-linux-gnu")
    if not (glibc / "libc.so.6").exists():
        pytest.skip("not an x86-64 Debian")
    shims(tmp_path, clang("x86_64-linux-gnu"), "jmp {}@PLT", glibc)
    so = from_apk("x86_64", tmp_path)
    junit(["java", "-Xcheck:jni"], java_classes, data, ",".join(ISAS), so, LD_LIBRARY_PATH=tmp_path)


@pytest.fixture(scope="session")
def arm64_root(apk) -> Path:
    """Debian's arm64 Java, unpacked below build/."""
    if not shutil.which("qemu-aarch64"):
        unavailable("not installed: qemu-user (make deps)")
    root = OUT / "java-arm64"
    if not (root / "complete").exists():
        try:
            fetch_debs.fetch("bookworm", "arm64", JAVA_ARM64, root)
        except SystemExit as e:
            unavailable(str(e))
        (root / "complete").touch()
    return root


@pytest.mark.parametrize(
    ("cpu", "isas", "page"), [("cortex-a53", "neon,portable", 4096), ("cortex-a76", "neon_dot,neon,portable", 16384)]
)
def test_the_java_runs_on_the_apks_arm64_library(cpu, isas, page, arm64_root, java_classes, data, tmp_path):
    shims(tmp_path, clang("aarch64-linux-gnu"), "b {}", arm64_root / "lib/aarch64-linux-gnu")
    so = from_apk("arm64-v8a", tmp_path)
    java = ["qemu-aarch64", "-cpu", cpu, "-p", page, "-L", arm64_root, "-E", f"LD_LIBRARY_PATH={tmp_path}",
            arm64_root / "usr/lib/jvm/java-17-openjdk-arm64/bin/java"]  # fmt: skip
    junit(java, java_classes, data, isas, so)


def test_the_apks_armv7_library_gives_the_same_pcm(data, tmp_path):
    """There is no Java for this ABI: android_armv7.c plays its part."""
    gcc = "arm-linux-gnueabihf-gcc"
    for program in (gcc, "qemu-arm"):
        if not shutil.which(program):
            unavailable(f"not installed: {program} (make deps)")
    root = Path(sh(gcc, "-print-file-name=libc.so.6").strip()).resolve().parents[1]
    sh(gcc, "-O1", "-Wall", "-Werror", "-isystem", build_apk.JNI_HEADERS, SUPPORT / "android_armv7.c", "-o",
       tmp_path / "run")  # fmt: skip
    hard_float = "vmov d0, r0, r1\npush {r4, lr}\nbl floor\nvmov r0, r1, d0\npop {r4, pc}"
    shims(tmp_path, [gcc, "-march=armv7-a", "-mfpu=neon"], "b {}", root / "lib", hard_float)
    so = from_apk("armeabi-v7a", tmp_path)
    for file in (so, tmp_path / "libc.so", tmp_path / "libm.so"):
        header = bytearray(file.read_bytes())
        header[37] &= ~2  # EF_ARM_ABI_FLOAT_SOFT: glibc's hard-float loader passes such a library over
        file.write_bytes(header)
    for row in (data / "hashes.tsv").read_text().splitlines():
        voice, mel, seed, temperature, sha256 = row.split("\t")
        frames = np.load((data / mel).with_suffix(".npy")).T
        frames.tofile(tmp_path / "mel")
        isas = ("neon", "portable") if "int8" in voice else ("portable",)  # armv7's NEON flushes subnormals
        for isa, chunk in itertools.product(isas, (1, 100)) if temperature == "1.0" else ():
            qemu = ["qemu-arm", "-cpu", "cortex-a15", "-L", root, "-E", f"LD_LIBRARY_PATH={tmp_path}"]
            arguments = [tmp_path / "run", so, data / voice, tmp_path / "mel", str(len(frames)), seed, isa, str(chunk)]
            pcm = subprocess.run([*qemu, *arguments], capture_output=True)
            assert pcm.returncode == 0, pcm.stderr
            assert hashlib.sha256(pcm.stdout).hexdigest() == sha256, (voice, isa, chunk)


def test_the_dexed_classes_run_like_the_compiled_ones(java_classes, data, tmp_path):
    """Back from the APK's classes.dex to a jar: what a phone runs, and no class of java_classes but the tests."""
    if subprocess.run([*ENJARIFY, "--help"], capture_output=True).returncode != 0:
        unavailable("not installed: enjarify (make deps)")
    sh(*ENJARIFY, "-f", APK, "-o", tmp_path / "dex.jar")
    tests = tmp_path / "tests"
    for source in DEMO.glob("app/src/test/java/**/*.java"):
        for file in java_classes.rglob(f"{source.stem}*.class"):
            target = tests / file.relative_to(java_classes)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    assert not list(tests.rglob("WaveRnn.class"))
    shims(tmp_path, clang("x86_64-linux-gnu"), "jmp {}@PLT", Path("/lib/x86_64-linux-gnu"))
    so = from_apk("x86_64", tmp_path)
    classes, isas = f"{tests}:{tmp_path / 'dex.jar'}", ",".join(ISAS)
    junit(["java", "-Xcheck:jni"], classes, data, isas, so, LD_LIBRARY_PATH=tmp_path)


def test_the_documented_cmake_builds_an_app_of_ones_own(tmp_path):
    """docs/phones.md: what to copy where, and the CMakeLists.txt on top."""
    text = (ROOT / "docs/phones.md").read_text()
    copies = dict(re.findall(r"^\| `(\S+)` \| `src/main/cpp/(\S+)` \|$", text, re.M))
    assert len(copies) == 2
    for folder, name in copies.items():
        shutil.copytree(ROOT / folder, tmp_path / name)
    (block,) = re.findall(r"```cmake\n(.*?)```", text, re.S)
    (tmp_path / "CMakeLists.txt").write_text(block)
    (tmp_path / "app.c").write_text('#include "wavernn.h"\nWV_API int app(void) { return wv_version()[0]; }\n')
    build_with_cmake(tmp_path, tmp_path / "build", "all")
    assert ctypes.CDLL(str(tmp_path / "build/libapp.so")).app() == ord("0")
    jni = ctypes.CDLL(str(tmp_path / "build/wavernn_jni/libwavernn_jni.so"))
    assert hasattr(jni, "Java_org_wavernn_WaveRnn_nativePull")
