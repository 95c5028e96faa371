"""The run's own clock: time that training took. Light to import."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BEAT_S = 0.1
"""From one beat to the next."""
LATE_S = 1.0
"""A beat that is later than this asks whether the process ran at all."""
_IDLE = 0.25
"""Below this part of a core it did not."""


class TrainingClock:
    """Seconds that only ever grow, and stand still while the run is paused or its process does not run.

    A process that was stopped (SIGSTOP, a suspended job) is not told how long. So a thread calls `beat`
    several times a second; where beats are missing and hardly any processor time was used, the process did
    not run. Whoever reads the clock first finds that out, so nobody sees that time pass.

    Args:
        clock: the clock behind it.
        spent: seconds of processor time of this process.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        spent: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock = clock
        self._spent = spent
        self._lost = 0.0
        self._stands: float | None = None
        self._lock = threading.Lock()
        # Nothing is late before the first beat.
        self._alive = math.inf
        self._spent_then = 0.0

    def __call__(self) -> float:
        now = self._clock()
        if now - self._alive > LATE_S:
            self._look(now)
        return self._stands if self._stands is not None else now - self._lost

    def beat(self) -> None:
        """The process runs. Safe from any thread."""
        now = self._clock()
        if now - self._alive > LATE_S:
            self._look(now)
        else:
            with self._lock:
                self._alive, self._spent_then = now, self._spent()

    @contextmanager
    def standing(self) -> Iterator[None]:
        """While inside, no time passes."""
        begin = self._clock()
        with self._lock:
            self._stands = begin - self._lost
        try:
            yield
        finally:
            with self._lock:
                now = self._clock()
                self._lost += now - begin
                self._stands = None
                if self._alive < math.inf:
                    self._alive, self._spent_then = now, self._spent()

    def _look(self, now: float) -> None:
        """Take out the time since the last beat, unless the process was only busy."""
        with self._lock:
            gap = now - self._alive
            if gap <= LATE_S:
                # Another thread was first.
                return
            spent = self._spent()
            if spent - self._spent_then < _IDLE * gap and self._stands is None:
                self._lost += gap
            self._alive, self._spent_then = now, spent


class Periodic:
    """Does something again and again, in a thread of its own.

    Args:
        work: what to do.
        seconds: to wait before each time.
        name: of the thread.
    """

    def __init__(self, work: Callable[[], None], seconds: float, name: str) -> None:
        self._work = work
        self._seconds = seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Does not wait for long: what it is doing may hang."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while not self._done.wait(self._seconds):
            self._work()
