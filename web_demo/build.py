"""The WebAssembly modules of libwavernn, from Debian's clang and lld alone.

    clang, lld  -> wavernn-relaxed.wasm, wavernn-simd128.wasm, wavernn-plain.wasm

Usage: ``python web_demo/build.py --out build/web``; see `make web`.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FREESTANDING = HERE.parent / "runtime/libwavernn/freestanding"
MODULES = ("relaxed", "simd128", "plain")
TOOLS = {"clang-19": "clang-19", "wasm-ld-19": "lld-19", "llvm-ar-19": "llvm-19"}  # what has to be there: its package


def missing() -> list[str]:
    """Packages that `make deps` would install."""
    return sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})


def run(*command: object) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"build.py: error: {command[0]} failed:\n{done.stdout}{done.stderr}")


def modules(out: Path) -> dict[str, Path]:
    """The module of each name in MODULES, built below `out`."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    cmake = shutil.which("cmake", path=places) or "cmake"
    made = {}
    for name in MODULES:
        folder = out / name
        flags = (f"-DCMAKE_TOOLCHAIN_FILE={HERE}/wasm/wasm.toolchain.cmake", f"-DSYSROOT={FREESTANDING}")
        run(cmake, "-S", HERE / "wasm", "-B", folder, *flags, f"-DWV_VECTORS={name}")
        run(cmake, "--build", folder)
        made[name] = folder / f"wavernn-{name}.wasm"
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, type=Path, help="folder to build in")
    args = parser.parse_args()
    if packages := missing():
        sys.exit(f"build.py: error: missing {' '.join(packages)}, wanted them installed (make deps, as root)")
    for path in modules(args.out / "wasm").values():
        packed = len(gzip.compress(path.read_bytes(), 9))
        print(f"{path}: {path.stat().st_size} bytes, {packed} with gzip")


if __name__ == "__main__":
    main()
