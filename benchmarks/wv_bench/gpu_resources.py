"""What the CUDA kernels compile to: registers, spills and fused operations, for GPUs that are not at hand.

It wants numba-cuda with its toolkit (``pip install 'wavernn[cuda]'``), no GPU and no driver.

Usage: ``python -m wv_bench.gpu_resources``
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from wv_runtime.commands.common import Command
from wv_runtime.engine.cuda_device import check_package
from wv_runtime.engine.cuda_net import NO_OPT_IN, Image

from wv_bench.synthetic import synthetic_config, synthetic_model

CAPABILITIES = ((7, 5), (8, 0), (8, 6), (9, 0))  # T4, A100, RTX 30, H100


KERNELS = ("sample_block", "condition_block", "interpolate_block", "grid_block")
GRID_SHAPE = 1024, 512  # n_units, n_out of the dense model that grid_block is compiled for


@dataclass(frozen=True)
class Resources:
    """Of a kernel, compiled for one compute capability."""

    kernel: str
    capability: tuple[int, int]
    registers: int
    spilled_bytes: int  # stores and loads
    dp4a: int  # instructions in the PTX
    fused: int  # float multiply-adds in the PTX: there must be none
    flushing: int  # operations that flush subnormals: none either
    barriers: int  # in the PTX
    divisions: int  # of integers, in the PTX: slow, so none of them is in a loop over samples
    loop_loads: (
        int | None
    )  # 32-bit ones from global or local memory in the longest loop of the SASS, but for those that
    # bypass L1 to see what other blocks write; None without nvdisasm


@contextmanager
def pretended(capability: tuple[int, int]) -> Iterator[None]:
    """Numba asks the GPU what to compile device functions for; here there is none."""
    from numba.cuda import dispatcher

    class Device:
        compute_capability = capability

    before, dispatcher.get_current_device = dispatcher.get_current_device, lambda: Device
    try:
        yield
    finally:
        dispatcher.get_current_device = before


def kernel_of(name: str) -> tuple[Any, Any, tuple[int, ...]]:
    """A kernel, the types of its arguments, which are the same for every model, and its launch bounds."""
    from numba import types as t
    from numba.cuda.typing.typeof import typeof
    from wv_runtime.engine.kernels import condition, grid, persistent

    image = Image(synthetic_model(synthetic_config(64, 16)), NO_OPT_IN)
    i16, i32, i64, u64, f32 = t.int16, t.int32, t.int64, t.uint64, t.float32
    matrices = (i32[::1], i64[::1], i32[::1], f32[::1])
    conditioning = (i16[:, ::1], i16[:, ::1], i64[:, ::1])
    if name == "condition_block":
        once = (f32[::1], i32[::1], i32[::1], f32[::1], f32[:, ::1], i16[:, ::1], f32[:, ::1], i32[:, ::1])
        types = t.void(typeof(image.condition), *matrices, *once, *conditioning, t.float64[:, ::1])
        return condition.condition_block, types, (condition.THREADS,)
    if name == "interpolate_block":
        types = t.void(typeof(image.condition), t.float64[:, ::1], i32[:, ::1], i32[::1], *conditioning[1:])
        return condition.interpolate_block, types, (condition.WARP,)
    state = (i32[:, ::1], i32[:, ::1], i16[:, ::1], i16[:, ::1])
    stream = (i32[:, ::1], u64[::1], f32[::1], i32[::1], i64[::1], *conditioning, *state)
    if name == "grid_block":
        number, scale = np.int32(1), np.float32(1)
        net = grid.GridNet(number, number, number, number, scale, scale, scale, scale)
        weights = (*[i32[:, :, ::1]] * 3, i32[:, ::1], f32[:, ::1], i64[::1], i16[::1])
        exchanged = (*(i32[::1], t.uint8[::1]) * 2, f32[::1], i32[::1])
        types = t.void(typeof(net), *weights, *exchanged, *stream)
        return grid.grid_kernel(*GRID_SHAPE), types, (32 * grid.WARPS, grid.BLOCKS)
    types = t.void(typeof(image.net), *matrices, i64[::1], i16[::1], *stream)
    return persistent.sample_block, types, (persistent.MAX_THREADS,)


def ptx_of(name: str, capability: tuple[int, int]) -> str:
    """The PTX of a kernel."""
    from numba import cuda

    kernel, types, bounds = kernel_of(name)
    with pretended(capability):
        ptx, _ = cuda.compile(kernel.py_func, types, device=False, abi="numba", cc=capability, launch_bounds=bounds)
    return str(ptx)


def nvdisasm() -> str | None:
    """The disassembler of the CUDA toolkit: on $PATH, or the one that triton brings."""
    triton = importlib.util.find_spec("triton")
    more = [str(Path(p) / "backends/nvidia/bin") for p in (triton.submodule_search_locations if triton else None) or ()]
    return shutil.which("nvdisasm", path=os.pathsep.join([os.environ.get("PATH", ""), *more]))


def loop_loads(cubin: bytes) -> int | None:
    """`Resources.loop_loads` of machine code."""
    if not (program := nvdisasm()):
        return None
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        sass = subprocess.run(
            [program, "-c", file.name], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    labels = {m[1]: i for i, line in enumerate(sass) if (m := re.match(r"\s*(\.L_x_\d+):", line))}
    jumps = [(labels[m[1]], i) for i, line in enumerate(sass) if (m := re.search(r"\bBRA\b.*`\((\.L_x_\d+)\)", line))]
    first, last = max(jumps, key=lambda jump: jump[1] - jump[0])
    return sum(bool(re.search(r"\bLD[GL]\.E(?:\.SYS)? |\bLDL ", line)) for line in sass[first:last])


def resources(name: str, capability: tuple[int, int]) -> Resources:
    """Compile a kernel for a compute capability."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    ptx = ptx_of(name, capability)
    options = LinkerOptions(arch="sm_{}{}".format(*capability), ptxas_options=["-v"])
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    cubin = linker.link("cubin")
    log = linker.get_info_log()
    spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    registers = re.search(r"Used (\d+) registers", log)
    if not spills or not registers:
        raise ValueError(f"nvJitLink: found no registers in its log, {log[:200]!r}")
    return Resources(
        name, capability, int(registers[1]), int(spills[1]) + int(spills[2]), len(re.findall(r"\bdp4a\.", ptx)),
        len(re.findall(r"\b(?:fma|mad)\S*\.f(?:32|64)", ptx)), ptx.count(".ftz"),
        ptx.count("bar.sync"), len(re.findall(r"\b(?:div|rem)\.[su]\d+", ptx)), loop_loads(bytes(cubin.code)),
    )  # fmt: skip


@click.command("gpu-resources", cls=Command)
def main() -> None:
    """Print registers and spills of the CUDA kernels for several GPUs. None of them has to be there."""
    check_package()
    click.echo(
        "kernel             GPU    registers  spilled bytes  dp4a  fused  flushing  barriers  divisions  loads in loop"
    )
    for kernel in KERNELS:
        for capability in CAPABILITIES:
            r = resources(kernel, capability)
            name = "sm_{}{}".format(*capability)
            click.echo(
                f"{kernel:<17}  {name}  {r.registers:9}  {r.spilled_bytes:13}  {r.dp4a:4}  {r.fused:5}  "
                f"{r.flushing:8}  {r.barriers:8}  {r.divisions:9}  {'-' if r.loop_loads is None else r.loop_loads:>13}"
            )


if __name__ == "__main__":
    main()
