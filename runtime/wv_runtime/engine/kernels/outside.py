"""What is left of a sample where the network itself runs elsewhere, in ONNX Runtime or on a GPU: inputs, draws and PCM.

Between the calls the caller puts h_t into s.h and the logits of the byte to draw into s.logits. And, the other way
round, what of the network the kernels keep to themselves: `output_layers`.
"""

from __future__ import annotations

from .jit import kernel
from .predict import predictor
from .wavernn import heard, lane_draw, stage_coarse, stage_inputs, stage_logits, stage_pcm


@kernel
def begin_frame(net, s, mel):
    """The linear prediction of a frame. mel : (n_mels,) float32"""
    if net.lpc_order > 0:
        predictor(net.M, mel, s.work, s.lpc, s.inverse)


@kernel
def begin_sample(net, s):
    """x_t but c_t, into s.x"""
    stage_inputs(net, s)


@kernel
def draw_coarse(net, s, seed, log2e_over_temperature):
    """c_t, which is the last of s.x then"""
    coarse = lane_draw(s, seed, log2e_over_temperature, 32)
    stage_coarse(net, s, coarse)
    return coarse


@kernel
def draw_fine(net, s, seed, log2e_over_temperature, coarse):
    """f_t, and the sample that both bytes make. int16"""
    return stage_pcm(net, s, coarse, lane_draw(s, seed, log2e_over_temperature, 0))


@kernel
def hear(samples, preemphasis, y, pcm):
    """What is heard of pre-emphasised samples. samples, pcm : (n,) int16    y : as in wavernn.heard"""
    for i in range(len(samples)):
        pcm[i] = heard(samples[i], preemphasis, y)


@kernel
def output_layers(net, s, fine):
    """Of the last sample, again: relu(O1 h) or relu(O3 h) into s.z (int8: into s.q), the logits into s.logits"""
    if fine:
        stage_logits(s, net.n_units // 2, net.O3, net.O4, s.logits)
    else:
        stage_logits(s, 0, net.O1, net.O2, s.logits)
