"""Progress of the epoch and of the whole run, one line each or both in one."""

from __future__ import annotations

import math

from tui_trainer.headless.words import plural
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.state import RunState
from tui_trainer.ui.live_facts import step_of
from tui_trainer.ui.widgets.lines import Line, Lines, Span, cells

_EIGHTHS = " ▏▎▍▌▋▊▉"
_GAP = "   "


class ProgressBars(Lines):
    """Two bars: one below the other where the widget is two lines high, else side by side."""

    def show_run(self, state: RunState) -> None:
        """Draw how far the run is."""
        width, stacked = self.size.width, self.size.height > 1
        halves = [width, width] if stacked else [(width - len(_GAP)) // 2] * 2
        labels = ("epoch", "total") if halves[0] >= 24 else ("ep", "all")
        fractions = (epoch_fraction(state), total_fraction(state))
        lines = []
        for label, fraction, room in zip(labels, fractions, halves, strict=True):
            lines.append(bar(label, fraction, room) if math.isfinite(fraction) else _count(label, state))
        if not stacked:
            pad = " " * (halves[0] - cells(lines[0]))
            lines = [(*lines[0], (pad + _GAP, ""), *lines[1])]
        self.show(lines)


def epoch_fraction(state: RunState) -> float:
    """How much of the epoch in training is done; NaN where its length is not known."""
    if state.epoch and state.current_epoch <= state.epoch:
        return 1.0
    if not state.steps_per_epoch:
        return math.nan if step_of(state) else 0.0
    done = as_number(state.row.get("epoch")) - state.epoch
    return min(1.0, max(0.0, done)) if math.isfinite(done) else 0.0


def total_fraction(state: RunState) -> float:
    """How much of the run is done; NaN where that can't be said."""
    if state.total_steps:
        return min(1.0, step_of(state) / state.total_steps)
    if state.epochs or not step_of(state):
        return min(1.0, state.epoch / max(1, state.epochs))
    return math.nan


def bar(label: str, fraction: float, width: int) -> Line:
    """`epoch ██████▌─────  63 %`; without a bar where there is no room for one."""
    percent = f"{math.floor(100 * fraction):3d} %"
    room = width - len(label) - len(percent) - 2
    if room < 3:
        return ((f"{label} {percent}", ""),)
    return ((f"{label} ", ""), *gauge(fraction, room), (f" {percent}", ""))


def gauge(fraction: float, width: int) -> tuple[Span, Span]:
    """A bar of just `width` columns, in eighths of a column."""
    eighths = round(8 * width * min(1.0, max(0.0, fraction)))
    whole, rest = divmod(eighths, 8)
    done = "█" * whole + (_EIGHTHS[rest] if rest else "")
    return (done, "accent"), ("─" * (width - len(done)), "dim")


def _count(label: str, state: RunState) -> Line:
    if label in ("epoch", "ep"):
        return ((f"{label} {max(1, state.current_epoch):,}", ""), (", length unknown", "dim"))
    return ((f"{label} {plural(step_of(state), 'step')}", ""), (" so far", "dim"))
