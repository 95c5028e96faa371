"""How long a run will still take, from the steps of this process alone."""

from __future__ import annotations

from collections import deque

WARM_UP_S = 3.0
_APART_S = 5.0
_MARKS = 120


class Pace:
    """Marks of (time, step) over the last ten minutes.

    The first mark is the first row of this process, so steps that an earlier process did, and the time that
    the first batch took, count for nothing.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque(maxlen=_MARKS)
        self._step = 0.0

    def note(self, now: float, step: float) -> None:
        """Say which step has been reached.

        Args:
            now: seconds.
            step: optimizer steps done.
        """
        self._step = step
        if self._marks and now < self._marks[-1][0]:
            # The clock was set back: what it said before can't be compared any more.
            self._marks.clear()
        if not self._marks or now - self._marks[-1][0] >= _APART_S:
            self._marks.append((now, step))

    def reset(self) -> None:
        """Forget everything: after a pause the time that passed says nothing."""
        self._marks.clear()

    def steps_per_s(self, now: float) -> float | None:
        """Steps a second, evaluations included; None during the first seconds."""
        if not self._marks:
            return None
        time, step = self._marks[0]
        if now - time < WARM_UP_S or self._step <= step:
            return None
        return (self._step - step) / (now - time)

    def eta_s(self, total_steps: float, now: float) -> float | None:
        """Seconds until `total_steps` are done; None while that can't be said."""
        speed = self.steps_per_s(now)
        if speed is None or total_steps <= 0:
            return None
        return max(0.0, total_steps - self._step) / speed
