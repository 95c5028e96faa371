"""Rows of the step series, bounded in time so that the record never slows the loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from tui_trainer.engine.health import LossWatch
from tui_trainer.engine.meter import Meter
from tui_trainer.runs.writer import RunWriter


class RowLogger:
    """Writes one row for a window of steps, at most `rate` a second.

    A row's values leave the device at one step and are read at the next, when they have long arrived.

    Args:
        writer: the record.
        meter: of the training split.
        rate: rows a second; 0 for a row at every step.
        watch: looks at each row.
        clock: the run's.

    Attributes:
        slowest: seconds of the slowest step so far, or a window more. The first one does not count: it
            compiles, and fills caches.
    """

    def __init__(
        self,
        writer: RunWriter,
        meter: Meter,
        rate: float,
        watch: LossWatch,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._writer = writer
        self._meter = meter
        self._watch = watch
        self._interval = 1.0 / rate if rate else 0.0
        self._clock = clock
        self.slowest = 0.0
        self._warm = False
        self._held: dict[str, float] | None = None
        self._begin = clock()
        self._samples = 0
        self._waited = 0.0

    def begin(self, samples: int) -> None:
        """Start a window now: time that was not spent on training (an evaluation, a save) belongs to none."""
        self._begin, self._samples, self._waited = self._clock(), samples, 0.0

    def step(self, place: Callable[[], dict[str, float]], samples: int, waited: float) -> None:
        """Call after each optimizer step.

        Args:
            place: tells step, epoch and lr; only called when a row is due.
            samples: training samples so far in this epoch.
            waited: seconds waited for data so far in this epoch.

        Raises:
            NonFinite: the loss is not finite any more.
        """
        if self._held is not None:
            self._write()
        now = self._clock()
        elapsed = now - self._begin
        if elapsed >= self._interval:
            self._hold(place(), elapsed, samples, waited)
            if self._warm and elapsed > self.slowest:
                self.slowest = elapsed
            self._warm = True
            self._begin, self._samples, self._waited = now, samples, waited

    def flush(self, place: Callable[[], dict[str, float]], samples: int, waited: float) -> None:
        """Write what is left of a window. Waits for the device.

        Raises:
            NonFinite: the loss is not finite any more.
        """
        if self._held is not None:
            self._write()
        self._hold(place(), self._clock() - self._begin, samples, waited)
        self._write()
        self.begin(samples)

    def close(self) -> None:
        """The run is over: tell what its rows said and was not told yet."""
        self._watch.close()

    def _hold(self, place: dict[str, float], elapsed: float, samples: int, waited: float) -> None:
        self._meter.send()
        seconds = max(elapsed, 1e-9)
        rate, share = (samples - self._samples) / seconds, min(1.0, (waited - self._waited) / seconds)
        self._held = {**place, "time": time.time(), "samples_per_s": rate, "data_wait": share}

    def _write(self) -> None:
        assert self._held is not None
        held, self._held = self._held, None
        self._meter.receive()
        meter = self._meter
        window, bad, bad_step = meter.window(), meter.window_bad, meter.bad_step
        meter.clear_window()
        if window:
            self._writer.row({**held, **{f"train/{name}": value for name, value in window.items()}})
        self._watch.look(int(held["step"]), window.get("loss_max"), bad, bad_step, meter.bad_in_a_row)
