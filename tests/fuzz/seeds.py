"""What the targets of `make fuzz` damage: small models of every kind.

Usage: ``python tests/fuzz/seeds.py FOLDER``
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "support")]

from hostile_models import delicate, hostile  # noqa: E402
from model_fixtures import tiny_config, tiny_model  # noqa: E402
from wv_runtime.features.postfilter import filter_tables  # noqa: E402
from wv_runtime.model import binary  # noqa: E402
from wv_runtime.model.config import MelConfig  # noqa: E402
from wv_runtime.model.weights import Model, Postfilter  # noqa: E402


def models(max_blocks: int | None) -> dict[str, Model]:
    """One of every kind, as small as the format allows: four samples a frame, two bands, 16 wide but for the state."""
    mel = MelConfig("tiny", 16000, 16, 4, 8, 2, 0.0, 8000.0)
    cfg = tiny_config(n_out=16, mel=mel)
    lpc = replace(cfg, lpc_order=16, preemphasis=0.0)
    stats = np.array([[-5.0] * mel.n_mels, [1.0] * mel.n_mels], np.float32)
    made = {}
    for dtype in ("f32", "f16", "int8"):
        made[f"plain_{dtype}"] = tiny_model(dtype, cfg=cfg, max_blocks=max_blocks)
        predicts = made[f"lpc_{dtype}"] = tiny_model(dtype, cfg=lpc, max_blocks=max_blocks)
        filtered = replace(predicts, postfilter=Postfilter(*filter_tables(mel)))
        combed = replace(predicts, postfilter=replace(filtered.postfilter, comb=0.5))
        made |= {f"filter_{dtype}": filtered, f"comb_{dtype}": combed}
        made[f"stats_{dtype}"] = replace(combed, mel_stats=stats)
        lanes = replace(lpc, subscale=2, horizon=1, lookback=2, context=1)
        made[f"lanes_{dtype}"] = tiny_model(dtype, cfg=lanes, max_blocks=max_blocks)
        denoised = replace(predicts, postfilter=replace(combed.postfilter, denoise=12.0), mel_stats=stats)
        made[f"denoise_{dtype}"] = denoised
    for h in (4, 16):
        made[f"block_{h}"] = tiny_model("int8", block=(h, 4), cfg=cfg, max_blocks=max_blocks)
    return made


def seed_files(folder: Path) -> Path:
    """The folder, with models in it: `reader` has small ones, `stream` longer rows and extreme numbers, too."""
    extreme = {f"delicate_{dtype}": delicate(dtype) for dtype in ("f32", "f16", "int8")}
    extreme |= {f"hostile_{seed}": hostile(seed) for seed in range(8)}
    for name, made in {"reader": models(1), "stream": models(None) | extreme}.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for kind, model in made.items():
            (folder / name / f"{kind}.bin").write_bytes(binary.pack(model))
    return folder


if __name__ == "__main__":
    seed_files(Path(sys.argv[1]))
