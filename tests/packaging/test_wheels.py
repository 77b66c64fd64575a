"""Wheels for who has no compiler: `make wheels`, which puts them into $WV_WHEELS; else that of x86-64 is built."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from audio_hash import audio_hash
from conftest import DATA, LIBWAVERNN, ROOT
from model_fixtures import N_FRAMES

pytestmark = [
    pytest.mark.wheel,
    pytest.mark.skipif(not importlib.util.find_spec("auditwheel"), reason="wavernn[release] is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="manylinux"),
]
sys.path[:0] = [str(ROOT / "release")]
VOICE = ROOT / "voices/kathleen16"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    if "WV_WHEELS" in os.environ:
        return ROOT / os.environ["WV_WHEELS"]
    from wheels import wheel

    return wheel("x86_64", tmp_path_factory.mktemp("dist")).parent


def of(folder: Path, arch: str) -> Path:
    found = list(folder.glob(f"wavernn-*-py3-none-manylinux*_{arch}.whl"))
    if arch != "x86_64" and not found:
        pytest.skip(f"no wheel of {arch} was built")
    (wheel,) = found
    return wheel


def test_the_same_commit_gives_the_same_bytes(wheels, tmp_path):
    from wheels import wheel

    assert wheel("x86_64", tmp_path).read_bytes() == of(wheels, "x86_64").read_bytes()


def test_it_speaks_without_a_compiler(wheels, tmp_path):
    """In an environment of its own, whose PATH has this environment alone."""
    venv.create(tmp_path / "venv", with_pip=True)
    bin_dir = tmp_path / "venv/bin"
    install = ["-m", "pip", "install", "--quiet", "--only-binary=:all:", of(wheels, "x86_64")]
    subprocess.run([bin_dir / "python", *install], check=True)
    env = {"PATH": str(bin_dir), "HOME": str(tmp_path)}
    assert not shutil.which("cc", path=env["PATH"]) and not shutil.which("gcc", path=env["PATH"])
    command = [bin_dir / "wv-run", VOICE / "voice.bin", VOICE / "demo.npy", "--backend", "c"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert (VOICE / "demo.sha256").read_text().strip() in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("arch", ["aarch64"])
def test_the_library_for_arm_gives_the_same_bits(arch, wheels, tmp_path):
    """The libwavernn.so of the wheel under qemu."""
    wheel, compiler, qemu = of(wheels, arch), f"{arch}-linux-gnu-gcc", f"qemu-{arch}"
    if not shutil.which(compiler) or not shutil.which(qemu):
        pytest.skip(f"{compiler} or {qemu} is not installed")
    with zipfile.ZipFile(wheel) as z:
        (tmp_path / "libwavernn.so").write_bytes(z.read("wv_runtime/engine/libwavernn.so"))
    sources = [ROOT / "tests/support/hashes.c", LIBWAVERNN / "tools/sha256.c"]
    flags = ["-std=c11", "-O2", f"-I{LIBWAVERNN / 'include'}", "-o", tmp_path / "hashes"]
    subprocess.run([compiler, *sources, *flags, f"-L{tmp_path}", "-lwavernn", "-lm"], check=True)
    goldens = {str(path): audio_hash(path) for path in sorted(DATA.glob("golden_*.bin"))}
    command = [qemu, "-cpu", "max", "-L", f"/usr/{arch}-linux-gnu", "-E", f"LD_LIBRARY_PATH={tmp_path}"]
    done = subprocess.run(
        [*command, tmp_path / "hashes", "1", str(N_FRAMES), *goldens], capture_output=True, text=True, check=True
    )
    assert {line[65:]: line[:64] for line in done.stdout.splitlines()} == goldens
