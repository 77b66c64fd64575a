"""Ctrl-C in a run: what is under way is dropped where that leaves no trace, and the run saves and ends.

Usage: ``with Signals(drops=True) as signals: loss = signals.droppable(work)``
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")


class Dropped(KeyboardInterrupt):
    """A signal ends work that may be dropped."""


class Signals:
    """Keeps the first ctrl-C (or SIGTERM, or SIGHUP of a terminal that closes) in `seen`, so that the run saves and
    ends. What is ignored, as nohup does, stays ignored.

    drops : whether work may be dropped; not where another process waits for it, or a GPU records it
    """

    seen = 0

    def __init__(self, drops: bool):
        self.drops, self._dropping = drops, False

    def droppable(self, work: Callable[[], T], *changed: Tensor) -> T | None:
        """What `work` returns; None at once if a signal has come or comes, and `changed` are as they were."""
        if not self.drops:
            return work()
        before = [a.clone() for a in changed]
        try:
            self._dropping = True
            if not self.seen:
                done = work()
                self._dropping = False
                return done
        except (Dropped, Exception):  # or what a callback from C that it came in has broken
            if not self.seen:
                raise
            for a, b in zip(changed, before):
                a.copy_(b)
        finally:
            self._dropping = False
        return None

    def __enter__(self) -> Signals:
        numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        heard = [s for s in numbers if signal.getsignal(s) != signal.SIG_IGN]
        self._handlers = {s: signal.signal(s, self._on) for s in heard}
        return self

    def _on(self, number: int, frame: object) -> None:
        if self.seen:  # a second one does not wait
            raise KeyboardInterrupt
        self.seen = number
        if self._dropping:
            raise Dropped

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
