"""What the ARM builds cost, told without an ARM core: executed instructions, cycles by llvm-mca, real-time factors.

1. The C library is cross-built and run under qemu-user with the plugin icount.c, which says how often each block of
   straight-line code ran. Runs with two counts of samples are subtracted: start-up cancels, and the result is exact.
2. llvm-mca says how many cycles such a block takes on a core, repeated. Their sum, and one mispredicted branch a block
   row, are the cycles of a stage: ESTIMATES, of a core whose loads all hit the L1. Loads that LLVM has at 128 bits a
   cycle on a core that reads 64 are given to it as loads of 64 bits.
3. Fitted to them as wv-bench --calibrate fits a measured machine, that is the device profile of a core for wv-predict,
   which adds the time to read the weights.

Usage: ``python benchmarks/arm.py`` (or ``make arm-bench``); needs qemu-user, a cross gcc, cmake, LLVM 16 or newer
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import click
from wv_bench import cost
from wv_bench.bench import FITTED, STAGE_IDS, Case, calibrate
from wv_bench.cost import STAGES, Machine
from wv_bench.synthetic import block_name, parse_block, synthetic_config, synthetic_model
from wv_runtime.commands.common import Command
from wv_runtime.errors import WaveRNNError
from wv_runtime.model.binary import DTYPES

HERE = Path(__file__).parent
LIBWAVERNN = HERE.parent / "runtime/libwavernn"
WHOLE = -1  # arm_stage's name for mels to PCM
SAMPLE_RATE = 24000


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
        return Machine(name, False, self.text(), 4, bandwidth, peaks, *(dict(zero) for _ in range(4)), 0.0)

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
            f"mispredicted branch of {self.mispredict:.0f} cycles a block row; made by benchmarks/arm.py --profiles"
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

# multiply-adds that an instruction of an inner loop does
MACS = {"sdot": 16, "smull": 8, "smull2": 8, "smlal": 8, "smlal2": 8, "fmul": 4}

Counts = dict[tuple[int, int], float]  # (address, instructions) of a block -> how often it ran


def tool(*names: str) -> str:
    """The first of these programs that is installed."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise WaveRNNError(f"{names[0]}: not installed, wanted for benchmarks/arm.py")


def run(command: Sequence[object], **kwargs: Any) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **kwargs)
    if done.returncode:
        raise WaveRNNError(f"{command[0]}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return done.stdout


class Emulated:
    """arm_stage, cross-built once per processor, under qemu with the plugin."""

    def __init__(self, folder: Path):
        self.folder, self.programs = folder, dict[Build, Path]()
        self.plugin = folder / "icount.so"
        run([tool("cc", "gcc", "clang"), "-O2", "-shared", "-fPIC", "-o", self.plugin, HERE / "icount.c"])

    def program(self, build: Build) -> Path:
        if build not in self.programs:
            cmake = shutil.which("cmake", path=str(Path(sys.executable).parent)) or tool("cmake")
            out = self.folder / build.processor
            gcc = tool(build.gcc)
            run([cmake, "-S", LIBWAVERNN, "-B", out, "-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_C_COMPILER={gcc}",
                 f"-DCMAKE_SYSTEM_PROCESSOR={build.processor}"])  # fmt: skip
            run([cmake, "--build", out, "--target", "wavernn_static"])
            self.programs[build] = out / "arm_stage"
            run([gcc, "-O2", "-static", "-o", out / "arm_stage", f"-I{LIBWAVERNN}/include", HERE / "arm_stage.c",
                 out / "libwavernn.a", "-lm"])  # fmt: skip
        return self.programs[build]

    def counts(self, target: Target, model: Path, stage: int, n: int) -> Counts:
        """Blocks that n runs of a stage executed, start-up included."""
        log = self.folder / "counts.txt"
        program = self.program(target.build)
        command = [tool(target.build.qemu), "-cpu", target.cpu, "-plugin", self.plugin, "-d", "plugin", "-D", log]
        isa = run([*command, program, model, stage, n], timeout=300).strip()
        if isa != target.isa:
            raise WaveRNNError(f"{target.cpu}: found ISA {isa}, wanted {target.isa}")
        found: Counts = {}
        for line in log.read_text().splitlines():
            address, n_insns, n_entered = line.split()
            key = int(address, 16), int(n_insns)
            found[key] = found.get(key, 0) + int(n_entered)
        return found

    def per_run(self, target: Target, model: Path, stage: int, n: int = 4) -> Counts:
        """Blocks of one run: what n + 1 runs executed beyond 1."""
        one, more = (self.counts(target, model, stage, k) for k in (1, n + 1))
        changes = {key: (more.get(key, 0) - one.get(key, 0)) / n for key in one | more}
        return {key: change for key, change in changes.items() if change}


def instructions(counts: Counts) -> float:
    return sum(n_insns * n for (_, n_insns), n in counts.items())


def disassemble(program: Path) -> dict[int, str]:
    """Address -> instruction of an AArch64 program, as llvm-mca reads it; none for one that LLVM does not know."""
    text = {}
    for line in run([llvm("objdump"), "-d", "--no-show-raw-insn", "--mattr=+dotprod,+rdm", program]).splitlines():
        if found := re.match(r"\s*([0-9a-f]+):\s+([^<\s][^<]*)", line):
            text[int(found[1], 16)] = _LABEL.sub(r"\1there", found[2].strip())
    return text


def loop_per_16_macs(counts: Counts, text: dict[int, str]) -> float:
    """Instructions per 16 multiply-adds in the block that executes most of them: the inner loop."""

    def macs(block: tuple[int, int]) -> int:
        address, n_insns = block
        return sum(MACS.get(text[address + 4 * k].split()[0], 0) for k in range(n_insns))

    loop = max(counts, key=lambda block: counts[block] * macs(block))
    return 16 * loop[1] / macs(loop)


def llvm(name: str) -> str:
    """An LLVM tool, the newest one; before 16 it knows no Neoverse V1."""
    return tool(*(f"llvm-{name}-{n}" for n in range(24, 15, -1)), f"llvm-{name}")


# the address that a branch or adrp ends with; llvm-mca takes labels only
_LABEL = re.compile(r"^((?:b|bl|b\.\w+|cbn?z|tbn?z|adrp?)\s.*?)0x[0-9a-f]+$")


_BRANCH = re.compile(r"(b|b\.\w+|bl|blr|br|cbn?z|ret|tbn?z|svc)\b")


def joined(counts: Counts, text: dict[int, str]) -> Counts:
    """The blocks, those as one that no branch divides: QEMU ends a block with a page too."""
    whole: Counts = {}
    left = dict(counts)
    for address, n_insns in sorted(counts):
        n, count = n_insns, left.pop((address, n_insns), 0)
        while count and not _BRANCH.match(text.get(address + 4 * n - 4, "ret")):
            following = [key for key in left if key[0] == address + 4 * n and left[key] >= count]
            if not following:
                break
            left[following[0]] -= count
            n += following[0][1]
        if count:
            whole[address, n] = whole.get((address, n), 0) + count
    return whole


def in_64_bits(instruction: str, narrow: Sequence[str]) -> list[str]:
    """A vector load as loads of 64 bits, if it is one of these: two a register of 128."""
    found = re.match(r"(\w+)\s+((?:[{}\s,]*(?:q\d+|v\d+\.\d+\w))+)[\s}]*,\s*(\[(\w+).*)", instruction)
    if not found or found[1] not in narrow:
        return [instruction]
    op, registers, address, base = found.groups()
    names = [f"d{n}" for n in re.findall(r"[qv](\d+)", registers) for _ in range(1 if ".8b" in registers else 2)]
    first = f"{'ldur' if op == 'ldur' else 'ldr'} {names[0]}, {address.replace('lsl #4', 'lsl #3')}"
    return [first, *(f"ldr {name}, [{base}]" for name in names[1:])]


class Mca:
    """llvm-mca's cycles of the blocks of one AArch64 program on one core."""

    def __init__(self, text: dict[int, str], mcpu: str, narrow: Sequence[str] = ()):
        self.text, self.mcpu, self.narrow = text, mcpu, narrow
        self.cycles: dict[tuple[int, int], float] = {}

    def add(self, blocks: set[tuple[int, int]]) -> None:
        """Estimate the blocks that are new: each in a steady state of itself, 100 times."""
        new = sorted(blocks - set(self.cycles))
        if not new:
            return
        lines = []
        for i, (first, n_insns) in enumerate(new):
            addresses = range(first, first + 4 * n_insns, 4)
            if unknown := [a for a in addresses if a not in self.text]:
                raise WaveRNNError(f"llvm-objdump: found at {unknown[0]:#x} an instruction it does not know")
            lines += [f"# LLVM-MCA-BEGIN b{i}", *(t for a in addresses for t in in_64_bits(self.text[a], self.narrow)),
                      "# LLVM-MCA-END"]  # fmt: skip
        command = [llvm("mca"), "-mtriple=aarch64", f"-mcpu={self.mcpu}", "-iterations=100", "--json"]
        regions = json.loads(run(command, input="\n".join(lines) + "\n"))["CodeRegions"]
        for region in regions:
            block = new[int(region["Name"][1:])]
            self.cycles[block] = region["SummaryView"]["TotalCycles"] / 100

    def of(self, counts: Counts) -> float:
        counts = joined(counts, self.text)
        self.add(set(counts))
        return sum(n * self.cycles[block] for block, n in counts.items())


def block_rows(case: Case, stage: str) -> int:
    return sum(op.block_rows for op in case.ops if op.stage == stage)


def stage_ns(core: Core, case: Case, counts: dict[str, Counts], mca: Mca) -> dict[str, float]:
    """Estimated ns per run of each stage, as if everything were in the L1."""
    return {
        stage: 1e9 * (mca.of(counts[stage]) + core.mispredict * block_rows(case, stage)) / core.hz for stage in STAGES
    }


def profile(name: str, rows: list[tuple[Case, dict[str, float]]]) -> Machine:
    """A device profile whose kernel terms give the estimated times of the stages."""
    machine = CORES[name].machine(name)
    free = replace(machine, read_bandwidth=((1.0, 1e15), (2.0, 1e15)), macs_per_s=dict.fromkeys(DTYPES, 1e15))
    fitted = calibrate(free, [(case, {"stages_ns": ns}) for case, ns in rows])
    return replace(fitted, read_bandwidth=machine.read_bandwidth, macs_per_s=machine.macs_per_s)


def estimate(name: str, machine: Machine, case: Case, ns: dict[str, float]) -> dict[str, Any]:
    """One sample on a core: llvm-mca's time, the time to read what it reads, and the two overlapped or not."""
    core, n_bytes = CORES[name], cost.footprint(case.ops)
    kernel, reading = dict(ns), dict.fromkeys(STAGES, 0.0)
    kernel["condition"] /= case.config.mel.hop_length
    for op in case.ops:
        reading[op.stage] += 1e9 * op.per_sample * op.n_bytes / machine.bandwidth(n_bytes)
    overlapped = sum(max(kernel[s], reading[s]) for s in STAGES)
    return {
        "core": name, "mca": core.mca, "hz": core.hz, "dtype": case.dtype, "block": block_name(case.ops[0].block),
        "cycles": 1e-9 * core.hz * sum(kernel.values()), "stages_ns": kernel, "reading_ns": reading,
        "rtf": 1e-9 * SAMPLE_RATE * overlapped,
        "rtf_nothing_overlapped": 1e-9 * SAMPLE_RATE * (sum(kernel.values()) + sum(reading.values())),
        "profile_over_estimate": 1e9 * sum(cost.total(case.ops, machine)) / overlapped,
    }  # fmt: skip


@click.command("arm", cls=Command)
@click.option("--hidden", default=1024, show_default=True)
@click.option("--n-out", type=int, help="Rows of O1 and O3.  [default: half the units]")
@click.option("--sparsity", default=0.95, show_default=True)
@click.option("--dtype", multiple=True, type=click.Choice(list(DTYPES)), help="[default: all]")
@click.option("--block", metavar="HxW", help="[default: 16x4 for int8, 16x1 else]")
@click.option("--armv7/--no-armv7", default=True, help="Count on armv7 too.")
@click.option("--mca/--no-mca", default=True, help="Estimate cycles with llvm-mca.")
@click.option("--profiles", metavar="FOLDER", help="Write the device profiles of wv-predict; estimates every dtype.")
@click.option("--json", "as_json", is_flag=True, help="One object.")
def main(
    hidden: int, n_out: int | None, sparsity: float, dtype: tuple[str, ...], block: str | None, armv7: bool, mca: bool,
    profiles: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Executed instructions per sample by stage and dtype, and an estimated real-time factor per core."""
    if profiles and not (mca and Path(profiles).is_dir()):
        raise ValueError(f"--profiles: found {profiles}, wanted a folder, and llvm-mca")

    def synthetic(d: str, b: str | None, n: int, s: float) -> Case:
        shape = parse_block(b or ("16x4" if d == "int8" else "16x1"))
        return Case(synthetic_model(synthetic_config(n, n_out if n == hidden else None), s, shape, d))

    asked = [synthetic(d, block, hidden, sparsity) for d in dtype or tuple(DTYPES)]
    fitted = [synthetic(*c) for c in FITTED if profiles or c[0] in (dtype or DTYPES)] if mca else []
    counted, estimated = [], []
    with tempfile.TemporaryDirectory() as folder:
        emulated = Emulated(Path(folder))
        for target in TARGETS if armv7 else TARGETS[:2]:
            program = emulated.program(target.build)
            text = disassemble(program) if mca and target.build == AARCH64 else {}
            found = [(case, count(emulated, target, case)) for case in asked]
            counted += [instruction_result(target, case, counts, text) for case, counts in found]
            cores = [name for name, core in CORES.items() if core.target == target and mca]
            basis = [(case, count(emulated, target, case, STAGES)) for case in fitted if cores]
            for name in cores:
                model = Mca(text, CORES[name].mca, CORES[name].narrow)
                machine = profile(name, [(case, stage_ns(CORES[name], case, counts, model)) for case, counts in basis])
                for case, counts in found:
                    estimated.append(estimate(name, machine, case, stage_ns(CORES[name], case, counts, model)))
                if profiles:
                    cost.save_machine(machine, Path(profiles) / f"{name}.json")
    if as_json:
        click.echo(json.dumps({"sample_rate": SAMPLE_RATE, "instructions": counted, "estimates": estimated}))
        return
    click.echo(f"{hidden} units, n_out {asked[0].config.n_out}, R and O1..O4 {sparsity:.1%} zero, random weights\n")
    click.echo(instruction_table(counted))
    if estimated:
        click.echo(f"\n{estimate_table(estimated)}")


def count(
    emulated: Emulated, target: Target, case: Case, stages: Sequence[str] = ("whole", *STAGES)
) -> dict[str, Counts]:
    """Blocks of one run of each stage; "whole" is a mel frame, from mels to PCM."""
    model = emulated.folder / "model.bin"
    model.write_bytes(case.data.tobytes())
    ids = {"whole": WHOLE, **STAGE_IDS}
    return {stage: emulated.per_run(target, model, ids[stage], 1 if stage == "whole" else 4) for stage in stages}


def instruction_result(target: Target, case: Case, counts: dict[str, Counts], text: dict[int, str]) -> dict[str, Any]:
    """One CPU and dtype: executed instructions per sample, and per 16 multiply-adds of R."""
    hop, R = case.config.mel.hop_length, next(op for op in case.ops if op.name == "R")
    stages = {stage: instructions(counts[stage]) for stage in STAGES}
    stages["condition"] /= hop
    return {
        "processor": target.build.processor, "cpu": target.cpu, "isa": target.isa, "dtype": case.dtype,
        "hidden": case.config.n_units, "n_out": case.config.n_out, "block": block_name(R.block),
        "instructions_per_sample": instructions(counts["whole"]) / hop, "stages": stages,
        "R_per_16_macs": 16 * stages["R"] / R.macs,
        "R_loop_per_16_macs": loop_per_16_macs(counts["R"], text) if text else None,
    }  # fmt: skip


def instruction_table(results: list[dict[str, Any]]) -> str:
    """One line per CPU and dtype."""
    names = f"{'sample':>10}{'R':>10}{'gates':>8}{'O':>8}{'draws':>7}{'cond':>7}"
    lines = [
        "EXECUTED INSTRUCTIONS per sample, by qemu",
        f"{'-cpu':<12}{'isa':<10}{'dtype':<6}{'block':>6}{names}   per 16 MACs of R, of its inner loop",
    ]
    for r in results:
        s, loop = r["stages"], r["R_loop_per_16_macs"]
        lines.append(
            f"{r['cpu']:<12}{r['isa']:<10}{r['dtype']:<6}{r['block']:>6}{r['instructions_per_sample']:>10,.0f}"
            f"{s['R']:>10,.0f}{s['gates']:>8,.0f}{s['O']:>8,.0f}{s['sampling']:>7,.0f}{s['condition']:>7,.0f}"
            f"{r['R_per_16_macs']:>15.2f}{f'{loop:.2f}' if loop else '-':>10}"
        )
    return "\n".join(lines)


def estimate_table(results: list[dict[str, Any]]) -> str:
    """One line per core and dtype."""
    names = f"{'cycles':>9}{'R us':>7}{'gates':>7}{'O':>7}{'draws':>7}{'reading':>9}{'RTF':>8}"
    lines = [
        "ESTIMATES, nothing ran on such a core: cycles by llvm-mca, read rates partly assumed",
        f"{'core':<12}{'GHz':>5} {'dtype':<6}{names}   if reading overlaps nothing",
    ]
    for r in results:
        us = [1e-3 * r["stages_ns"][stage] for stage in STAGES[:4]]
        lines.append(
            f"{r['core']:<12}{r['hz'] / 1e9:>5.2f} {r['dtype']:<6}{r['cycles']:>9,.0f}"
            f"{''.join(f'{t:>7.1f}' for t in us)}{1e-3 * sum(r['reading_ns'].values()):>9.1f}{r['rtf']:>8.3f}"
            f"{r['rtf_nothing_overlapped']:>15.3f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
