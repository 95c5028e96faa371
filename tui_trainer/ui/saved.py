"""The checkpoints of one run or of many, as their indexes say, with a look at whether the files are there."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tui_trainer.errors import FileError
from tui_trainer.files import open_plain
from tui_trainer.headless.words import one_line
from tui_trainer.runs.checkpoints import file_of, read_index
from tui_trainer.runs.json_values import as_number, read_object
from tui_trainer.runs.layout import RunLayout, parse_tag, short_id
from tui_trainer.ui.query import Record, Since

_BLOCK = 4 << 20
_PUBLISH_S = 0.3
_FIRST = 20

MARKS = ("best", "last", "pinned")


@dataclass(frozen=True, eq=False)
class Saved:
    """A checkpoint in a listing. A new object for whatever is new about it.

    Attributes:
        key: run directory and tag: what tells it from all others.
        root: the run directory.
        tag: of the checkpoint.
        place: epochs and batches done: the order of training.
        entry: as the index has it, without the files.
        run_name: the run's human name, or the end of its id.
        task: of the run; empty where it isn't known.
        problem: what is wrong with its files, by their sizes; empty where they are as they were saved.
    """

    key: tuple[str, str]
    root: Path
    tag: str
    place: tuple[int, int]
    entry: Mapping[str, Any]
    run_name: str
    task: str
    problem: str

    @cached_property
    def record(self) -> Record:
        """What a filter is held against."""
        return _record(self)

    @property
    def files(self) -> Mapping[str, Any]:
        """Its files with size and SHA-256, read from the index now."""
        with suppress(FileError):
            return next((e["files"] for e in read_index(RunLayout(self.root)) if e["tag"] == self.tag), {})
        return {}

    @property
    def file(self) -> Path:
        return RunLayout(self.root).model_file(self.tag)

    @property
    def step(self) -> float:
        return as_number(self.entry.get("step"))

    @property
    def time(self) -> float:
        return as_number(self.entry.get("time"))

    @property
    def size(self) -> float:
        return as_number(self.entry.get("size"))

    @property
    def metrics(self) -> Mapping[str, Any]:
        metrics: Mapping[str, Any] = self.entry["metrics"]
        return metrics

    @property
    def marks(self) -> list[str]:
        """Those of best, last and pinned that it has."""
        return [mark for mark in MARKS if self.entry.get(mark) is True]

    def metric(self, split: str, name: str) -> float | None:
        """A metric of a split; for `test` that of the validation set where it has no other."""
        for prefix in (split, "val") if split == "test" else (split,):
            if f"{prefix}/{name}" in self.metrics:
                return as_number(self.metrics[f"{prefix}/{name}"])
        return None


def read_saved(root: Path, run_name: str = "", task: str = "") -> list[Saved]:
    """The checkpoints of a run, oldest first.

    Raises:
        FileError: the index can't be read.
    """
    layout = RunLayout(root)
    name = one_line(run_name or short_id(root))
    found = []
    for entry in read_index(layout):
        # Thousands of checksums are not kept in memory, and the collector has less to walk.
        tag = entry["tag"]
        problem = _size_problem(layout, tag, entry.pop("files"))
        found.append(Saved((str(root), tag), root, tag, parse_tag(tag), entry, name, task, problem))
    return found


def _size_problem(layout: RunLayout, tag: str, files: Mapping[str, Any]) -> str:
    if not files:
        return "names no files"
    for name, facts in files.items():
        path = file_of(layout, tag, name)
        if path is None or not isinstance(facts, Mapping):
            return f"{one_line(name)}: not a file of this checkpoint"
        try:
            size = path.stat().st_size
        except OSError:
            return f"{path.name} is missing"
        if size != facts.get("size"):
            return f"{path.name} has {size:,} bytes, expected {one_line(str(facts.get('size')))}"
    return ""


def _record(saved: Saved) -> Record:
    entry, root = saved.entry, saved.root
    values: dict[str, Any] = {}
    for metric, value in saved.metrics.items():
        values[str(metric).rpartition("/")[2].lower()] = values[str(metric).lower()] = as_number(value)
    values |= {key: entry.get(key) for key in ("epoch", "batch", "step", "size", *MARKS)}
    values |= {"run": saved.run_name, "id": root.name, "task": saved.task, "ok": not saved.problem}
    values["age"] = Since(saved.time)
    facts = (root.name, saved.run_name, saved.task, *saved.marks, saved.problem)
    text = f"model_{saved.tag}.pt {' '.join(facts)}"
    return Record(text.lower(), values)


class SavedList:
    """Checkpoints of many runs, read again only where an index has changed.

    Attributes:
        items: what is known so far; replaced, never changed.
        problems: indexes that can't be read.
        generation: grows with every change.
    """

    def __init__(self) -> None:
        self.items: tuple[Saved, ...] = ()
        self.problems: tuple[str, ...] = ()
        self.generation = 0
        self._cache: dict[Path, tuple[object, list[Saved], str]] = {}

    def read(
        self, runs: Sequence[tuple[Path, object, str, str]], tell: Callable[[], None], afresh: bool = False
    ) -> None:
        """Bring the list up to date. Called in a thread.

        Args:
            runs: run directory, a stamp that differs when the index does, the run's name, its task.
            tell: called whenever there is more to see.
            afresh: look at the files again, also where an index has not changed.
        """
        cache: dict[Path, tuple[object, list[Saved], str]] = {}
        published = time.monotonic()
        growing = not self.items
        for root, stamp, name, task in runs:
            known = self._cache.get(root)
            if known is None or known[0] != (stamp, name) or afresh:
                found, problem = _read_or_say(root, name, task)
                known = ((stamp, name), _same_as(known[1] if known else (), found), problem)
            cache[root] = known
            first = not self.items and len(cache) >= _FIRST
            if growing and (first or time.monotonic() - published > _PUBLISH_S):
                self._publish(cache, tell)
                published = time.monotonic()
        self._cache = cache
        self._publish(cache, tell)
        for saved in self.items:
            # Made here, so that the first filter does not hold up the app.
            _ = saved.record

    def _publish(
        self, cache: Mapping[Path, tuple[object, list[Saved], str]], tell: Callable[[], None]
    ) -> None:
        items = tuple(saved for _, found, _ in cache.values() for saved in found)
        problems = tuple(problem for *_, problem in cache.values() if problem)
        same = len(items) == len(self.items) and all(a is b for a, b in zip(items, self.items, strict=True))
        if same and problems == self.problems:
            return
        self.items, self.problems = items, problems
        self.generation += 1
        tell()


def _same_as(before: Sequence[Saved], found: list[Saved]) -> list[Saved]:
    """What was found, in the objects from before where nothing is new about them."""
    old = {saved.tag: saved for saved in before}

    def facts(saved: Saved | None) -> object:
        return saved and (saved.entry, saved.run_name, saved.task, saved.problem)

    return [old[new.tag] if facts(old.get(new.tag)) == facts(new) else new for new in found]


def _read_or_say(root: Path, name: str, task: str) -> tuple[list[Saved], str]:
    try:
        return read_saved(root, name, task), ""
    except FileError as error:
        return [], one_line(str(error))


def tensors_of(saved: Saved) -> list[tuple[str, str, str, str]]:
    """Name, shape, dtype and norm of each tensor, as the trainer wrote them when it saved."""
    tensors = read_object(RunLayout(saved.root).tensors_file(saved.tag)).get("tensors")
    rows = []
    for tensor in tensors if isinstance(tensors, list) else []:
        if isinstance(tensor, Mapping):
            shape = tensor.get("shape")
            sides = " × ".join(str(side) for side in shape) if isinstance(shape, list) else ""
            norm = as_number(tensor.get("norm"))
            name, dtype = (one_line(str(tensor.get(key, ""))) for key in ("name", "dtype"))
            rows.append((name, one_line(sides) or "scalar", dtype, f"{norm:.4g}"))
    return rows


class Verifier:
    """Compares files with their SHA-256 in a thread, one checkpoint after another.

    Args:
        on_change: called in the thread when something is new to see.

    Attributes:
        busy: the checkpoint that is being read.
        progress: how much of it is done, from 0 to 1.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.busy: Saved | None = None
        self.progress = 0.0
        self._results: dict[tuple[str, str], tuple[object, str]] = {}
        self._on_change = on_change
        self._queue: list[Saved] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._running = False

    def verify(self, saved: Saved) -> None:
        """Read the files of a checkpoint soon."""
        with self._lock:
            if saved not in self._queue and saved is not self.busy:
                self._queue.append(saved)
            if not self._running:
                self._running = True
                threading.Thread(target=self._work, name="verify", daemon=True).start()

    def forget(self, key: tuple[str, str]) -> None:
        """Drop what was found of a checkpoint."""
        self._results.pop(key, None)

    def found(self, saved: Saved) -> str | None:
        """What is wrong with a checkpoint, empty where it is good; None where it was not read as it is."""
        when, problem = self._results.get(saved.key, (math.nan, ""))
        return problem if when == saved.entry.get("time") else None

    def close(self) -> None:
        """End the thread soon."""
        self._stop.set()

    def _work(self) -> None:
        while True:
            with self._lock:
                self.busy = self._queue.pop(0) if self._queue and not self._stop.is_set() else None
                self._running = self.busy is not None
            self.progress = 0.0
            self._on_change()
            if self.busy is None:
                return
            problem = self._problem(self.busy)
            if problem is not None:
                self._results[self.busy.key] = (self.busy.entry.get("time"), problem)

    def _problem(self, saved: Saved) -> str | None:
        """What is wrong; None when it was stopped."""
        files, layout = saved.files, RunLayout(saved.root)
        problem = _size_problem(layout, saved.tag, files)
        if problem:
            return problem
        done = 0
        for name, facts in files.items():
            digest = hashlib.sha256()
            path = file_of(layout, saved.tag, name)
            assert path is not None, "its size was compared"
            try:
                with open_plain(path) as file:
                    while block := file.read(_BLOCK):
                        if self._stop.is_set():
                            return None
                        digest.update(block)
                        done += len(block)
                        self.progress = done / max(1.0, saved.size)
            except OSError as error:
                return f"{path.name}: {error.strerror or error}"
            if digest.hexdigest() != facts.get("sha256"):
                return f"{path.name} differs from its SHA-256"
        return ""
