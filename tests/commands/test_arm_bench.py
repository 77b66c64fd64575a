"""wv_bench.arm: counts add up and repeat, estimates follow from them. Needs qemu-user, a cross gcc and LLVM."""

from __future__ import annotations

import json
import shutil

import pytest
from wv_bench import cost, predict
from wv_bench.arm import command as arm
from wv_bench.arm import emulate, mca
from wv_bench.cost import STAGES
from wv_bench.measure import Case
from wv_bench.synthetic import synthetic_config, synthetic_model
from wv_runtime.errors import WaveRNNError

pytestmark = pytest.mark.slow


def test_the_inner_loop_is_the_block_with_most_macs():
    text = {0: "ldr q0, [x0]", 4: "sdot v1.4s, v0.16b, v2.4b[0]", 8: "b.ne there", 12: "add x0, x0, x1", 16: "ret"}
    assert emulate.loop_per_16_macs({(0, 3): 10.0, (0, 2): 1.0, (12, 2): 1000.0}, text) == 3


def test_branches_get_labels():
    branches = ("b.hs\t0x4c", "tbz\tw0, #0x1, 0x40", "adrp\tx0, 0x4000", "cbnz\tx1, 0x0")
    there = [emulate._LABEL.sub(r"\1there", branch) for branch in branches]
    assert there == ["b.hs\tthere", "tbz\tw0, #0x1, there", "adrp\tx0, there", "cbnz\tx1, there"]
    assert emulate._LABEL.sub(r"\1there", "and\tx0, x1, #0xff") == "and\tx0, x1, #0xff"


def test_wide_loads_become_loads_of_64_bits():
    loads = ("ldr", "ldp", "ld1")
    assert mca.in_64_bits("ldr\tq3, [x1, x2, lsl #4]", loads) == ["ldr d3, [x1, x2, lsl #3]", "ldr d3, [x1]"]
    assert mca.in_64_bits("ldp\tq1, q2, [x0], #32", loads) == [
        "ldr d1, [x0], #32",
        *("ldr d1, [x0]", "ldr d2, [x0]", "ldr d2, [x0]"),
    ]
    assert len(mca.in_64_bits("ld1\t{ v0.16b, v1.16b, v2.16b, v3.16b }, [x0]", loads)) == 8
    for kept in ("ldr\td0, [x1]", "ldp\tx1, x2, [x0]", "str\tq0, [x1]", "sdot\tv0.4s, v1.16b, v2.4b[0]"):
        assert mca.in_64_bits(kept, loads) == [kept]
    assert mca.in_64_bits("ldp\tq1, q2, [x0]", ("ldr",)) == ["ldp\tq1, q2, [x0]"]


def test_a_block_cut_without_a_branch_is_one():
    text = {0: "add x0, x0, x1", 4: "add x0, x0, x1", 8: "b.ne there", 12: "bl there", 16: "ret"}
    assert mca.joined({(0, 1): 3.0, (4, 2): 5.0, (12, 1): 2.0, (16, 1): 2.0}, text) == {
        (0, 3): 3.0, (4, 2): 2.0, (12, 1): 2.0, (16, 1): 2.0
    }  # fmt: skip
    assert mca.joined({(0, 1): 3.0, (4, 2): 2.0}, text) == {(0, 1): 3.0, (4, 2): 2.0}


def test_an_instruction_that_llvm_does_not_know_is_no_free_one(monkeypatch):
    listing = "  400:\t \tadd\tx0, x0, x1\n  404:\t \t<unknown>\n"
    monkeypatch.setattr(emulate, "run", lambda *args, **kwargs: listing)
    monkeypatch.setattr(emulate, "llvm", lambda name: name)
    text = emulate.disassemble("program")
    assert text == {0x400: "add\tx0, x0, x1"}
    with pytest.raises(WaveRNNError, match="found at 0x404 an instruction it does not know"):
        mca.Mca(text, "cortex-a55").of({(0x400, 2): 1.0})


def test_one_estimate_by_one_method():
    case = Case(synthetic_model(synthetic_config(128), 0.5, (16, 4), "int8"))
    machine = cost.load_machine("cortex-a76")
    found = arm.estimate("cortex-a76", machine, case, dict.fromkeys(STAGES, 1e6))
    told = predict.predict(predict.Network("", case.ops), machine, 24000)
    assert [found[key] for key in ("rtf", "rtf_least", "rtf_most")] == [
        pytest.approx(told[key]) for key in ("rtf", "rtf_least", "rtf_most")
    ]
    assert found["cycles"] == pytest.approx(2.6e9 * 1e-3 * (4 + 1 / case.config.mel.hop_length))


def test_a_missing_tool_is_one_line(command, monkeypatch):
    monkeypatch.setattr(emulate.shutil, "which", lambda name, **kwargs: None)
    result = command(arm.main, "--dtype", "int8", "--n-units", 64, "--no-mca")
    assert (result.code, result.err) == (1, "arm: error: cc: not installed, wanted for python -m wv_bench.arm\n")


def test_profiles_want_a_folder(command):
    assert command(arm.main, "--profiles", "nowhere").code == 2


def test_counts_and_estimates(command):
    for program in ("cc", "qemu-aarch64", "aarch64-linux-gnu-gcc"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    has_mca = any(shutil.which(f"llvm-mca{suffix}") for suffix in ("", *(f"-{n}" for n in range(16, 25))))
    args = ["--n-units", 256, "--sparsity", 0.9, "--dtype", "int8", "--no-armv7", "--lanes", "1,4", "--json"]
    result = command(arm.main, *args, *([] if has_mca else ["--no-mca"]))
    assert result.code == 0, result.err
    report = json.loads(result.out)
    dot, dot_4, no_dot, no_dot_4 = report["instructions"]
    assert (dot["isa"], no_dot["isa"]) == ("neon_dot", "neon")
    assert [r["lanes"] for r in report["instructions"]] == [1, 4, 1, 4]
    assert dot_4["stages"]["R"] < dot["stages"]["R"] and no_dot_4["stages"]["O"] < no_dot["stages"]["O"]
    for r in report["instructions"]:
        assert sum(r["stages"].values()) == pytest.approx(r["instructions_per_sample"], rel=0.05)
        assert all(n > 100 for n in r["stages"].values())
    assert all(dot["stages"][s] < no_dot["stages"][s] for s in ("R", "O", "gates"))  # gates: sqrdmlah
    if not has_mca:
        pytest.skip("llvm-mca 16 or newer is not installed")
    assert 1 < dot["R_loop_per_16_macs"] < no_dot["R_loop_per_16_macs"]
    estimates = {r["core"]: r for r in report["estimates"]}
    assert set(estimates) == set(arm.CORES)
    assert 0 < estimates["cortex-x1"]["rtf"] < estimates["cortex-a76"]["rtf"] < estimates["cortex-a55"]["rtf"] < 5
    for r in estimates.values():
        assert r["rtf_least"] <= r["rtf"] < r["rtf_most"] and 0.7 < r["profile_over_cycles"] < 1.4
