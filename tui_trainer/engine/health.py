"""What the rows of the record say of a run's health: losses that are no numbers, losses that jump."""

from __future__ import annotations

import time
from collections.abc import Callable

from tui_trainer.engine.alerts import Alert
from tui_trainer.engine.nonfinite import NonFinite
from tui_trainer.engine.spikes import WINDOW, SpikeWatch

MOST_IN_A_ROW = 100
"""So many skipped batches with none between them that was trained on end the run."""
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
        self._in_a_row = 0
        self._untold = 0
        self._told = -_QUIET_S

    def look(self, step: int, loss: float | None, bad: int, bad_step: int | None) -> None:
        """Take a row.

        Args:
            step: the latest one of the row.
            loss: the largest of the row; None where there was no finite one.
            bad: batches without a finite loss, or that were not trained on.
            bad_step: the step of the first of these.

        Raises:
            NonFinite: the run can't go on like this.
        """
        if bad_step is not None:
            if not self._skips:
                message = f"the training loss became NaN or infinite at step {bad_step}"
                raise NonFinite("loss is not finite", message, bad_step)
            self._count(bad, bad_step, nothing_else=loss is None)
        if loss is None:
            return
        self._in_a_row = 0 if bad_step is None else self._in_a_row
        spike = self._spikes.add(loss)
        if spike is not None:
            message = (
                f"{loss:.4g} by step {step}; half of the last {WINDOW} rows lay between "
                f"{spike.low:.4g} and {spike.high:.4g}"
            )
            self._alert("loss spike", message)

    def _count(self, bad: int, bad_step: int, nothing_else: bool) -> None:
        self._in_a_row = self._in_a_row + bad if nothing_else else bad
        if self._in_a_row >= MOST_IN_A_ROW:
            message = f"{self._in_a_row} batches up to step {bad_step} had no finite loss and gradient"
            raise NonFinite("nothing left but skipped steps", message, bad_step)
        self._untold += bad
        if self._clock() - self._told >= _QUIET_S:
            batches = "a batch" if self._untold == 1 else f"{self._untold} batches"
            message = (
                f"{batches} without finite loss and gradient, the latest at step {bad_step}: not trained on"
            )
            self._alert("step skipped", message)
            self._told, self._untold = self._clock(), 0
