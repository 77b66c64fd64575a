"""The ARM cores that are estimated, by published figures, and the CPUs that qemu plays for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from wv_runtime.model.layout import DTYPES

from wv_bench.cost import Machine


class Build(NamedTuple):
    """A processor as CMake names it, its compiler and emulator."""

    processor: str
    gcc: str
    qemu: str


AARCH64 = Build("aarch64", "aarch64-linux-gnu-gcc", "qemu-aarch64")
ARMV7 = Build("armv7l", "arm-linux-gnueabihf-gcc", "qemu-arm")


class Target(NamedTuple):
    """A CPU that qemu has, and the ISA that the library must choose on it."""

    build: Build
    cpu: str
    isa: str


TARGETS = [Target(AARCH64, "cortex-a76", "neon_dot"), Target(AARCH64, "cortex-a53", "neon"),
           Target(ARMV7, "cortex-a15", "neon")]  # fmt: skip
_INSN = "github.com/ocxtal/insn_bench_aarch64, results/"
_SBC = "github.com/ThomasKaiser/sbc-bench, results/reviews/"
_CACHES = "github.com/pytorch/cpuinfo, src/arm/cache.c"
_RK1 = "github.com/ThomasKaiser/sbc-bench, results/1Xuf1O1.txt"
_BUSSPEED = "github.com/EntityFX/anybench, results/qualcomm-arm-snapdragon_625_xiaomi-note4x/busspeedIL_arm-armv8-a_O2"


@dataclass(frozen=True)
class Core:
    """A core of one chip, by published figures; llvm-mca's model of it, or of the nearest core that it models.

    loads, fmul : 128-bit loads, float multiplications or additions per cycle
    int8_macs   : multiply-adds per cycle, from the products and additions they take
    caches      : bytes of L1, L2, L3 (0: none)
    dram        : bytes/s that one core reads
    mispredict  : cycles of a mispredicted branch
    narrow      : loads that LLVM takes for twice as fast as 64 bits a cycle
    measured    : (footprint in bytes, bytes/s) behind the L1; else assumed
    """

    target: Target
    mca: str
    hz: float
    loads: float
    int8_macs: float  # per cycle
    fmul: float
    caches: tuple[int, int, int]
    dram: float  # bytes/s, one core
    mispredict: float
    source: str
    narrow: tuple[str, ...] = ()
    measured: tuple[tuple[int, float], ...] = ()

    def machine(self, name: str) -> Machine:
        """Bandwidths and peaks; nothing fitted yet."""
        l1, l2, l3 = self.caches
        rate = 16 * self.loads * self.hz
        points = [(l1, rate), *self.measured] if self.measured else [(l1, rate), (2 * l1, rate / 2), (l2, rate / 2)]
        if l3 and not self.measured:
            points += [(2 * l2, max(rate / 4, self.dram)), (l3, max(rate / 4, self.dram))]
        points.append((2 * (l3 or l2), self.dram))
        flops = 4 * self.hz * self.fmul / 2  # a multiplication and an addition, each rounded
        peaks = {"f32": flops, "f16": flops, "int8": self.int8_macs * self.hz}
        zero = dict.fromkeys(DTYPES, 0.0)
        bandwidth = tuple((float(n), float(r)) for n, r in points)
        return Machine(
            name, False, self.text(), 4, bandwidth, peaks, dict(zero), dict(zero), dict(zero), dict(zero), 0.0
        )

    def text(self) -> str:
        """Where each field comes from."""
        behind = "as above" if self.measured else (
            "no figure found, ASSUMED half of that from the L2, from the L3 a quarter or what the DRAM gives"
        )  # fmt: skip
        return (
            f"ESTIMATE, no such core was run. {self.source}. macs_per_s and read_bandwidth from the L1: those "
            f"throughputs times the clock; read_bandwidth behind the L1: {behind}; "
            "vector_s, block_s, block_row_s, unit_s, draw_s: "
            f"fitted to the cycles that llvm-mca -mcpu={self.mca} gives the blocks that qemu executed, plus a "
            f"mispredicted branch of {self.mispredict:.0f} cycles a block row; "
            "made by python -m wv_bench.arm --profiles"
        )


_A76, _A53, _ = TARGETS
CORES = {
    "cortex-a53": Core(
        _A53, "cortex-a53", 1.8e9, 0.5, 16 / 5, 1, (32 << 10, 1 << 20, 0), 1.5e9, 8,
        f"Snapdragon 450: 1.8 GHz, L2 of 1 MB ({_CACHES}); two instructions a cycle in order; a 128-bit load or "
        f"sadalp takes 2 cycles, an smull, addp, fadd or fmul one, measured ({_INSN}raspberry-pi-3_cortex-a53.md),"
        " and 16 int8 products take 2 smull, an addp and an sadalp; L2: lines of which one word was read, on a "
        f"Snapdragon 625 of 2.0 GHz, the same chip but for the clock ({_BUSSPEED}, Inc16), times 0.9; DRAM: memchr on "
        f"an Allwinner H618 ({_SBC}OrangePi-Zero3.md); mispredicted branch: assumed, the depth of the pipeline",
        narrow=("ldr", "ldur", "ldp", "ld1"),
        measured=((64 << 10, 9.6e9), (128 << 10, 8.9e9), (512 << 10, 8.8e9), (1 << 20, 4.7e9)),
    ),
    "cortex-a55": Core(
        _A76, "cortex-a55", 1.8e9, 0.5, 16, 1, (32 << 10, 128 << 10, 3 << 20), 7.2e9, 8,
        f"RK3588: 1.8 GHz, L2 of 128 KB, L3 of 3 MB; two instructions a cycle in order; 64 bits a "
        "cycle from the L1 (Arm Cortex-A55 TRM, A6.1); a 128-bit sdot, fadd or fmul each cycle (LLVM's "
        "AArch64SchedA55.td, after Arm's optimization guide); L2, L3: ramlat on it, eight chains of dependent loads, "
        f"a line of 64 bytes each, at random; DRAM: 'NEON LDP load' ({_RK1}, cpu0);"
        " mispredicted branch: assumed, the depth of the pipeline",
        narrow=("ldr", "ldur"),
        measured=((64 << 10, 14.4e9), (128 << 10, 12.8e9), (256 << 10, 10.5e9), (512 << 10, 9.8e9), (1 << 20, 9.7e9),
                  (2 << 20, 8.2e9)),
    ),
    "cortex-a76": Core(
        _A76, "neoverse-n1", 2.6e9, 2, 32, 2, (64 << 10, 512 << 10, 4 << 20), 14.4e9, 11,
        f"Kirin 980: 2.6 GHz, L2 of 512 KB, L3 of 4 MB ({_CACHES}); out of order, 4 instructions decoded a cycle; "
        "two 128-bit loads, sdot, fadd, fmul each cycle, measured on its server sibling Neoverse N1 "
        f"({_INSN}aws_graviton2.md), which stands in for it in llvm-mca too; DRAM: memchr on an RK3588 "
        f"({_SBC}Radxa-Rock-5B.md); mispredicted branch: 11 cycles, the depth of the pipeline (AnandTech, Cortex "
        "A76)",
    ),
    "cortex-x1": Core(
        _A76, "neoverse-v1", 2.84e9, 3, 64, 4, (64 << 10, 1 << 20, 4 << 20), 14.4e9, 10,
        "Snapdragon 888: 2.84 GHz, L2 of 1 MB, L3 of 4 MB; out of order, 5 instructions decoded a cycle; three "
        "128-bit loads, four sdot, fadd, fmul each cycle, measured on a Snapdragon 8cx Gen 3 "
        f"({_INSN}snapdragon_8cx_gen3_x1.md); llvm-mca models its server sibling Neoverse V1; DRAM: no figure "
        "found, ASSUMED that of the Cortex-A76; mispredicted branch: 10 cycles, the depth of the pipeline "
        "(Wikipedia, Cortex-X1)",
    ),
}  # fmt: skip
