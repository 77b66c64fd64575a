"""The recurrence that trains on CPUs: torch's GRU, its gradients, and what int8 rounds."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from wv_runtime.model.blocks import quantize_rows  # noqa: E402
from wv_train.gru import Recurrence, to_8_bits  # noqa: E402
from wv_train.model import int8_rows  # noqa: E402

T, B, S, N = 24, 3, 4, 64  # steps, lanes, sub-frames, units
NAMES = ("g", "I", "R", "b_R", "h")


@pytest.fixture
def inputs():
    """x and the five that have gradients; some update gates are within 1e-6 of 1."""
    torch.manual_seed(0)
    x, g, I = torch.rand(T, B, 3) * 2 - 1, torch.randn(S, B, 3 * N), 0.3 * torch.randn(3 * N, 3)
    R, b_R, h = torch.randn(3 * N, N) / 5, 0.1 * torch.randn(3 * N), torch.rand(B, N) * 1.9 - 0.95
    b_R[:5] = 14.0
    return x, *(w.requires_grad_() for w in (g, I, R, b_R, h))


def torch_gru(x, g, I, R, b_R, h):
    """torch's own, by its names: r, z, n = r, u, e"""

    def rows(w):
        u, r, e = w.chunk(3)
        return torch.cat([r, u, e])

    p = torch.cat([x, g.repeat_interleave(T // S, 0)], -1)
    W = torch.cat([I, torch.eye(3 * N)], 1)
    weights = [rows(w) for w in (W, R, torch.zeros(3 * N), b_R)]
    return torch._VF.gru(p, h[None], weights, True, 1, 0.0, True, False, False)[0]


def gradients(y, inputs):
    torch.manual_seed(1)
    return torch.autograd.grad((y * torch.randn(y.shape)).sum(), inputs[1:])


def test_states_and_gradients_are_torch_s(inputs):
    ours, theirs = Recurrence.apply(*inputs, False), torch_gru(*inputs)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    for name, a, b in zip(NAMES, gradients(ours, inputs), gradients(theirs, inputs), strict=True):
        assert float((a - b).abs().max() / b.abs().max()) < 2e-5, name


def test_bfloat16_touches_gradients_only(inputs):
    plain = Recurrence.apply(*inputs, False)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = Recurrence.apply(*inputs, False)
    assert torch.equal(plain, mixed)
    for name, a, b in zip(NAMES, gradients(mixed, inputs), gradients(plain, inputs), strict=True):
        assert a.dtype == torch.float32 and 0 < float((a - b).norm() / b.norm()) < 0.01, name


def test_int8_rounds_as_the_runtime(inputs):
    """Against the equations in plain torch, every value rounded where docs/numerics.md says."""
    x, g, I, R, b_R, h = (w.detach() for w in inputs)

    def on(grid, w):
        return (w * grid).round() / grid

    h, wanted = on(32768, h), []
    for t in range(T):
        a_u, a_r, a_e = on(1024, F.linear(to_8_bits(h), R, b_R)).chunk(3, 1)
        p_u, p_r, p_e = (g[t // (T // S)] + x[t] @ I.T).chunk(3, 1)
        v = on(32768, torch.sigmoid(-(a_u + p_u)).clamp(min=1 / 32768))
        r = on(32768, torch.sigmoid(a_r + p_r))
        e = on(32768, torch.tanh(r * a_e + p_e))
        h = on(32768, h + v * (e - h))
        wanted.append(h)
    ours = Recurrence.apply(x, g, I, R, b_R, on(32768, inputs[5].detach()), True)
    difference = (ours - torch.stack(wanted)).abs()
    assert torch.equal(ours, on(32768, ours))
    assert difference.max() < 0.02 and difference.mean() < 2e-4  # a rounding that falls the other way, now and then
    assert difference.mean() < 0.1 * (ours - Recurrence.apply(x, g, I, R, b_R, inputs[5].detach(), False)).abs().mean()


def test_8_bits():
    h = torch.tensor([-1.0, -0.5, 0.0, 0.003, 0.004, 0.999, 1.0])
    assert (128 * to_8_bits(h)).tolist() == [-128, -64, 0, 0, 1, 127, 127]


def test_rows_are_rounded_as_export_stores_them():
    torch.manual_seed(0)
    W = torch.randn(32, 16) * torch.logspace(-3, 2, 32)[:, None]
    W[5] = 0
    w, scale = quantize_rows(W.numpy())
    torch.testing.assert_close(int8_rows(W), torch.from_numpy(w * scale[:, None]).float(), atol=0, rtol=1e-6)
