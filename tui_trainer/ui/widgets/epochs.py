"""One row for each finished epoch, the newest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from tui_trainer.headless.words import number, seconds
from tui_trainer.runs.state import EpochSummary, RunState
from tui_trainer.ui.widgets.lines import Line, left, right
from tui_trainer.ui.widgets.metrics import short
from tui_trainer.ui.widgets.scrolled import Scrolled

_EPOCH, _TIME, _MARK, _LEAST = 5, 7, 2, 8


class EpochTable(Scrolled):
    """As many metrics as fit, the monitored one always. The best epoch is marked with a star."""

    def show_run(self, state: RunState) -> None:
        """Draw the state's finished epochs."""
        history = state.history
        if not history:
            self.show_rows(1, lambda index: (("no epoch is finished yet", "dim"),))
            return
        names = columns(list(state.metrics), state.monitor, self.size.width)
        best = state.best.epoch if state.best is not None else 0
        make = partial(_row, history, names, best)
        self.show_rows(len(history), make, _head(names))


def columns(metrics: Sequence[str], monitor: str, width: int) -> list[str]:
    """The metrics that fit, in their order."""
    room = width - _EPOCH - _TIME - _MARK
    kept = [monitor] if monitor in metrics else []
    room -= sum(map(_width, kept))
    for name in metrics:
        if name not in kept and _width(name) <= room:
            kept.append(name)
            room -= _width(name)
    return [name for name in metrics if name in kept]


def _width(name: str) -> int:
    return max(_LEAST, len(short(name))) + 1


def _head(names: Sequence[str]) -> Line:
    text = right("ep", _EPOCH) + "".join(right(short(name), _width(name)) for name in names)
    return ((text + right("time", _TIME), "head"),)


def _row(history: Sequence[EpochSummary], names: Sequence[str], best: int, index: int) -> Line:
    epoch = history[-1 - index]
    star = epoch.epoch == best
    line = [(right(f"{epoch.epoch:,}", _EPOCH), "strong" if star else "")]
    for name in names:
        value = epoch.metrics.get(name)
        role = "bad" if value is not None and not math.isfinite(value) else "strong" if star else ""
        line.append((right(number(value) if value is not None else "–", _width(name)), role))
    return (*line, (right(seconds(epoch.seconds), _TIME), "dim"), (left(" ★" if star else "", _MARK), "good"))
