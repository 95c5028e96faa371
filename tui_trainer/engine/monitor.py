"""Which evaluation is the best so far, and whether waiting for a better one still makes sense."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

from tui_trainer.errors import UsageError, did_you_mean

_OF_THE_LOSS = frozenset({"loss", "label_smoothing"})


class Monitor:
    """Follows one metric over evaluations.

    Args:
        metric: its full name, such as `test/loss`.
        mode: "min" or "max", whichever is better.
        patience: evaluations without improvement after which to stop; None: never.
        from_hook: `on_epoch_end` measures it, so that it comes with an epoch's end only, and not with each.
    """

    def __init__(self, metric: str, mode: str, patience: int | None, from_hook: bool = False) -> None:
        self.metric = metric
        self.mode = mode
        self.from_hook = from_hook
        self._patience = patience
        self.value = math.nan
        self.epoch = 0
        self._waited = 0

    def update(self, value: float, epoch: int) -> bool:
        """Take an evaluation. True if it is the best so far; a non-finite value never is."""
        better = value > self.value if self.mode == "max" else value < self.value
        if math.isfinite(value) and (math.isnan(self.value) or better):
            self.value, self.epoch, self._waited = value, epoch, 0
            return True
        self._waited += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self._patience is not None and self._waited >= self._patience

    def restart_patience(self) -> None:
        """Wait anew: a run that had stopped early was asked to go on."""
        self._waited = 0

    def best(self) -> dict[str, Any] | None:
        """{metric, value, epoch} of the best evaluation; None before the first."""
        if math.isnan(self.value):
            return None
        return {"metric": self.metric, "value": self.value, "epoch": self.epoch}

    def state_dict(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "mode": self.mode,
            "value": self.value,
            "epoch": self.epoch,
            "waited": self._waited,
        }

    def load_state_dict(self, state: dict[str, Any], before: Collection[str] = ()) -> bool:
        """Go on with `state_dict`, unless it says nothing about this metric.

        Args:
            state: of the monitor; another metric's or mode's counts for nothing.
            before: hparams that have changed since; with another loss, a loss has another scale.

        Returns:
            Whether it goes on.
        """
        another_scale = _OF_THE_LOSS.intersection(before) and self.metric.endswith("/loss")
        if state["metric"] != self.metric or state["mode"] != self.mode or another_scale:
            return False
        self.value, self.epoch = float(state["value"]), int(state["epoch"])
        self._waited = int(state["waited"])
        return True


def no_such_metric(metric: str, shown: Iterable[str]) -> UsageError:
    """The error for a monitored metric that the task does not have.

    Args:
        metric: its full name.
        shown: full names of those it has.
    """
    known = sorted(shown)
    return UsageError(
        "wrong hparams",
        f'monitor: this task has no metric "{metric}"{did_you_mean(metric, known)}',
        f"metrics: {', '.join(known)}",
    )
