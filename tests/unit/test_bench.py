"""wv-bench: its objects, its arithmetic, synthetic models, and that both backends time the same stages."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from model_fixtures import tiny_config, tiny_model
from wv_bench import bench, calibrate, cost, measure, probe, report
from wv_bench.synthetic import PRUNED, synthetic_config, synthetic_model
from wv_runtime.engine import native as _native
from wv_runtime.engine.kernels import network, stages
from wv_runtime.model.binary import load, pack, parse, save
from wv_runtime.model.blocks import parse_block
from wv_runtime.model.layout import DTYPES

MACHINE = cost.Machine(
    "test", False, "invented", 8, ((1024.0, 8e9), (65536.0, 4e9), (1 << 20, 1e9)),
    dict.fromkeys(DTYPES, 2e9), dict.fromkeys(DTYPES, 1e-9), dict.fromkeys(DTYPES, 0.0), dict.fromkeys(DTYPES, 3e-9),
    dict.fromkeys(DTYPES, 5e-9), 7e-9,
)  # fmt: skip
KEYS = {"backend", "isa", "dtype", "n_units", "sparsity", "block", "samples_per_s", "rtf", "roofline_fraction",
        "stages_ns"}  # fmt: skip


@pytest.fixture(autouse=True)
def library(c_build, monkeypatch):
    monkeypatch.setenv("WV_LIBRARY", str(next(c_build.glob("libwavernn.*[oy]*"))))
    _native.library.cache_clear()
    monkeypatch.setattr(bench, "measure_machine", lambda: MACHINE)
    yield
    _native.library.cache_clear()


@pytest.mark.parametrize(("dtype", "block"), [("int8", (16, 4)), ("f16", (8, 1)), ("f32", (4, 2))])
def test_synthetic_models_are_legal_and_as_sparse_as_asked(dtype, block):
    model = parse(pack(synthetic_model(synthetic_config(128), 0.75, block, dtype)))
    for name, m in model.matrices.items():
        assert m.sparsity == pytest.approx(0.75 if name in PRUNED else 0.0, abs=0.02), name
        assert m.dtype == ("f16" if (dtype, name) == ("int8", "C1") else dtype)
    assert (model.matrices["R"].block_h, model.matrices["R"].block_w) == block
    again = synthetic_model(synthetic_config(128), 0.75, block, dtype)
    assert np.array_equal(again.matrices["R"].values, model.matrices["R"].values)


@pytest.mark.parametrize("change", [{"sparsity": 1.0}, {"dtype": "f64"}, {"block": (16, 1)}, {"block": (5, 4)}])
def test_impossible_synthetic_models(change):
    with pytest.raises(ValueError, match="found"):
        synthetic_model(synthetic_config(128), **{"sparsity": 0.9, "block": (16, 4), "dtype": "int8", **change})


@pytest.mark.parametrize("text", ["16", "x4", "16x", "axb", "-1x4", "16x4x1"])
def test_blocks_that_are_none(text):
    with pytest.raises(ValueError, match="wanted rows x columns"):
        parse_block(text)


def test_each_stage_does_its_part_and_nothing_else():
    model = parse(pack(tiny_model("f32")))
    net, window = network.make_net(model), np.ones(model.config.cond_width * model.config.mel.n_mels, np.float32)
    changed = {}
    for name, stage in measure.STAGE_IDS.items():
        state, pcm = network.make_state(model), np.zeros(1, np.int16)
        state.h[:], state.logits[:] = 0.25, np.arange(256) / 64  # a state that every stage moves
        before = {field: getattr(state, field).copy() for field in state._fields}
        stages.stage(net, state, np.float32(1.442695), window, stage, 1, pcm)
        changed[name] = {f for f in state._fields if not np.array_equal(before[f], getattr(state, f))}
    assert "a" in changed["R"] and not {"h", "logits", "g"} & changed["R"]
    assert "h" in changed["gates"] and not {"a", "logits"} & changed["gates"]
    assert "logits" in changed["O"] and not {"a", "h"} & changed["O"]
    assert "p" in changed["sampling"] and not {"a", "h", "logits"} & changed["sampling"]
    assert {"b", "g"} <= changed["condition"] and "h" not in changed["condition"]
    assert {"a", "h", "logits", "p", "t"} <= changed["sample"]


def test_json_of_a_model(folder, command):
    result = command(bench.main, "tiny.bin", "--repeats", 2, "--slice-ms", 0.05, "--json")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert [r["backend"] for r in found["results"]] == ["c", "numba"]
    for r in found["results"]:
        assert set(r) >= KEYS and set(r["stages_ns"]) == set(measure.STAGE_IDS)
        assert r["dtype"] == "f32" and r["n_units"] == 64 and r["block"] == "8x1"
        assert r["rtf"] == pytest.approx(16000 / r["samples_per_s"])
        assert all(ns > 0 for ns in r["stages_ns"].values())
        nnz = sum(m.values.size for name, m in tiny_model().matrices.items() if name in PRUNED)
        assert r["nnz"] == nnz
    assert found["machine"]["name"] == "test"


def test_every_isa_and_a_picture(folder, command):
    args = ["tiny.bin", "--backend", "c", "--isa", "all", "--repeats", 1, "--slice-ms", 0.02, "--plot", "stages.png"]
    result = command(bench.main, *args)
    assert result.code == 0, result.err
    isas = [line.split()[1] for line in result.out.splitlines() if line.startswith("c ")]
    assert isas == _native.isa_names() and (folder / "stages.png").stat().st_size > 1000


@pytest.mark.slow
def test_interleaved_lanes(folder, command):
    cfg = tiny_config(lpc_order=6, subscale=5, horizon=2, lookback=3, context=3)
    save(tiny_model("f32", cfg=cfg), folder / "lanes.bin")
    quick = ["--repeats", 1, "--slice-ms", 0.02, "--json"]
    found = json.loads(command(bench.main, "lanes.bin", *quick).out)["results"]
    assert [(r["backend"], r["lanes"], r["threads"]) for r in found] == [("c", 5, 1), ("numba", 5, 1)]
    shape = ["--n-units", 64, "--preset", "16k", "--backend", "c", "--lpc-order", 32, "--subscale", "1,4"]
    found += json.loads(command(bench.main, *shape, *quick).out)["results"]
    assert [r["lanes"] for r in found[2:]] == [1, 4]
    assert all(ns > 0 for r in found for ns in r["stages_ns"].values())
    refused = command(bench.main, "lanes.bin", "--lanes", 2)
    assert refused.code == 2 and "interleaved lanes" in refused.err and refused.err.count("\n") == 1


@pytest.mark.slow
def test_lanes_and_threads(folder, command):
    args = ["tiny.bin", "--lanes", "1,3", "--threads", 2, "--repeats", 1, "--slice-ms", 0.02, "--plot", "lanes.png"]
    found = json.loads(command(bench.main, *args, "--json").out)["results"]
    assert [(r["backend"], r["lanes"]) for r in found] == [("c", 1), ("c", 3), ("numba", 1), ("numba", 3)]
    for r in found:
        assert r["threads"] == 2 and all(ns > 0 for ns in r["stages_ns"].values())
        assert 0 < r["limits_ns"]["peak"] <= r["limits_ns"]["roofline"]
    assert found[1]["limits_ns"]["peak"] == found[0]["limits_ns"]["peak"]
    assert found[1]["limits_ns"]["roofline"] < found[0]["limits_ns"]["roofline"]
    assert found[1]["footprint_bytes"] > found[0]["footprint_bytes"]
    assert (folder / "lanes.png").stat().st_size > 1000


def test_the_time_of_lanes_is_that_of_one():
    """An engine that takes 1 ms for a sample of every lane."""

    def wait(*_):
        time.sleep(1e-3)

    class Batch:
        def pull(self, streams, n):
            time.sleep(1e-3 * sum(n))

    class Stream:
        def push(self, mel): ...
        def finish(self): ...

    case = measure.Case(tiny_model("f32"))
    engine = measure.Engine("c", "test", wait, Stream, 4, 2, Batch)
    times = measure.measure([(case, engine)], 1, 1e-6)
    assert times["R"][0, 0] == pytest.approx(0.25e-3, rel=0.5) and times["whole"][0, 0] == pytest.approx(1e-3, rel=0.5)


def test_the_post_filter_of_a_file_does_not_run():
    """It has samples drawn before the clock starts: a voice seemed faster in C than it is."""
    case = measure.Case(load(ROOT / "voices" / "kathleen16-small" / "voice.bin"))
    assert case.model.postfilter and case.model.postfilter.on
    for engine in case.engines(["c", "numba"], [None]):
        stream = engine.open()
        stream.push(case.mel[:, : case.config.cond_width])
        n = case.config.cond_width - case.config.cond_width // 2  # frames that have all their right neighbours
        assert stream.available == n * case.config.mel.hop_length, engine.backend


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["tiny.bin", "--lanes", "0,1"], 2),
        (["tiny.bin", "--lanes", "1,"], 2),
        (["tiny.bin", "--lanes", "17"], 2),
        (["--sweep", "--lanes", "2"], 2),
        (["--sweep", "--threads", "2"], 2),
        (["missing.bin"], 1),
        (["mel.npy"], 1),
        (["tiny.bin", "--n-units", 64], 2),
        (["--n-units", 63], 2),
        (["--block", "16x1", "--dtype", "int8"], 2),
        (["--block", "nonsense"], 2),
        (["--sparsity", 1.5], 2),
        (["--isa", "mmx"], 2),
        (["--repeats", 0], 2),
        (["--sweep", "--calibrate", "p.json"], 2),
        (["--calibrate", "nowhere/p.json"], 1),
        (["tiny.bin", "--plot", "nowhere/p.png"], 1),
        (["tiny.bin", "--plot", "p.exe"], 2),
    ],
)
def test_bad_usage_is_one_line_and_no_file(folder, command, args, code):
    before = sorted(folder.iterdir())
    result = command(bench.main, *args)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("wv-bench: error: ") and result.err.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_roofline_fraction_is_the_limit_over_the_measured_time():
    case = measure.Case(tiny_model("f32"))
    times = {name: np.full((1, 3), 1e-6) for name in ("whole", *measure.STAGE_IDS)}
    engine = measure.Engine("c", "test", lambda stage, n: None, lambda: None)
    (r,) = report.summarize([(case, engine)], times, MACHINE)
    R = next(op for op in case.ops if op.name == "R")
    assert r["stages_roofline_fraction"]["R"] == pytest.approx(cost.roofline(R, MACHINE, R.n_bytes) / 1e-6)
    assert (r["samples_per_s"], r["spread"], r["time_over_first"]) == (pytest.approx(1e6), 0, 1)


@pytest.mark.parametrize("block_s", [0.0, 4e-9])
def test_calibration_finds_what_made_the_times(block_s):
    fast = replace(MACHINE, lanes=4, read_bandwidth=((1.0, 1e13), (2.0, 1e13)), macs_per_s=dict.fromkeys(DTYPES, 1e13))
    truth = {"vector_s": 2e-9, "block_s": block_s, "block_row_s": 8e-9}
    made_by = replace(fast, **{name: dict.fromkeys(DTYPES, t) for name, t in truth.items()})
    rows = []
    for n, block in ((128, (16, 4)), (256, (8, 4)), (512, (16, 4))):
        case = measure.Case(synthetic_model(synthetic_config(n), 0.9, block, "int8"))
        ns = {}
        for stage in ("R", "O"):
            ops = [op for op in case.ops if op.stage == stage]
            ns[stage] = 1e9 * sum(sum(cost.seconds(op, made_by, 1e3)) for op in ops)
        rows.append((case, {"stages_ns": {**ns, "gates": 5 * n, "sampling": 14}}))
    found = calibrate.calibrate(fast, rows)
    for name, t in truth.items():
        assert getattr(found, name)["int8"] == pytest.approx(t, rel=1e-6, abs=1e-12), name
        assert getattr(found, name)["f32"] == getattr(fast, name)["f32"]  # nothing was measured
    assert (found.unit_s["int8"], found.draw_s) == (pytest.approx(5e-9), pytest.approx(7e-9))


def test_a_fit_has_no_negative_times_and_no_idle_ones():
    a = np.array([[1.0, 1.0, 2.0], [2.0, 2.0, 1.0], [3.0, 3.0, 5.0]])  # vectors and blocks alike
    assert calibrate.non_negative_fit(a, a @ [2, 0, 3]) == pytest.approx([2, 0, 3])
    assert min(calibrate.non_negative_fit(a, a @ [5, 0, -1])) >= 0


def test_calibration_knows_what_the_roofline_takes():
    slow = replace(MACHINE, lanes=4, macs_per_s=dict.fromkeys(DTYPES, 1e13))  # most of R is bound by bytes
    truth = {"vector_s": 0.5e-9, "block_s": 0.0, "block_row_s": 30e-9}
    made_by = replace(slow, **{name: dict.fromkeys(DTYPES, t) for name, t in truth.items()})
    rows = []
    for n, sparsity in ((128, 0.5), (256, 0.9), (512, 0.9)):
        case = measure.Case(synthetic_model(synthetic_config(n), sparsity, (16, 4), "int8"))
        ns = {}
        for stage in ("R", "O"):
            ops = [op for op in case.ops if op.stage == stage]
            ns[stage] = 1e9 * sum(sum(cost.seconds(op, made_by, sum(o.n_bytes for o in ops))) for op in ops)
        rows.append((case, {"stages_ns": {**ns, "gates": n, "sampling": 1}}))
    found = calibrate.calibrate(slow, rows)
    for case, r in rows:
        for stage in ("R", "O"):
            ops = [op for op in case.ops if op.stage == stage]
            t = 1e9 * sum(sum(cost.seconds(op, found, sum(o.n_bytes for o in ops))) for op in ops)
            assert t == pytest.approx(r["stages_ns"][stage], rel=0.05)


def test_time_over_first_compares_engines_of_one_model():
    cases = [measure.Case(tiny_model(dtype)) for dtype in ("f32", "f32", "int8")]
    pairs = [(case, measure.Engine("c", "test", lambda stage, n: None, lambda: None)) for case in (cases[0], *cases)]
    times = {name: np.array([[1e-6], [2e-6], [7e-6], [9e-6]]) for name in ("whole", *measure.STAGE_IDS)}
    results = report.summarize(pairs, times, None)
    assert [r["time_over_first"] for r in results] == [1, 2, 1, 1]
    assert [r["dtype"] for r in results] == ["f32", "f32", "f32", "int8"]


def test_the_cache_ends_where_reading_slows(monkeypatch):
    monkeypatch.setattr(probe, "l2_bytes", lambda: 1 << 20)
    rates = ((1024.0, 200e9), (65536.0, 100e9), (600e3, 100e9), (700e3, 90e9), (4e6, 50e9))
    assert 600e3 < probe.cache_bytes(replace(MACHINE, read_bandwidth=rates)) < 640e3
    flat = replace(MACHINE, read_bandwidth=((1024.0, 1e9), (1e9, 1e9)))
    assert probe.cache_bytes(flat) == pytest.approx(1 << 20, rel=0.02)


def test_sweep(folder, command, monkeypatch):
    monkeypatch.setattr(bench, "SWEEP", [0.9, 0.8, 0.7, 0.6])
    monkeypatch.setattr(bench, "cache_bytes", lambda machine: 1e9)
    args = ["--sweep", "--n-units", 128, "--backend", "c", "--repeats", 2, "--slice-ms", 0.1, "--plot", "s.png"]
    out = command(bench.main, *args, "--json").out
    found = json.loads(out)
    assert [r["sparsity"] for r in found["results"]] == pytest.approx([0.9, 0.8, 0.7, 0.6], abs=0.01)
    assert found["sweep"]["n_points"] == 4 and found["sweep"]["ns_per_nnz"] > 0
    assert (folder / "s.png").stat().st_size > 1000


def test_line_through_the_points_in_the_cache():
    points = [(100, 1000.0, 1), (200, 1100.0, 2), (300, 1200.0, 3), (9000, 9e9, 99)]
    results = [{"nnz": n, "samples_per_s": 1e9 / ns, "footprint_bytes": b} for n, ns, b in points]
    fit = report.line_fit(results, 10)
    assert (fit["ns"], fit["ns_per_nnz"], fit["r2"], fit["nnz_in_cache"]) == pytest.approx((900, 1, 1, 300))
    with pytest.raises(ValueError, match="2 points"):
        report.line_fit(results, 2)


def test_measuring_a_machine(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(probe, "FOOTPRINTS", [8192, 16384])
    machine = probe.measure_machine(repeats=1, slice_s=1e-5)
    assert [n for n, _ in machine.read_bandwidth] == [8192, 16384] and machine.measured
    assert all(rate > 1e6 for rate in [*machine.macs_per_s.values(), *dict(machine.read_bandwidth).values()])


def test_peaks_compute_what_they_say():
    ones = np.ones(512, np.float32)
    assert stages.mac_float(ones, np.float32(2), 3) == 3 * 2 * 512 / 16
    assert stages.mac_float(ones.astype(np.float16).view(np.uint16), np.float32(2), 1) == 2 * 512 / 16
    assert stages.read(np.ones(256, np.int32), 2) == 512


def test_model_from_file(folder, command):
    save(synthetic_model(synthetic_config(64, 32), 0.5, (8, 4), "int8"), "s.bin")
    result = command(bench.main, "s.bin", "--backend", "c", "--no-machine", "--repeats", 1, "--slice-ms", 0.02)
    assert result.code == 0 and "8x4" in result.out and "GB/s" not in result.out
