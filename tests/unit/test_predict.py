"""The cost model on an invented machine whose times can be worked out by hand, and wv-predict around it."""

from __future__ import annotations

import json

import pytest
from wv_bench import cost, predict
from wv_bench.synthetic import synthetic_config, synthetic_model
from wv_runtime.errors import WaveRNNError
from wv_runtime.model.binary import save
from wv_runtime.model.config import WaveRNNConfig
from wv_runtime.model.layout import DTYPES


def machine(**changes):
    """1 GB/s, 10 GMAC/s, no overhead."""
    zero = dict.fromkeys(DTYPES, 0.0)
    fields = {"name": "m", "measured": False, "source": "invented", "lanes": 16,
              "read_bandwidth": ((1.0, 1e9), (2.0, 1e9)), "macs_per_s": dict.fromkeys(DTYPES, 1e10),
              "vector_s": zero, "block_s": zero, "block_row_s": zero, "unit_s": zero, "draw_s": 0.0}  # fmt: skip
    return cost.Machine(**{**fields, **changes})


MATRIX = cost.shape(64, 32, (16, 1), 0.5, "f32")  # 4 block rows, 64 of 128 blocks, 1024 non-zeros


def test_bytes_and_macs_of_a_mat_vec():
    op = cost.matvec("R", MATRIX, "R")
    assert (op.macs, op.nnz_blocks, op.block_rows) == (1024, 64, 4)
    assert op.n_bytes == 4 * 1024 + 2 * 64 + 4 * 4 + 64 * (4 + 4) + 32 * 4


def test_the_slower_of_bytes_macs_and_vectors_is_the_time():
    op = cost.matvec("R", MATRIX, "R")
    assert cost.seconds(op, machine(), 1e3) == (pytest.approx(op.n_bytes / 1e9), 0)
    assert cost.seconds(op, machine(macs_per_s=dict.fromkeys(DTYPES, 1e6)), 1e3)[0] == pytest.approx(1024 / 1e6)
    slow = machine(vector_s=dict.fromkeys(DTYPES, 1e-6), block_row_s=dict.fromkeys(DTYPES, 3e-9))
    assert cost.seconds(op, slow, 1e3) == (pytest.approx(64e-6), pytest.approx(12e-9))
    blocks = machine(lanes=4, vector_s=dict.fromkeys(DTYPES, 1e-6), block_s=dict.fromkeys(DTYPES, 5e-6))
    assert cost.seconds(op, blocks, 1e3)[0] == pytest.approx(64 * (4 * 1e-6 + 5e-6))


def test_the_range_is_where_reading_hides_behind_everything_or_nothing():
    op = cost.matvec("R", MATRIX, "R")
    slow = machine(vector_s=dict.fromkeys(DTYPES, 1e-6), block_row_s=dict.fromkeys(DTYPES, 3e-9))  # 64 us, 12 ns
    read = op.n_bytes / 1e9
    assert cost.limits([op], slow) == (pytest.approx(64.012e-6), pytest.approx(64.012e-6 + read))
    fast = machine(block_row_s=dict.fromkeys(DTYPES, 3e-9))
    least, most = cost.limits([op], fast)
    assert least == pytest.approx(read) and most == pytest.approx(read + 1024 / 1e10 + 12e-9)
    assert least < sum(cost.total([op], fast)) < most


@pytest.mark.parametrize(("block", "dtype", "lanes", "n"), [
    ((16, 1), "f32", 16, 1), ((16, 1), "f32", 4, 4), ((8, 1), "f32", 16, 1), ((16, 4), "f32", 16, 4),
    ((16, 4), "int8", 16, 1), ((32, 4), "int8", 8, 4),
])  # fmt: skip
def test_vectors_of_a_block(block, dtype, lanes, n):
    s = cost.Shape(32, 32, block, 5, dtype)
    assert cost.vectors(cost.matvec("R", s, "R"), lanes) == 5 * n


def test_lanes_read_the_weights_once():
    op = cost.matvec("R", MATRIX, "R")
    assert op.lane_bytes == 64 * 4 + 32 * 4  # y and x
    weights = op.n_bytes - op.lane_bytes
    assert cost.seconds(op, machine(), 1e3, lanes=4)[0] == pytest.approx((weights / 4 + op.lane_bytes) / 1e9)
    slow = machine(macs_per_s=dict.fromkeys(DTYPES, 1e9))
    assert cost.seconds(op, slow, 1e3, lanes=10**6)[0] == pytest.approx(1024 / 1e9)
    assert cost.footprint([op], lanes=3) == weights + 3 * op.lane_bytes


def test_lanes_gain_what_the_weights_cost(command):
    args = ["--n-units", 512, "--sparsity", 0, "--json"]
    found = json.loads(command(predict.main, *args, "--lanes", "1,2,8").out)["predictions"]
    assert [p["lanes"] for p in found] == [1, 2, 8]
    R, condition = ([{op["name"]: op for op in p["ops"]}[name]["c_ns"] for p in found] for name in ("R", "C1"))
    assert R[0] > R[1] == R[2] and condition[0] == condition[1] == condition[2]
    assert [p["ops"][0]["bound"] for p in found][::2] == ["bytes", "kernel"]
    one = json.loads(command(predict.main, *args).out)["predictions"]
    assert one[0]["c_ns"] == found[0]["c_ns"]


def test_threads_share_the_lanes(command):
    """Three lanes on two threads: the busier one has two."""

    def samples_per_s(*args):
        found = json.loads(command(predict.main, "--n-units", 384, "--json", *args).out)["predictions"]
        return found[0]["samples_per_s"]

    for many, each in [("--lanes", "--lanes"), ("--subscale", "--subscale")]:
        assert samples_per_s(many, 8, "--threads", 2) == pytest.approx(2 * samples_per_s(each, 4))
    assert samples_per_s("--lanes", 3, "--threads", 2) == pytest.approx(1.5 * samples_per_s("--lanes", 2))
    result = command(predict.main, "--n-units", 64, "--threads", 2)
    assert (result.code, result.out) == (2, "") and result.err.count("\n") == 1 and "one for each lane" in result.err


@pytest.mark.parametrize("args", [["--lanes", "2"], *(["--n-units", 64, "--lanes", n] for n in ("0", "1,x", "17"))])
def test_lanes_that_cannot_be(command, args):
    result = command(predict.main, *args)
    assert (result.code, result.out) == (2, "") and result.err.count("\n") == 1 and "lanes" in result.err


def test_bandwidth_between_the_footprints():
    m = machine(read_bandwidth=((100.0, 4e9), (10000.0, 2e9)))
    assert [m.bandwidth(n) for n in (1, 100, 1000, 10000, 1e9)] == pytest.approx([4e9, 4e9, 3e9, 2e9, 2e9])


def test_conditioning_is_spread_over_its_frame():
    cfg = synthetic_config(128)
    ops = {op.name: op for op in cost.wavernn_ops(cfg, cost.shapes_of(synthetic_model(cfg, 0.5)))}
    assert ops["C1"].per_sample == 1 / cfg.mel.hop_length
    assert ops["C3"].per_sample == cfg.n_sub / cfg.mel.hop_length
    stages = cost.totals_by_stage(list(ops.values()), machine())
    assert sum(stages.values()) == pytest.approx(sum(cost.total(list(ops.values()), machine())))


def test_a_shape_costs_what_its_model_costs():
    cfg = synthetic_config(128)
    model = synthetic_model(cfg, 0.75, (16, 4), "int8")
    told = predict.wavernn("x", cfg, 0.75, (16, 4), "int8")
    assert told.ops == cost.wavernn_ops(model.config, cost.shapes_of(model))


def test_what_the_paper_compares():
    wavenet, qrnn, dense, sparse, utterances, subscale = predict.paper_networks("24k", 0.95, (16, 4), "int8")
    m = cost.load_machine("cortex-a76")
    rates = [predict.predict(n, m, 24000)["samples_per_s"] for n in (wavenet, dense, sparse, subscale)]
    assert rates == sorted(rates) and rates[2] > 20 * rates[1]
    assert sum(op.macs > 0 for op in wavenet.ops) == 62  # 60 and the two of the output
    assert sum(op.macs for op in qrnn.ops) == 2 * 3 * 640 * 2 * 640 + 256 * 640 + 256 * 256
    assert (utterances.lanes, subscale.lanes) == (4, 16)


def test_operations_apart_from_each_other():
    """One after another costs op_s each; streams in step share it, and the conditioning's is per run."""
    ops = predict.wavernn("x", WaveRNNConfig(n_units=64), 0.5, (16, 4), "int8").ops
    hop, n_sub = WaveRNNConfig().mel.hop_length, WaveRNNConfig().n_sub
    for lanes in (1, 4):
        before, after = (cost.total(ops, m, lanes) for m in (machine(), machine(op_s=1e-6)))
        assert before[0] == after[0] and before[1] == 0
        assert after[1] == pytest.approx(1e-6 * (7 / lanes + (2 + n_sub) / hop))


def test_a_persistent_kernel_on_a_gpu():
    """The paper: 96,000 samples/s of WaveRNN-896 on a P100."""
    _, _, dense, *_ = predict.paper_networks("24k", 0.95, (16, 4), "int8")
    for gpu in ("p100", "a100", "h100"):
        launches, persistent = (cost.load_machine(name) for name in (gpu, f"{gpu}-persistent"))
        rates = [predict.predict(dense, m, 24000)["samples_per_s"] for m in (launches, persistent)]
        assert rates[1] > 1.8 * rates[0]
        assert gpu != "p100" or rates[1] == pytest.approx(96_000, rel=0.1)


@pytest.mark.parametrize("name", cost.profile_names())
def test_bundled_profiles(name):
    m = cost.load_machine(name)
    assert m.name == name and (m.measured or m.source.startswith("ESTIMATE"))


def test_profiles_there_should_be():
    arm, gpu = ("cortex-a53", "cortex-a55", "cortex-a76", "cortex-x1"), ("p100", "a100", "h100")
    assert {*arm, *gpu, *(f"{name}-persistent" for name in gpu), "zen4-avx512"} <= set(cost.profile_names())


def test_a_saved_profile_is_the_same(tmp_path):
    m = machine(read_bandwidth=((1024.0, 5e9), (4096.0, 3e9)))
    cost.save_machine(m, tmp_path / "m.json")
    assert cost.load_machine(tmp_path / "m.json") == m


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 1}', "\x00"])
def test_damaged_profiles(tmp_path, text):
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(WaveRNNError, match="not a device profile"):
        cost.load_machine(path)


@pytest.mark.parametrize(("field", "value"), [
    ("read_bandwidth", []), ("read_bandwidth", [[2, 1], [1, 1]]), ("macs_per_s", {"f32": 1}), ("draw_s", -1),
    ("op_s", -1), ("macs_per_s", dict.fromkeys(DTYPES, 0)), ("lanes", 0), ("vector_s", 3),
])  # fmt: skip
def test_profiles_with_impossible_numbers(tmp_path, field, value):
    path = tmp_path / "m.json"
    path.write_text(json.dumps({**json.loads(machine().json()), field: value}))
    with pytest.raises(WaveRNNError, match="not a device profile"):
        cost.load_machine(path)


def test_command(folder, command):
    devices = ["--device", "cortex-a53", "--device", "cortex-x1"]
    result = command(predict.main, "tiny.bin", *devices, "--plot", "p.png", "--json")
    assert (result.code, result.err) == (0, "")
    slow, fast = json.loads(result.out)["predictions"]
    assert fast["samples_per_s"] > slow["samples_per_s"]
    for p in (slow, fast):
        assert sum(o["per_sample"] * (o["c_ns"] + o["d_ns"]) for o in p["ops"]) == pytest.approx(p["c_ns"] + p["d_ns"])
        assert p["rtf"] == pytest.approx(16000 / p["samples_per_s"])
    assert (folder / "p.png").stat().st_size > 1000


def test_interleaved_lanes(tmp_path, command):
    """They share the bytes of the weights: c of R falls, for a shape as for a voice of it."""
    cfg = synthetic_config(384, 192, "16k", subscale=4)
    save(synthetic_model(cfg, 0.5), tmp_path / "lanes.bin")
    shape = ["--n-units", 384, "--preset", "16k", "--sparsity", 0.5]
    found = [
        json.loads(command(predict.main, *args, "--json").out)["predictions"][0]
        for args in (shape, [*shape, "--subscale", 4], [tmp_path / "lanes.bin"])
    ]
    assert [p["lanes"] for p in found] == [1, 4, 4]
    roofs = [p["ops"][0]["roofline_ns"] for p in found]
    assert roofs[1] == pytest.approx(roofs[2]) and roofs[1] < roofs[0]


def test_tables(command):
    out = command(predict.main, "--n-units", 384, "--device", "cortex-a55").out
    assert "bound by" in out and "WaveRNN-384" in out and "(est.)" in out
    assert "subscale 16x" in command(predict.main, "--device", "cortex-a55").out
    assert "estimate" in command(predict.main, "--list").out


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["missing.bin"], 1),
        (["mel.npy"], 1),
        (["--device", "pdp-11"], 1),
        (["tiny.bin", "--n-units", 64], 2),
        (["--n-units", 63], 2),
        (["--block", "16"], 2),
        (["--sparsity", 1], 2),
        (["--subscale", 4], 2),
        (["--n-units", 64, "--subscale", 4, "--lanes", 2], 2),
        (["--plot", "nowhere/p.png"], 1),
        (["--plot", "p.exe"], 2),
    ],
)
def test_bad_usage_is_one_line_and_no_file(folder, command, args, code):
    before = sorted(folder.iterdir())
    result = command(predict.main, *args)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("wv-predict: error: ") and result.err.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_config_without_weights():
    assert predict.wavernn("x", WaveRNNConfig(), 0.9, (8, 4), "int8").ops[0].block == (8, 4)
