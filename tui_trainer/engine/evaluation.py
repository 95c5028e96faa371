"""Measuring the evaluated splits, as if it had not happened, and judging what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tui_trainer.config.every import Every
from tui_trainer.engine import rng
from tui_trainer.engine.batch_looper import test_batch_looper
from tui_trainer.engine.failure import during
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.monitor import no_such_metric
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


class Evaluations:
    """A run's evaluations: when they are due, how long they take, which is the best.

    Args:
        ready: model, data and monitor.
        every: how often, as `hparams.eval_every` says.
        clock: the run's.

    Attributes:
        step: at which the latest one inside an epoch was made; None before one.
        best_step: at which the best so far was made; None before one of this process.
        slowest: seconds of the slowest one.
    """

    def __init__(self, ready: Prepared, every: Every, clock: Callable[[], float]) -> None:
        self.step: int | None = None
        self.best_step: int | None = None
        self.slowest = 0.0
        self._ready = ready
        self._every = every
        self._clock = clock
        self._meter = Meter(ready.device.torch)
        self._last = clock()

    def start_over(self) -> None:
        """Count from here: training begins, or goes on from somewhere else."""
        self.step = self.best_step = None
        self._last = self._clock()

    @property
    def wanted(self) -> bool:
        """Whether there is anything to evaluate, and the interval is not never."""
        return self._every.amount > 0 and bool(self._ready.splits.evaluated())

    def due(self, step: int, finished_epoch: int | None = None) -> bool:
        """Whether one is due after a step.

        Args:
            step: optimizer steps done.
            finished_epoch: the epoch that ends there, from 1; None inside of one.
        """
        if not self.wanted:
            return False
        if finished_epoch is not None and self._every.due_epoch(finished_epoch):
            return True
        return self._every.due_inside(step, self._clock() - self._last)

    def measure(self, goes_on: Callable[[], bool]) -> dict[str, float] | None:
        """Metrics of the evaluated splits; None if a stop was asked for on the way."""
        begin = self._clock()
        metrics = evaluate(self._ready, self._meter, goes_on)
        if metrics is not None:
            self._last = self._clock()
            self.slowest = max(self.slowest, self._last - begin)
        return metrics

    @property
    def of_training(self) -> bool:
        """Whether the monitored metric needs no evaluation."""
        return self._ready.monitor.metric.startswith("train/")

    def judge(self, metrics: Mapping[str, float], epoch: int, step: int) -> bool:
        """Take metrics as an evaluation. True if it is the best so far.

        Raises:
            UsageError: the monitored metric is not among them.
        """
        monitor = self._ready.monitor
        if monitor.metric not in metrics:
            if monitor.from_hook:
                return False
            raise no_such_metric(monitor.metric, metrics)
        value = metrics[monitor.metric]
        self._ready.schedule.after_evaluation(value)
        improved = monitor.update(value, epoch)
        if improved:
            self.best_step = step
        return improved
