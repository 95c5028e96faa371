"""What happened in a run, line by line: its events, and what it printed."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from tui_trainer.headless.control_words import control_text
from tui_trainer.headless.words import clean, one_line, seconds
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.state import ENDED, Alert, RunState
from tui_trainer.ui.run_view import RunView

KEPT = 2000


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        time: unix seconds; NaN for what has none.
        text: clean, without line breaks.
        role: as in `Lines`.
        goes_on: it belongs to the line before.
    """

    time: float
    text: str
    role: str = ""
    goes_on: bool = False

    @property
    def clock(self) -> str:
        """The local time of day; blank without one."""
        return ("" if self.goes_on else clock_text(self.time)) or " " * 8


def clock_text(unix_s: float) -> str:
    """`03:14:27`, local; empty where it isn't known."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(unix_s)) if math.isfinite(unix_s) else ""
    except (OverflowError, OSError, ValueError):
        return ""


class LogBook:
    """Collects the newest lines of one run.

    Args:
        view: of the run.

    Attributes:
        entries: oldest first.
        count: how many there were, those that are gone included.
    """

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._begin()

    def _begin(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.count = 0
        self._record = (-1, -1)
        self._checkpoints = self._alerts = 0
        self._phases: set[str] = set()
        self._log: Mapping[str, Any] | None = None
        self._control: Mapping[str, Any] | None = None
        self._console = 0
        self._told_origin = self._ended = False

    def look(self) -> None:
        """Take in what is new."""
        state = self._view.state
        record = (state.resumes, self._view.generation)
        if record != self._record:
            # The record was cut or replaced: what was collected may never have happened.
            self._begin()
            self._record = record
            if state.resumes:
                self._extend(self._resumed())
        self._extend(
            sorted(self._events(state), key=lambda entry: -math.inf if math.isnan(entry.time) else entry.time)
        )
        new = min(self._view.console_count - self._console, len(self._view.console))
        self._console = self._view.console_count
        self._extend(
            Entry(math.nan, line) for line in islice(self._view.console, len(self._view.console) - new, None)
        )
        if state.status in ENDED and not self._ended:
            self._ended = True
            when = state.ended if state.ended is not None else math.nan
            role = "bad" if state.status == "failed" else "strong"
            self._extend([Entry(when, one_line(f"{state.status}: {state.reason}").rstrip(": "), role)])

    def _extend(self, entries: Iterator[Entry] | list[Entry]) -> None:
        for entry in entries:
            self.entries.append(entry)
            self.count += 1

    def _resumed(self) -> Iterator[Entry]:
        resumes = self._view.reader.run().get("resumes")
        for resume in resumes if isinstance(resumes, list) else []:
            if isinstance(resume, Mapping):
                yield Entry(as_number(resume.get("time")), one_line(f"resumed on {resume.get('host', '?')}"))

    def _events(self, state: RunState) -> Iterator[Entry]:
        began = state.started if state.started is not None else math.nan
        for name, took in state.phases.items():
            if name not in self._phases:
                self._phases.add(name)
                yield Entry(began, f"{one_line(name)} took {seconds(took)}", "dim")
        if state.parent is not None and state.started is not None and not self._told_origin:
            self._told_origin = True
            yield Entry(began, one_line(state.parent.origin), "accent")
        for event in state.checkpoints[self._checkpoints :]:
            yield _checkpoint(event)
        self._checkpoints = len(state.checkpoints)
        for event in _after(state.controls, self._control):
            role = "bad" if "error" in event else "accent"
            by = f", asked by {event['requested_by']}" if event.get("requested_by") else ""
            yield Entry(as_number(event.get("time")), one_line(control_text(event) + by), role)
        self._control = state.controls[-1] if state.controls else None
        for event in _after(state.logs, self._log):
            yield from _logged(event)
        self._log = state.logs[-1] if state.logs else None
        new = min(state.alert_count - self._alerts, len(state.alerts))
        for alert in state.alerts[len(state.alerts) - new :]:
            yield from _alerted(alert)
        self._alerts = state.alert_count


def alert_text(alert: Alert) -> str:
    """`loss spike: 8.2 after 0.4`."""
    return one_line(f"{alert.title}: {alert.message}" if alert.message else alert.title)


def alert_role(alert: Alert) -> str:
    return {"error": "bad", "info": "dim"}.get(alert.level, "warning")


def _alerted(alert: Alert) -> Iterator[Entry]:
    """An alert's lines, and its hint."""
    first, *others = alert.message.split("\n")
    said = alert_text(replace(alert, message=first))
    yield Entry(alert.time, f"{one_line(alert.level) or 'alert'}: {said}", alert_role(alert))
    for line in [*others, *([f"hint: {alert.hint}"] if alert.hint else [])]:
        yield Entry(alert.time, f"  {one_line(line)}", alert_role(alert), goes_on=True)


def _checkpoint(event: Mapping[str, Any]) -> Entry:
    name = one_line(str(event.get("path") or "")).rpartition("/")[2]
    best = event.get("best") is True
    return Entry(
        as_number(event.get("time")), f"checkpoint {name}{' (best)' if best else ''}", "good" if best else ""
    )


def _logged(event: Mapping[str, Any]) -> Iterator[Entry]:
    when, name = as_number(event.get("time")), one_line(str(event.get("name") or "log"))
    if event.get("image"):
        yield Entry(when, f"{name}: image {one_line(str(event['image']))}")
        return
    lines = clean(str(event.get("text") or event.get("message") or "")).expandtabs(4).rstrip("\n").split("\n")
    yield Entry(when, f"{name}: {lines[0]}" if len(lines) == 1 else f"{name}:")
    for line in lines if len(lines) > 1 else []:
        yield Entry(when, f"  {line}", goes_on=True)


def _after(events: tuple[Mapping[str, Any], ...], known: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The events that follow one, all of them where it is not among them."""
    new: list[Mapping[str, Any]] = []
    for event in reversed(events):
        if event is known:
            break
        new.append(event)
    return new[::-1]
