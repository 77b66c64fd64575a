"""Many tasks on the cores of this machine, or on the workers of a Dask cluster; results as they come.

A worker of Dask that dies takes nothing along: the scheduler gives its tasks to another. A process of this machine that
is killed ends the run, and its tasks are named.

Usage: ``for task, result in Jobs(2).run(work, settings, tasks): ..`` where work(settings, task) is a module's function
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wv_runtime.errors import WaveRNNError

Task = TypeVar("Task")
CONNECT_S = 10  # seconds that a scheduler has to answer


class JobKilled(WaveRNNError):
    """A process was killed while it had a task, or before."""


@dataclass(frozen=True)
class Jobs:
    """Where tasks run.

    n_jobs    : processes of this machine; 1 is this one
    scheduler : address (tcp://host:8786) or scheduler file of a Dask cluster instead; empty is none
    copies    : whether a copy of this process can do the work: it is there at once, and imports nothing. Taken on Linux
                while this process has one thread, because others do not survive it
    """

    n_jobs: int = 1
    scheduler: str = ""
    copies: bool = False

    def run(
        self, work: Callable[[Any, Task], Any], settings: Any, tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Any | JobKilled]]:
        """Each task with work(settings, task), in any order. The settings travel to a process once.

        Raises
        ------
        WaveRNNError
            If dask is not installed or the scheduler does not answer; and what `work` raises.
        """
        tasks = list(tasks)
        if self.scheduler:
            yield from self._on_cluster(work, settings, tasks)
        elif min(self.n_jobs, len(tasks)) < 2:
            for task in tasks:
                yield task, work(settings, task)
        else:
            yield from self._in_processes(work, settings, tasks)

    def in_order(
        self, work: Callable[[Any, Task], Any], settings: Any, tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Any]]:
        """The same in the order of the tasks, whose results wait for each other.

        Raises
        ------
        JobKilled
            Where `run` yields it.
        """
        numbered = [_Numbered(i, task) for i, task in enumerate(tasks)]
        early: dict[int, Any] = {}
        at = 0
        for done, result in self.run(_Plain(work), settings, numbered):
            if isinstance(result, JobKilled):
                raise result
            early[done.i] = result
            while at in early:
                yield numbered[at].task, early.pop(at)
                at += 1

    def n_workers(self) -> int:
        """How many tasks run at a time."""
        if not self.scheduler:
            return self.n_jobs
        with self._client() as client:
            return max(1, sum(client.nthreads().values()))

    def _in_processes(self, work: Any, settings: Any, tasks: list[Task]) -> Iterator[tuple[Task, Any]]:
        fork = self.copies and sys.platform == "linux" and threading.active_count() == 1
        context = multiprocessing.get_context("fork" if fork else "spawn")
        n = min(self.n_jobs, len(tasks))
        with ProcessPoolExecutor(n, context, _begin, (work, settings)) as pool:
            try:
                with _interrupts_later():  # which the processes inherit: none is heard while they import
                    futures: dict[Future[Any], Task] = {_submit(pool, task): task for task in tasks}
                for future in as_completed(futures):
                    task = futures.pop(future)  # and with it goes the result
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        result = JobKilled("a job was killed")
                    yield task, result
            except BaseException:  # ctrl-C: what waits is not begun, what is begun ends
                for process in multiprocessing.active_children():
                    process.terminate()
                with suppress(AttributeError):  # the other half of a result will not come; only this end could write it
                    pool._result_queue._writer.close()  # type: ignore[attr-defined]
                pool.shutdown()  # and wait for its thread: at Python's end it would race with the exit handlers
                raise

    def _on_cluster(self, work: Any, settings: Any, tasks: list[Task]) -> Iterator[tuple[Task, Any]]:
        with self._client() as client:
            distributed = importlib.import_module("distributed")
            shared = client.scatter(settings, broadcast=True, hash=False)
            futures = {client.submit(work, shared, task, pure=False): task for task in tasks}
            try:
                for future in distributed.as_completed(list(futures), loop=client.loop):
                    task = futures.pop(future)
                    try:
                        result = future.result()
                    except distributed.scheduler.KilledWorker:
                        result = JobKilled("the workers that had it were killed, one after the other")
                    yield task, result
            except BaseException:
                client.cancel(list(futures))
                raise

    def _client(self) -> Any:
        try:
            distributed = importlib.import_module("distributed")
        except ImportError:
            raise WaveRNNError("dask: not installed, wanted for --dask; pip install 'wavernn[dask]'") from None
        address = _address_in(self.scheduler) if os.path.isfile(self.scheduler) else self.scheduler
        try:
            distributed.comm.resolve_address(address)  # a client of one that is none takes 20 s to say so
            client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise WaveRNNError(
                f"--dask: {self.scheduler}: no scheduler answers ({error}), wanted an address like tcp://host:8786"
            ) from None
        if not client.nthreads():
            client.close()
            raise WaveRNNError(f"--dask: {self.scheduler}: found no worker, wanted some (dask worker)")
        return client


def _address_in(path: str) -> str:
    """Of a scheduler file."""
    try:
        return str(json.loads(Path(path).read_bytes())["address"])
    except (ValueError, KeyError, TypeError):
        raise WaveRNNError(f"--dask: {path}: found no scheduler file, wanted one of dask scheduler") from None


def n_cpus() -> int:
    """That this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class _Numbered:
    i: int
    task: Any


@dataclass(frozen=True)
class _Plain:
    """`work` on the task of a number."""

    work: Callable[[Any, Any], Any]

    def __call__(self, settings: Any, numbered: _Numbered) -> Any:
        return self.work(settings, numbered.task)


def _submit(pool: ProcessPoolExecutor, task: Any) -> Future[Any]:
    """Its result is BrokenProcessPool, too, where a process was killed before."""
    try:
        return pool.submit(_do, task)
    except BrokenProcessPool as error:
        broken: Future[Any] = Future()
        broken.set_exception(error)
        return broken


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C is heard at the end of it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in a process


_here: tuple[Callable[[Any, Any], Any], Any]


def _begin(work: Callable[[Any, Any], Any], settings: Any) -> None:
    global _here
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a word; the parent has one
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    _here = (work, settings)


def _end_with(parent: multiprocessing.process.BaseProcess | None) -> None:
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _do(task: Any) -> Any:
    work, settings = _here
    return work(settings, task)
