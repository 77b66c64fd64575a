"""wv_bench.peers.native without the peers, which are not in this repository: usage, tables, timing."""

from __future__ import annotations

import numpy as np
import pytest
from wv_bench.peers import native as peers


@pytest.mark.parametrize(("args", "code"), [([], 2), (["--lpcnet", "nowhere"], 1), (["--lyra", "."], 1)])
def test_wants_checkouts(command, folder, args, code):
    result = command(peers.main, *args)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("native_peers: error: ") and result.err.count("\n") == 1


def test_ratios_are_medians_of_pairs():
    report, lines = [], []
    peers.add(report, lines, "R", {"ours": np.array([1e-6, 3e-6, 2e-6]), "theirs": np.array([4e-6, 3e-6, 4e-6])}, "ns")
    assert [r["ratio"] for r in report] == [1, 2]
    assert [r["best"] for r in report] == pytest.approx([1e3, 3e3])
    assert [r["median"] for r in report] == pytest.approx([2e3, 4e3])
    assert len(lines) == 4


def test_each_is_run_in_turn():
    calls = []
    times = peers.measure({name: lambda n, name=name: calls.append(name) for name in "ab"}, 3, 1e-6)
    assert calls[-6:] == list("ababab") and times["a"].shape == (3,)
