"""Windows cut from tables on a device are those cut step by step."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
soundfile = pytest.importorskip("soundfile")

from wv_runtime.errors import WaveRNNError  # noqa: E402
from wv_runtime.model.config import PRESETS, WaveRNNConfig  # noqa: E402
from wv_train import windows  # noqa: E402
from wv_train.dataset import load_data  # noqa: E402
from wv_train.lanes import Lanes  # noqa: E402
from wv_train.model import WaveRNN  # noqa: E402
from wv_train.settings import TrainConfig  # noqa: E402
from wv_train.windows import DeviceWindows, Windows  # noqa: E402

N_LANES, SHARE = 6, slice(2, 6)
LANES = {"lpc_order": 16, "subscale": 4, "horizon": 2, "lookback": 4, "context": 3}


@pytest.mark.parametrize("shape", [{}, {"lpc_order": 16}, LANES])
@pytest.mark.parametrize("gain_db", [0.0, 6.0])
def test_windows_of_tables(tmp_path, shape, gain_db):
    rng = np.random.default_rng(0)
    for name, n in (("a", 5000), ("b", 8000), ("c", 12345), ("d", 9000)):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(n), 16000)
    cfg = WaveRNNConfig(n_units=64, n_out=16, n_cond=16, mel=PRESETS["16k"], **shape)
    lanes = Lanes(load_data(tmp_path, cfg), "train", 2)
    model, settings = WaveRNN(cfg), TrainConfig(batch=N_LANES, window=320, gain_db=gain_db)
    step_by_step, tables = (cls(lanes, model, settings, SHARE) for cls in (Windows, DeviceWindows))
    if gain_db:  # of the levels that tables are held in
        lanes._epoch = with_gains(lanes._epoch, np.exp(tables.log_gains))
    for step in (0, 1, 2, 9, 50):
        for source in (step_by_step, tables):
            source.place(step)
        wanted, found = step_by_step.batch(), tables.batch()
        # the residual before a window is the last predictor's in a table, the window's own when cut alone
        assert torch.equal(found.x[1:], wanted.x[1:]) and torch.equal(found.x[0, :, [1, 2]], wanted.x[0, :, [1, 2]])
        for name in ("c", "f", "fresh"):
            assert torch.equal(getattr(found, name), getattr(wanted, name)), name
        torch.testing.assert_close(found.mel, wanted.mel, atol=1e-6, rtol=0)


def test_inputs_that_do_not_fit_are_one_line(tmp_path, monkeypatch):
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    cfg = WaveRNNConfig(n_units=64, n_out=16, n_cond=16, mel=PRESETS["16k"])
    lanes = Lanes(load_data(tmp_path, cfg), "train", 2)
    monkeypatch.setattr(windows, "free_bytes", lambda device: 1e5)
    with pytest.raises(WaveRNNError, match=r"found 0.000224 GB of inputs in .*, wanted at most 7e-05 GB"):
        DeviceWindows(lanes, WaveRNN(cfg), TrainConfig(batch=2, window=320), slice(0, 2))


def with_gains(epoch, gains):
    """The same epoch, every clip at the nearest of some gains."""

    def nearest(*args):
        order, first, gain = epoch(*args)
        return order, first, gains[np.abs(np.log(gain)[:, None] - np.log(gains)).argmin(1)]

    return nearest
