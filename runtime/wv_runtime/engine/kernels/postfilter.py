"""The mel post-filter: brings the mel of what was synthesised back to the mel that was asked for, band by band.

A frame of output, windowed as the mel front end does, has the spectrum Y and the band magnitudes B |Y|. Band b is
scaled by

    g_b = min(max(exp(m_b) / (B |Y|)_b, 0.1), 10)

and bin k of Y is multiplied by the gain that lies on a straight line between the centres of its two bands. Frames are
added up under the same window again and divided by the sum of squared windows. It works on finished samples, so it
knows nothing of the network. Output comes 2 d + c hops after input: d = ceil((win_length - hop_length) / 2 hop_length)
hops lie on each side of a frame's hop, and the pitch comb, if there is one, reads c more (comb.py).

A `denoise` of D dB takes the noise of the recordings out of the wanted powers exp(2 m_b), by the spectral subtraction
of Berouti, Schwartz and Makhoul 1979 (ICASSP). The noise of a band is what lies one deviation below the mean of the
mels of training; twice its power is subtracted, and no band loses more than D dB:

    exp(2 m_b)  becomes  max(exp(2 m_b) - 2 exp(2 (mean_b - std_b)), 10^(-D / 10) exp(2 m_b))

C twin: libwavernn/kernels/postfilter.c
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from .comb import Comb, comb_frame, comb_margin, make_comb
from .copy import copy
from .fft import fft, make_tables
from .jit import OVERLOAD, kernel
from .predict import LOG2E_2, exp2_double

GAIN_MAX = 10.0
OVERSUBTRACTION = 2.0
LOG2_10_10 = 0.33219280948873626  # log2(10) / 10: dB to octaves of power
MAGNITUDE_EPS = 1e-9  # as in features/mel.py
NO_STATS = np.zeros(0, np.float32)


class Filter(NamedTuple):
    """The mutable state of one stream's post-filter, and its tables."""

    comb: Comb
    x: NDArray[np.int16]  # ((2 d + 1 + 2 c) * hop_length,) the last hops of input
    y: NDArray[np.float32]  # ((2 d + 1) * hop_length,) sums of windowed frames
    norm: NDArray[np.float32]  # likewise, sums of squared windows
    mels: NDArray[np.float32]  # ((d + c + 1) * n_mels,) frames of the last hops, the oldest first
    hop: NDArray[np.int16]  # (hop_length,)
    n: NDArray[np.int64]  # (2,) hops that came in, those of them that were the stream's
    window: NDArray[np.float32]  # (win_length,)
    cosine: NDArray[np.float32]  # (n_fft / 2,)
    sine: NDArray[np.float32]
    re: NDArray[np.float32]  # (n_fft,)
    im: NDArray[np.float32]
    re_2: NDArray[np.float32]
    im_2: NDArray[np.float32]
    gain: NDArray[np.float32]
    magnitude: NDArray[np.float32]  # (n_fft / 2 + 1,)
    bands: NDArray[np.float32]  # (n_mels + 2,)
    noise: NDArray[np.float64]  # (n_mels,) power taken for noise in each band
    floor: NDArray[np.float64]  # (1,) share of a band's power that stays at least
    band: NDArray[np.int32]  # (n_fft / 2 + 1,)
    weight: NDArray[np.float32]  # (3 * (n_fft / 2 + 1),)


def filter_reach(cfg: Any, tables: Any) -> tuple[int, int]:
    """Hops d and c on each side of a hop that its frame and the comb read. cfg : MelConfig    tables : Postfilter"""
    d = -(-(cfg.win_length - cfg.hop_length) // (2 * cfg.hop_length))
    return d, comb_margin(cfg) if tables.comb else 0


def filter_delay(cfg: Any, tables: Any) -> int:
    """Frames by which the post-filter's output comes later: 2 d + c."""
    d, c = filter_reach(cfg, tables)
    return 2 * d + c


def make_filter(cfg: Any, tables: Any, mel_stats: NDArray[np.float32] = NO_STATS) -> Filter:
    """cfg : MelConfig    tables : weights.Postfilter    mel_stats : (2, n_mels) of the model, wanted for `denoise`"""
    d, c = filter_reach(cfg, tables)

    def zeros(n: int) -> NDArray[np.float32]:
        return np.zeros(n, np.float32)

    width = (2 * d + 1) * cfg.hop_length
    f = Filter(
        comb=make_comb(cfg, tables.comb), x=np.zeros(width + 2 * c * cfg.hop_length, np.int16), y=zeros(width),
        norm=zeros(width), mels=zeros((d + c + 1) * cfg.n_mels),
        hop=np.zeros(cfg.hop_length, np.int16), n=np.zeros(2, np.int64), window=zeros(cfg.win_length),
        cosine=zeros(cfg.n_fft // 2), sine=zeros(cfg.n_fft // 2), re=zeros(cfg.n_fft), im=zeros(cfg.n_fft),
        re_2=zeros(cfg.n_fft), im_2=zeros(cfg.n_fft), gain=zeros(cfg.n_fft), magnitude=zeros(cfg.n_fft // 2 + 1),
        bands=zeros(cfg.n_mels + 2), noise=np.zeros(cfg.n_mels), floor=np.ones(1),
        band=np.array(tables.band), weight=np.array(tables.weight).reshape(-1),
    )  # fmt: skip
    _make_tables(cfg.n_fft, f.window, f.cosine, f.sine)
    f.floor[0] = _make_noise(cfg.n_mels, np.array(mel_stats).reshape(-1), np.float32(tables.denoise), f.noise)
    return f


@register_jitable(**OVERLOAD)
def make_noise(n_mels, stats, denoise, noise):
    """The noise of each band, from the mean and deviation of the mels of training; the share of power that stays.

    stats : (2 * n_mels,) float32    denoise : float32, dB; 0 is none    noise : (n_mels,) float64
    """
    for b in range(n_mels):
        noise[b] = 0.0
        if denoise > np.float32(0.0):
            level = (np.float64(stats[b]) - np.float64(stats[n_mels + b])) * LOG2E_2
            noise[b] = OVERSUBTRACTION * exp2_double(max(min(level, 60.0), -60.0))
    return exp2_double(0.0 - np.float64(denoise) * LOG2_10_10)


@register_jitable(**OVERLOAD)
def filter_gains(n_bins, n_mels, band, weight, mel, noise, floor, magnitude, bands, gain):
    """The gain of every bin.

    band   : (n_bins,) int32, the lower of the two bands that a bin belongs to; -1 and n_mels - 1 at the ends
    weight : (3, n_bins) float32, of the bin in the lower and in the upper band, and how far it lies towards the upper
    mel    : (n_mels,) float32 wanted    noise, floor : of make_noise
    magnitude, gain : (n_bins,) float32    bands : (n_mels + 2,) float32 scratch
    """
    # 1) B |Y|, with an empty band before the first and after the last
    for b in range(n_mels + 2):
        bands[b] = np.float32(0.0)
    for k in range(n_bins):
        b = band[k] + 1
        bands[b] = bands[b] + weight[k] * magnitude[k]
        bands[b + 1] = bands[b + 1] + weight[n_bins + k] * magnitude[k]
    # 2) g_b; beyond the first and the last band theirs
    for b in range(n_mels):
        wanted = exp2_double(max(min(np.float64(mel[b]) * (LOG2E_2 / 2.0), 60.0), -60.0))
        left = 1.0 - noise[b] / (wanted * wanted)
        wanted = wanted * np.sqrt(max(left, floor))
        ratio = wanted / (np.float64(bands[b + 1]) + 1e-12)
        bands[b + 1] = np.float32(max(min(ratio, GAIN_MAX), 1.0 / GAIN_MAX))
    bands[0], bands[n_mels + 1] = bands[1], bands[n_mels]
    # 3) between the centres
    for k in range(n_bins):
        b = band[k] + 1
        gain[k] = bands[b] + weight[2 * n_bins + k] * (bands[b + 1] - bands[b])


@register_jitable(**OVERLOAD)
def filter_hop(f, mel, ours):
    """The hop in f.hop goes in; out of it comes the one before by 2 d + c hops. Returns whether there was one.

    mel : (n_mels,) float32 of this hop    ours : whether the hop is the stream's, not one after its end
    """
    hop, n_fft, n_x, width, n_mels = len(f.hop), len(f.re), len(f.x), len(f.y), len(mel)
    n_bins, first, wait = n_fft // 2 + 1, (width - len(f.window)) // 2, len(f.mels) // n_mels - 1
    # 1) the hop joins the last 2 (d + c), its mel the last d + c
    for k in range(wait * n_mels):
        f.mels[k] = f.mels[k + n_mels]
    for k in range(n_mels):
        f.mels[wait * n_mels + k] = mel[k]
    f.n[0] += 1
    f.n[1] += 1 if ours else 0
    for k in range(n_x - hop):
        f.x[k] = f.x[k + hop]
    for k in range(hop):
        f.x[n_x - hop + k] = f.hop[k]
    if f.n[0] > wait and f.n[0] - wait <= f.n[1]:
        # 2) the frame in their middle, combed, and its spectrum
        comb_frame(f.comb, f.x, (n_x - width) // 2 + first)
        for k in range(n_fft):
            f.re[k] = np.float32(0.0)
            f.im[k] = np.float32(0.0)
        for k in range(len(f.window)):
            f.re[k] = f.comb.y[k] * np.float32(1.0 / 32768.0) * f.window[k]
        fft(n_fft, f.cosine, f.sine, f.re, f.im, f.re_2, f.im_2)
        # 3) its gains
        for k in range(n_bins):
            power = f.re[k] * f.re[k] + f.im[k] * f.im[k]
            f.magnitude[k] = np.sqrt(power + np.float32(MAGNITUDE_EPS))
        filter_gains(n_bins, n_mels, f.band, f.weight, f.mels, f.noise, f.floor[0], f.magnitude, f.bands, f.gain)
        for k in range(1, n_fft // 2):
            f.gain[n_fft - k] = f.gain[k]
        # 4) back: the transform of the conjugate is the conjugate of the inverse
        for k in range(n_fft):
            f.re[k] = f.re[k] * f.gain[k]
            f.im[k] = np.float32(0.0) - f.im[k] * f.gain[k]
        fft(n_fft, f.cosine, f.sine, f.re, f.im, f.re_2, f.im_2)
        for k in range(len(f.window)):
            w = f.window[k]
            f.y[first + k] = f.y[first + k] + f.re[k] * w * np.float32(32768.0 / n_fft)
            f.norm[first + k] = f.norm[first + k] + w * w
    # 5) the first of the hops is finished
    for k in range(hop):
        y = np.float32(0.0)
        if f.norm[k] > np.float32(0.001):
            y = f.y[k] / f.norm[k]
        clipped = max(min(y, np.float32(32767.0)), np.float32(-32768.0))
        f.hop[k] = np.int16(np.int32(clipped + np.float32(32768.5)) - 32768)
    for k in range(width - hop):
        f.y[k] = f.y[k + hop]
        f.norm[k] = f.norm[k + hop]
    for k in range(hop):
        f.y[width - hop + k] = np.float32(0.0)
        f.norm[width - hop + k] = np.float32(0.0)
    return f.n[0] > wait + (width // hop - 1) // 2  # d


@kernel
def filter_hops(f, mels, n_ours, pcm, out):
    """len(pcm) / hop_length hops in, of which the first n_ours are the stream's, and those that come out of them.

    mels : (n_ours * n_mels,) float32    pcm, out : int16    Returns the samples in `out`.
    """
    hop, n = len(f.hop), 0
    n_mels = len(f.bands) - 2
    for i in range(len(pcm) // hop):
        ours = i < n_ours
        copy(f.hop, 0, pcm, i * hop, hop)
        if filter_hop(f, mels[i * n_mels : (i + 1) * n_mels] if ours else f.mels[:n_mels], ours):
            copy(out, n, f.hop, 0, hop)
            n += hop
    return n


@kernel
def _make_tables(n_fft, window, cosine, sine):
    make_tables(n_fft, window, cosine, sine)


@kernel
def _make_noise(n_mels, stats, denoise, noise):
    return make_noise(n_mels, stats, denoise, noise)
