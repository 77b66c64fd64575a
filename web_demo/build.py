"""The web demo: WebAssembly modules from Debian's clang and lld alone, the npm package, and the page.

    out/wasm/       builds of wavernn-relaxed.wasm, wavernn-simd128.wasm, wavernn-plain.wasm
    out/package/    the npm package
    out/site/       the page, for any static host: wavernn/ is the package, assets/ the voice and the clips

Usage: ``python web_demo/build.py --voice VOICE.BIN --clips FOLDER --out build/web``; see `make web`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from wv_runtime import load, log_mel
from wv_runtime.features.mel import load_audio
from wv_runtime.features.mel_file import load_mel, save_mel

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
        run(cmake, "--build", folder, "-j2")
        made[name] = folder / f"wavernn-{name}.wasm"
    return made


def package(built: dict[str, Path], out: Path) -> None:
    """The npm package, ready for `npm pack`."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(HERE / "package", out)
    shutil.copy(HERE.parent / "LICENSE", out)
    for path in built.values():
        shutil.copy(path, out)


def copies(audio: np.ndarray, mel: np.ndarray, cfg: Any) -> Iterator[tuple[str, str, np.ndarray]]:
    """(name, title, samples) of the classical methods, if the extra `eval` is installed."""
    if importlib.util.find_spec("wv_eval") is None or importlib.util.find_spec("pyworld") is None:
        return
    from wv_eval.baselines import griffin_lim, world
    from wv_eval.scores import pitch

    yield "griffin-lim", "Griffin-Lim", griffin_lim(mel, cfg)
    yield "world", "WORLD", world(audio, cfg.sample_rate, pitch(audio.astype(np.float64), cfg.sample_rate))


def published(voice_path: Path, mel: np.ndarray, cfg: Any) -> str | None:
    """The hash that the repository holds, demo.sha256 beside the voice, if these are the mels of its demo.npy."""
    demo = voice_path.with_name("demo.npy")
    if not demo.exists():
        return None
    wanted = load_mel(demo, cfg)
    same = wanted.shape == mel.shape and np.abs(wanted - mel).max() < 1e-3
    return demo.with_suffix(".sha256").read_text().strip() if same else None


def assets(voice_path: Path, clips: Path, out: Path) -> list[dict[str, Any]]:
    """The voice, the clips as mels and recordings, their copies, and bundle.json, which lists them: returned."""
    out.mkdir(parents=True)
    shutil.copy(voice_path, out / "voice.bin")
    voice = load(voice_path, "c")
    cfg = voice.config.mel
    said = dict(re.findall(r"^\| (\S+)\.\w+ \| .* \| (.*) \|$", (clips / "README.md").read_text(), re.M))
    listed = []
    for path in sorted(clips.glob("*.flac")):
        audio = load_audio(path, cfg.sample_rate)
        mel = log_mel(audio, cfg)
        sha256 = published(voice_path, mel, cfg)
        if sha256:
            shutil.copy(voice_path.with_name("demo.npy"), out / f"{path.stem}.npy")
        else:
            save_mel(out / f"{path.stem}.npy", mel, cfg)
            sha256 = hashlib.sha256(voice(mel, seed=0).astype("<i2").tobytes()).hexdigest()
        soundfile.write(out / f"{path.stem}.wav", audio, cfg.sample_rate, "PCM_16")
        systems = {}
        for name, title, samples in copies(audio, mel, cfg):
            url = f"{path.stem}-{name}.wav"
            soundfile.write(out / url, np.clip(samples, -1, 1), cfg.sample_rate, "PCM_16")
            systems[name] = {"title": title, "url": f"assets/{url}"}
        listed.append({"id": path.stem, "text": said.get(path.stem, path.stem), "npy": f"assets/{path.stem}.npy",
                       "recording": f"assets/{path.stem}.wav", "systems": systems, "sha256": sha256})  # fmt: skip
    bundle = {"name": voice_path.parent.name, "voice": "assets/voice.bin", "clips": listed}
    (out / "bundle.json").write_text(json.dumps(bundle, indent=1))
    return listed


def fill(path: Path, **values: object) -> None:
    """Put values in the place of {{names}}."""
    text = path.read_text()
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", str(value))
    path.write_text(text)


def choices(clips: list[dict[str, Any]]) -> dict[str, str]:
    """HTML of what there is to choose from: it stands in the page, so that nothing moves when the voice has come."""
    radios = (
        f'<label><input type="radio" name="clip" value="{html.escape(clip["id"])}"{" checked" if i == 0 else ""}>'
        f"{html.escape(clip['text'])}</label>"
        for i, clip in enumerate(clips)
    )
    titles = ["Recording", "This network", *(s["title"] for s in clips[0]["systems"].values())]
    return {
        "clips": "".join(radios),
        "systems": "".join(f"<button disabled>{html.escape(t)}</button>" for t in titles),
    }


def site(made: Path, voice: Path, clips: Path, out: Path) -> None:
    """The page with all that it loads, and a service worker that knows every file of it."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(HERE / "page", out)
    shutil.copytree(made, out / "wavernn", ignore=shutil.ignore_patterns("*.md", "*.d.ts", "package.json", "LICENSE"))
    limits = dict(re.findall(r"^const (MAX_\w+) = (\d+);", (out / "app.js").read_text(), re.M))
    fill(out / "index.html", **limits, **choices(assets(voice, clips, out / "assets")))
    files = sorted(p for p in out.rglob("*") if p.is_file() and p.name != "sw.js")
    build = hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()[:16]
    names = json.dumps(["./", *(p.relative_to(out).as_posix() for p in files)])
    fill(out / "sw.js", build=f"wavernn-{build}", files=names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--voice", required=True, type=Path, help="a .bin that the page speaks with")
    parser.add_argument(
        "--clips", required=True, type=Path, help="folder of .flac files and a README.md with their words"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder to build in")
    args = parser.parse_args()
    if packages := missing():
        sys.exit(f"build.py: error: missing {' '.join(packages)}, wanted them installed (make deps, as root)")
    built = modules(args.out / "wasm")
    package(built, args.out / "package")
    site(args.out / "package", args.voice, args.clips, args.out / "site")
    for path in built.values():
        packed = len(gzip.compress(path.read_bytes(), 9))
        print(f"{path}: {path.stat().st_size} bytes, {packed} with gzip")


if __name__ == "__main__":
    main()
