"""What the rows of the record say of a run's health: losses that are no numbers, losses that jump."""

from __future__ import annotations

import time
from collections.abc import Callable

from tui_trainer.engine.alerts import Alert
from tui_trainer.engine.nonfinite import NonFinite
from tui_trainer.engine.spikes import WINDOW, SpikeWatch

MOST_IN_A_ROW = 100
"""So many skipped steps with none between them that was made end the run."""
_QUIET_S = 60.0


class LossWatch:
    """Looks at each row of the step series. Rows are read when they have arrived, so no step waits for it.

    Args:
        alert: told of spikes and skipped steps.
        skips: steps with non-finite gradients are skipped, so that a bad loss is no reason to end.
        clock: source of seconds.
    """

    def __init__(self, alert: Alert, skips: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._alert = alert
        self._skips = skips
        self._clock = clock
        self._spikes = SpikeWatch()
        self._untold = self._first = self._latest = 0
        self._told = -_QUIET_S

    def look(self, step: int, loss: float | None, bad: int, bad_step: int | None, in_a_row: int) -> None:
        """Take a row.

        Args:
            step: the latest one of the row.
            loss: the largest of the row; None where there was no finite one.
            bad: steps without a finite loss, or that were skipped.
            bad_step: the first of these; None without one.
            in_a_row: such steps up to now since the last good one.

        Raises:
            NonFinite: the run can't go on like this.
        """
        if bad_step is not None and not self._skips:
            message = f"the training loss became NaN or infinite at step {bad_step}"
            raise NonFinite("loss is not finite", message, bad_step)
        if in_a_row >= MOST_IN_A_ROW:
            message = f"{in_a_row} steps up to step {step} had no finite loss and gradient"
            raise NonFinite("nothing left but skipped steps", message, step)
        if bad_step is not None:
            self._skipped(bad, bad_step, step)
        spike = self._spikes.add(loss) if loss is not None else None
        if spike is not None:
            message = (
                f"{loss:.4g} by step {step}; half of the last {WINDOW} rows lay between "
                f"{spike.low:.4g} and {spike.high:.4g}"
            )
            self._alert("loss spike", message)

    def close(self) -> None:
        """Tell what was not told yet."""
        if self._untold:
            self._tell()

    def _skipped(self, steps: int, first: int, latest: int) -> None:
        self._first = self._first if self._untold else first
        self._untold, self._latest = self._untold + steps, latest
        if self._clock() - self._told >= _QUIET_S:
            self._tell()

    def _tell(self) -> None:
        which = f"step {self._first}"
        if self._untold > 1:
            which = f"{self._untold} steps from {self._first} to {self._latest}"
        self._alert("step skipped", f"{which} had no finite loss and gradient, and changed nothing")
        self._told, self._untold = self._clock(), 0
