"""Going on from a checkpoint: where, with which part of the record, and what somebody should know of it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui_trainer.config.changes import MEANING, Change, changes
from tui_trainer.engine.identity import source_change
from tui_trainer.engine.initial import InitialWeights, parent_facts
from tui_trainer.errors import FileError
from tui_trainer.files import open_plain
from tui_trainer.runs.checkpoints import read_index, remove_entries
from tui_trainer.runs.events import CHANGED_HPARAMS, CHANGED_SOURCE, ROLLED_BACK, as_number, decode, encode
from tui_trainer.runs.layout import RunLayout, parse_tag, run_id
from tui_trainer.runs.reader import LONGEST_LINE, RunReader
from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    from tui_trainer.config.hparams import Hparams
    from tui_trainer.runs.checkpoints import Entry
    from tui_trainer.tasks.base import Task


@dataclass(frozen=True)
class ResumePoint:
    """Where training goes on.

    Attributes:
        layout: the run whose checkpoint it is.
        entry: the checkpoint; None to start again under the run's id.
        notices: what was wrong with newer checkpoints.
        forks: whether a new run goes on from there, and this one stays as it is.
        hparams: those that the checkpoint was trained with, or without one the run's, as JSON values.
        typed: hparams that were asked for in so many words, whether or not they differ.
        weights: what the run began with, where it starts again under its id.
    """

    layout: RunLayout
    entry: Entry | None
    notices: tuple[str, ...] = ()
    forks: bool = False
    hparams: Mapping[str, Any] = field(default_factory=dict)
    typed: frozenset[str] = frozenset()
    weights: InitialWeights | None = None

    def changes(self, hparams: Hparams) -> list[Change]:
        """What is different about the hparams to go on with."""
        return changes(self.hparams, hparams)

    def restated(self, hparams: Hparams) -> dict[str, Any]:
        """The hparams that count anew, with the values that the checkpoint was trained with.

        Those are the changed ones, and a learning rate that was typed: the one in the checkpoint may be
        another than its hparam's, set while the run was live.
        """
        before = {change.name: change.before for change in self.changes(hparams)}
        if "lr" in self.typed:
            before.setdefault("lr", hparams.lr)
        return before

    def parent(self, child: RunLayout) -> dict[str, Any] | None:
        """What the record of a forked run says of where it came from; None for a run that goes on itself."""
        if not self.forks or self.entry is None:
            return None
        return parent_facts("fork", self.layout, self.entry, child)


def open_resumed(resume: ResumePoint, facts: dict[str, Any], hparams: dict[str, Any]) -> RunWriter:
    """Take hold of a run and cut its record back to the checkpoint.

    Args:
        resume: where it goes on.
        facts: what is new in run.json.
        hparams: those it goes on with, as JSON values.

    Raises:
        TrainerError: another process holds the run, or it can't be read or written.
    """
    _refuse_full_disk(resume)
    position, line = record_of(resume.layout, resume.entry)
    writer = RunWriter.resume(resume.layout, facts, hparams, position, line)
    if resume.entry is not None:
        drop_newer(resume.layout, resume.entry["tag"])
    return writer


def _refuse_full_disk(resume: ResumePoint) -> None:
    """Refuse before the record is cut back what could not save its next checkpoint anyway.

    Raises:
        FileError: there is no room for one.
    """
    size = resume.entry["size"] if resume.entry is not None else 0
    with suppress(OSError):
        free = shutil.disk_usage(resume.layout.root).free
        if free < size:
            raise FileError(
                "not enough room for checkpoints",
                f"one takes {size / 1e6:.1f} MB, and {free / 1e6:.1f} MB are free at {resume.layout.root}",
                "make room first; nothing of the run was changed",
            )


def record_of(layout: RunLayout, entry: Entry | None) -> tuple[dict[str, int], bytes]:
    """How much of a run's record belongs to a checkpoint.

    Returns:
        The position that the checkpoint holds, and the lines behind it that stay: those that tell of it and
        of earlier ones, which were written to the disk later, and those that tell that training went back.
    """
    if entry is None:
        return {"rows": 0, "event_bytes": 0}, b""
    from tui_trainer.engine.checkpoint import load_trainer_state

    state = load_trainer_state(layout.trainer_state_file(entry["tag"]))
    position: dict[str, int] = state["record"]
    return position, _lasting_lines(layout, entry, position["event_bytes"])


def _lasting_lines(layout: RunLayout, entry: Entry, begin: int) -> bytes:
    from tui_trainer.engine.saving import checkpoint_facts

    here = parse_tag(entry["tag"])
    facts = {e["tag"]: checkpoint_facts(layout, e) for e in read_index(layout) if parse_tag(e["tag"]) <= here}
    known = {fact["path"] for fact in facts.values()}
    lines, told = [], set()
    for line, event in _events_from(layout, begin):
        if event["event"] == "checkpoint" and str(event.get("path")) in known:
            lines.append(line)
            told.add(event["path"])
        elif event["event"] == "alert" and event.get("title") == ROLLED_BACK:
            # That training went back is true of what comes after, too.
            lines.append(line)
    own = facts[entry["tag"]]
    if own["path"] not in told:
        # Killed between the two: the index knew it, the record did not yet.
        name = RunReader(layout.root).run().get("run_id") or run_id(layout)
        lines.append(encode({"event": "checkpoint", "time": entry["time"], "run_id": name, **own}))
    return b"".join(lines)


def _events_from(layout: RunLayout, begin: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The events from a place in the record on, each with its line."""
    with suppress(OSError), open_plain(layout.events) as file:
        file.seek(begin)
        while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
            event = decode(line)
            if event is not None:
                yield line, event


def seconds_of_save(layout: RunLayout, tag: str, begin: int) -> float | None:
    """How long it took to copy and write a checkpoint; None where the record does not tell.

    Args:
        layout: the run's paths.
        tag: of the checkpoint.
        begin: bytes of events that the record had when it was taken.
    """
    path = layout.model_file(tag).relative_to(layout.root).as_posix()
    for _, event in _events_from(layout, begin):
        told = event["event"] == "checkpoint" and event.get("path") == path
        if told and 0.0 <= (seconds := as_number(event.get("seconds"))) < math.inf:
            return seconds
    return None


def drop_newer(layout: RunLayout, tag: str) -> None:
    """Delete the checkpoints after the one that a run goes on from: bad, or of a future that was undone.

    If the best is among them, the one that was the best so far at that checkpoint is marked again.

    Raises:
        FileError: the index or the checkpoint's trainer state is corrupt.
        OSError: the index can't be written.
    """
    here = parse_tag(tag)
    entries = read_index(layout)
    newer = [entry for entry in entries if parse_tag(entry["tag"]) > here]
    best = None
    if any(entry["best"] for entry in newer):
        from tui_trainer.engine.checkpoint import load_trainer_state

        best = _best_of(entries, load_trainer_state(layout.trainer_state_file(tag))["monitor"])
    remove_entries(layout, [entry["tag"] for entry in newer], best)


def _best_of(entries: Sequence[Entry], monitor: Mapping[str, Any]) -> str | None:
    """Tag of the checkpoint of the evaluation that a monitor found best; None where there is none.

    Args:
        entries: the index, oldest first.
        monitor: its state. The epoch that it names is the one that had just ended, or was in training.
    """
    for entry in entries:
        epoch = entry["epoch"] + (entry["batch"] > 0)
        # A checkpoint that is taken later in the epoch holds the same metrics, so the first one counts.
        if epoch == monitor["epoch"] and entry["metrics"].get(monitor["metric"]) == monitor["value"]:
            return str(entry["tag"])
    return None


def notices(task: Task, hparams: Hparams, resume: ResumePoint | None) -> Iterator[dict[str, str]]:
    """What somebody who resumes should know: level, title and message of an alert each."""
    if resume is None:
        return
    for notice in resume.notices:
        yield _warning("bad checkpoint passed over", notice)
    if resume.entry is None:
        yield _warning("no checkpoint in this run", "training starts from its beginning")
    changed = resume.changes(hparams)
    for kind in MEANING:
        told = [str(change) for change in changed if change.kind == kind]
        if told:
            level = "info" if kind == "safe" else "warning"
            message = f"{'; '.join(told)} ({MEANING[kind]})"
            yield {"level": level, "title": CHANGED_HPARAMS, "message": message}
    change = source_change(task, RunReader(resume.layout.root).run(), resume.layout.root)
    if change is not None:
        yield _warning(CHANGED_SOURCE, change)


def _warning(title: str, message: str) -> dict[str, str]:
    return {"level": "warning", "title": title, "message": message}
