"""prune.py: the schedule, the choice of blocks, and zeros that stay zeros."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from wv_runtime.model.blocks import parse_block  # noqa: E402
from wv_runtime.model.config import WaveRNNConfig  # noqa: E402
from wv_train.model import WaveRNN, cross_entropy, split_bytes  # noqa: E402
from wv_train.optim import Optimizer  # noqa: E402
from wv_train.prune import (  # noqa: E402
    PRUNED,
    PruneConfig,
    Pruner,
    block_mask,
    check_blocks,
    is_due,
    sparsity_at,
)

SMALL = WaveRNNConfig(n_units=64, n_out=32, n_cond=16)


def test_the_schedule_is_the_papers_cubic():
    cfg = PruneConfig(sparsity={"R": 0.96, "O": 0.5}, start=1000, steps=2000)
    at = {t: sparsity_at(t, cfg)["R_u"] for t in (0, 1000, 1500, 2000, 3000, 9000)}
    assert at[0] == at[1000] == 0
    assert at[1500] == pytest.approx(0.96 * (1 - 0.75**3))
    assert at[2000] == pytest.approx(0.96 * 7 / 8)
    assert at[3000] == at[9000] == 0.96
    assert sparsity_at(2000, cfg)["O3"] == pytest.approx(0.5 * 7 / 8)
    assert sparsity_at(5, PruneConfig(sparsity={"R": 0.9}, start=5, steps=0))["R_e"] == 0.9


def test_when_masks_are_renewed():
    cfg = PruneConfig(start=10, steps=25, every=10)
    assert [t for t in range(60) if is_due(t, cfg)] == [10, 20, 30, 35]


@pytest.mark.parametrize("block", ["16x1", "4x4", "8x4", "16x4", "32x4", "1x1", "32x32"])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.95])
def test_exactly_the_largest_blocks_are_kept(block, sparsity):
    h, w = parse_block(block)
    W = torch.from_numpy(np.random.default_rng(0).standard_normal((64, 32)))
    mask = block_mask(W, h, w, sparsity)
    score = W.abs().reshape(64 // h, h, 32 // w, w).mean(dim=(1, 3))
    kept = mask.reshape(64 // h, h, 32 // w, w)
    assert torch.equal(kept.all(3).all(1), kept.any(3).any(1))  # whole blocks
    kept = kept[:, 0, :, 0]
    assert int(kept.sum()) == kept.numel() - int(sparsity * kept.numel() + 1e-9)
    if not kept.all():
        assert score[kept].min() > score[~kept].max()


def test_equal_blocks_go_by_position():
    mask = block_mask(torch.ones(4, 4), 2, 2, 0.5)
    assert mask[:2].all() and not mask[2:].any()
    mask = block_mask(torch.ones(100, 100), 10, 10, 0.29)
    assert mask[:70].all() and mask[70:80, :10].all() and int(mask.sum()) == 7100  # 0.29 * 100 is 28.999.. in floats


def test_masks_only_shrink():
    W = torch.zeros(8, 8)
    previous = block_mask(torch.arange(64.0).view(8, 8), 4, 4, 0.5)
    W[~previous] = 9.0  # large, but pruned before
    assert torch.equal(block_mask(W, 4, 4, 0.5, previous), previous)
    assert torch.equal(block_mask(W, 4, 4, 0.0, previous), previous)  # a sparser beginning stays sparse
    assert int(block_mask(W, 4, 4, 0.75, previous).sum()) == 16


def test_norms_differ_on_a_spike():
    W = torch.zeros(2, 4)
    W[:, :2], W[0, 2] = 1.0, 3.0  # l1: 4 against 3, l2: 2 against 3
    assert block_mask(W, 2, 2, 0.5)[:, :2].all() and block_mask(W, 2, 2, 0.5, norm="l2")[:, 2:].all()


@pytest.mark.parametrize("block", ["16x4", "4x4", "16x1", "1x1", "4x16"])
def test_the_diagonal_can_be_kept(block):
    model = WaveRNN(SMALL)
    with torch.no_grad():
        model.R.view(3, 64, 64)[:, range(64), range(64)] = 1e-6  # would go first
    for keep in (False, True):
        cfg = PruneConfig(sparsity={"R": 0.75, "O": 0.5}, block={"R": block}, start=0, steps=0, keep_diagonal=keep)
        pruner = Pruner(cfg, model)
        pruner.step(0)
        assert all(bool(pruner.masks[name].diagonal().all()) is keep for name in ("R_u", "R_r", "R_e"))
        assert float(pruner.masks["R_e"].float().mean()) == 0.25
    with pytest.raises(ValueError, match=r"found 0\.99, which leaves 41 blocks, wanted at least the 64 of"):
        check_blocks(PruneConfig(sparsity={"R": 0.99}, block={"R": "1x1"}, keep_diagonal=True), SMALL)


def test_gates_are_pruned_each_by_itself():
    model = WaveRNN(SMALL)
    with torch.no_grad():
        model.R[:64] *= 1e-3  # R_u is small throughout, and yet loses no more than the others
    pruner = Pruner(PruneConfig(sparsity={"R": 0.75, "R_e": 0.5, "O1": 0.25, "C3": 0.5}, start=0, steps=0), model)
    pruner.step(0)
    sparsity = {name: 1 - float(mask.float().mean()) for name, mask in pruner.masks.items()}
    assert sparsity == {"R_u": 0.75, "R_r": 0.75, "R_e": 0.5, "O1": 0.25, "C3": 0.5}
    zeros = sum(z * {"R": 64 * 64, "O": 32 * 32, "C": 192 * 16}[name[0]] for name, z in sparsity.items())
    assert pruner.sparsity == pytest.approx(zeros / (3 * 64 * 64 + 2 * 32 * 32 + 2 * 256 * 32 + 192 * 16))


def test_zeros_stay_exactly_zero_through_the_optimizer():
    torch.manual_seed(0)
    model = WaveRNN(SMALL)
    pruner = Pruner(PruneConfig(sparsity={"R": 0.9, "O": 0.5}, block={"R": "4x4"}, start=2, steps=4, every=2), model)
    optimizer = Optimizer(model, torch.float32)
    samples, mel = torch.randint(-3000, 3000, (2, 321), dtype=torch.int16), torch.randn(2, 80, 6)
    for step in range(1, 10):
        before = {name: mask.clone() for name, mask in pruner.masks.items()}
        coarse, fine = split_bytes(samples[:, 1:])
        logits_c, logits_f = model(samples, mel)
        model.zero_grad()
        (cross_entropy(logits_c, coarse) + cross_entropy(logits_f, fine)).backward()
        pruner.mask_gradients()
        assert not model.R.grad[:64][~pruner.masks["R_u"]].any()
        optimizer.step(1e-2)
        pruner.step(step)
        for name, mask in pruner.masks.items():
            W = model.R.detach().chunk(3)[PRUNED.index(name)] if name[0] == "R" else getattr(model, name).detach()
            assert not (W[~mask] != 0).any() and not torch.signbit(W[~mask]).any()
            assert (W[mask] != 0).all()
            assert not (mask & ~before[name]).any()
    assert abs(float(pruner.masks["R_r"].float().mean()) - 0.1) < 1 / 64


def test_one_value_a_group_and_a_matrix():
    cfg = PruneConfig(sparsity={"R_u": 0.5, "R": 0.9}, block={"O": "8x4"})
    assert {name: z for name, z in cfg.sparsity.items() if z} == {"R_u": 0.5, "R_r": 0.9, "R_e": 0.9}
    assert {name for name, z in PruneConfig(sparsity=0.9).sparsity.items() if not z} == {"C1", "C2", "C3"}
    assert cfg.block["R_u"] == "16x1" and cfg.block["O4"] == "8x4"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sparsity": {"I": 0.5}}, "found matrix 'I', wanted R, O, C or one of R_u"),
        ({"sparsity": {"R": 1.0}}, "sparsity of R_u: found 1.0"),
        ({"sparsity": {"R": "half"}}, "sparsity of R_u: found 'half'"),
        ({"block": {"O": "16"}}, "block of O1: found '16', wanted rows x columns"),
        ({"block": {"O": "0x4"}}, "block of O1: found '0x4'"),
        ({"block": {"O": 16}}, "block of O1: found 16"),
        ({"start": -1}, "start: found -1"),
        ({"every": 0}, "every: found 0"),
        ({"exponent": 0.5}, "exponent: found 0.5"),
        ({"norm": "l3"}, "norm: found 'l3', wanted l1 or l2"),
    ],
)
def test_bad_settings(values, message):
    with pytest.raises(ValueError, match=message):
        PruneConfig(**values)


def test_blocks_must_divide_their_matrix():
    check_blocks(PruneConfig(sparsity={"O": 0.5}, block={"R": "3x1", "O": "32x4"}), SMALL)  # R stays dense
    with pytest.raises(ValueError, match="block of R_u: found 3x1, wanted divisors of 64 x 64"):
        check_blocks(PruneConfig(sparsity={"R": 0.5}, block={"R": "3x1"}), SMALL)
    with pytest.raises(ValueError, match="block of O1: found 16x64, wanted divisors of 32 x 32"):
        Pruner(PruneConfig(sparsity={"O": 0.5}, block={"O": "16x64"}), WaveRNN(SMALL))
