"""What the CUDA kernels compile to: registers, spills and fused operations, for GPUs that are not at hand.

It wants numba-cuda with its toolkit (``pip install 'wavernn[cuda]'``), no GPU and no driver.

Usage: ``python -m wv_bench.gpu_resources``
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click
from wv_runtime.commands.common import Command
from wv_runtime.engine.cuda import NO_OPT_IN, Image, check_package

from wv_bench.synthetic import synthetic_config, synthetic_model

CAPABILITIES = ((7, 5), (8, 0), (8, 6), (9, 0))  # T4, A100, RTX 30, H100


KERNELS = ("sample_block", "condition_block")


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


def kernel_of(name: str) -> tuple[Any, Any, int]:
    """A kernel, the types of its arguments, which are the same for every model, and the most threads of a block."""
    from numba import types as t
    from numba.cuda.typing.typeof import typeof
    from wv_runtime.engine.kernels import condition, persistent

    image = Image(synthetic_model(synthetic_config(64, 16)), NO_OPT_IN)
    i16, i32, i64, u64, f32 = t.int16, t.int32, t.int64, t.uint64, t.float32
    matrices = (i32[::1], i64[::1], i32[::1], f32[::1])
    conditioning = (i16[:, ::1], i16[:, ::1], i64[:, ::1])
    if name == "condition_block":
        once = (f32[::1], i32[::1], i32[::1], f32[::1], f32[:, ::1], f32[:, ::1], i32[:, ::1])
        types = t.void(typeof(image.condition), *matrices, *once, *conditioning)
        return condition.condition_block, types, condition.THREADS
    state = (i32[:, ::1], i64[:, ::1], f32[:, ::1], i16[:, ::1], i16[:, ::1], i16[:, ::1])
    types = t.void(
        typeof(image.net), *matrices, i64[::1], i16[::1], u64[::1], f32[::1], i32[::1], *conditioning, *state
    )
    return persistent.sample_block, types, persistent.MAX_THREADS


def ptx_of(name: str, capability: tuple[int, int]) -> str:
    """The PTX of a kernel."""
    from numba import cuda

    kernel, types, max_threads = kernel_of(name)
    with pretended(capability):
        ptx, _ = cuda.compile(
            kernel.py_func, types, device=False, abi="numba", cc=capability, launch_bounds=(max_threads,)
        )
    return str(ptx)


def resources(name: str, capability: tuple[int, int]) -> Resources:
    """Compile a kernel for a compute capability."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    ptx = ptx_of(name, capability)
    options = LinkerOptions(arch="sm_{}{}".format(*capability), ptxas_options=["-v"])
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    linker.link("cubin")
    log = linker.get_info_log()
    spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    registers = re.search(r"Used (\d+) registers", log)
    if not spills or not registers:
        raise ValueError(f"nvJitLink: found no registers in its log, {log[:200]!r}")
    return Resources(
        name, capability, int(registers[1]), int(spills[1]) + int(spills[2]), len(re.findall(r"\bdp4a\.", ptx)),
        len(re.findall(r"\b(?:fma|mad)\S*\.f(?:32|64)", ptx)), ptx.count(".ftz"),
        ptx.count("bar.sync"), len(re.findall(r"\b(?:div|rem)\.[su]\d+", ptx)),
    )  # fmt: skip


@click.command("gpu-resources", cls=Command)
def main() -> None:
    """Print registers and spills of the CUDA kernels for several GPUs. None of them has to be there."""
    check_package()
    click.echo("kernel           GPU    registers  spilled bytes  dp4a  fused  flushing  barriers  divisions")
    for kernel in KERNELS:
        for capability in CAPABILITIES:
            r = resources(kernel, capability)
            name = "sm_{}{}".format(*capability)
            click.echo(
                f"{kernel:<15}  {name}  {r.registers:9}  {r.spilled_bytes:13}  {r.dp4a:4}  {r.fused:5}  "
                f"{r.flushing:8}  {r.barriers:8}  {r.divisions:9}"
            )


if __name__ == "__main__":
    main()
