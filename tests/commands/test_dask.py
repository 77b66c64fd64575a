"""Folders on a Dask cluster of two workers, one of which is killed half-way: nothing is lost and nothing made twice."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from model_fixtures import tiny_mel
from wv_runtime.commands import corpus
from wv_runtime.commands.run import main
from wv_runtime.features.mel_file import save_mel
from wv_runtime.model import binary

distributed = pytest.importorskip("distributed")
N_FILES = 24


@pytest.fixture
def cluster():
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, processes=True) as cluster:
        yield cluster


@pytest.mark.slow
def test_a_worker_is_killed(command, folder, cluster, monkeypatch):
    monkeypatch.setattr(corpus, "FILES_AT_ONCE", 2)
    cfg = binary.load("tiny.bin").config
    Path("mels").mkdir()
    for i in range(N_FILES):
        mel = tiny_mel(cfg, 1000 + i)
        save_mel(f"mels/{i:02}.npy", mel, cfg.mel)
    assert command(main, "tiny.bin", "mels", "-o", "here", "--jobs", 1, "--backend", "c").code == 0

    made_then: list[int] = []

    def kill() -> None:
        with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
            pid = sorted(client.run(os.getpid).values())[0]
        while not (made := len(list(Path("there").glob("*.wav")))):
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        made_then.append(made)

    Path("there").mkdir()
    killer = threading.Thread(target=kill)
    killer.start()
    run = ["tiny.bin", "mels", "-o", "there", "--dask", cluster.scheduler_address, "--backend", "c", "--json"]
    done = command(main, *run)
    killer.join()
    summary = json.loads(done.out)
    assert done.code == 0 and made_then[0] < N_FILES
    assert (summary["done"], summary["skipped"], summary["failed"], summary["jobs"]) == (N_FILES, 0, {}, 2)
    for path in Path("here").glob("*.wav"):
        assert (Path("there") / path.name).read_bytes() == path.read_bytes()
    assert sorted(os.listdir("there")) == sorted(os.listdir("here"))  # no half file
    again = json.loads(command(main, *run).out)
    assert (again["done"], again["skipped"]) == (0, N_FILES)


@pytest.mark.slow
def test_features_are_those_of_one_process(tmp_path, cluster):
    pytest.importorskip("librosa")
    pytest.importorskip("torch")
    from wv_runtime.commands.jobs import Jobs
    from wv_runtime.model.config import WaveRNNConfig
    from wv_train.dataset import load_data

    cfg = WaveRNNConfig(n_units=64, n_out=16, n_cond=16)
    speech = tmp_path / "speech"
    speech.mkdir()
    for i in range(8):
        audio = 0.1 * np.random.default_rng(i).standard_normal(1600 * (1 + i))
        soundfile.write(speech / f"{i}.wav", audio, 16000)
    alone, there = (
        load_data(speech, cfg, tmp_path / name, jobs=jobs)
        for name, jobs in (("alone", Jobs()), ("there", Jobs(scheduler=cluster.scheduler_address)))
    )
    assert alone.ids == there.ids
    np.testing.assert_array_equal(alone.audio, there.audio)
    np.testing.assert_array_equal(alone.mel, there.mel)


def test_no_scheduler(command, folder, monkeypatch):
    monkeypatch.setattr("wv_runtime.commands.jobs.CONNECT_S", 1)
    Path("mels").mkdir()
    Path("mel.npy").rename("mels/a.npy")
    done = command(main, "tiny.bin", "mels", "-o", "out", "--dask", "tcp://127.0.0.1:9")
    assert done.code == 1 and "--dask: tcp://127.0.0.1:9: no scheduler answers" in done.err, done
    assert done.err.count("\n") == 1
    for address in ("nowhere", "foo://x:1", "tcp://host:port"):
        done = command(main, "tiny.bin", "mels", "-o", "out", "--dask", address)
        assert done.code == 1 and done.err.count("\n") == 1, done
        assert done.err.startswith(f"wv-run: error: --dask: {address}: no scheduler answers (")
    for damaged in (b"text", b"{}", b"[1]", b"\xff"):
        Path("scheduler.json").write_bytes(damaged)
        done = command(main, "tiny.bin", "mels", "-o", "out", "--dask", "scheduler.json")
        assert done.code == 1 and done.err.count("\n") == 1, done
        assert done.err.startswith("wv-run: error: --dask: scheduler.json: found no scheduler file")
    both = command(main, "tiny.bin", "mels", "-o", "out", "--dask", "tcp://127.0.0.1:9", "--jobs", 2)
    assert both.code == 2 and "--jobs: found it with --dask" in both.err
    file = command(main, "tiny.bin", "mels/a.npy", "--dask", "tcp://127.0.0.1:9")
    assert file.code == 2 and "wanted folders" in file.err
