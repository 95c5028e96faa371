"""Ending a process whose main thread does not hear signals.

A Python signal handler waits for the end of whatever native code the main thread is in: the import of a large
library, a compiler, a first batch that hangs.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tui_trainer.engine.interrupt import Echoes, StopRequest, stopped_code

START_S = 1.0
"""How long a start may take to hear a signal."""
STEP_S = 2.0
"""How long after a signal it may take to leave: a start that has heard it, or a step that is to end at once.

Longer than what the loop waits on its way out for a checkpoint that is being written.
"""
RECORD_S = 5.0
"""How long the record may take to be made before a signal ends the process all the same."""
_CLOSE = 0


class Watchdog:
    """Hears signals in a thread of its own, and ends the process if nothing comes of one in time.

    The interpreter's C handler writes each signal's number to a socket, whatever the main thread is doing. A
    first signal after the first step is left alone however long it takes: the step may be slow, and then
    comes the save.

    Args:
        stop: tells how far the run is, and closes the record of one that is abandoned.
        end: ends the process with an exit code.
        clock: seconds that only ever grow.
    """

    def __init__(
        self,
        stop: StopRequest,
        end: Callable[[int], None] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stop = stop
        self._end = end
        self._clock = clock
        self._echoes = Echoes(clock)
        self._signals = 0
        self._name = ""
        self._heard = 0.0
        self._due: float | None = None

    def hear(self, number: int) -> None:
        """A signal came."""
        if number not in (signal.SIGINT, signal.SIGTERM):
            return
        if number == signal.SIGTERM and self._echoes.is_echo(number):
            return
        self._signals += 1
        self._name = self._name or signal.Signals(number).name
        patience = self._patience()
        if self._due is None and patience is not None:
            self._heard = self._clock()
            self._due = self._heard + patience

    def wait_s(self) -> float | None:
        """Seconds until `look` has something to do; None while there is nothing to wait for."""
        return None if self._due is None else max(0.001, self._due - self._clock())

    def look(self) -> None:
        """End the process if a signal was waited for long enough."""
        if self._due is None or self._clock() < self._due:
            return
        self._due = None
        patience = self._patience()
        if patience is None:
            # The first step was over just before the signal was to be followed.
            return
        if self._clock() < self._heard + patience:
            # It has heard the signal since then.
            self._due = self._heard + patience
            return
        self._stop.leave(self._name)
        code = self._stop.abandon() if self._stop.abandon is not None else stopped_code(self._name)
        if code is not None:
            self._end(code)

    def _patience(self) -> float | None:
        if self._stop.shielded:
            return RECORD_S
        if self._stop.leaving:
            return STEP_S
        if not self._stop.saves:
            return START_S
        return STEP_S if self._signals > 1 else None


@contextmanager
def watched(stop: StopRequest) -> Iterator[None]:
    """While inside, the process ends if its main thread does not follow a signal. Call it in that thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    dog = Watchdog(stop)
    thread = threading.Thread(target=_watch, args=(dog, reading), name="watchdog", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    _watching.add(writing)
    try:
        yield
    finally:
        _watching.discard(writing)
        signal.set_wakeup_fd(before)
        # Not the end of the stream: a forked child may hold the other end open.
        with suppress(OSError):
            writing.send(bytes([_CLOSE]))
        writing.close()


def _watch(dog: Watchdog, reading: socket.socket) -> None:
    with reading:
        while True:
            reading.settimeout(dog.wait_s())
            try:
                numbers = reading.recv(64)
            except TimeoutError:
                dog.look()
                continue
            for number in numbers or [_CLOSE]:
                if number == _CLOSE:
                    return
                dog.hear(number)
            dog.look()


_watching: set[socket.socket] = set()


def _forget_in_child() -> None:
    # A signal to a forked loader process would be taken for one to this process.
    if _watching:
        with suppress(ValueError):
            signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget_in_child)
