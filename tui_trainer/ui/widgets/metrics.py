"""The metrics of a run: last value, best value, and the change against the evaluation before."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tui_trainer.headless.closing import best_text
from tui_trainer.headless.words import abbreviated, number, one_line
from tui_trainer.runs.directions import better_direction
from tui_trainer.runs.state import RunState
from tui_trainer.ui.widgets.lines import Line, Lines, left, right

_EXTREMES = ("_min", "_max")
_LABEL = 8


class MetricsTable(Lines):
    """A row a metric, as many as there is room for; the monitored one always."""

    def show_run(self, state: RunState) -> None:
        """Draw the state's metrics."""
        self.show(metric_lines(state, self.size.width, max(1, self.size.height)))


def metric_lines(state: RunState, width: int, height: int) -> list[Line]:
    """The table's lines, its head first."""
    last = last_values(state)
    if not last:
        return [(("no metrics yet", "dim"),)]
    names = list(last)
    room = max(1, height - 1)
    if len(names) > room and state.monitor in names:
        names.remove(state.monitor)
        names.insert(0, state.monitor)
    before = previous_values(state)
    shown = names[:room]
    for words, gap, named in ((True, 2, one_line), (False, 2, one_line), (False, 1, short)):
        changes = [change(state, name, last[name], before.get(name, math.nan), words) for name in shown]
        columns = [
            ("last", [number(last[name]) for name in shown], 6),
            ("best", [best_text(state, name) for name in shown], 10),
            ("change", [text for text, _ in changes], 14 if words else 6),
        ]
        widths = [max(least, *map(len, texts)) + gap for _, texts, least in columns]
        label = max(len(named(name)) for name in shown)
        if label + sum(widths) <= width:
            break
    else:
        while _LABEL + sum(widths) > width and len(widths) > 1:
            widths.pop()
        label = max(0, min(label, width - sum(widths)))
    head = "".join(right(title, room) for (title, _, _), room in zip(columns, widths, strict=False))
    lines: list[Line] = [((" " * label + head, "head"),)]
    for k, name in enumerate(shown):
        roles = ["" if math.isfinite(last[name]) else "bad", "", changes[k][1]]
        cells = [
            (right(texts[k], room), role)
            for (_, texts, _), room, role in zip(columns, widths, roles, strict=False)
        ]
        lines.append(((left(named(name), label), "strong" if name == state.monitor else ""), *cells))
    return lines


def short(name: str) -> str:
    """A metric's name where there is little room."""
    return abbreviated(one_line(name))[:16]


def last_values(state: RunState) -> dict[str, float]:
    """The latest value of each metric; before the first evaluation those of the newest step."""
    if state.metrics:
        return dict(state.metrics)
    return {k: v for k, v in state.row.items() if k.startswith("train/") and not k.endswith(_EXTREMES)}


def previous_values(state: RunState) -> Mapping[str, float]:
    """The values of the evaluation before the latest; empty where there was none."""
    if not state.history:
        return {}
    latest = state.history[-1].metrics
    if any(not same(latest.get(name, value), value) for name, value in state.metrics.items()):
        return latest
    return state.history[-2].metrics if len(state.history) > 1 else {}


def same(a: float, b: float) -> bool:
    """Equal, or both no number."""
    return a == b or (math.isnan(a) and math.isnan(b))


def change(state: RunState, name: str, last: float, before: float, words: bool = True) -> tuple[str, str]:
    """`▼ 6 % better` with its role; a dash where there is nothing to compare."""
    if not (math.isfinite(last) and math.isfinite(before)):
        return "–", "dim"
    if last == before:
        return "=", "dim"
    mark = "▲" if last > before else "▼"
    share = 100 * abs(last - before) / abs(before) if before else math.inf
    if share < 0.05:
        size = "<0.1 %"
    elif share < 1000:
        size = f"{share:.0f} %" if share >= 1 else f"{share:.1f} %"
    else:
        size = number(abs(last - before))
    direction = state.directions.get(name) or better_direction(name)
    better = (last > before) == (direction == "max")
    word = f" {'better' if better else 'worse'}" if words else ("" if better else " !")
    return f"{mark} {size}{word}", "good" if better else "warning"
