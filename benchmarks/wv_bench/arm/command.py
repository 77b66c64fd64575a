"""What the ARM builds cost, told without an ARM core: executed instructions, cycles by llvm-mca, real-time factors.

1. Executed instructions of each stage come from qemu (emulate.py).
2. llvm-mca says how many cycles their blocks take on a core (mca.py). Their sum, and one mispredicted branch a block
   row, are the cycles of a stage: ESTIMATES, of a core whose loads all hit the L1.
3. Fitted to them as wv-bench --calibrate fits a measured machine, that is the device profile of a core for wv-predict,
   which adds the time to read the weights. Its real-time factor is the one that is told, with its range.

Usage: ``python -m wv_bench.arm`` (or ``make arm-bench``); needs qemu-user, a cross gcc, cmake, LLVM 16 or newer
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from wv_runtime.commands.common import BLOCK, INTEGERS, Command
from wv_runtime.engine.batch import check_lanes
from wv_runtime.model.blocks import block_name, default_block
from wv_runtime.model.layout import DTYPES

from wv_bench import cost
from wv_bench.arm.cores import AARCH64, CORES, TARGETS, Core, Target
from wv_bench.arm.emulate import Counts, Emulated, disassemble, instructions, loop_per_16_macs
from wv_bench.arm.mca import Mca
from wv_bench.calibrate import FITTED, calibrate
from wv_bench.cost import STAGES, Machine
from wv_bench.measure import STAGE_IDS, Case
from wv_bench.synthetic import synthetic_config, synthetic_model

WHOLE = -1  # arm_stage's name for mels to PCM
SAMPLE_RATE = 24000


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
    """One sample on a core: llvm-mca's time, the time to read, and what wv-predict makes of the core's profile."""
    core, n_bytes = CORES[name], cost.footprint(case.ops)
    kernel, reading, fitted = dict(ns), dict.fromkeys(STAGES, 0.0), 0.0
    kernel["condition"] /= case.config.mel.hop_length
    for op in case.ops:
        reading[op.stage] += 1e9 * op.per_sample * cost.reading(op, machine, n_bytes)
        fitted += 1e9 * op.per_sample * sum(cost.kernel(op, machine))
    least, most = cost.limits(case.ops, machine)
    return {
        "core": name, "mca": core.mca, "hz": core.hz, "dtype": case.dtype, "block": block_name(case.ops[0].block),
        "cycles": 1e-9 * core.hz * sum(kernel.values()), "stages_ns": kernel, "reading_ns": reading,
        "rtf": SAMPLE_RATE * sum(cost.total(case.ops, machine)), "rtf_least": SAMPLE_RATE * least,
        "rtf_most": SAMPLE_RATE * most, "profile_over_cycles": fitted / max(sum(kernel.values()), 1e-9),
    }  # fmt: skip


@click.command("arm", cls=Command)
@click.option("--n-units", default=1024, show_default=True)
@click.option("--n-out", type=int, help="Rows of O1 and O3.  [default: half the units]")
@click.option("--sparsity", default=0.95, show_default=True)
@click.option("--dtype", multiple=True, type=click.Choice(list(DTYPES)), help="[default: all]")
@click.option("--block", type=BLOCK, help="[default: 16x4 for int8, 16x1 else]")
@click.option("--lanes", type=INTEGERS, default="1", metavar="N,..", help="Streams in step; only one is estimated.")
@click.option("--subscale", type=INTEGERS, default="1", metavar="B,..",
              help="Interleaved lanes, with prediction of order 32; only one is estimated.")  # fmt: skip
@click.option("--armv7/--no-armv7", default=True, help="Count on armv7 too.")
@click.option("--mca/--no-mca", default=True, help="Estimate cycles with llvm-mca.")
@click.option("--profiles", metavar="FOLDER", help="Write the device profiles of wv-predict; estimates every dtype.")
@click.option("--json", "as_json", is_flag=True, help="One object.")
def main(
    n_units: int, n_out: int | None, sparsity: float, dtype: tuple[str, ...], block: tuple[int, int] | None,
    lanes: tuple[int, ...], subscale: tuple[int, ...], armv7: bool, mca: bool, profiles: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Executed instructions per sample by stage and dtype, and an estimated real-time factor per core."""
    for n in lanes:
        check_lanes(n)
    mca = mca and 1 in lanes and 1 in subscale
    if max(subscale) > 1 and lanes != (1,):
        raise ValueError("--lanes: found with --subscale, wanted one of them")
    if profiles and not (mca and Path(profiles).is_dir()):
        raise ValueError(f"--profiles: found {profiles}, wanted a folder, and llvm-mca")

    prediction: dict[str, Any] = {"lpc_order": 32} if max(subscale) > 1 else {}

    def synthetic(d: str, b: tuple[int, int] | None, n: int, s: float, B: int = 1) -> Case:  # noqa: N803
        cfg = synthetic_config(n, n_out if n == n_units else None, subscale=B, **prediction)
        return Case(synthetic_model(cfg, s, b or default_block(d), d))

    asked = [synthetic(d, block, n_units, sparsity, B) for d in dtype or tuple(DTYPES) for B in subscale]
    fitted = [synthetic(*c) for c in FITTED if profiles or c[0] in (dtype or DTYPES)] if mca else []
    counted, estimated = [], []
    with tempfile.TemporaryDirectory() as folder:
        emulated = Emulated(Path(folder))
        for target in TARGETS if armv7 else TARGETS[:2]:
            program = emulated.program(target.build)
            text = disassemble(program) if mca and target.build == AARCH64 else {}
            found = [(case, count(emulated, target, case)) for case in asked if 1 in lanes]
            counted += [instruction_result(target, case, counts, text) for case, counts in found]
            counted += [
                instruction_result(target, case, count(emulated, target, case, lanes=n), {}, n)
                for case, n in itertools.product(asked, lanes)
                if n > 1
            ]
            cores = [name for name, core in CORES.items() if core.target == target and mca]
            basis = [(case, count(emulated, target, case, STAGES)) for case in fitted if cores]
            for name in cores:
                model = Mca(text, CORES[name].mca, CORES[name].narrow)
                machine = profile(name, [(case, stage_ns(CORES[name], case, counts, model)) for case, counts in basis])
                for case, counts in found:
                    if case.config.subscale > 1:
                        continue
                    estimated.append(estimate(name, machine, case, stage_ns(CORES[name], case, counts, model)))
                if profiles:
                    cost.save_machine(machine, Path(profiles) / f"{name}.json")
    if as_json:
        click.echo(json.dumps({"sample_rate": SAMPLE_RATE, "instructions": counted, "estimates": estimated}))
        return
    click.echo(f"{n_units} units, n_out {asked[0].config.n_out}, R and O1..O4 {sparsity:.1%} zero, random weights\n")
    click.echo(instruction_table(counted))
    if estimated:
        click.echo(f"\n{estimate_table(estimated)}")


def count(
    emulated: Emulated, target: Target, case: Case, stages: Sequence[str] = ("whole", *STAGES), lanes: int = 1
) -> dict[str, Counts]:
    """Blocks of one run of each stage, of all lanes; "whole" is a mel frame, from mels to PCM."""
    model = emulated.folder / "model.bin"
    model.write_bytes(case.data.tobytes())
    ids = {"whole": WHOLE, **STAGE_IDS}
    return {stage: emulated.per_run(target, model, ids[stage], 1 if stage == "whole" else 4, lanes) for stage in stages}


def instruction_result(
    target: Target, case: Case, counts: dict[str, Counts], text: dict[int, str], lanes: int = 1
) -> dict[str, Any]:
    """One CPU, dtype and number of lanes: executed instructions per sample of a lane, and per 16 multiply-adds of R."""
    hop, R = case.config.mel.hop_length, next(op for op in case.ops if op.name == "R")
    interleaved = case.config.subscale
    stages = {stage: instructions(counts[stage]) / (lanes * interleaved) for stage in STAGES}
    stages["condition"] *= interleaved / hop  # a frame's is all lanes'
    return {
        "processor": target.build.processor, "cpu": target.cpu, "isa": target.isa, "dtype": case.dtype,
        "n_units": case.config.n_units, "n_out": case.config.n_out, "block": block_name(R.block),
        "lanes": lanes * interleaved,
        "instructions_per_sample": instructions(counts["whole"]) / (hop * lanes), "stages": stages,
        "R_per_16_macs": 16 * stages["R"] / R.macs,
        "R_loop_per_16_macs": loop_per_16_macs(counts["R"], text) if text else None,
    }  # fmt: skip


def instruction_table(results: list[dict[str, Any]]) -> str:
    """One line per CPU and dtype."""
    names = f"{'sample':>10}{'R':>10}{'gates':>8}{'O':>8}{'draws':>7}{'cond':>7}"
    lines = [
        "EXECUTED INSTRUCTIONS per sample, by qemu",
        f"{'-cpu':<12}{'isa':<10}{'dtype':<6}{'block':>6}{'lanes':>6}{names}   per 16 MACs of R, of its inner loop",
    ]
    for r in results:
        s, loop = r["stages"], r["R_loop_per_16_macs"]
        lines.append(
            f"{r['cpu']:<12}{r['isa']:<10}{r['dtype']:<6}{r['block']:>6}{r['lanes']:>6}{r['instructions_per_sample']:>10,.0f}"
            f"{s['R']:>10,.0f}{s['gates']:>8,.0f}{s['O']:>8,.0f}{s['sampling']:>7,.0f}{s['condition']:>7,.0f}"
            f"{r['R_per_16_macs']:>15.2f}{f'{loop:.2f}' if loop else '-':>10}"
        )
    return "\n".join(lines)


def estimate_table(results: list[dict[str, Any]]) -> str:
    """One line per core and dtype."""
    names = f"{'cycles':>9}{'R us':>7}{'gates':>7}{'O':>7}{'draws':>7}{'reading':>9}{'RTF':>8}{'range':>15}"
    lines = [
        "ESTIMATES, nothing ran on such a core: cycles by llvm-mca, read rates partly assumed",
        f"{'core':<12}{'GHz':>5} {'dtype':<6}{names}",
    ]
    for r in results:
        us = [1e-3 * r["stages_ns"][stage] for stage in STAGES[:4]]
        lines.append(
            f"{r['core']:<12}{r['hz'] / 1e9:>5.2f} {r['dtype']:<6}{r['cycles']:>9,.0f}"
            f"{''.join(f'{t:>7.1f}' for t in us)}{1e-3 * sum(r['reading_ns'].values()):>9.1f}{r['rtf']:>8.3f}"
            f"{r['rtf_least']:>8.3f}..{r['rtf_most']:.3f}"
        )
    return "\n".join(lines)
