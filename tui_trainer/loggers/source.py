"""A run directory as a stream of records for loggers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from tui_trainer.loggers.records import Again, End, Image, Measured, Record, Rows, Start, Text
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.layout import run_id
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import CRASHED_REASON

_BYTES = 4 << 20
_ROWS = 16_384
_TRAINED = ("epoch_end", "evaluation", "run_end")


class RunSource:
    """Reads a run, live or ended, from its beginning.

    Args:
        root: the run directory, or a reader of it that nobody else polls.

    Attributes:
        over: after `poll`: nothing will follow, as the run has ended, crashed or is gone.
    """

    def __init__(self, root: Path | RunReader) -> None:
        self.reader = root if isinstance(root, RunReader) else RunReader(root)
        self.over = False
        self._begin()

    def _begin(self) -> None:
        self._started = False
        self._rows = 0
        self._early: list[dict[str, Any]] = []
        self._epoch = self._step = 0
        self._ended = False

    def poll(self) -> Iterator[Record]:
        """What is new since the last call. The first time a record is met `Start` comes before it.

        Before the first step there is nothing: a start that fails takes its folder back.
        """
        while True:
            # Before the events: a process found dead can't have added any after them.
            dead = self.reader.liveness() == "dead"
            generation = self.reader.generation
            events = self.reader.poll(_BYTES)
            if self.reader.generation != generation:
                if self._started:
                    yield Again()
                self._begin()
            # After the events: rows are written before the event that follows them.
            yield from self._new_rows()
            yield from self._told(events)
            if not self.reader.behind:
                break
        if dead and self._started and not self._ended:
            self._ended = True
            last = self.reader.last_row() or {}
            step = int(_number(last.get("step"), self._step))
            yield End("crashed", CRASHED_REASON, step, _number(last.get("time")))
        self.over = self._ended or dead

    def _new_rows(self) -> Iterator[Record]:
        import numpy as np

        columns = tuple(self.reader.columns())
        while {"step", "time"} <= set(columns):
            values = self.reader.steps(self._rows, self._rows + _ROWS)
            if not len(values):
                return
            self._rows += len(values)
            # A row without a place comes from no trainer of ours.
            step, time = columns.index("step"), columns.index("time")
            values = values[np.isfinite(values[:, step]) & np.isfinite(values[:, time])]
            if len(values):
                yield from self._start()
                yield Rows(columns, values)

    def _told(self, events: list[dict[str, Any]]) -> Iterator[Record]:
        if not self._started:
            self._early += events
            if not any(event["event"] in _TRAINED for event in events):
                return
            yield from self._start()
            return
        for event in events:
            yield from self._records(event)

    def _start(self) -> Iterator[Record]:
        if self._started:
            return
        self._started = True
        run, layout = self.reader.run(), self.reader.layout
        name = str(run.get("run_id") or run_id(layout))
        created = _number(run.get("created"))
        yield Start(
            name, str(run.get("name") or name), str(run.get("task") or ""), self.reader.hparams(), created
        )
        early, self._early = self._early, []
        for event in early:
            yield from self._records(event)

    def _records(self, event: dict[str, Any]) -> Iterator[Record]:
        kind, time = event["event"], _number(event.get("time"))
        self._step = int(_number(event.get("steps" if kind == "run_end" else "step"), self._step))
        self._epoch = int(_number(event.get("epoch"), self._epoch))
        place: dict[str, Any] = {"epoch": self._epoch, "step": self._step, "time": time}
        if kind in ("epoch_end", "evaluation"):
            metrics = {str(key): as_number(value) for key, value in _object(event.get("metrics")).items()}
            names = ("lr", "seconds", "samples_per_s") if kind == "epoch_end" else ()
            timing = {key: as_number(event[key]) for key in names if key in event}
            yield Measured(metrics=metrics, timing=timing, **place)
        elif kind == "log" and "text" in event:
            yield Text(str(event.get("name")), str(event["text"]), **place)
        elif kind == "log" and (path := self._media(event.get("image"))) is not None:
            yield Image(str(event.get("name")), path, **place)
        elif kind == "run_end":
            self._ended = True
            yield End(str(event.get("status")), str(event.get("reason") or ""), self._step, time)
        elif (told := _happened(event)) is not None:
            self._ended = self._ended and kind != "run_resume"
            yield Text(*told, **place)

    def _media(self, image: Any) -> Path | None:
        """The file of a logged image; None for one that is gone, or a path that leads elsewhere."""
        parts = PurePosixPath(str(image)).parts
        if len(parts) != 2 or parts[0] != "media" or parts[1] == "..":
            return None
        path = self.reader.layout.media / parts[1]
        return path if path.is_file() and not (path.is_symlink() or path.parent.is_symlink()) else None


def _happened(event: dict[str, Any]) -> tuple[str, str] | None:
    """The name and words of what is told as a text; None for what is not."""
    kind = event["event"]
    if kind == "alert":
        said = [str(event[key]) for key in ("title", "message", "hint") if event.get(key)]
        return "run/alerts", f"{event.get('level')}: {': '.join(said)}"
    if kind == "checkpoint":
        return "run/checkpoints", f"{event.get('path')}{' (best)' if event.get('best') is True else ''}"
    if kind == "run_resume":
        changed = _object(event.get("changed")).items()
        changes = [
            f"{name} {' -> '.join(map(str, pair))}" for name, pair in changed if isinstance(pair, list)
        ]
        return "run/control", "; ".join([f"resumed from {event.get('checkpoint')}", *changes])
    if kind == "control":
        wish = " ".join(str(event[key]) for key in ("action", "value") if event.get(key) is not None)
        return "run/control", f"{wish} ({event.get('error') or event.get('requested_by')})"
    return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any, default: float = 0.0) -> float:
    """A finite number of the record, or the default."""
    number = as_number(value)
    return number if math.isfinite(number) else default
