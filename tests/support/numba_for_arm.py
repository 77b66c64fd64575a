"""Prints the AArch64 assembly of Numba's sample loop: python numba_for_arm.py MODEL.bin CPU. Nothing of it is run.

Numba compiles for the CPU it runs on; here it is told another one, and what would run the code is taken out.
"""

from __future__ import annotations

import sys
from typing import Any

import llvmlite.binding as llvm

MODEL, CPU = sys.argv[1:]
FEATURES = {"neon": True, **dict.fromkeys(("dotprod", "rdm"), CPU != "cortex-a53")}


class Features(dict[str, bool]):
    def flatten(self, sort: bool = True) -> str:
        return ",".join("-+"[on] + name for name, on in self.items())


class Engine:
    """In place of the JIT: every address it is asked for is made up."""

    def __init__(self, machine: Any):
        self.target_data = machine.target_data

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: 4096


llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
llvm.get_process_triple = llvm.get_default_triple = lambda: "aarch64-unknown-linux-gnu"
llvm.get_host_cpu_name = lambda: CPU
llvm.get_host_cpu_features = lambda: Features(FEATURES)

from numba.core import codegen  # noqa: E402

codegen.ll.create_mcjit_compiler = lambda module, machine, **kwargs: Engine(machine)
codegen.JitEngine = lambda engine: engine
codegen.JITCPUCodegen.set_env = lambda self, name, env: None

import numpy as np  # noqa: E402
from numba import njit, typeof  # noqa: E402
from wv_runtime.engine.kernels import network, wavernn  # noqa: E402
from wv_runtime.model import binary as bin_format  # noqa: E402


@njit(fastmath=False, error_model="numpy")
def loop(net, s, seed, log2e_over_temperature, n, pcm):
    wavernn.sample_loop(net, s, seed, log2e_over_temperature, n, pcm)


model = bin_format.load(MODEL)
arguments = (network.make_net(model), network.make_state(model), np.uint64(0), np.float32(1), 1, np.zeros(1, np.int16))
loop.compile(tuple(typeof(a) for a in arguments))
print(*loop.inspect_asm().values())
