"""`make gpu-check`: the CUDA engine on this machine's GPU: hashes of its samples, its speed, the kernel's resources.

And the trainer, if torch sees the GPU. It wants numba-cuda and this repository, nothing installed. About three minutes;
every part that fails is reported and the next one runs. A part that breaks the driver's context ends its process; a new
one does the rest.

Usage: ``PYTHONPATH=runtime:benchmarks python3 -m wv_bench.gpu_check --out build/gpu``
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from wv_runtime.engine.cuda_net import NO_OPT_IN
from wv_runtime.engine.synth import Voice
from wv_runtime.model import binary
from wv_runtime.model.weights import Model

from wv_bench import gpu_speed, gpu_train
from wv_bench.synthetic import synthetic_config, synthetic_model

MEL = "voices/kathleen16/demo.npy"
# First frame, number of frames, seed and temperature of the utterances whose samples are hashed
CASES = ((0, 40, 0, 1.0), (40, 25, 1, 0.8), (100, 1, 2, 0.8), (120, 60, 2**64 - 1, 0.5))
# Their SHA-256, as every CPU engine gives it too (tests/parity/test_cuda.py)
EXPECTED = {
    "kathleen16": (
        "dac1a77ae447f449908f759ed827e03fc284b4dbec4055d459168767aed6efa9",
        "44c857cbd0c79c33b8ca35812bae0a47815fb6a01ba7429398c6e1db9c393dd4",
        "17b6278401bffdc43bd78bf0eae1e5f12ebc5a5fe9591fccef4d62590eb0225b",
        "8ddbbca5fb42eb63e968d36b0bb0e9b349f820498ce73df5c85e570e5890725f",
    ),
    "kathleen16-small": (
        "e1185588a59aa4ea697a750e71c43368a2637172daff5d43327b3f0859dd889f",
        "8cc6507a2ce485fce2535e25be7ae8353a16c3d2f38d388a89dd721ce5688ff8",
        "c909dace136f997e78c6cd35486d028b9ef0f9226554365cfb45212c5c4ec76c",
        "d548c4e04c18ddcbd12e546b8a327cdb318f00a40a9479b378d8b413a55a9ed5",
    ),
    "kathleen16-subscale": (
        "7939bac4091d83e77203d28094dad0c07dab1ff3b5a2a7fa8a4d56d5821873d6",
        "cf4b00e0c052e2c443994e81aa9996f1f7956fede4b79393822954e68c48ed72",
        "58ee07e6434c95bbdc533f979b5bb4a3af9a0d8cd3e347ece01b9fdf35273def",
        "e8da90eacf28f4d1f3d8210fcefc6617e8c7148cf9acd5670cb9ae33e1ada2fb",
    ),
    "1024 units": (
        "e08fe4ceea953732025e1c3dd7b7676afce5012a9f7b314ddbfccad489ef81bb",
        "87cbea634364fd53a7b6ed391da56230e3565b962e2aa087f55bec56f821dade",
        "f30535379402af4961aa27a945a5aa222fb979ab7a1bf521591fa813ea704a1d",
        "f303deb95aa0236ebf76eb14cbae1d72ad6752e9797dcc9edf28a32dee7f6086",
    ),
}
VOICES = ("kathleen16", "kathleen16-small", "kathleen16-subscale")
LAST_S = 120.0  # for a part that began just in time


def load_model(name: str) -> Model:
    """One of those in EXPECTED."""
    if name == "1024 units":
        # without pre-emphasis, so that every byte shows in the samples
        return synthetic_model(synthetic_config(1024, preemphasis=0.0), 0.95, (16, 4), "int8")
    return binary.load(f"voices/{name}/voice.bin")


def hashes(model: Model, backend: str) -> list[str]:
    """Of every case's samples before the post-filter."""
    voice, mel = Voice(model, backend, postfilter=False), np.load(MEL)
    streams = [voice.open(seed, temperature) for _, _, seed, temperature in CASES]
    for stream, (first, n, _, _) in zip(streams, CASES):
        taken = 0
        while taken < n:
            taken += stream.push(mel[:, first + taken : first + n])
        stream.finish()
    pcm = voice.batch(n_lanes=4).pull(streams, [2**31 - 1] * len(streams))
    return [hashlib.sha256(p.astype("<i2").tobytes()).hexdigest() for p in pcm]


class Check:
    """What the parts share: networks that are on the GPU already."""

    def __init__(self) -> None:
        self._nets: dict[tuple[str, int | None], Any] = {}
        self._shared_bytes: int | None = None  # as much as there is

    def net(self, name: str, shared_bytes: int | None = None) -> Any:
        from wv_runtime.engine.cuda_net import CudaNet

        key = (name, shared_bytes or self._shared_bytes)
        if key not in self._nets:
            self._nets[key] = CudaNet(load_model(name), key[1])
        return self._nets[key]

    def speed(self, net: Any, n_streams: int, n: int) -> dict[str, Any]:
        found = gpu_speed.speed(net, n_streams, n)
        print(gpu_speed.line(found))
        return found

    # The parts, in order. Each returns what goes into the report.

    def machine(self) -> Any:
        from numba import cuda
        from wv_runtime.engine.cuda_device import check_gpu, device_name

        check_gpu()
        device = cuda.get_current_device()
        query = "name,driver_version,clocks.sm,clocks.max.sm,power.limit"
        command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv"]
        found = subprocess.run(command, capture_output=True, text=True).stdout if shutil.which(command[0]) else ""
        versions = {}
        for name in ("numpy", "numba", "numba_cuda", "cuda.core", "cuda.bindings"):
            try:
                versions[name] = getattr(__import__(name, fromlist=["__version__"]), "__version__", "?")
            except ImportError as e:
                versions[name] = str(e)
        return {
            "device": device_name(), "multiprocessors": getattr(device, "MULTIPROCESSOR_COUNT", 0),  # 0: simulated
            "shared_bytes": getattr(device, "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN", 0), "smi": found, "versions": versions,
        }  # fmt: skip

    def resources(self) -> Any:
        from wv_runtime.engine.cuda import CudaStream

        start, net = time.perf_counter(), self.net("kathleen16-small")
        loaded = time.perf_counter()
        found: dict[str, Any] = {}

        def draw(net: Any) -> None:
            stream = CudaStream(net, 0, 1.0)
            stream.push(np.load(MEL)[:, :4])
            stream.pull(2)

        try:
            draw(net)
        except Exception as e:
            traceback.print_exc()
            self._shared_bytes, found["failed: with more than 48 KB"] = NO_OPT_IN, str(e)
            net = self.net("kathleen16-small")
            draw(net)
        found |= {"load_s": loaded - start, "compile_s": time.perf_counter() - loaded}
        for compiled in net.kernel.overloads.values():
            for name in ("regs_per_thread", "local_mem_per_thread", "shared_mem_per_block", "max_threads_per_block"):
                found[name] = int(getattr(compiled, name))
        return found

    def hashes(self) -> Any:
        result = {}
        for name, expected in EXPECTED.items():
            start, found = time.perf_counter(), hashes(load_model(name), "cuda")
            result[name] = {
                "equal": [a == b for a, b in zip(found, expected, strict=True)],
                "found": found, "seconds": time.perf_counter() - start,
            }  # fmt: skip
        return result

    def speed_1024(self) -> Any:
        net = self.net("1024 units")
        return [self.speed(net, b, gpu_speed.n_samples(b)) for b in gpu_speed.N_STREAMS]

    def steps(self) -> Any:
        found = gpu_speed.steps(self.net("1024 units"))
        print(gpu_speed.steps_text(found))
        return found

    def global_weights(self) -> Any:
        """The weights left in global memory, which the caches hold"""
        net = self.net("1024 units", NO_OPT_IN)
        return [self.speed(net, b, 12_000) for b in (1, 132)]

    def threads(self) -> Any:
        """Other numbers of threads a block"""
        net, result = self.net("1024 units"), []
        for net.n_threads in (256, 512, 768, 1024):
            print(f"  {net.n_threads} threads:")
            result.append({"n_threads": net.n_threads, **self.speed(net, 1, 12_000)})
        net.n_threads = net.image.n_threads
        return result

    def speed_voices(self) -> Any:
        result = {}
        for name in VOICES:
            net = self.net(name)
            print(f"  {name}: {net.n_threads} threads, {net.image.n_bytes} bytes of shared memory a block")
            result[name] = [self.speed(net, b, 16_000 if b <= 132 else 4_000) for b in (1, 132, 1024)]
        return result

    def end_to_end(self) -> Any:
        """The demo of every bundled voice with its post-filter, and 132 utterances from mels to samples"""
        result = {}
        for name in VOICES:
            voice, mel = Voice(load_model(name), "cuda"), np.load(MEL)
            start = time.perf_counter()
            pcm = voice(mel)
            found = hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest()
            expected = Path(f"voices/{name}/demo.sha256").read_text().strip()
            seconds = time.perf_counter() - start
            result[name] = {"equal": found == expected, "seconds": seconds, "samples_per_s": len(pcm) / seconds}
        voice = Voice(load_model("kathleen16-small"), "cuda", postfilter=False)
        start = time.perf_counter()
        pcms = voice([np.load(MEL)[:, :100]] * 132)
        seconds = time.perf_counter() - start
        result["132 utterances"] = {"seconds": seconds, "samples_per_s": sum(map(len, pcms)) / seconds}
        return result

    def trainer(self) -> Any:
        """The tests of the trainer's kernels"""
        return gpu_train.kernels() if gpu_train.has_gpu() else "absent: torch with a GPU"

    def short_voice(self) -> Any:
        """A voice trained for half a minute: its samples on the GPU and on the CPU"""
        if not gpu_train.has_gpu():
            return "absent: torch with a GPU"
        with tempfile.TemporaryDirectory() as folder:
            model, trained = gpu_train.short_voice(Path(folder), "--device", "cuda", "--max-minutes", "0.5")
        found, wanted = hashes(model, "cuda"), hashes(model, "numba")
        return {"trained": trained, "equal": [a == b for a, b in zip(found, wanted, strict=True)]}


PARTS = (
    "machine", "resources", "hashes", "speed_1024", "steps", "global_weights", "threads", "speed_voices", "end_to_end",
    "trainer", "short_voice",
)  # fmt: skip


def warm_up() -> None:
    """Compile the CPU's part into Numba's cache, in a process of its own, while the GPU's kernels compile."""
    from wv_runtime.engine.kernels import outside, postfilter
    from wv_runtime.engine.kernels.fp_mode import defined_mode

    model = load_model("kathleen16")
    mel = model.config.mel
    samples: NDArray[np.int16] = np.zeros(mel.hop_length, np.int16)
    if model.postfilter:
        with defined_mode():
            outside.hear(samples, np.float32(model.config.preemphasis), np.zeros(1, np.float32), samples.copy())
            f = postfilter.make_filter(mel, model.postfilter)
            postfilter.filter_hops(f, np.zeros(mel.n_mels, np.float32), 1, samples, samples.copy())


def run_parts(parts: list[str], out: Path, until: float) -> None:
    """Run parts and add each to the report; leave the process at an error of the driver's."""
    check = Check()
    warming = subprocess.Popen([sys.executable, "-m", "wv_bench.gpu_check", "--warm-up"])
    for name in parts:
        report = json.loads(out.read_text())
        start = time.time()
        if start > until:
            report[name] = "skipped: out of time"
            out.write_text(json.dumps(report, indent=1))
            continue
        print(f"== {name}", flush=True)
        broken = False
        if name == "end_to_end":
            with suppress(subprocess.TimeoutExpired):
                warming.wait(30)
        try:
            result = getattr(check, name)()
        except Exception as e:
            traceback.print_exc()
            result = f"failed: {type(e).__name__}: {e}"
            broken = "Cuda" in type(e).__name__ or "CUDA" in str(e)
        report[name] = {"result": result, "seconds": time.time() - start}
        out.write_text(json.dumps(report, indent=1, default=str))
        print(json.dumps(report[name], default=str), flush=True)
        if broken:
            break
    warming.kill()


@click.command("gpu-check")
@click.option("--out", "folder", help="Folder of the report.  [default: $OUT, else build/gpu]")
@click.option("--limit-s", default=120.0, show_default=True, help="No part starts later than this.")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="[default: all]")
@click.option("--warm-up", "warm", is_flag=True, hidden=True)
@click.option("--until", type=float, hidden=True)
def main(folder: str | None, limit_s: float, parts: tuple[str, ...], warm: bool, until: float | None) -> None:
    """Check and time the CUDA engine; gpu-check.json holds what was found."""
    if warm:
        warm_up()
        return
    out = Path(folder or os.environ.get("OUT") or "build/gpu") / "gpu-check.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    if until:
        run_parts(list(parts), out, until)
        return
    until, left = time.time() + limit_s, list(parts or PARTS)
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    if os.path.exists(nvcc):
        environment.setdefault("CUDA_HOME", str(Path(os.path.realpath(nvcc)).parent.parent))
    out.write_text("{}")
    while left:
        chosen = [x for name in left for x in ("--part", name)]
        command = [sys.executable, "-m", "wv_bench.gpu_check", "--out", str(out.parent), "--until", str(until), *chosen]
        try:
            subprocess.run(command, env=environment, check=False, timeout=max(5.0, until + LAST_S - time.time()))
        except subprocess.TimeoutExpired:
            until = 0.0  # for the parts that are left
        done = json.loads(out.read_text())
        after = [name for name in left if name not in done]
        if after == left:  # died before it could say why
            done[after.pop(0)] = "failed: the process ended"
            out.write_text(json.dumps(done, indent=1))
        left = after
    text = out.read_text()
    print(f"report in {out}")
    wrong = [word for word in ('"failed: ', '"skipped: ', "false") if word in text]
    sys.exit(f"gpu-check: error: the report has {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
