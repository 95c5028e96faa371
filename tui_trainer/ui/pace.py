"""How often the screen is drawn: as often as its measured cost allows."""

from __future__ import annotations

import time
from collections.abc import Callable

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
