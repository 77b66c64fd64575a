"""wv-train: train a WaveRNN on a folder of speech. The loop is `train`, read top to bottom.

Usage: ``wv-train DATA_DIR -o model.pt``
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm
from wv_runtime import __version__
from wv_runtime.atomic import atomic_path
from wv_runtime.commands.common import Command
from wv_runtime.errors import CheckpointError, WaveRNNError
from wv_runtime.model.config import PRESETS, WaveRNNConfig

from .checkpoint import FORMAT, load_checkpoint, load_model, model_from, save_checkpoint, slimmed
from .config import TABLES, ConfigError, TrainConfig, make, make_model_config, read_toml
from .dataset import Data, Lanes, load_data
from .grow import WIDTHS, grown
from .model import WaveRNN, WindowLoss, cross_entropy, scale_byte, split_bytes
from .optim import Optimizer
from .prune import NORMS, PruneConfig, Pruner, check_blocks, expand
from .team import Team

EVALUATE_FRAMES = 8  # mel frames at a time: keeps a validation in the cache
LOG_EVERY = 20  # steps between TensorBoard points of the training loss


class Settings(NamedTuple):
    """Everything a checkpoint says about how it was made."""

    model: WaveRNNConfig
    train: TrainConfig
    prune: PruneConfig


class Run(NamedTuple):
    """What concerns this run only and leaves no trace in the weights."""

    data_dir: Path
    output: Path  # model.pt
    device: str  # "cpu" or "cuda"
    bf16: bool  # the output layers and gradient GEMMs in bfloat16
    team: Team  # the processes that share the work
    teacher: WaveRNN | None  # whose distributions to learn
    max_minutes: float  # 0 is no limit
    cache_dir: Path | None
    log_dir: Path | None  # TensorBoard


def train(run: Run, settings: Settings, before: dict[str, Any] | None, resuming: bool) -> int:
    """Train until the last step, the time limit or a signal, and leave a checkpoint at run.output.

    `before` is the checkpoint to resume, or, if not `resuming`, the one whose weights and masks to start from.

    Returns the number of the signal that ended it, or 0.
    """
    began = time.monotonic()
    model_cfg, cfg, prune_cfg = settings
    team, leads = run.team, run.team.rank == 0

    # 1) data: windows of whole mel frames, each continuing the one before in its lane
    with team.leader_first():
        data = load_data(run.data_dir, model_cfg, run.cache_dir, feature_bar)
    lanes = Lanes(data, "train", whole_frames(cfg.window, model_cfg))
    valid = Lanes(data, "valid", whole_frames(cfg.valid_window, model_cfg)).beginnings(cfg.valid_windows)
    samples_per_step = cfg.batch * lanes.window_frames * model_cfg.mel.hop_length

    # 2) model, masks, optimizer; and the state of an earlier run
    torch.manual_seed(cfg.seed)
    if before:
        model = model_from(before, run.output)
        if model.cfg != model_cfg:
            model = grown(model, model_cfg)
    else:
        model = WaveRNN(model_cfg)
        for buffer, stat in zip((model.mel_mean, model.mel_std), data.mel_stats(), strict=True):
            buffer.copy_(torch.from_numpy(stat))
    model.int8 = cfg.int8
    model.to(run.device).train()
    optimizer = Optimizer(model, torch.bfloat16 if run.bf16 else torch.float32)
    pruner = Pruner(prune_cfg, model, before["masks"] if before else None)
    if not resuming:
        pruner.step(0)  # --prune-steps 0 prunes before the first update
    step, minutes_before, history = 0, 0.0, []
    loss_of: Any = WindowLoss(model, run.teacher, cfg.distill).to(run.device)
    h = torch.zeros(cfg.batch, sum(loss_of.widths))  # the states that the lanes have reached
    if before and resuming:
        step, minutes_before, history = before["step"], before["minutes"], before["history"]
        try:
            optimizer.load_state_dict(before["optimizer"])
            torch.set_rng_state(before["rng"]["torch"])
            if before["states"].shape == h.shape:  # else --batch has changed, and the lanes with it
                h = before["states"]
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise CheckpointError(f"{run.output}: optimizer, rng or states do not fit the model ({error})") from None
    h = h[team.share(cfg.batch)].to(run.device)
    if team.size > 1:
        loss_of = DistributedDataParallel(loss_of)

    def minutes() -> float:
        return minutes_before + (time.monotonic() - began) / 60

    def save() -> None:
        states = team.gather(h).cpu()
        if not leads:
            return
        save_checkpoint(run.output, {
            "format": FORMAT, "config": asdict(model_cfg), "model": model.state_dict(), "masks": pruner.masks,
            "step": step, "minutes": minutes(), "train": asdict(cfg), "prune": asdict(prune_cfg),
            "history": history, "data": describe(data),
            "versions": {"wavernn": __version__, "torch": str(torch.__version__)},
            "optimizer": optimizer.state_dict(), "rng": {"torch": torch.get_rng_state()}, "states": states,
        })  # fmt: skip

    # 3) the loop. Data depend on (seed, step) alone, so that to resume is to start at another step
    log = open_log(run.log_dir if leads else None, step)
    total = torch.zeros(2, dtype=torch.float64)  # coarse, fine NLL since the last validation
    n_total, first_step, loop_began, saved = 0, step, time.monotonic(), time.monotonic()
    with Signals() as signals, progress_bar(cfg.steps, step, leads) as bar:
        while True:
            now = time.monotonic()
            limits = [run.max_minutes > 0 and now - began >= 60 * run.max_minutes, now - saved >= 60 * cfg.save_minutes]
            late, due, ended_by = team.agree([*limits, signals.seen], run.device)
            last = step >= cfg.steps or late
            if due and step > first_step:
                save()
                saved = now
            if leads and (step % cfg.valid_every == 0 or last) and (not history or history[-1]["step"] < step):
                entry: dict[str, Any] = {"step": step, "minutes": minutes(), "sparsity": pruner.sparsity}
                entry["lr"] = cfg.lr_at(step)
                entry["train_nll_c"], entry["train_nll_f"] = (total / n_total).tolist() if n_total else (None, None)
                entry["valid_nll_c"], entry["valid_nll_f"] = evaluate(model, valid, run.device)
                history.append(entry)
                total.zero_()
                n_total = 0
                bar.write(summary(entry), sys.stderr)
                for name in entry.keys() - {"step", "train_nll_c", "train_nll_f"}:
                    log("valid/" + name.removeprefix("valid_"), entry[name], step)
            if leads and cfg.audio_every and step and step % cfg.audio_every == 0:
                write_sample(model, data, run.output.with_name(f"{run.output.stem}-{step}.wav"), cfg.seed)
            if last or ended_by:
                break

            batch = (a[team.share(cfg.batch)] for a in lanes.draw(cfg.seed, step, cfg.batch, cfg.gain_db))
            samples, mel, fresh = (torch.from_numpy(a).to(run.device) for a in batch)
            h = h.masked_fill(fresh[:, None], 0)
            model.zero_grad()
            parts = [tuple(a.chunk(cfg.accumulate)) for a in (samples, mel, h)]
            loss, reached = torch.zeros(2, device=run.device), []
            for k, part in enumerate(zip(*parts, strict=True)):
                # gradients cross the network once, with the last part
                with loss_of.no_sync() if team.size > 1 and k < cfg.accumulate - 1 else nullcontext():
                    with torch.autocast(run.device, torch.bfloat16, enabled=run.bf16 and not cfg.int8):
                        losses, of_data, h_last = loss_of(*part)
                    (losses.sum() / cfg.accumulate).backward()
                loss += of_data / cfg.accumulate
                reached.append(h_last)
            h = torch.cat(reached)
            if not torch.isfinite(loss).all():
                raise WaveRNNError(f"step {step}: found a loss of {loss.sum().item()}, wanted a finite one; "
                                   f"resume from the last checkpoint with a lower --lr")
            pruner.mask_gradients()
            torch.nn.utils.clip_grad_norm_(model.parameters(), cfg.clip)
            optimizer.step(cfg.lr_at(step))
            step += 1
            pruner.step(step)

            total += loss.double().cpu()  # of this process' lanes
            n_total += 1
            rate = (step - first_step) * samples_per_step / (time.monotonic() - loop_began)
            nll_c, nll_f = (total / n_total).tolist()
            bar.update()
            bar.set_postfix_str(f"nats/sample {nll_c:.3f} coarse + {nll_f:.3f} fine, sparsity "
                                f"{pruner.sparsity:.2f}, {rate / 1e3:.1f}k samples/s", refresh=False)
            if step % LOG_EVERY == 0:
                for name, value in (("nll_c", loss[0].item()), ("nll_f", loss[1].item()), ("samples_per_s", rate)):
                    log("train/" + name, value, step)
    save()
    return ended_by


@torch.no_grad()
def evaluate(
    model: WaveRNN, valid: tuple[NDArray[np.int16], NDArray[np.float32]], device: str
) -> tuple[float, float]:
    """Mean (coarse, fine) NLL in nats per byte over fixed windows, in float32, a few frames at a time.

    valid : samples (B, T + 1) int16, mel (B, n_mels, T / hop_length + cond_width - 1) float32
    """
    model.eval()
    hop, context = model.cfg.mel.hop_length, model.cfg.cond_width - 1
    total = torch.zeros(2, dtype=torch.float64)
    samples, mel = (torch.from_numpy(a) for a in valid)
    n_frames, h = mel.shape[2] - context, None
    for i in range(0, n_frames, EVALUATE_FRAMES):
        n = min(EVALUATE_FRAMES, n_frames - i)
        part = samples[:, i * hop : (i + n) * hop + model.cfg.n_past].to(device)
        part_mel = mel[:, :, i : i + n + context].to(device)
        x, byte = model.inputs(part, part_mel)
        y = model.states(x, part_mel, h)
        h = y[-1]
        losses = [cross_entropy(*pair) for pair in zip(model.output(y), byte)]
        total += torch.stack(losses).double().cpu() * n
    model.train()
    nll_c, nll_f = (total / n_frames).tolist()
    return nll_c, nll_f


@torch.no_grad()
def generate(model: WaveRNN, mel: Tensor, draws: Tensor) -> NDArray[np.int16]:
    """Sample T pre-emphasised samples freely, one at a time: slow and plain, to hear how training goes.

    mel   : (n_mels, T / hop_length + cond_width - 1) float32
    draws : (T, 2) float32 uniform numbers; the coarse and fine byte are the first whose cumulative
            probability exceeds theirs
    """
    half = model.cfg.n_units // 2
    g = model.condition(mel[None]) @ model.C3.T + model.b_C3  # (1, n_sub_frames, 3N)
    g = g[0].repeat_interleave(model.cfg.sub_length, dim=0).view(-1, 3, 2, half)
    I = model.I().view(3, 2, half, 3)

    def pick(logits: Tensor, draw: Tensor) -> Tensor:
        return (torch.softmax(logits, 0).cumsum(0) <= draw).sum().clamp(max=255)

    def part(k: int) -> Tensor:  # h_t of the coarse (k = 0) or fine (k = 1) half, given x_t so far
        x = I[:, k] @ x_t + g[t, :, k]
        u, r = torch.sigmoid(Rh[:2, k] + x[:2])
        return u * h[k] + (1 - u) * torch.tanh(r * Rh[2, k] + x[2])

    h = torch.zeros(2, half, device=mel.device)
    x_t = torch.stack([scale_byte(b) for b in (*split_bytes(torch.tensor(0)), torch.tensor(0))]).to(mel.device)
    out = torch.zeros(len(draws), dtype=torch.int32)
    for t in range(len(draws)):
        Rh = (model.R @ h.view(-1) + model.b_R).view(3, 2, half)
        y_c = part(0)
        c = pick(model.O2 @ torch.relu(model.O1 @ y_c + model.b_O1) + model.b_O2, draws[t, 0])
        x_t[2] = scale_byte(c)
        y_f = part(1)
        f = pick(model.O4 @ torch.relu(model.O3 @ y_f + model.b_O3) + model.b_O4, draws[t, 1])
        h = torch.stack([y_c, y_f])
        x_t[0], x_t[1] = scale_byte(c), scale_byte(f)
        out[t] = 256 * c + f - 32768
    return out.numpy().astype(np.int16)


def load_teacher(path: Path, cfg: WaveRNNConfig) -> WaveRNN:
    """The model of --teacher.

    Raises
    ------
    ConfigError
        If it does not see the same mels and samples as `cfg`.
    """
    teacher = load_model(path)[0]
    for name in ("mel", "preemphasis", "cond_width", "lpc_order"):
        found, wanted = getattr(teacher.cfg, name), getattr(cfg, name)
        if found != wanted:
            raise ConfigError(f"--teacher: {path}: {name}: found {found!r}, wanted {wanted!r}, the model's")
    return teacher


def write_sample(model: WaveRNN, data: Data, path: Path, seed: int) -> None:
    """Generate the first second of the first validation clip as a wav file."""
    import soundfile

    cfg, clip = data.cfg, int(np.flatnonzero(data.splits == "valid")[0])
    n_frames = min(int(data.n_frames[clip]), whole_frames(cfg.mel.sample_rate, cfg))
    mel = data.mel_windows(np.array([clip]), np.array([0]), n_frames)[0]
    draws = torch.rand(n_frames * cfg.mel.hop_length, 2, generator=torch.Generator().manual_seed(seed))
    device = model.R.device
    emphasised = generate(model, torch.from_numpy(mel).to(device), draws.to(device))
    audio = np.zeros(len(emphasised) + 1)
    for t, s in enumerate(emphasised):
        audio[t + 1] = s + cfg.preemphasis * audio[t]
    with atomic_path(path) as temp:
        soundfile.write(temp, np.clip(np.rint(audio[1:]), -32768, 32767).astype(np.int16), cfg.mel.sample_rate)


def plot_history(curves: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Learning curves as a PNG: validation NLL (coarse + fine) against step, one line per named history."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise WaveRNNError(f"{path}: matplotlib: not installed, wanted for a plot") from None
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="validation NLL, nats per sample")
    for label, history in curves.items():
        rows = [h for h in history if h["step"] > 0]  # step 0 is log 256 twice and would flatten the rest
        axes.plot([h["step"] for h in rows], [h["valid_nll_c"] + h["valid_nll_f"] for h in rows], label=label)
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(path) as temp:
        FigureCanvasAgg(figure).print_png(str(temp))


def summary(entry: dict[str, Any]) -> str:
    """One line for a history entry."""
    def pair(kind: str) -> str:
        c, f = entry[f"{kind}_nll_c"], entry[f"{kind}_nll_f"]
        return f"{kind} {c:.4f} coarse + {f:.4f} fine = {c + f:.4f}  " if c is not None else ""

    return (f"step {entry['step']}  {entry['minutes']:.1f} min  {pair('train')}{pair('valid')}"
            f"sparsity {entry['sparsity']:.3f}")


def describe(data: Data) -> dict[str, Any]:
    """The checkpoint's `data`."""
    in_train = data.splits == "train"
    seconds = float(data.n_frames[in_train].sum()) * data.cfg.mel.hop_length / data.cfg.mel.sample_rate
    return {"name": data.name, "n_train": int(in_train.sum()), "n_valid": int((data.splits == "valid").sum()),
            "train_minutes": round(seconds / 60, 2)}


def whole_frames(n_samples: int, cfg: WaveRNNConfig) -> int:
    """n_samples, rounded up to mel frames."""
    return math.ceil(n_samples / cfg.mel.hop_length)


class Signals:
    """Keeps the first ctrl-C (or SIGTERM) in `seen`, so that the current step is finished and saved."""

    seen = 0

    def __enter__(self) -> Signals:
        self._handlers = {s: signal.signal(s, self._on) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _on(self, number: int, frame: object) -> None:
        if self.seen:  # a second one does not wait
            raise KeyboardInterrupt
        self.seen = number

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def feature_bar(files: Iterable[Path]) -> Iterable[Path]:
    """A bar over the files whose features are computed, on a terminal."""
    return tqdm(files, "features", unit=" files", disable=None)


def progress_bar(n_steps: int, step: int, shown: bool) -> tqdm:
    """A bar on a terminal; in a log file a line every minute."""
    style: dict[str, Any] = {"dynamic_ncols": True}
    if not sys.stderr.isatty():
        style = {"ncols": 160, "ascii": True, "mininterval": 60, "maxinterval": 60}
    return tqdm(total=n_steps, initial=step, unit=" steps", disable=not shown, **style)


def open_log(log_dir: Path | None, step: int) -> Callable[[str, float, int], None]:
    """A function (tag, value, step) that writes to TensorBoard, or does nothing."""
    if log_dir is None:
        return lambda tag, value, step: None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        click.echo("tensorboard: not installed, no logs", err=True)
        return lambda tag, value, step: None
    return SummaryWriter(str(log_dir), purge_step=step + 1).add_scalar


def gather(config: Path | None, flags: dict[str, dict[str, Any]], before: dict[str, Any] | None,
           resuming: bool) -> Settings:
    """Defaults, then a checkpoint's settings, then the TOML file, then flags; later ones win.

    A checkpoint to resume brings all of its settings, one to start from its network and the block shapes of its
    masks. Neither of these two can change, but for the widths of a dense network to start from, which can grow.

    Raises
    ------
    ConfigError
        If a setting cannot be used.
    """
    shape = shape_of(before) if before else {}
    merged: dict[str, dict[str, Any]] = {"model": {**shape}, "train": {}, "prune": {}}
    sources: list[tuple[str, dict[str, dict[str, Any]]]] = []
    pruned_by: dict[str, str] = {}  # {matrix: block shape} of the checkpoint's masks
    if before:
        earlier = make(PruneConfig, before["prune"], "checkpoint: [prune]")
        pruned_by = {name: earlier.block[name] for name in before["masks"]}
        prune = before["prune"] if resuming else {"block": pruned_by}
        sources += [("checkpoint", {"model": {}, "train": before["train"] if resuming else {}, "prune": prune})]
    sources += [(str(config), read_toml(config))] if config else []
    sources += [("options", flags)]
    for source, tables in sources:  # checked source by source, so that an error names the right one
        where = {table: source if source == "options" else f"{source}: [{table}]" for table in TABLES}
        for key, value in tables["model"].items():
            if key not in shape or value == shape[key]:
                continue
            at_least = "at least " if key in WIDTHS and not resuming and not pruned_by else ""
            if not at_least or value < shape[key]:
                raise ConfigError(f"{where['model']}: {key}: found {value!r}, wanted {at_least}{shape[key]!r}, "
                                  f"the {'pruned ' if pruned_by else ''}checkpoint's")
        for table in TABLES:
            merged[table].update({k: v for k, v in tables[table].items() if k not in ("sparsity", "block")})
        for key in tables["prune"].keys() & {"sparsity", "block"}:  # one value for all, or by matrix
            try:
                merged["prune"][key] = {**merged["prune"].get(key, {}), **expand(tables["prune"][key])}
            except ValueError as error:
                raise ConfigError(f"{where['prune']}: {key}: {error}") from None
        settings = Settings(
            make_model_config(merged["model"], where["model"]),
            make(TrainConfig, merged["train"], where["train"]),
            make(PruneConfig, merged["prune"], where["prune"]),
        )
        for name, block in pruned_by.items():
            if settings.prune.block[name] != block:
                raise ConfigError(f"{where['prune']}: block of {name}: found {settings.prune.block[name]}, "
                                  f"wanted {block}, the checkpoint's masks'")
        try:
            check_blocks(settings.prune, settings.model)
        except ValueError as error:
            raise ConfigError(f"{where['prune']}: {error}") from None
    return settings


def shape_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's network as the keys of [model]."""
    config = dict(checkpoint["config"])
    return {"preset": config.pop("mel")["name"], **config}


def setting_flags(command: Callable[..., None]) -> Callable[..., None]:
    """One flag for each field of TrainConfig, with its default and help."""
    for f in reversed(fields(TrainConfig)):
        about = f"{f.metadata['help']} [{f.default:g}]"
        flag = f"--{f.name.replace('_', '-')}"
        kind = {"is_flag": True, "default": None} if type(f.default) is bool else {"type": type(f.default)}
        command = click.option(flag, f"train__{f.name}", help=about, **kind)(command)
    return command


def by_matrix(kind: Callable[[str], Any]) -> Callable[..., dict[str, Any] | None]:
    """Click callback for `--sparsity 0.9 --sparsity O=0.8`: -> {"R": 0.9, "O": 0.8}"""

    def parse(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any] | None:
        table: dict[str, Any] = {}
        for text in values:
            name, equals, value = text.rpartition("=")
            try:
                table.update({name: kind(value)} if equals else dict.fromkeys("RO", kind(value)))
            except ValueError:
                raise click.BadParameter(f"found {text!r}, wanted VALUE or MATRIX=VALUE") from None
        return table or None

    return parse


PATH = click.Path(path_type=Path)


@click.command("wv-train", cls=Command, context_settings={"max_content_width": 110})
@click.argument("data_dir", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="checkpoint to write (model.pt)")
@click.option("--config", type=PATH, help="TOML file with [model], [train], [prune]; flags override it")
@click.option("--resume", is_flag=True, help="continue the checkpoint at --output exactly")
@click.option("--init-from", type=PATH,
              help="start a new schedule from this checkpoint's weights and masks; a dense one can grow")
@click.option("--teacher", type=PATH, help="learn this checkpoint's distributions instead of the bytes")
@click.option("--overwrite", is_flag=True, help="replace a file at --output")
@click.option("--max-minutes", type=click.FloatRange(min=0), default=0, help="stop after this time, with a checkpoint")
@click.option("--slim", type=PATH, help="also write the last model without optimizer state here")
@click.option("--plot", type=PATH, help="write the learning curve here (PNG)")
@click.option("--preset", "model__preset", type=click.Choice(list(PRESETS)), help="mel settings [16k]")
@click.option("--n-units", "model__n_units", type=int, help="units of the GRU [256]")
@click.option("--n-out", "model__n_out", type=int, help="rows of O1 and O3 [256]")
@click.option("--n-cond", "model__n_cond", type=int, help="channels of the conditioning network [64]")
@click.option("--cond-width", "model__cond_width", type=int, help="mel frames it sees [5]")
@click.option("--n-sub", "model__n_sub", type=int, help="conditioning vectors per frame [2]")
@click.option("--lpc-order", "model__lpc_order", type=int, help="of the linear prediction from the mels; 0 is none [0]")
@click.option("--preemphasis", "model__preemphasis", type=float, help="a of x_t - a x_{t-1} [0.85]")
@setting_flags
@click.option("--sparsity", "prune__sparsity", multiple=True, callback=by_matrix(float), metavar="[MATRIX=]Z",
              help="target of all matrices, or of R, O, R_u, R_r, R_e, O1..O4; repeatable [0]")
@click.option("--block", "prune__block", multiple=True, callback=by_matrix(str), metavar="[MATRIX=]HxW",
              help="block shape, likewise [16x1]")
@click.option("--prune-start", "prune__start", type=int, help="step at which pruning begins [1000]")
@click.option("--prune-steps", "prune__steps", type=int, help="steps from there to the target [50000]")
@click.option("--prune-every", "prune__every", type=int, help="steps between two prunings [500]")
@click.option("--prune-exponent", "prune__exponent", type=float, help="of the schedule's curve [3]")
@click.option("--prune-norm", "prune__norm", type=click.Choice(NORMS), help="the blocks smallest by this go first [l1]")
@click.option("--keep-diagonal", "prune__keep_diagonal", is_flag=True, default=None,
              help="blocks on the diagonal of R_u, R_r, R_e stay [off]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
              help="auto: a GPU if there is one")
@click.option("--bf16/--no-bf16", default=None, help="mixed precision [where GPU or CPU has bfloat16 instructions]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads")
@click.option("--cache-dir", type=PATH, help="where features are kept [DATA_DIR/.wv-cache]")
@click.option("--log-dir", type=PATH, help="TensorBoard logs [OUTPUT without suffix + -logs]")
@click.option("--no-log", is_flag=True, help="no TensorBoard logs")
def main(data_dir: Path, output: Path, config: Path | None, resume: bool, init_from: Path | None,
         teacher: Path | None, overwrite: bool,
         max_minutes: float, slim: Path | None, plot: Path | None, device: str, bf16: bool | None, threads: int | None,
         cache_dir: Path | None, log_dir: Path | None, no_log: bool, **flags: Any) -> None:
    """Train a WaveRNN on the wav and flac files of DATA_DIR."""
    given: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
    for name, value in flags.items():
        if value is not None:
            table, key = name.split("__")
            given[table][key] = value
    if resume and init_from:
        raise ConfigError("options: found both --resume and --init-from, wanted one of them")
    for path in filter(None, (output, slim, plot)):
        check_writable(path, may_exist=resume or overwrite)
    earlier = output if resume else init_from
    before = load_model(earlier)[1] if earlier else None
    if resume and before and before["optimizer"] is None:
        raise CheckpointError(f"{output}: found a slim checkpoint, wanted a whole one; --init-from can start from it")
    if teacher and not resume:
        given["train"].setdefault("distill", 1.0)
    settings = gather(config, given, before, resume)
    if (teacher is None) != (settings.train.distill == 0):
        raise ConfigError(f"options: found distill {settings.train.distill:g} {'with' if teacher else 'without'} "
                          f"--teacher, wanted both or neither")
    tutor = load_teacher(teacher, settings.model) if teacher else None
    if settings.train.int8 and (before is None or not before["model"]["relu_max"].all()):
        raise ConfigError("--int8: found no trained model, whose activations have ranges, wanted one (--init-from)")
    if settings.train.audio_every and settings.model.lpc_order:
        raise ConfigError("--audio-every: found it with lpc_order above 0, wanted 0; export the checkpoint and run it")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device: found cuda, but no GPU that torch can use, wanted auto or cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if bf16 is None:  # a CPU without such instructions is many times slower in bfloat16
        bf16 = device == "cuda" or torch.cpu._is_avx512_bf16_supported()
    if threads:
        torch.set_num_threads(threads)
    log_dir = None if no_log else log_dir or output.with_name(output.stem + "-logs")

    team = Team.join(device)
    if settings.train.batch % (team.size * settings.train.accumulate):
        raise ConfigError(f"options: batch: found {settings.train.batch}, wanted a multiple of "
                          f"{team.size} processes x {settings.train.accumulate} parts (--accumulate)")
    run = Run(data_dir, output, device, bf16, team, tutor, max_minutes, cache_dir, log_dir)
    ended_by = train(run, settings, before, resume)
    team.leave()
    if team.rank > 0:
        return

    last = load_checkpoint(output)
    if slim:
        save_checkpoint(slim, slimmed(last))
    if plot:
        plot_history({output.stem: last["history"]}, plot)
    if ended_by:
        click.echo(f"wv-train: stopped at step {last['step']} and saved; --resume continues", err=True)
        raise click.exceptions.Exit(128 + ended_by)


def check_writable(path: Path, may_exist: bool) -> None:
    """Before hours of work: can this file be written, and is nothing lost by it?"""
    if path.is_dir():
        raise ConfigError(f"{path}: found a folder, wanted a file name")
    if path.exists() and not may_exist:
        raise ConfigError(f"{path}: found a file, wanted none; --resume continues a checkpoint, --overwrite replaces")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise WaveRNNError(f"{path}: found no writable folder {path.parent}, wanted one")
