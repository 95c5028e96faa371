"""Measuring the evaluated splits, as if it had not happened."""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.engine import rng
from tui_trainer.engine.batch_looper import test_batch_looper
from tui_trainer.engine.failure import during
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.prepared import Prepared


def evaluate(ready: Prepared, meter: Meter, goes_on: Callable[[], bool]) -> dict[str, float] | None:
    """Metrics of the evaluated splits. Random streams and the model's mode are left as they were.

    Args:
        ready: model and data.
        meter: for evaluations; emptied first.
        goes_on: asked between batches.

    Returns:
        The metrics by name; None if it was left on the way.
    """
    metrics: dict[str, float] = {}
    with rng.preserved(ready.device.torch):
        for split, loader in ready.splits.evaluated().items():
            if not goes_on():
                return None
            with during(f"evaluating the {split} set"):
                means = test_batch_looper(
                    loader.epoch(0),
                    ready.evaluated_model,
                    ready.forward,
                    meter,
                    lambda _: goes_on(),
                    ready.measuring,
                )
            metrics |= {f"{split}/{name}": value for name, value in means.items()}
    return metrics if goes_on() else None
