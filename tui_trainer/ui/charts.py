"""Which charts a run has, and what is on each: data for the chart widget, no drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from tui_trainer.headless.words import number, one_line, short_name
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.layout import short_id
from tui_trainer.runs.state import ENDED, Best, RunState, better_direction
from tui_trainer.ui.chart_data import NOWHERE, X_AXES, ChartData, Floats, Line, Part, Places, XAxis
from tui_trainer.ui.measured import Measured
from tui_trainer.ui.series import StepSeries, Window

__all__ = ["OTHERS", "RATES", "X_AXES", "RunData", "base_name", "chart_data", "chart_names", "compare_data"]

RATES = ("lr", "samples_per_s")
"""Columns of the step series that have a chart of their own."""
_SPLITS = ("train", "val", "test")
_DECISIVE = ("val", "test", "train")
OTHERS = 6
"""How many runs a comparison tells apart by colour; later ones begin again."""


class RunData(Protocol):
    """A run that charts can be drawn of."""

    @property
    def state(self) -> RunState: ...

    @property
    def series(self) -> StepSeries: ...

    @property
    def measured(self) -> Measured: ...


def chart_names(*views: RunData) -> list[str]:
    """Names of the charts of a run, or of several together: the monitored metric's first, rates last."""
    monitored = [base_name(view.state.monitor) for view in views if view.state.monitor]
    metrics: list[str] = []
    for view in views:
        columns = view.series.columns
        metrics += [base_name(name) for name in columns if "/" in name and not _is_bound(name, columns)]
        metrics += [base_name(name) for name in view.state.metrics]
    known = set(metrics)
    first = [name for name in [*monitored, "loss"] if name in known]
    rates = [rate for rate in RATES if any(rate in view.series.columns for view in views)]
    return list(dict.fromkeys([*first, *(name for name in metrics if name not in RATES), *rates])) or ["loss"]


def base_name(metric: str) -> str:
    """A metric's name without its split: `loss` of `test/loss`."""
    split, slash, rest = metric.partition("/")
    return rest if slash and split in _SPLITS else metric


def _is_bound(name: str, columns: Sequence[str]) -> bool:
    """Whether a column holds the smallest or largest values of another one."""
    return name.endswith(("_min", "_max")) and name[:-4] in columns


def chart_data(
    view: RunData, name: str, x_axis: XAxis = "step", baseline: RunData | None = None
) -> ChartData:
    """The chart `name` of a run.

    Args:
        view: the run.
        name: one of `chart_names(view)`.
        x_axis: what it is drawn over; time is in seconds since the start.
        baseline: a run whose decisive line is drawn dim behind.
    """

    def lines(start: float, stop: float) -> tuple[Line, ...]:
        behind = _lines(baseline, name, x_axis, start, stop) if baseline is not None else []
        return (
            *(_as(line, "baseline", "baseline") for line in _decisive(behind)),
            *_lines(view, name, x_axis, start, stop),
        )

    state = view.state
    shown = lines(-np.inf, np.inf)
    own = [line for line in shown if line.role != "baseline"]
    best = _best(state, name)
    parts = [Part(short_name(name)), *(_value_part(state, name, line) for line in own)]
    if best is not None:
        arrow = "▼" if _direction(state, best.metric) == "min" else "▲"
        epoch = f" @ep{best.epoch}" if best.epoch else ""
        parts.append(Part(f"{arrow} best {number(best.value)}{epoch}", "best"))
    if len(own) < len(shown):
        assert baseline is not None
        parts.append(Part(f"baseline {_label(baseline.state)}", "baseline"))
    places = _places(view, x_axis)
    return ChartData(
        name=name,
        parts=tuple(parts),
        lines=shown,
        x_axis=x_axis,
        best=_best_point(best, own),
        marks=_marks(state, places, x_axis),
        places=places,
        waiting="" if any(len(line.x) for line in shown) else _waiting(state, name),
        detail=lines,
    )


def compare_data(views: Sequence[RunData], name: str, x_axis: XAxis = "step") -> ChartData:
    """The chart `name` of several runs over each other: of each run the decisive split that most have.

    Args:
        views: the runs, in the order of their colours.
        name: one of `chart_names(*views)`.
        x_axis: what it is drawn over; time is in seconds since each run's start.
    """

    def lines(start: float, stop: float) -> tuple[Line, ...]:
        found = [_lines(view, name, x_axis, start, stop) for view in views]
        counts = Counter(line.role for run in found for line in run)
        split = next((role for role in _DECISIVE if counts[role] > len(views) / 2), None)
        split = split or max(_DECISIVE, key=lambda role: counts[role])
        return tuple(
            _as(line, f"other{k % OTHERS + 1}", _label(view.state))
            for k, (view, run) in enumerate(zip(views, found, strict=True))
            for line in run
            if line.role == split
        )

    shown = lines(-np.inf, np.inf)
    parts = [Part(f"{line.name} {number(_last(line.mean))}", line.role) for line in shown]
    return ChartData(
        name=name,
        parts=(Part(short_name(name)), *parts),
        lines=shown,
        x_axis=x_axis,
        places=_places(views[0], x_axis) if views else NOWHERE,
        waiting=""
        if any(len(line.x) for line in shown)
        else f"none of these runs has recorded {short_name(name)}",
        detail=lines,
    )


def _lines(view: RunData, name: str, x_axis: XAxis, start: float, stop: float) -> list[Line]:
    """A run's lines of one chart: the training rows below, measurements above."""
    origin = _origin(view, x_axis)
    rows = view.series.window(x_axis, start + origin, stop + origin)
    if name in RATES:
        return [_row_line(rows, name, "", "train", x_axis, origin)] if name in view.series.columns else []
    found = []
    for split in _SPLITS:
        metric = f"{split}/{name}"
        if metric in view.series.columns:
            found.append(_row_line(rows, metric, split, split, x_axis, origin))
        else:
            found.append(_measured_line(view, metric, split, split, x_axis, origin))
    # A metric that a hook recorded under a name of its own belongs to no split.
    found.append(_measured_line(view, name, "", "test", x_axis, origin))
    return [line for line in found if len(line.x)]


def _row_line(rows: Window, column: str, name: str, role: str, x_axis: XAxis, origin: float) -> Line:
    curve, x = rows.curve(column), rows.place(x_axis) - origin
    keep = np.isfinite(x)
    if keep.all():
        return Line(name, role, x, curve.low, curve.high, curve.mean, curve.nonfinite)
    low, high, mean = curve.low[keep], curve.high[keep], curve.mean[keep]
    return Line(name, role, x[keep], low, high, mean, curve.nonfinite[keep])


def _measured_line(view: RunData, metric: str, name: str, role: str, x_axis: XAxis, origin: float) -> Line:
    """What was measured at the ends of epochs and between."""
    points = view.measured.points(view.state, metric)
    known = np.isfinite(points.places[x_axis])
    x, values = np.fmax.accumulate(points.places[x_axis][known]) - origin, points.values[known]
    bad = ~np.isfinite(values)
    values = np.where(bad, np.nan, values)
    return Line(name, role, x, values, values, values, bad, sparse=True)


def _origin(view: RunData, x_axis: XAxis) -> float:
    """What is taken off the recorded places: the time at which the run started."""
    if x_axis != "time":
        return 0.0
    if view.state.started is not None:
        return view.state.started
    times = view.series.window("time").place("time")
    known = times[np.isfinite(times)]
    if len(known):
        return float(known[0])
    return next((epoch.time for epoch in view.state.history if np.isfinite(epoch.time)), 0.0)


def _places(view: RunData, x_axis: XAxis) -> Places:
    rows = view.series.window(x_axis)
    x, step, epoch = (rows.place(name) for name in (x_axis, "step", "epoch"))
    if not len(rows):
        ends = view.measured.epoch_ends(view.state)
        x, step, epoch = (ends[name] for name in (x_axis, "step", "epoch"))
    known = np.isfinite(x) & np.isfinite(step)
    return Places(x[known] - _origin(view, x_axis), step[known], epoch[known])


def _marks(state: RunState, places: Places, x_axis: XAxis) -> tuple[tuple[float, str], ...]:
    """Changes of the learning rate that took effect."""
    found = []
    for event in state.controls:
        value, step = event.get("value"), as_number(event.get("step"))
        if (
            event.get("action") != "set"
            or "error" in event
            or not isinstance(value, Mapping)
            or "lr" not in value
        ):
            continue
        place = step if x_axis == "step" else places.of_step(step)
        if np.isfinite(place):
            found.append((place, f"lr {as_number(value['lr']):g} at step {step:,.0f}"))
    return tuple(found)


def _best(state: RunState, name: str) -> Best | None:
    if state.best is not None and base_name(state.best.metric) == name:
        return state.best
    return next((state.bests[m] for m in (f"{s}/{name}" for s in _DECISIVE) if m in state.bests), None)


def _best_point(best: Best | None, lines: Iterable[Line]) -> tuple[float, float] | None:
    """Where the best value was measured, if it is on a line."""
    if best is None:
        return None
    for line in lines:
        if line.sparse and line.role == _role(best.metric):
            at = np.flatnonzero(line.mean == best.value)
            if len(at):
                return float(line.x[at[0]]), best.value
    return None


def _role(metric: str) -> str:
    """The role of the line that shows a metric."""
    split = metric.partition("/")[0]
    return split if split in _SPLITS else "test"


def _direction(state: RunState, metric: str) -> str:
    return state.directions.get(metric) or better_direction(metric)


def _value_part(state: RunState, name: str, line: Line) -> Part:
    metric = f"{line.name}/{name}" if line.name else name
    latest = (state.metrics if line.sparse else state.row).get(metric, _last(line.mean))
    return Part(f"{line.name} {number(latest)}".strip(), line.role)


def _last(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else np.nan


def _decisive(lines: Sequence[Line]) -> list[Line]:
    return next(([line] for role in _DECISIVE for line in lines if line.role == role), [])


def _as(line: Line, role: str, name: str) -> Line:
    return replace(line, role=role, name=name)


def _label(state: RunState) -> str:
    return short_name(state.name) or one_line(short_id(state.run_id))


def _waiting(state: RunState, name: str) -> str:
    if state.status in ENDED or state.status == "crashed":
        return f"this run recorded no {short_name(name)}"
    if state.step and name not in RATES:
        return "waiting for the first evaluation"
    busy = f" ({one_line(state.phase)})" if state.phase else ""
    return f"waiting for the first step{busy}"
