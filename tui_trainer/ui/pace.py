"""When the screen is drawn: as often as its measured cost allows, and soon after a key."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

FASTEST_S = 0.5
"""Between two frames while nobody touches a key: more would be 30 kB a second over a slow link."""
BUSY_S = 0.2
"""Between two frames while keys are being used."""
SLOWEST_S = 2.0
BUSY_FOR_S = 2.0
SHARE_BESIDE_TRAINING = 0.015
"""Of the time that drawing may take where the training loop shares the interpreter with it."""
SHARE_ALONE = 0.1


class Pace:
    """Sets the interval of frames from what the frames before cost.

    Args:
        clock: seconds that only ever grow.
        spent: seconds of processor time of the thread that draws.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, spent: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock, self._spent = clock, spent
        self._busy_until = 0.0
        self._before = spent()
        self._cost = 0.0

    def key_used(self) -> None:
        """A key was pressed: for a while frames come fast."""
        self._busy_until = self._clock() + BUSY_FOR_S

    def interval(self, beside_training: bool) -> float:
        """Seconds until the next frame. Call once a frame.

        Args:
            beside_training: a training loop runs in this process.
        """
        now = self._spent()
        latest, self._before = now - self._before, now
        # One slow frame (a screen that opens) must not freeze the ones after it.
        self._cost = latest if self._cost == 0.0 else 0.7 * self._cost + 0.3 * latest
        if self._clock() < self._busy_until:
            return BUSY_S
        share = SHARE_BESIDE_TRAINING if beside_training else SHARE_ALONE
        return min(SLOWEST_S, max(FASTEST_S, self._cost / share))


class TimerLike(Protocol):
    """A call that is to come."""

    def stop(self) -> None:
        """Call nothing."""


class Ticker:
    """Calls something again and again: one call is to come at any time, whoever asks for it.

    Args:
        tick: what is called; it gives the seconds until the next time.
        set_timer: has a function called once, so many seconds later.
        clock: seconds that only ever grow.
    """

    def __init__(
        self,
        tick: Callable[[], float],
        set_timer: Callable[[float, Callable[[], None]], TimerLike],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tick, self._set_timer, self._clock = tick, set_timer, clock
        self._timer: TimerLike | None = None
        self._due = -float("inf")

    def run(self) -> None:
        """Tick now, and from here on."""
        self._schedule(self._tick())

    def hurry(self, within_s: float) -> None:
        """Tick within so many seconds. A key that is held down does not put it off again and again."""
        if self._due - self._clock() > within_s:
            self._schedule(within_s)

    def _schedule(self, pause: float) -> None:
        # One that has fired may still stand in a queue: its call takes the place of this one.
        if self._timer is not None:
            self._timer.stop()
        self._timer, self._due = self._set_timer(pause, self.run), self._clock() + pause
