"""What every command line here shares: one line per error, exit 0 done, 1 bad data, 2 bad usage.

Usage::

    @click.command("wv-export", cls=Command)
    @click.argument("model", type=click.Path())
    def main(model: str) -> None: ...

Any WaveRNNError, ValueError or OSError that leaves `main` becomes ``wv-export: error: where: found, wanted``.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import isnan
from typing import Any

import click

from wv_runtime import __version__
from wv_runtime.atomic import atomic_path
from wv_runtime.errors import WaveRNNError
from wv_runtime.model.blocks import parse_block

__all__ = ["BLOCK", "Command", "atomic_path", "command_errors", "printable"]


class _Block(click.ParamType):
    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        try:
            return value if isinstance(value, tuple) else parse_block(value)
        except ValueError as e:
            self.fail(str(e), param, ctx)


WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
BLOCK = _Block()  # the type of an option that takes a block shape


class _Integers(click.ParamType):
    name = "N,.."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            return value if isinstance(value, tuple) else tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"found {value!r}, wanted whole numbers with commas between them", param, ctx)


INTEGERS = _Integers()  # the type of an option that takes several: 1,2,4


@contextmanager
def command_errors(prog: str) -> Iterator[None]:
    """Turn an error into one line on stderr and an exit code; also a decorator for a click callback.

    0: done. 1: bad data (WaveRNNError, OSError). 2: bad usage (click's own, and ValueError: a bad argument).
    130: interrupted.
    """
    try:
        yield
    except click.ClickException as e:
        _stop(prog, e.format_message(), e.exit_code)
    except WaveRNNError as e:
        _stop(prog, str(e), 1)
    except BrokenPipeError:  # `wv-inspect out.bin | head`: the reader has what it wanted
        _drop_stdout()
        sys.exit(1)
    except OSError as e:
        name = e.filename
        if name is None and e.errno in WRITE_ERRORS:  # files have names: atomic_path
            name = "standard output"
            _drop_stdout()
        shown = name if name is None or str(name) else "''"  # as of -o ""
        _stop(prog, f"{shown}: {e.strerror}" if shown and e.strerror else str(e), 1)
    except ValueError as e:
        _stop(prog, str(e), 2)
    except (KeyboardInterrupt, click.Abort) as e:
        if isinstance(e.__cause__, EOFError):  # click takes the end of a file for ctrl-D
            _stop(prog, "found the end of a file, wanted more", 1)
        _stop(prog, "interrupted", 130)


def _drop_stdout() -> None:
    """What is left of it goes nowhere, or Python tries again at its end, and tells."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop(prog: str, message: str, code: int) -> None:
    click.echo(f"{prog}: error: {printable(' '.join(message.split()))}", err=True)
    sys.exit(code)


def printable(text: str) -> str:
    """Text of others on a terminal: names that may not be UTF-8, and control characters, which move its cursor."""
    with suppress(UnicodeEncodeError):  # half of a surrogate pair: ascii() shows it
        text = os.fsencode(text).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class Command(click.Command):
    """A click command with --version that takes no NaN, and whose errors, of usage too, are one line, not three."""

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        click.version_option(__version__)(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        for option in self.params:  # click's ranges let NaN through: it is below no minimum
            found = ctx.params.get(option.name or "")
            if any(isinstance(x, float) and isnan(x) for x in (found if isinstance(found, tuple) else (found,))):
                raise click.BadParameter("found nan, wanted a number", ctx, option)
        return rest

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        with command_errors(self.name or "wv"):
            code = super().main(args, self.name, complete_var, standalone_mode=False, **extra)
            if sys.stdout is not None:  # `wv-run ... >&-`
                sys.stdout.flush()
            if standalone_mode:
                sys.exit(code if isinstance(code, int) else 0)
            return code
