"""The table on the terminal and the HTML page.

Usage: ``print(table(report)); page = html(report, results, rate)``
"""

from __future__ import annotations

import base64
import html as markup
import io
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from .evaluate import CLICK, LONG_FLAT_S, RUNAWAY_DB, Result

FOREIGN_PCT = 50  # word errors of recordings; of other languages above 100, of English below 20
COLUMNS = {  # key: head, decimals
    "pesq_wb": ("PESQ-WB", 2), "stoi": ("STOI", 3), "mcd_db": ("MCD dB", 2), "mrstft": ("MR-STFT", 2),
    "f0_rmse_hz": ("F0 Hz", 1), "f0_gross_pct": ("F0 gross %", 1), "vuv_err_pct": ("voicing %", 1),
    "wer_out": ("words %", 1), "jump_ratio": ("jump", 2), "rms_db": ("level dB", 1),
    "p808": ("P808", 3), "sig": ("SIG", 2), "ovrl": ("OVRL", 2), "level_sd": ("level sd", 2),
    "hnr_1_2k": ("HNR 1-2k", 2), "hnr_2_3k": ("HNR 2-3k", 2),
}  # fmt: skip
NAMES = {"model": "model", "griffin_lim": "Griffin-Lim", "world": "WORLD", "mu_law": "8-bit mu-law",
         "recording": "recording"}  # fmt: skip


def table(report: dict[str, Any]) -> str:
    """One screen: the likelihood, a row for each system, and what became of the long synthesis."""
    mean = report["mean"]
    lines = [
        f"{report['model']}, {report['dtype']}: {report['n_clips']} clips, {report['audio_s']:.1f} s of "
        f"{report['data']}, {report['split']}; {_seeds(report)}, temperature {report['effective_temperature']:g} "
        f"({report['built_in_temperature']:g} of the file x {report['temperature']:g})",
        f"NLL {mean['nll_nats']:.4f} nats per sample ({mean['nll_coarse']:.4f} coarse + {mean['nll_fine']:.4f} fine), "
        f"{mean['bits_per_sample']:.4f} bits",
        *([f"NLL by lane: {' '.join(f'{nll:.3f}' for nll in report['nll_lanes'])}"] if "nll_lanes" in report else []),
        "",
        f"{'':<13}" + "".join(f"{head:>11}" for head, _ in COLUMNS.values()),
    ]
    rows = {"model": mean, **({"sd by seed": report["seed_sd"]} if "seed_sd" in report else {}), **report["baselines"]}
    for name, scores in rows.items():
        cells = (_number(scores[key], decimals) for key, (_, decimals) in COLUMNS.items())
        lines.append(f"{NAMES.get(name, name)[:12]:<13}" + "".join(f"{cell:>11}" for cell in cells))
    if mean["wer_ref"] is not None:
        doubt = "; not English? They say nothing then: --no-asr" if mean["wer_ref"] > FOREIGN_PCT else ""
        lines.append(f"words %: of the recordings themselves {mean['wer_ref']:.1f}{doubt}")
    lines.append(f"jump: of all clips, largest over the recordings' largest {_number(mean['jump_ratio_max'], 2)}")
    if report["differences"]:
        lines += ["", "model minus system, with 95 % intervals over clips"]
    for name, paired in report["differences"].items():
        cells = ("-" if paired[key] is None else "{:+.{n}f}±{:.{n}f}".format(*paired[key], n=decimals)
                 for key, (_, decimals) in COLUMNS.items())  # fmt: skip
        lines.append(f"{NAMES.get(name, name)[:12]:<13}" + "".join(f"{cell:>13}" for cell in cells))
    if report["long"]:
        lines += ["", *_long(report["long"])]
    return "\n".join(lines)


def _seeds(report: dict[str, Any]) -> str:
    return f"seed {report['seed']}" if report["n_seeds"] == 1 else f"{report['n_seeds']} seeds from {report['seed']} on"


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def _long(long: dict[str, Any]) -> list[str]:
    def verdict(key: str) -> str:
        return "pass" if long[key] else "FAIL"

    return [
        f"one stream of {long['seconds']:.1f} s",
        f"  clicks     {verdict('click_free')}  largest jump {long['jump_ratio']:.2f} of the recordings' "
        f"(at most {CLICK:g})",
        f"  runaway    {verdict('no_runaway')}  level of a second {long['rms_db_min']:+.1f} to "
        f"{long['rms_db_max']:+.1f} dB off the recordings' (within {RUNAWAY_DB:g})",
        f"  dead ends  {verdict('no_dead_end')}  longest run of equal samples {1e3 * long['flat_s']:.1f} ms "
        f"(at most {1e3 * LONG_FLAT_S:g}, or the recordings')",
    ]


# The page

STYLE = """body{font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1500px;padding:0 1em}
pre{overflow-x:auto;background:#8881;padding:1em}.clip{display:flex;gap:12px;overflow-x:auto}
figure{margin:0;min-width:260px;flex:1}img,audio{width:100%}figcaption{font-size:13px}"""


def html(report: dict[str, Any], results: list[Result], rate: int) -> str:
    """One self-contained page: the table, then each clip with a player and a spectrogram for every system."""
    body = [f"<h1>{markup.escape(report['model'])}</h1><pre>{markup.escape(table(report))}</pre>"]
    for r in results:
        body.append(f"<h2>{markup.escape(r.clip.id)}</h2><p>{markup.escape(r.clip.text)}</p><div class=clip>")
        top = float(np.abs(_spectrum(r.audio["recording"], rate)).max())
        for name, audio in r.audio.items():
            body.append(
                f"<figure><b>{markup.escape(NAMES.get(name, name))}</b>"
                f'<img alt="spectrogram" src="data:image/jpeg;base64,{_base64(_spectrogram(audio, rate, top))}">'
                f'<audio controls preload="none" src="data:audio/flac;base64,{_base64(_flac(audio, rate))}"></audio>'
                f"<figcaption>{_caption(r, name)}</figcaption></figure>"
            )
        body.append("</div>")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>wv-eval {markup.escape(report['model'])}</title><style>{STYLE}</style>{''.join(body)}</html>\n"
    )


def _caption(result: Result, name: str) -> str:
    if name == "recording":
        return f"{sum(result.nll):.3f} nats per sample"
    s = result.scores[name]
    return ", ".join(f"{COLUMNS[key][0]} {_number(s[key], COLUMNS[key][1])}"
                     for key in ("pesq_wb", "stoi", "p808", "hnr_1_2k", "vuv_err_pct", "wer_out"))  # fmt: skip


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _flac(audio: NDArray[Any], rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.clip(audio, -1, 32767 / 32768), rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _spectrum(audio: NDArray[Any], rate: int) -> NDArray[np.float64]:
    """(n_bins, n_frames): 32 ms Hann windows every 8 ms"""
    n, hop = rate * 32 // 1000, rate * 8 // 1000
    padded = np.pad(audio, (n // 2, n))
    return np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, n)[::hop] * np.hanning(n))).T


def _spectrogram(audio: NDArray[Any], rate: int, top: float) -> bytes:
    """A JPEG of 80 dB below `top`, the recording's largest magnitude."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 2.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    decibels = 20 * np.log10(np.maximum(_spectrum(audio, rate) / max(top, 1e-9), 1e-6))
    axes.imshow(
        decibels, origin="lower", aspect="auto", cmap="magma", vmin=-80, vmax=0,
        extent=(0, len(audio) / rate, 0, rate / 2000),
    )  # fmt: skip
    axes.set(xlabel="s", ylabel="kHz")
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=100, pil_kwargs={"quality": 80})
    return file.getvalue()
