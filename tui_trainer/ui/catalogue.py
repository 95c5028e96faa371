"""What the runs folder holds, read by a thread of its own and only where something has changed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui_trainer.files import open_plain
from tui_trainer.headless.words import one_line
from tui_trainer.runs.events import decode
from tui_trainer.runs.index import summarise_run
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.layout import RunLayout, short_id
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import ACTIVE
from tui_trainer.ui.changes import changed_hparams
from tui_trainer.ui.query import Record, Since
from tui_trainer.ui.status import shown_status

REFRESH_S = 3.0
CLOSE_S = 10.0
"""Half a run that is gone from every list would be worse than a moment at the end."""
_PUBLISH_S = 0.2
_FIRST = 48
_WATCHED = ("run.json", "events.jsonl", "checkpoints/checkpoints.json")
_CURVE_BYTES = 16 << 20

Stamp = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Run:
    """A run in a listing. A new object for whatever is new about it.

    Attributes:
        root: the run directory.
        stamp: by which a change is seen.
        summary: as `runs.index.summarise` gives it.
        hparams: as recorded.
        changed: the hparams that tell it from others of its kind.
    """

    root: Path
    stamp: Stamp
    summary: Mapping[str, Any]
    hparams: Mapping[str, Any]
    changed: Mapping[str, Any]
    record: Record = field(repr=False)

    @property
    def status(self) -> str:
        return str(self.summary["status"])

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    @property
    def task(self) -> str:
        return one_line(str(self.summary["task"]))

    @property
    def name(self) -> str:
        """The human name; empty without one."""
        return one_line(str(self.summary["name"]))

    @property
    def short_id(self) -> str:
        """The end of the run's id, which is enough to name it."""
        return one_line(short_id(self.root))

    @property
    def pinned(self) -> bool:
        return bool(self.summary["pinned"])

    @property
    def created(self) -> float | None:
        created: float | None = self.summary["created"]
        return created


def read_run(root: Path) -> Run:
    """A run as it is now. Never raises: what can't be read is missing."""
    # Before the files: what changes while they are read is seen the next time.
    stamp = stamp_of(root)
    reader = RunReader(root)
    run, hparams = reader.run(), reader.hparams()
    summary = summarise_run(reader, run, hparams)
    changed = changed_hparams(run, hparams)
    return Run(root, stamp, summary, hparams, changed, _record(root, summary, hparams, changed))


def stamp_of(root: Path | str) -> Stamp:
    """Times and sizes of the files that tell how a run stands."""
    return tuple(_file_stamp(f"{root}/{name}") for name in _WATCHED)


def index_stamp(root: Path) -> tuple[int, int]:
    """Time and size of a run's index of checkpoints."""
    return _file_stamp(RunLayout(root).checkpoints_index)


def _file_stamp(path: Path | str) -> tuple[int, int]:
    try:
        facts = os.stat(path)
    except OSError:
        return 0, -1
    return facts.st_mtime_ns, facts.st_size


def _record(
    root: Path, summary: Mapping[str, Any], hparams: Mapping[str, Any], changed: Mapping[str, Any]
) -> Record:
    values: dict[str, Any] = {name.lower(): value for name, value in hparams.items()}
    for name, value in summary["metrics"].items():
        # `accuracy` means that of the test set where there is one: it is recorded after the others.
        values[name.rpartition("/")[2].lower()] = value
        values[name.lower()] = value
    best = summary["best"]
    values |= {
        "id": root.name,
        "name": summary["name"],
        "task": summary["task"],
        # As the record calls it, and as the list does.
        "status": (summary["status"], shown_status(summary["status"]).word.lower()),
        "reason": summary["reason"],
        "epoch": summary["epoch"],
        "step": summary["step"],
        "best": best["value"] if best else None,
        "time": summary["duration_s"],
        "age": Since(summary["created"]) if summary["created"] else None,
        "pinned": summary["pinned"],
    }
    spoken = [root.name, *(str(summary[key]) for key in ("name", "task", "status", "reason"))]
    spoken.append(shown_status(summary["status"]).word)
    spoken += [f"{name} {value}" for name, value in changed.items()]
    return Record(" ".join(spoken).lower(), values)


def curve_of(root: Path) -> tuple[float, ...]:
    """The monitored metric of each epoch, or the training loss where none is monitored; NaN for gaps."""
    rows: list[Mapping[str, Any]] = []
    metric = ""
    with suppress(OSError), open_plain(RunLayout(root).events) as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _CURVE_BYTES))
        for line in file.read(_CURVE_BYTES).splitlines():
            if line.startswith(b'{"event":"epoch_end"') and (event := decode(line)) is not None:
                best, metrics = event.get("best"), event.get("metrics")
                if isinstance(best, Mapping) and isinstance(best.get("metric"), str):
                    metric = best["metric"]
                rows.append(metrics if isinstance(metrics, Mapping) else {})
    metric = metric if any(metric in row for row in rows) else "train/loss"
    return tuple(as_number(row.get(metric)) for row in rows)


class Catalogue:
    """The runs of a folder, newest first.

    A daemon thread reads; everything it hands out is immutable, so any thread may look at any time. It starts
    with the first `watch`, and rests while nobody watches.

    Args:
        runs_dir: the folder of runs.
        on_change: called in the thread when there is something new to see.

    Attributes:
        runs: what is known so far.
        complete: whether the whole folder has been read at least once.
        generation: grows with every change of `runs`.
    """

    def __init__(self, runs_dir: Path, on_change: Callable[[], None]) -> None:
        self.runs_dir = runs_dir
        self.runs: tuple[Run, ...] = ()
        self.complete = False
        self.generation = 0
        self._on_change = on_change
        self._known: dict[str, Run] = {}
        self._curves: dict[Path, tuple[Stamp, tuple[float, ...]]] = {}
        self._wanted: Sequence[Run] = ()
        self._jobs: dict[Hashable, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._watched_until = self._due = 0.0
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, at_once: bool = False) -> None:
        """Keep up to date for the next seconds. Call at every tick of a screen that shows runs.

        Args:
            at_once: look for changes now.
        """
        self._watched_until = time.monotonic() + 2 * REFRESH_S
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="catalogue", daemon=True)
            self._thread.start()
        elif at_once:
            self._due = 0.0
            self._wake.set()

    def do(self, key: Hashable, job: Callable[[], None]) -> None:
        """Have the thread do something soon, in place of what was asked under this key and has not begun."""
        with self._lock:
            self._jobs[key] = job
        self.watch()
        self._wake.set()

    def curve(self, run: Run) -> tuple[float, ...] | None:
        """The monitored metric of each epoch; None while it has not been read."""
        known = self._curves.get(run.root)
        return known[1] if known is not None else None

    def want_curves(self, runs: Sequence[Run]) -> None:
        """Read the curves of these runs where they are not known as they are now: of those in view."""
        stale = [run for run in runs if self._curves.get(run.root, (None,))[0] != run.stamp]
        if stale:
            self._wanted = stale
            self.do("curves", self._read_curves)

    def close(self) -> None:
        """End the thread. What it was asked to do, such as deleting a run, is done first."""
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    # ------------------------------------------------------------------ the thread

    def _loop(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            self._work()
            if self._closed.is_set():
                break
            now = time.monotonic()
            if now >= self._due:
                self._due = now + REFRESH_S
                if now < self._watched_until:
                    self._scan()
            if not self._jobs:
                self._wake.wait(max(0.05, self._due - time.monotonic()))
        self._work()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    return
                job = self._jobs.pop(next(iter(self._jobs)))
            # A job tells its own trouble. Whatever else it dies of, the lists go on.
            with suppress(Exception):
                job()

    def _scan(self) -> None:
        """Read what has changed since the last time."""
        names = sorted(_folders(self.runs_dir), reverse=True)
        known: dict[str, Run] = {}
        published = time.monotonic()
        fresh = 0
        for name in names:
            if self._closed.is_set():
                return
            run, new = self._one(name)
            if run is not None:
                known[name] = run
            fresh += new
            now = time.monotonic()
            if fresh and not self.complete and (fresh == _FIRST or now - published > _PUBLISH_S):
                self._publish(known)
                self._work()
                published = time.monotonic()
        self._known = known
        first, self.complete = not self.complete, True
        self._publish(known, first)

    def _one(self, name: str) -> tuple[Run | None, bool]:
        """A run, and whether it was read anew; None for a folder that holds none."""
        root = self.runs_dir / name
        old = self._known.get(name)
        stamp = stamp_of(root)
        if stamp[0][1] < 0:
            return None, False
        # Of a run that claims to be alive the lock tells more than the files.
        if old is not None and old.stamp == stamp and not old.active:
            return old, False
        try:
            new = read_run(root)
        except Exception as error:
            # Whatever lies in that folder, the other runs are listed.
            new = _unreadable(root, stamp, error)
        if old is not None and old.stamp == new.stamp and _but_time(old) == _but_time(new):
            return old, False
        return new, True

    def _publish(self, known: Mapping[str, Run], force: bool = False) -> None:
        runs = tuple(known.values())
        same = len(runs) == len(self.runs) and all(a is b for a, b in zip(runs, self.runs, strict=True))
        if same and not force:
            return
        self.runs = runs
        self.generation += 1
        self._on_change()

    def _read_curves(self) -> None:
        begun, told = self._wanted, time.monotonic()
        for run in begun:
            if self._closed.is_set() or self._wanted is not begun:
                return
            self._curves[run.root] = (run.stamp, curve_of(run.root))
            if time.monotonic() - told > _PUBLISH_S:
                told = time.monotonic()
                self._on_change()
        self._on_change()


def _unreadable(root: Path, stamp: Stamp, error: Exception) -> Run:
    reason = f"unreadable: {error}"
    nothing: dict[str, Any] = {
        "run_id": root.name,
        "run_dir": str(root),
        "status": "unknown",
        "reason": reason,
    }
    nothing |= dict.fromkeys(("name", "task", "device"), "") | dict.fromkeys(("epoch", "step", "epochs"), 0)
    summary: dict[str, Any] = {
        **nothing,
        "best": None,
        "metrics": {},
        "created": None,
        "duration_s": None,
        "pinned": False,
    }
    return Run(root, stamp, summary, {}, {}, _record(root, summary, {}, {}))


def _but_time(run: Run) -> dict[str, Any]:
    """A summary without the clock of a run that goes on, which would change at every look."""
    return {key: value for key, value in run.summary.items() if key != "duration_s"}


def _folders(runs_dir: Path) -> Iterator[str]:
    with suppress(OSError), os.scandir(runs_dir) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                yield entry.name
