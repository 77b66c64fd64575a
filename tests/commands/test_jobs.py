"""Tasks in processes of this machine, and what is left of a run that ends early."""

from __future__ import annotations

import signal
import threading

import pytest
from job_work import add, answer_at_length, die_at_once, refuse_one
from wv_runtime.commands.jobs import JobKilled, Jobs
from wv_runtime.errors import WaveRNNError


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_every_task_once(n_jobs):
    assert dict(Jobs(n_jobs).run(add, 10, range(20))) == {i: 10 + i for i in range(20)}
    assert list(Jobs(n_jobs).in_order(add, 10, range(20))) == [(i, 10 + i) for i in range(20)]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_tasks_of_processes_that_are_killed_are_named():
    """While tasks are still handed out, too: 5,000 take longer than the first process lives."""
    found = dict(Jobs(2, copies=True).run(die_at_once, 0, range(5000)))
    assert len(found) == 5000 and all(isinstance(result, JobKilled) for result in found.values())
    with pytest.raises(JobKilled, match="a job was killed"):
        list(Jobs(2).in_order(die_at_once, 0, range(4)))


def test_a_run_that_ends_early_leaves_no_thread():
    """One that waited for its processes would race with Python's end, which closes what it uses."""
    before = set(threading.enumerate())
    with pytest.raises(WaveRNNError, match="task 3"):
        list(Jobs(2).run(refuse_one, 3, range(200)))
    assert set(threading.enumerate()) == before
    some = Jobs(2).run(refuse_one, -1, range(200))
    next(some)
    some.close()
    assert set(threading.enumerate()) == before


def test_a_run_that_ends_amid_a_long_result_ends():
    """A process that is killed while it writes leaves half of it, for whose other half nobody may wait."""

    def some(n: int) -> None:
        run = Jobs(4).run(answer_at_length, 0, range(200))
        for _ in range(n):
            next(run)
        run.close()

    for n in range(1, 9):
        thread = threading.Thread(target=some, args=(n,), daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
