"""benchmarks/native_peers.py without the peers, which are not in this repository: usage, tables, timing."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def peers():
    spec = importlib.util.spec_from_file_location("native_peers", ROOT / "benchmarks/native_peers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("args", "code"), [([], 2), (["--lpcnet", "nowhere"], 1), (["--lyra", "."], 1)])
def test_wants_checkouts(peers, command, folder, args, code):
    result = command(peers.main, *args)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("native_peers: error: ") and result.err.count("\n") == 1


def test_ratios_are_medians_of_pairs(peers):
    report, lines = [], []
    peers.add(report, lines, "R", {"ours": np.array([1e-6, 3e-6, 2e-6]), "theirs": np.array([4e-6, 3e-6, 4e-6])}, "ns")
    assert [r["ratio"] for r in report] == [1, 2]
    assert [r["best"] for r in report] == pytest.approx([1e3, 3e3])
    assert [r["median"] for r in report] == pytest.approx([2e3, 4e3])
    assert len(lines) == 4


def test_each_is_run_in_turn(peers):
    calls = []
    times = peers.measure({name: lambda n, name=name: calls.append(name) for name in "ab"}, 3, 1e-6)
    assert calls[-6:] == list("ababab") and times["a"].shape == (3,)
