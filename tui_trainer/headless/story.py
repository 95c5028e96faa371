"""A run as lines of text: what is worth saying when its events arrive. Shared by bars and plain output."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tui_trainer.headless.closing import closing_lines
from tui_trainer.headless.control_words import control_text
from tui_trainer.headless.thinning import Allowance, shows_epoch
from tui_trainer.headless.words import (
    clean,
    fit,
    grouped,
    near_path,
    number,
    one_line,
    pairs,
    parameters,
    rate,
    seconds,
    short_name,
)
from tui_trainer.runs.events import CHANGED_HPARAMS, CHANGED_SOURCE
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.layout import parse_tag
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import RunState, fold, fold_all, identify

Event = Mapping[str, Any]
Kind = Literal["header", "epoch", "best", "note", "text", "warning", "error", "closing"]

_LONGEST_TEXT = 4000
_KEPT = 50
# What these leave in the state is not read here, and each fold copies all of it.
_UNFOLDED = frozenset({"log", "alert", "system"})


@dataclass(frozen=True)
class Line:
    """A line to keep, and what kind of thing it says."""

    text: str
    kind: Kind


class Story:
    """Folds events into the run's state and tells what a person should read of them.

    Args:
        reader: of the run.
        earlier: events of earlier processes, already told.
        width: most characters of an epoch's line.
        clock: unix seconds.

    Attributes:
        state: the run as of the last event.
        first_step: the step at which this process began.
    """

    def __init__(
        self,
        reader: RunReader,
        earlier: Sequence[Event],
        width: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self.state = fold_all(RunState(), earlier)
        self.first_step = 0
        self._reader = reader
        self._width = width
        self._clock = clock
        self._begin: float | None = None
        self._reported: set[str] = set()
        self._extras = Allowance()

    def tell(self, event: Event) -> list[Line]:
        """Fold one event and give the lines it is worth."""
        name = event["event"]
        if name not in _UNFOLDED:
            self.state = fold(self.state, event)
        state = self.state
        if len(state.history) + len(state.checkpoints) + len(state.evaluations) > _KEPT:
            # Each fold copies them, and what they say has been told.
            self.state = replace(state, history=(), checkpoints=(), evaluations=())
        if name in ("run_start", "run_resume"):
            again = self._begin is not None
            self._begin = as_number(event.get("time")) if not again else self._begin
            self.first_step = self.state.step
            lines = header(event, self.state, near_path(self._reader.layout.root))
            # A run that goes back to a checkpoint is the one that was told about before.
            return lines[-1:] if again else lines
        if name == "epoch_end":
            return self._epoch(event)
        told = {
            "evaluation": self._evaluation,
            "checkpoint": self._checkpoint,
            "alert": self._alert,
            "log": self._log,
            "control": self._control,
        }.get(name)
        return self._afford(told(event)) if told else []

    def closing(self) -> list[Line]:
        """The last lines of a run that has ended."""
        state, begin = identify(self.state, self._reader), self._begin
        took = state.ended - begin if begin is not None and state.ended is not None else None
        known = one_line(state.reason) in self._reported
        lines = closing_lines(state, self._reader, seconds=took, reason=not known)
        return [*self._left_out(), *(Line(text, "closing") for text in lines)]

    def _afford(self, lines: list[Line]) -> list[Line]:
        if not lines:
            return []
        now = self._clock()
        if not self._extras.spend(sum(len(line.text) + 1 for line in lines), now):
            return []
        return [*self._left_out(), *lines]

    def _left_out(self) -> list[Line]:
        refused = self._extras.refused()
        if not refused:
            return []
        return [Line(f"({refused:,} more left out here; they are in the run's events.jsonl)", "note")]

    def _epoch(self, event: Event) -> list[Line]:
        state = self.state
        if not shows_epoch(state.epoch, state.epochs):
            return []
        return [epoch_line(event, state, self._width())]

    def _evaluation(self, event: Event) -> list[Line]:
        metrics = measured(event)
        line = fit(
            f"evaluated  epoch {self.state.current_epoch}  step {self.state.step:,}",
            pairs(metrics),
            "★ best" if event.get("improved") is True else "",
            self._width(),
            _pair(self.state.monitor, metrics),
        )
        return [Line(line, "note")]

    def _checkpoint(self, event: Event) -> list[Line]:
        path = one_line(str(event.get("path") or ""))
        tag = path.rpartition("model_")[2].removesuffix(".pt")
        try:
            midway = parse_tag(tag)[1] > 0
        except ValueError:
            midway = False
        # At an epoch's end it goes without saying.
        return [Line(f"checkpoint  {path}  step {self.state.step:,}", "note")] if midway else []

    def _alert(self, event: Event) -> list[Line]:
        keys = ("level", "title", "message", "hint")
        level, title, message, hint = (one_line(str(event.get(key) or "")) for key in keys)
        said = f"{title}: {message}" if message else title
        kinds: dict[str, Kind] = {"error": "error", "info": "note"}
        kind = kinds.get(level, "warning")
        if kind == "error":
            first = str(event.get("message") or "").split("\n", 1)[0]
            self._reported.add(one_line(f"{title}: {first}") if first else title)
        if event.get("fatal") or title in (CHANGED_HPARAMS, CHANGED_SOURCE):
            # What a run dies of is said as the command's error, what was changed before it started.
            return []
        text = f"{level or 'alert'}: {said}" + (f" ({hint})" if hint else "")
        return [Line(_shorten(text), kind)]

    def _log(self, event: Event) -> list[Line]:
        name = one_line(str(event.get("name") or event.get("level") or "log"))
        if event.get("image"):
            return [Line(f"{name}: image {one_line(str(event['image']))}", "note")]
        text = clean(_shorten(str(event.get("text") or event.get("message") or "")))
        lines = text.expandtabs(4).rstrip("\n").split("\n")
        if len(lines) == 1:
            return [Line(f"{name}: {lines[0]}", "text")]
        return [Line(f"{name}:", "text"), *(Line(f"  {line}".rstrip(), "text") for line in lines)]

    def _control(self, event: Event) -> list[Line]:
        by = f", asked by {event['requested_by']}" if event.get("requested_by") else ""
        return [Line(one_line(f"{control_text(event)}{by}"), "note")]


def measured(event: Event) -> dict[str, float]:
    """The metrics of an event; those that are absent stay absent."""
    metrics = event.get("metrics")
    if not isinstance(metrics, Mapping):
        return {}
    return {str(name): as_number(value) for name, value in metrics.items() if value is not None}


def header(event: Event, state: RunState, folder: str) -> list[Line]:
    """What is trained, on what, with what, how far: from `run_start` or `run_resume`."""
    task = [one_line(state.task)]
    task += [
        f"{int(count):,} {split} samples"
        for split in ("train", "val", "test")
        if math.isfinite(count := as_number(event.get(f"{split}_samples"))) and count > 0
    ]
    if state.parameters is not None:
        task.append(parameters(state.parameters, state.trained_parameters))
    name, reason = (one_line(str(event.get(key) or "")) for key in ("device_name", "device_reason"))
    device = f"{name or state.device} ({reason})" if reason else name or state.device
    ranks = f", {state.world_size} ranks" if state.world_size > 1 else ""
    lines = [f"run     {state.run_id}", f"folder  {folder}"]
    lines += [f"task    {' · '.join(task)}", f"device  {device}{ranks}", f"steps   {_plan(state)}"]
    if event["event"] == "run_resume":
        checkpoint = one_line(str(event.get("checkpoint") or "")).rpartition("/")[2]
        source = f"from {checkpoint} " if checkpoint else ""
        lines.append(f"resumed {source}at epoch {state.epoch}, step {state.step:,}")
    elif state.parent is not None and state.parent.kind == "init":
        lines.append(f"weights from {one_line(state.parent.label)}")
    elif state.parent is not None:
        parent = one_line(state.parent.label)
        lines.append(f"forked  from {parent} at epoch {state.epoch}, step {state.step:,}")
    return [Line(text, "header") for text in lines]


def _plan(state: RunState) -> str:
    if not state.steps_per_epoch:
        total = f"at most {state.total_steps:,}" if state.total_steps else "number unknown"
        return f"{total} · {state.epochs:,} epochs" if state.epochs else total
    product = state.steps_per_epoch * state.epochs
    text = f"{state.steps_per_epoch:,} an epoch × {state.epochs:,} = {product:,}"
    return text if state.total_steps in (0, product) else f"{text}, ends at {state.total_steps:,}"


def epoch_line(event: Event, state: RunState, width: int) -> Line:
    """One line for a finished epoch, in the richest form that fits."""
    metrics = measured(event)
    best = event.get("best")
    improved = isinstance(best, Mapping) and best.get("epoch") == state.epoch
    mark = "★ best" if improved else ""
    of = f"/{state.epochs:,}" if state.epochs else ""
    epoch, step = f"epoch {state.epoch:,}{of}", f"step {state.step:,}"
    took, speed = seconds(as_number(event.get("seconds"))), rate(as_number(event.get("samples_per_s")))
    kind: Kind = "best" if improved else "epoch"

    def join(*parts: str) -> str:
        return "  ".join(part for part in parts if part)

    full, narrow = pairs(metrics), grouped(metrics)
    for text in (
        join(epoch, step, *full, took, speed, mark),
        join(epoch, step, *full, took, mark),
        join(epoch, *full, mark),
        join(epoch, *narrow, took, mark[:1]),
        join(epoch, *narrow, mark[:1]),
    ):
        if len(text) <= width:
            return Line(text, kind)
    begin = join(epoch, step) if width >= 100 else epoch
    return Line(fit(begin, full, mark[:1], width, _pair(state.monitor, metrics)), kind)


def _pair(metric: str, metrics: Mapping[str, float]) -> str:
    return f"{short_name(metric)} {number(metrics[metric])}" if metric in metrics else ""


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + " …"
