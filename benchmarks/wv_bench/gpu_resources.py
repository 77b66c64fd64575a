"""What the CUDA kernel compiles to: registers, spills and fused operations, for GPUs that are not at hand.

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


@dataclass(frozen=True)
class Resources:
    """Of sample_block, compiled for one compute capability."""

    capability: tuple[int, int]
    registers: int
    spilled_bytes: int  # stores and loads
    dp4a: int  # instructions in the PTX
    fused: int  # float multiply-adds in the PTX: there must be none
    flushing: int  # operations that flush subnormals: none either
    barriers: int  # in the PTX; two of them are not in the sample loop
    divisions: int  # of integers, in the PTX: slow, so none of them is in the sample loop


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


def signature() -> Any:
    """Of sample_block. The types of its arguments are the same for every model."""
    from numba import types as t
    from numba.cuda.typing.typeof import typeof

    net = Image(synthetic_model(synthetic_config(64, 16)), NO_OPT_IN).net
    i16, i32, i64, u64, f32 = t.int16, t.int32, t.int64, t.uint64, t.float32
    model = (typeof(net), i32[::1], i32[::1], f32[::1], i64[::1])
    streams = (u64[::1], f32[::1], i32[::1], i16[:, ::1], i16[:, ::1], i64[:, ::1], i32[:, ::1])
    state = (i64[:, ::1], f32[:, ::1], i16[:, ::1], i16[:, ::1], i16[:, ::1])
    return t.void(*model, *streams, *state)


def ptx_of(capability: tuple[int, int]) -> str:
    """The PTX of sample_block."""
    from numba import cuda
    from wv_runtime.engine.kernels import persistent

    with pretended(capability):
        ptx, _ = cuda.compile(
            persistent.sample_block.py_func, signature(), device=False, abi="numba", cc=capability,
            launch_bounds=(persistent.MAX_THREADS,),
        )  # fmt: skip
    return str(ptx)


def resources(capability: tuple[int, int]) -> Resources:
    """Compile for a compute capability."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    ptx = ptx_of(capability)
    options = LinkerOptions(arch="sm_{}{}".format(*capability), ptxas_options=["-v"])
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    linker.link("cubin")
    log = linker.get_info_log()
    spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    registers = re.search(r"Used (\d+) registers", log)
    if not spills or not registers:
        raise ValueError(f"nvJitLink: found no registers in its log, {log[:200]!r}")
    return Resources(
        capability, int(registers[1]), int(spills[1]) + int(spills[2]), len(re.findall(r"\bdp4a\.", ptx)),
        len(re.findall(r"\b(?:fma|mad)\S*\.f(?:32|64)", ptx)), ptx.count(".ftz"),
        ptx.count("bar.sync"), len(re.findall(r"\b(?:div|rem)\.[su]\d+", ptx)),
    )  # fmt: skip


@click.command("gpu-resources", cls=Command)
def main() -> None:
    """Print registers and spills of the CUDA kernel for several GPUs. None of them has to be there."""
    check_package()
    click.echo("GPU    registers  spilled bytes  dp4a  fused  flushing  barriers  divisions")
    for capability in CAPABILITIES:
        r = resources(capability)
        name = "sm_{}{}".format(*capability)
        click.echo(
            f"{name}  {r.registers:9}  {r.spilled_bytes:13}  {r.dp4a:4}  {r.fused:5}  {r.flushing:8}  "
            f"{r.barriers:8}  {r.divisions:9}"
        )


if __name__ == "__main__":
    main()
