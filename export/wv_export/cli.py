"""wv-export: pack a checkpoint of wv-train into a .bin.

Usage: ``wv-export model.pt out.bin --dtype int8 --check clip.npy clip.wav``
"""

from __future__ import annotations

from pathlib import Path

import click
from wv_runtime.commands.common import BLOCK, Command, atomic_path
from wv_runtime.commands.inspect import table
from wv_runtime.commands.names import check_file
from wv_runtime.engine import onnx_graph
from wv_runtime.model import binary as bin_format
from wv_runtime.model.layout import COMB_MIN, DENOISE, DTYPES

from . import convert


@click.command("wv-export", cls=Command)
@click.argument("checkpoint", metavar="MODEL.PT", type=click.Path())
@click.argument("out", metavar="OUT.BIN", type=click.Path())
@click.option("--dtype", type=click.Choice(list(DTYPES)), default="f16", help="of weights [f16]")
@click.option("--block", type=BLOCK, help="block shape of matrices that are not pruned [16x1; int8 16x4]")
@click.option(
    "--postfilter",
    type=click.Choice(["none", "off", "on"]),
    default="none",
    show_default=True,
    help="Store the tables of the mel post-filter, and whether it is on unless wv-run is told otherwise.",
)
@click.option("--comb", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Strength of a pitch comb that removes noise between the harmonics.")  # fmt: skip
@click.option("--denoise", metavar="DB", type=click.FloatRange(0, DENOISE[1]), default=0.0,
              help="Lower the noise of the recordings by up to this, in the post-filter [0]")  # fmt: skip
@click.option("--temperature", type=click.FloatRange(0.01, 100), default=1.0,
              help="build a sampling temperature in; wv-run's own comes on top [1]")  # fmt: skip
@click.option("--meta", metavar="KEY=VALUE", multiple=True, help="add metadata, e.g. licence=CC0-1.0; repeatable")
@click.option("--check", "clip", nargs=2, type=click.Path(), metavar="MELS.NPY AUDIO.WAV",
              help="measure on a clip what the dtype costs against f32")  # fmt: skip
@click.option("--onnx", "onnx_path", type=click.Path(), metavar="OUT.ONNX",
              help="also write the float32 network: the step here, the conditioning in OUT.cond.onnx")  # fmt: skip
def main(
    checkpoint: str,
    out: str,
    dtype: str,
    block: tuple[int, int] | None,
    postfilter: str,
    comb: float,
    denoise: float,
    temperature: float,
    meta: tuple[str, ...],
    clip: tuple[str, str] | None,
    onnx_path: str | None,
) -> None:
    """Pack a checkpoint of wv-train into the file that wv-run and the C library read."""
    _distinct(checkpoint, out, onnx_path)
    check_file(out, [".bin"], "OUT.BIN")
    if onnx_path:
        check_file(onnx_path, [".onnx"], "--onnx")
    for name, value, low, high in (("--comb", comb, COMB_MIN, 1), ("--denoise", denoise, *DENOISE)):
        if value and postfilter == "none":
            raise click.UsageError(f"{name}: found {value:g} without a post-filter, wanted --postfilter off or on")
        if 0 < value < low:
            raise click.UsageError(f"{name}: found {value:g}, wanted 0 or {low:g}..{high:g}")
    extra = _metadata(meta)

    # 1) convert
    ckpt = convert.at_temperature(convert.read_checkpoint(checkpoint), temperature)
    model = convert.with_metadata(convert.to_model(ckpt, dtype, block), **extra)
    if postfilter != "none":
        model = convert.with_postfilter(model, postfilter == "on", comb, denoise)
    data = bin_format.pack(model)

    # 2) everything that may fail, before anything is written
    cost, graphs = None, {}
    if clip:
        from . import check

        cost = check.report(dtype, *check.check(bin_format.parse(data), convert.to_model(ckpt, "f32"), *clip))
    if onnx_path:
        f32 = convert.to_model(ckpt, "f32")
        graphs = {
            Path(onnx_path): onnx_graph.step(f32), onnx_graph.conditioning_path(onnx_path): onnx_graph.conditioning(f32)
        }  # fmt: skip

    # 3) write
    with atomic_path(out) as tmp:
        tmp.write_bytes(data)
    for path, graph in graphs.items():
        with atomic_path(path) as tmp:
            tmp.write_bytes(graph.SerializeToString())

    click.echo(table(model, len(data)))
    if cost:
        click.echo("\n" + cost)


def _distinct(checkpoint: str, out: str, onnx_path: str | None) -> None:
    paths = [checkpoint, out, *([onnx_path, str(onnx_graph.conditioning_path(onnx_path))] if onnx_path else [])]
    if len({Path(p).resolve() for p in paths}) < len(paths):
        raise click.UsageError(f"found one file named twice among {', '.join(paths)}, wanted different ones")


def _metadata(texts: tuple[str, ...]) -> dict[str, str]:
    """Of --meta."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"found {text!r}, wanted KEY=VALUE", param_hint="--meta")
        if key in found:
            raise click.BadParameter(f"found {key} twice, wanted each key once", param_hint="--meta")
        found[key] = value
    return found


if __name__ == "__main__":
    main()
