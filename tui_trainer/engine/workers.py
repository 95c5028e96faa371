"""Loader processes that die: noticed between two steps, replaced by new ones that go on where they were.

The kernel kills processes when memory is short; a full /dev/shm ends them by a bus error.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import Any

from torch.utils.data import DataLoader

from tui_trainer.engine.alerts import Alert
from tui_trainer.engine.frames import worker_traceback
from tui_trainer.errors import TrainerError

MOST_DEATHS = 3
"""Deaths in a row, without a batch in between, that are too many."""

_HINT = (
    "memory or /dev/shm may be full (df -h /dev/shm; in Docker --shm-size=8g); "
    "--num-workers 0 loads in the training process itself"
)
_DYING_S = 1.0
"""Time for a process to be gone once its connections are."""
_ENDING_S = 1.0
"""Time for a process to end when it is asked to."""

_DIED = re.compile(r"DataLoader worker \(pid.*?\) (is killed by signal|exited unexpectedly)")


class WorkerDied(Exception):
    """A loader process is gone; the text names it and says how it ended."""


class LoaderBatches:
    """An iterator over a DataLoader that raises `WorkerDied` where a batch is asked for, and nowhere else.

    Raised once all processes of the loader have been ended, so that iterating over it anew starts new ones.

    Attributes:
        iterator: the loader's own.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader
        with _no_child_handler():
            self.iterator = iter(loader)
        self._workers = getattr(self.iterator, "_workers", ())

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._one_is_dead():
            # Without this look the loader would wait for seconds before it looks itself.
            raise self._death()
        try:
            return next(self.iterator)
        except StopIteration:
            raise
        except Exception as error:
            # What a dying process had sent can't be received any more, which fails in many ways.
            if self._workers and worker_traceback(error) is None:
                dying = wait([worker.sentinel for worker in self._workers], _DYING_S)
                for worker in self._workers:
                    if worker.sentinel in dying:
                        worker.join(_DYING_S)
            if self._one_is_dead() or _DIED.search(str(error)):
                raise self._death() from error
            raise

    def _one_is_dead(self) -> bool:
        return any(worker.exitcode for worker in self._workers)

    def _death(self) -> WorkerDied:
        dead = [worker for worker in self._workers if worker.exitcode is not None]
        told = ", ".join(f"loader process {worker.pid} {_ended(worker.exitcode)}" for worker in dead)
        end_processes(self.iterator)
        self._loader._iterator = None
        return WorkerDied(told or "a loader process is gone")


def _ended(code: int) -> str:
    if code >= 0:
        return f"left with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def end_processes(batches: Any) -> None:
    """End the processes behind an iterator of a DataLoader. Nothing else is done to it, whatever it is."""
    batches = batches.iterator if isinstance(batches, LoaderBatches) else batches
    if not hasattr(batches, "_shutdown_workers"):
        return
    workers = list(getattr(batches, "_workers", ()))

    def kill() -> None:
        for worker in workers:
            with suppress(ValueError):
                worker.kill()

    if any(worker.exitcode is not None for worker in workers):
        # One that died may hold a lock that the others wait for.
        kill()
    # torch waits 5 s for each that is busy with a sample, and then asks in a way that they ignore.
    timer = threading.Timer(_ENDING_S, kill)
    timer.start()
    try:
        # It takes a worker that was killed for a failure.
        with suppress(RuntimeError):
            batches._shutdown_workers()
    finally:
        timer.cancel()
        kill()


@contextmanager
def _no_child_handler() -> Iterator[None]:
    """Keep torch's SIGCHLD handler away.

    It raises wherever the main thread happens to be when a loader process dies: in the middle of an optimizer
    step or of a save.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        # It may be there already, from a loader that the task used by itself.
        torchs = getattr(before, "__module__", "") == "torch.utils.data._utils.signal_handling"
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if torchs or before is None else before)


def surviving(begin: Callable[[int], Iterator[Any]], start: int, alert: Alert) -> Iterator[Any]:
    """Batches from number `start` on; after the death of a loader process, those that are left of them.

    Args:
        begin: batches from a number on, from new processes.
        start: number of the first batch.
        alert: is told a title and a message.

    Raises:
        TrainerError: processes die again and again before they bring a batch.
    """
    deaths = 0
    while True:
        try:
            for batch in begin(start):
                start, deaths = start + 1, 0
                yield batch
            return
        except WorkerDied as died:
            deaths += 1
            told = f"{died} before batch {start + 1:,} of the epoch"
            if deaths == MOST_DEATHS:
                raise TrainerError(
                    "loader processes die", f"{told}, {deaths} times in a row", _HINT
                ) from died
        alert("loader processes restarted", f"{told}; new ones go on with that very batch")
