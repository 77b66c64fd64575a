"""Muon as torch's own, and what a matrix gets from it."""

import copy

import pytest

torch = pytest.importorskip("torch")

from wv_runtime.model.config import WaveRNNConfig  # noqa: E402
from wv_train.model import WaveRNN  # noqa: E402
from wv_train.optim import Optimizer, polar  # noqa: E402

CFG = WaveRNNConfig(n_units=64, n_out=16, n_cond=16)


def gradients(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for w in model.parameters():
        w.grad = torch.randn(w.shape, generator=generator)


def test_matrices_move_as_under_torchs_muon():
    """Bit for bit in bfloat16; biases and I* as under Adam."""
    ours, theirs = WaveRNN(CFG), WaveRNN(CFG)
    theirs.load_state_dict(ours.state_dict())
    optimizer = Optimizer(ours, torch.bfloat16)
    matrices = [theirs.get_parameter(name) for name in CFG.matrix_shapes()]
    others = [w for w in theirs.parameters() if all(w is not W for W in matrices)]
    muon = torch.optim.Muon(matrices, lr=4e-2, weight_decay=0, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.Adam(others, lr=1e-2, fused=True)
    for seed in range(3):
        gradients(ours, seed)
        gradients(theirs, seed)
        optimizer.step(1e-2)
        muon.step()
        adam.step()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("shape", [(192, 64), (16, 32), (48, 48)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_polar_brings_every_singular_value_near_1(shape, dtype):
    M = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    U, S, Vh = torch.linalg.svd(M, full_matrices=False)
    found = polar(((U * S.clamp(min=0.1 * S.max())) @ Vh).to(dtype)).double()
    assert torch.linalg.svdvals(found).sub(1).abs().max() < 0.45
    assert torch.nn.functional.cosine_similarity(found.flatten(), (U @ Vh).flatten(), dim=0) > 0.97
    assert not polar(torch.zeros(shape, dtype=dtype)).any()


def test_state_goes_on_in_another_optimizer():
    model, other = WaveRNN(CFG), WaveRNN(CFG)
    other.load_state_dict(model.state_dict())
    first, second = (Optimizer(m, torch.float32) for m in (model, other))
    gradients(model, 0)
    first.step(1e-3)
    other.load_state_dict(model.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))  # as a checkpoint has it
    for m, optimizer in ((model, first), (other, second)):
        gradients(m, 1)
        optimizer.step(1e-3)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
