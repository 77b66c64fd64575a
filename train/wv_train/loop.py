"""The training loop, read top to bottom, and the validation it runs.

Usage: ``ended_by = train(run, settings, before, resuming)``
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch.nn.parallel import DistributedDataParallel
from wv_runtime import __version__
from wv_runtime.commands.jobs import Jobs
from wv_runtime.errors import CheckpointError, WaveRNNError
from wv_runtime.model.checkpoint import FORMAT

from .checkpoint import keep_copies, model_from, save_checkpoint
from .dataset import load_data, valid_frames, whole_frames
from .grow import grown
from .lanes import Lanes
from .model import WaveRNN, WindowLoss
from .optim import Optimizer
from .prune import Pruner
from .report import Ended, feature_bar, open_log, progress_bar, quiet, say, summary
from .sampling import write_sample
from .settings import Settings, TrainConfig
from .signals import Signals
from .team import Team
from .update import Update
from .validate import Validation
from .windows import DeviceWindows, Windows

PACE_SHARE = 0.97  # of the time is planned for
PACE_TOLERANCE = 0.02  # of the steps: fewer more or less are no other pace
LOG_EVERY = 20  # steps between TensorBoard points of the training loss
LOOK_EVERY_GPU = 20  # steps between looks at the loss: each waits for the GPU


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
    skip_bad: bool  # go on without files that cannot be used
    log_dir: Path | None  # TensorBoard
    best: Path | None  # where the model of the best validation goes
    keep: int  # copies of the last checkpoints beside output
    jobs: Jobs | None  # where features are computed


def train(run: Run, settings: Settings, before: dict[str, Any] | None, resuming: bool) -> Ended:
    """Train until the last step, the time limit or a signal, and leave a checkpoint at run.output.

    `before` is the checkpoint to resume, or, if not `resuming`, the one whose weights and masks to start from.

    A run of 0 steps has as many as fit the time limit; they are counted when the first ones have shown how long one
    takes, and again after every validation, and the schedules are laid over them.
    """
    began = time.monotonic()
    model_cfg, cfg, prune_cfg = settings
    team, leads = run.team, run.team.rank == 0

    # 1) data: windows of whole mel frames, each continuing the one before in its lane
    with team.leader_first():
        warn = say if leads else quiet
        data = load_data(run.data_dir, model_cfg, run.cache_dir, feature_bar, run.skip_bad, warn, cfg.mels, run.jobs)
    window_frames = whole_frames(cfg.window, model_cfg)
    if leads:
        say(data.counts(window_frames))
    lanes = Lanes(data, "train", window_frames)
    n_valid = valid_frames(data, whole_frames(cfg.valid_window, model_cfg))
    samples_per_step = cfg.batch * lanes.window_frames * model_cfg.mel.hop_length

    # 2) model, masks, optimizer; and the state of an earlier run
    torch.manual_seed(cfg.seed)
    if before:
        model = model_from(before)
        if model.cfg != model_cfg:
            model = grown(model, model_cfg)
    else:
        model = WaveRNN(model_cfg)
        for buffer, stat in zip((model.mel_mean, model.mel_std), data.mel_stats(), strict=True):
            buffer.copy_(torch.from_numpy(stat))
    model.int8 = cfg.int8
    model.to(run.device).train()
    optimizer = Optimizer(model, torch.bfloat16 if run.bf16 else torch.float32)
    on_gpu = run.device == "cuda"
    pruner = Pruner(prune_cfg, model, before["masks"] if before else None)
    if not resuming:
        pruner.step(0)  # --prune-steps 0 prunes before the first update
    step, minutes_before, history = 0, 0.0, []
    loss_of: Any = WindowLoss(model, run.teacher, cfg.distill).to(run.device)
    h = torch.zeros(cfg.batch * model_cfg.subscale, sum(loss_of.widths))  # the states that the windows have reached
    if before and resuming:
        step, minutes_before, history = before["step"], before["minutes"], before["history"]
        try:
            optimizer.load_state_dict(before["optimizer"])
            torch.set_rng_state(before["rng"]["torch"])
            if before["states"].shape == h.shape:  # else --batch has changed, and the lanes with it
                h = before["states"]
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise CheckpointError(f"{run.output}: optimizer, rng or states do not fit the model ({error})") from None
    if team.size > 1:
        loss_of = DistributedDataParallel(loss_of)
    share = team.share(cfg.batch)
    windows = (DeviceWindows if on_gpu else Windows)(lanes, model, cfg, share)
    validation = Validation(model, Lanes(data, "valid", n_valid).beginnings(cfg.valid_windows)) if leads else None
    autocast = run.bf16 and not cfg.int8
    h = h[team.share(len(h))].to(run.device)
    update = Update(loss_of, optimizer, pruner, windows, cfg, h, autocast, team.size)

    def minutes() -> float:
        return minutes_before + (time.monotonic() - began) / 60

    def mean_nll() -> tuple[float, float]:
        """Coarse, fine since the last validation, in nats."""
        nll_c, nll_f = (total / max(1, n_total)).tolist()
        if not math.isfinite(nll_c + nll_f):
            raise WaveRNNError(
                f"step {step - 1}: found a loss of {nll_c + nll_f}, wanted a finite one; "
                f"resume from the last checkpoint with a lower --lr"
            )
        return nll_c, nll_f

    def hurried() -> bool:
        """Whether a signal has come: nobody waits for a validation or a sample; the run that goes on makes it."""
        return team.size == 1 and bool(signals.seen)

    def save() -> None:
        mean_nll()
        states = team.gather(update.h).cpu()
        if not leads:
            return
        rng = {"torch": torch.get_rng_state()}
        save_checkpoint(run.output, {**slim(), "optimizer": optimizer.state_dict(), "rng": rng, "states": states})
        keep_copies(run.output, step, run.keep)

    def slim() -> dict[str, Any]:
        return {
            "format": FORMAT, "config": asdict(model_cfg), "model": model.state_dict(), "masks": pruner.masks,
            "step": step, "minutes": minutes(), "train": asdict(cfg), "prune": asdict(prune_cfg),
            "history": history, "data": data.summary(),
            "versions": {"wavernn": __version__, "torch": str(torch.__version__)},
            "optimizer": None, "rng": None, "states": None,
        }  # fmt: skip

    # 3) the loop. Data depend on (seed, step) alone, so that to resume is to start at another step
    log = open_log(run.log_dir if leads else None, step)
    total = torch.zeros(2, dtype=torch.float64, device=run.device)  # coarse, fine NLL since the last validation
    look_every = LOOK_EVERY_GPU if on_gpu else 1
    n_total, first_step, loop_began, saved = 0, step, time.monotonic(), time.monotonic()
    pace = Pace(cfg, run.max_minutes, began, step, look_every)
    signals = Signals(drops=team.size == 1 and not on_gpu)
    with signals, progress_bar(cfg.steps, step, leads) as bar:
        while True:
            now = time.monotonic()
            limits = [run.max_minutes > 0 and now - began >= 60 * run.max_minutes, now - saved >= 60 * cfg.save_minutes]
            late, due, ended_by, n_fit = team.agree([*limits, signals.seen, pace.measure(step, leads)], run.device)
            if n_fit and not cfg.steps:
                settings = settings.over(n_fit, f"{n_fit} steps fit --max-minutes {run.max_minutes:g}")
                _, cfg, prune_cfg = settings
                pruner.cfg, bar.total = prune_cfg, n_fit
            elif n_fit and pace.again:
                if abs(n_fit - cfg.steps) > PACE_TOLERANCE * cfg.steps:
                    if leads:
                        bar.write(
                            f"wv-train: the pace has changed: {n_fit} steps instead of {cfg.steps} fit", sys.stderr
                        )
                    _, cfg, prune_cfg = settings.lasting(n_fit)
                    pruner.cfg, bar.total = prune_cfg, n_fit
            elif n_fit and leads and n_fit < (end := prune_cfg.last_step()):
                bar.write(
                    f"wv-train: --max-minutes {run.max_minutes:g} ends near step {n_fit} of {cfg.steps}, before "
                    f"pruning does at {end}; without --steps the schedules would fit",
                    sys.stderr,
                )
            last = (step >= cfg.steps > 0) or late
            if due and step > first_step:
                save()
                saved = now
            wanted = (step % cfg.valid_every == 0 or last) and (not history or history[-1]["step"] < step)
            if validation and wanted and not hurried():
                entry: dict[str, Any] = {"step": step, "minutes": minutes(), "sparsity": pruner.sparsity}
                entry["lr"] = cfg.lr_at(step)
                entry["train_nll_c"], entry["train_nll_f"] = mean_nll() if n_total else (None, None)
                of_lanes = signals.droppable(partial(validation, hurried))
                if not of_lanes:
                    continue  # to the signal that has come meanwhile
                entry["valid_nll_c"], entry["valid_nll_f"] = (fmean(byte) for byte in zip(*of_lanes))
                if model_cfg.subscale > 1:
                    entry["valid_nll_lanes"] = of_lanes
                pace.validated(time.monotonic() - now)
                history.append(entry)
                total.zero_()
                n_total = 0
                bar.write(summary(entry), sys.stderr)
                if run.best and is_best(history):
                    save_checkpoint(run.best, slim())
                for name in entry.keys() - {"step", "train_nll_c", "train_nll_f", "valid_nll_lanes"}:
                    log("valid/" + name.removeprefix("valid_"), entry[name], step)
            if leads and cfg.audio_every and step and step % cfg.audio_every == 0 and not hurried():
                write_sample(model, data, run.output.with_name(f"{run.output.stem}-{step}.wav"), cfg.seed)
            if last or ended_by:
                break

            loss = update(step, cfg.lr_at(step), signals.droppable)
            if loss is None:
                continue  # to that signal: the step is done when the run goes on
            step += 1
            pruner.step(step)
            total += loss  # of this process' lanes
            n_total += 1
            if step % look_every:
                continue
            nll_c, nll_f = mean_nll()
            rate = (step - first_step) * samples_per_step / (time.monotonic() - loop_began)
            bar.update(look_every)
            bar.set_postfix_str(
                f"nats/sample {nll_c:.3f} coarse + {nll_f:.3f} fine, sparsity "
                f"{pruner.sparsity:.2f}, {rate / 1e3:.1f}k samples/s",
                refresh=False,
            )
            if step % LOG_EVERY == 0:
                for name, value in (("nll_c", loss[0].item()), ("nll_f", loss[1].item()), ("samples_per_s", rate)):
                    log("train/" + name, value, step)
    save()
    return Ended(ended_by, pruner.outcome())


def is_best(history: list[dict[str, Any]]) -> bool:
    """Whether the last validation is better than all before it; what is sparser is better, at whatever cost."""
    ranks = [(round(e["sparsity"], 4), -(e["valid_nll_c"] + e["valid_nll_f"])) for e in history]
    return all(rank < ranks[-1] for rank in ranks[:-1])


class Pace:
    """How many steps fit a time limit, told after the warm-up, or a twentieth of the time if that is sooner.

    again      : whether it is told again after validations, from the pace since the last time: a run that takes its
                 length from the clock, on a machine that does other work as well, would end with schedules half done
    look_every : steps after which the clock is right; the first so many compile kernels and do not count
    """

    def __init__(self, cfg: TrainConfig, max_minutes: float, began: float, step: int, look_every: int):
        self.look_every, self.settled = look_every, (step // look_every + 1) * look_every
        self.warmup, self.valid_every = max(cfg.warmup, 10), cfg.valid_every
        self.seconds, self.began, self.first = 60 * max_minutes, began, step
        self.again = bool(max_minutes) and not cfg.steps
        self.loop_began, self.told = time.monotonic(), not max_minutes
        self.validating, self.one = 0.0, 0.0  # seconds: all validations, the last

    def validated(self, seconds: float) -> None:
        """A validation took this long."""
        self.validating += seconds
        self.one = seconds
        self.told = self.told and not self.again

    def measure(self, step: int, leads: bool) -> int:
        """The step at which the time will be up, or 0 if it is not the moment to say."""
        now, done = time.monotonic(), step - self.first
        if step == self.settled:
            self.loop_began, self.first, self.validating = now, step, 0.0
        if self.told or not leads or step <= self.settled or done % self.look_every:
            return 0
        if done < self.look_every * 5 and self.look_every > 1:
            return 0
        if done < self.warmup and now - self.loop_began < self.seconds / 20:
            return 0
        self.told = True
        per_step = (now - self.loop_began - self.validating) / done + self.one / self.valid_every
        left = PACE_SHARE * self.seconds - (now - self.began) - self.one
        self.loop_began, self.first, self.validating = now, step, 0.0
        return step + max(1, int(left / per_step))
