"""benchmarks/arm.py: counts add up and repeat, estimates follow from them. Needs qemu-user, a cross gcc and LLVM."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys

import pytest
from conftest import ROOT
from wv_bench import cost
from wv_bench.cost import STAGES


@pytest.fixture(scope="module")
def arm():
    spec = importlib.util.spec_from_file_location("arm", ROOT / "benchmarks/arm.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["arm"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["arm"]


def test_the_inner_loop_is_the_block_with_most_macs(arm):
    text = {0: "ldr q0, [x0]", 4: "sdot v1.4s, v0.16b, v2.4b[0]", 8: "b.ne there", 12: "add x0, x0, x1", 16: "ret"}
    assert arm.loop_per_16_macs({(0, 3): 10.0, (0, 2): 1.0, (12, 2): 1000.0}, text) == 3


def test_branches_get_labels(arm):
    branches = ("b.hs\t0x4c", "tbz\tw0, #0x1, 0x40", "adrp\tx0, 0x4000", "cbnz\tx1, 0x0")
    there = [arm._LABEL.sub(r"\1there", branch) for branch in branches]
    assert there == ["b.hs\tthere", "tbz\tw0, #0x1, there", "adrp\tx0, there", "cbnz\tx1, there"]
    assert arm._LABEL.sub(r"\1there", "and\tx0, x1, #0xff") == "and\tx0, x1, #0xff"


def test_wide_loads_become_loads_of_64_bits(arm):
    loads = ("ldr", "ldp", "ld1")
    assert arm.in_64_bits("ldr\tq3, [x1, x2, lsl #4]", loads) == ["ldr d3, [x1, x2, lsl #3]", "ldr d3, [x1]"]
    assert arm.in_64_bits("ldp\tq1, q2, [x0], #32", loads) == [
        "ldr d1, [x0], #32",
        *("ldr d1, [x0]", "ldr d2, [x0]", "ldr d2, [x0]"),
    ]
    assert len(arm.in_64_bits("ld1\t{ v0.16b, v1.16b, v2.16b, v3.16b }, [x0]", loads)) == 8
    for kept in ("ldr\td0, [x1]", "ldp\tx1, x2, [x0]", "str\tq0, [x1]", "sdot\tv0.4s, v1.16b, v2.4b[0]"):
        assert arm.in_64_bits(kept, loads) == [kept]
    assert arm.in_64_bits("ldp\tq1, q2, [x0]", ("ldr",)) == ["ldp\tq1, q2, [x0]"]


def test_a_block_cut_without_a_branch_is_one(arm):
    text = {0: "add x0, x0, x1", 4: "add x0, x0, x1", 8: "b.ne there", 12: "bl there", 16: "ret"}
    assert arm.joined({(0, 1): 3.0, (4, 2): 5.0, (12, 1): 2.0, (16, 1): 2.0}, text) == {
        (0, 3): 3.0, (4, 2): 2.0, (12, 1): 2.0, (16, 1): 2.0
    }  # fmt: skip
    assert arm.joined({(0, 1): 3.0, (4, 2): 2.0}, text) == {(0, 1): 3.0, (4, 2): 2.0}


def test_an_instruction_that_llvm_does_not_know_is_no_free_one(arm, monkeypatch):
    listing = "  400:\t \tadd\tx0, x0, x1\n  404:\t \t<unknown>\n"
    monkeypatch.setattr(arm, "run", lambda *args, **kwargs: listing)
    monkeypatch.setattr(arm, "llvm", lambda name: name)
    text = arm.disassemble("program")
    assert text == {0x400: "add\tx0, x0, x1"}
    with pytest.raises(arm.WaveRNNError, match="found at 0x404 an instruction it does not know"):
        arm.Mca(text, "cortex-a55").of({(0x400, 2): 1.0})


def test_reading_hides_behind_computing_or_not(arm):
    case = arm.Case(arm.synthetic_model(arm.synthetic_config(128), 0.5, (16, 4), "int8"))
    machine = cost.load_machine("cortex-a76")
    slow = arm.estimate("cortex-a76", machine, case, dict.fromkeys(STAGES, 1e6))
    assert slow["rtf"] == pytest.approx(1e-9 * 24000 * 1e6 * (4 + 1 / case.config.mel.hop_length))
    fast = arm.estimate("cortex-a76", machine, case, dict.fromkeys(STAGES, 0.0))
    assert fast["rtf"] == pytest.approx(1e-9 * 24000 * sum(fast["reading_ns"].values())) and fast["cycles"] == 0
    assert slow["rtf_nothing_overlapped"] == pytest.approx(slow["rtf"] + fast["rtf"])


def test_a_missing_tool_is_one_line(arm, command, monkeypatch):
    monkeypatch.setattr(arm.shutil, "which", lambda name, **kwargs: None)
    result = command(arm.main, "--dtype", "int8", "--hidden", 64, "--no-mca")
    assert (result.code, result.err) == (1, "arm: error: cc: not installed, wanted for benchmarks/arm.py\n")


def test_profiles_want_a_folder(arm, command):
    assert command(arm.main, "--profiles", "nowhere").code == 2


def test_counts_and_estimates(arm, command):
    for program in ("cc", "qemu-aarch64", "aarch64-linux-gnu-gcc"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    mca = any(shutil.which(f"llvm-mca{suffix}") for suffix in ("", *(f"-{n}" for n in range(16, 25))))
    args = ["--hidden", 256, "--sparsity", 0.9, "--dtype", "int8", "--no-armv7", "--json"]
    result = command(arm.main, *args, *([] if mca else ["--no-mca"]))
    assert result.code == 0, result.err
    report = json.loads(result.out)
    dot, no_dot = report["instructions"]
    assert (dot["isa"], no_dot["isa"]) == ("neon_dot", "neon")
    for r in (dot, no_dot):
        assert sum(r["stages"].values()) == pytest.approx(r["instructions_per_sample"], rel=0.05)
        assert all(n > 100 for n in r["stages"].values())
    assert all(dot["stages"][s] < no_dot["stages"][s] for s in ("R", "O", "gates"))  # gates: sqrdmlah
    if not mca:
        pytest.skip("llvm-mca 16 or newer is not installed")
    assert 1 < dot["R_loop_per_16_macs"] < no_dot["R_loop_per_16_macs"]
    estimates = {r["core"]: r for r in report["estimates"]}
    assert set(estimates) == set(arm.CORES)
    assert 0 < estimates["cortex-x1"]["rtf"] < estimates["cortex-a76"]["rtf"] < estimates["cortex-a55"]["rtf"] < 5
    for r in estimates.values():
        assert r["rtf"] < r["rtf_nothing_overlapped"] and 0.7 < r["profile_over_estimate"] < 1.4
