"""The index of a run's checkpoints: it alone decides which exist. JSON only; a `.pt` is never opened.

An entry is written after its files, and removed before them, so that a kill at any moment leaves at worst
files that no entry names. An entry::

    {"tag": "12", "epoch": 12, "batch": 0, "step": 690, "time": unix seconds, "metrics": {…},
     "best": bool, "last": bool, "pinned": bool, "size": bytes of all files,
     "files": {"checkpoints/model_12.pt": {"size": bytes, "sha256": hex}, …}}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui_trainer.errors import FileError
from tui_trainer.files import read_plain, sha256_file
from tui_trainer.runs.json_values import LARGEST, as_number, loads, write_object
from tui_trainer.runs.layout import SCHEMA, RunLayout, checkpoint_tag, parse_tag, run_id

Entry = dict[str, Any]

_OURS = re.compile(r"(?:model|model_parameters|trainer_state|model_tensors)_[0-9]+(?:\+[0-9]+)?\.(?:pt|json)")
_FILE = re.compile(r"checkpoints/([a-z_]+_([0-9]+(?:\+[0-9]+)?)\.[a-z0-9]+)")


def read_index(layout: RunLayout) -> list[Entry]:
    """The checkpoints of a run, oldest first; empty when none was saved.

    Raises:
        FileError: the index is there but can't be read or understood.
    """
    path = layout.checkpoints_index
    try:
        content = loads(read_plain(path, LARGEST))
        entries = content["checkpoints"]
        return sorted((_checked(entry) for entry in entries), key=_order)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FileError("checkpoint index", f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        hint = "restore it from a copy of the run; the .pt files beside it load with torch.load"
        raise FileError("corrupt checkpoint index", f"{path} is not a list of checkpoints", hint) from error


def entry_of(layout: RunLayout, tag: str) -> Entry:
    """A checkpoint's entry.

    Raises:
        FileError: there is no such checkpoint, or the index is corrupt.
    """
    entry = next((entry for entry in read_index(layout) if entry["tag"] == tag), None)
    if entry is None:
        raise FileError("no such checkpoint", f"{layout.root.name} has no checkpoint {tag} any more")
    return entry


def create_index(layout: RunLayout) -> None:
    """Begin an index without entries: whatever a killed first save leaves is then known to be nobody's.

    Raises:
        OSError: it can't be written.
    """
    _write(layout, [])


def make_entry(
    layout: RunLayout,
    epoch: int,
    batch: int,
    *,
    step: int,
    time: float,
    metrics: Mapping[str, Any],
    best: bool,
    last: bool = True,
    pinned: bool = False,
    sha256: Mapping[str, str] | None = None,
) -> Entry:
    """An entry for a checkpoint whose files are all written.

    Args:
        layout: the run's paths.
        epoch: finished epochs.
        batch: batches done in the epoch after that one.
        step: optimizer steps done.
        time: unix seconds.
        metrics: the latest value of each metric.
        best: whether it is the best so far by the monitored metric.
        last: whether it is the newest.
        pinned: whether retention must leave it.
        sha256: checksums that are known already, by file name; the others are computed.

    Raises:
        OSError: a file is missing or can't be read.
    """
    tag = checkpoint_tag(epoch, batch)
    known = sha256 or {}
    files: dict[str, Any] = {}
    for path in checkpoint_files(layout, tag):
        if path.exists() or path == layout.model_file(tag):
            facts = {"size": path.stat().st_size, "sha256": known.get(path.name) or sha256_file(path)}
            files[f"{layout.checkpoints.name}/{path.name}"] = facts
    marks = {"best": best, "last": last, "pinned": pinned}
    size = sum(file["size"] for file in files.values())
    place = {"tag": tag, "epoch": epoch, "batch": batch, "step": step, "time": time}
    return {**place, "metrics": dict(metrics), **marks, "size": size, "files": files}


def checkpoint_files(layout: RunLayout, tag: str) -> list[Path]:
    """Every file that a checkpoint may have."""
    return [
        layout.model_file(tag),
        layout.parameters_file(tag),
        layout.trainer_state_file(tag),
        layout.tensors_file(tag),
    ]


def add_entry(layout: RunLayout, entry: Mapping[str, Any]) -> list[Entry]:
    """Put a checkpoint on record, in place of one with the same tag.

    If it is marked best or last, no other one is any more.

    Returns:
        The index after the change.

    Raises:
        FileError: the index is corrupt.
        OSError: it can't be written.
    """
    entries = []
    for old in read_index(layout):
        if old["tag"] == entry["tag"]:
            continue
        for mark in ("best", "last"):
            if entry.get(mark):
                old[mark] = False
        entries.append(old)
    entries.append(_checked(dict(entry)))
    entries.sort(key=_order)
    _write(layout, entries)
    return entries


def remove_entries(layout: RunLayout, tags: Iterable[str], best: str | None = None) -> list[Entry]:
    """Take checkpoints off the record, then delete their files.

    If the one marked last goes, the newest that stays takes the mark.

    Args:
        layout: the run's paths.
        tags: of those that go.
        best: tag of the one that takes the mark, if the one marked best goes.

    Returns:
        The index after the change.

    Raises:
        FileError: the index is corrupt.
        OSError: it can't be written; no file was deleted then.
    """
    going = set(tags)
    entries = read_index(layout)
    removed = [entry for entry in entries if entry["tag"] in going]
    if not removed:
        return entries
    kept = [entry for entry in entries if entry["tag"] not in going]
    if kept and any(entry.get("last") for entry in removed):
        kept[-1]["last"] = True
    if any(entry.get("best") for entry in removed):
        for entry in kept:
            entry["best"] = entry["tag"] == best
    _write(layout, kept)
    for entry in removed:
        for path in _files(layout, entry):
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return kept


def set_pinned(layout: RunLayout, tag: str, pinned: bool) -> None:
    """Pin or unpin a checkpoint.

    Raises:
        FileError: there is no such checkpoint, or the index is corrupt.
        OSError: the index can't be written.
    """
    entries = read_index(layout)
    found = [entry for entry in entries if entry["tag"] == tag]
    if not found:
        raise FileError("no such checkpoint", f"{layout.root} has no checkpoint {tag}")
    found[0]["pinned"] = pinned
    _write(layout, entries)


def to_delete(
    entries: Sequence[Mapping[str, Any]], keep: int | None, protect: str | None = None
) -> list[str]:
    """Tags that retention lets go: all but the newest `keep`, and the best, last and pinned ones.

    Args:
        entries: the index.
        keep: how many of the newest stay; None for all.
        protect: tag of one that stays, too.
    """
    if keep is None:
        return []
    ordered = sorted(entries, key=_order)
    old = ordered[: max(0, len(ordered) - max(0, keep))]
    marked = {e["tag"] for e in old if e.get("best") or e.get("last") or e.get("pinned")}
    return [e["tag"] for e in old if e["tag"] not in marked and e["tag"] != protect]


def verify(layout: RunLayout, tag: str, only: Path | None = None) -> list[str]:
    """What is wrong with a checkpoint's files, by size and SHA-256; empty when it is good.

    Args:
        layout: the run's paths.
        tag: of the checkpoint.
        only: look at this one of its files.

    Raises:
        FileError: the index is corrupt.
    """
    for entry in read_index(layout):
        if entry["tag"] == tag:
            named = {n: f for n, f in entry["files"].items() if only in (None, file_of(layout, tag, n))}
            if not named:
                return [f"checkpoint {tag} names no {'files' if only is None else only.name}"]
            return [p for name, facts in named.items() if (p := _problem(layout, tag, name, facts))]
    return [f"checkpoint {tag} is not in {layout.checkpoints_index.name}"]


def newest_good(layout: RunLayout) -> tuple[Entry | None, list[str]]:
    """The newest checkpoint whose files are whole, and what is wrong with those newer than it.

    Raises:
        FileError: the index is corrupt.
    """
    problems: list[str] = []
    for entry in reversed(read_index(layout)):
        found = verify(layout, entry["tag"])
        if not found:
            return entry, problems
        problems += found
    return None, problems


def remove_orphans(layout: RunLayout) -> list[str]:
    """Delete checkpoint files that no entry names: a save or a deletion that was cut short.

    Without a readable index nothing is deleted. Files with names that are not ours stay.

    Returns:
        The names of the deleted files.
    """
    try:
        entries = read_index(layout)
    except FileError:
        return []
    if not layout.checkpoints_index.exists():
        return []
    named = {path for entry in entries for path in _files(layout, entry)}
    removed = []
    for path in sorted(layout.checkpoints.iterdir()):
        if path not in named and _OURS.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()
                removed.append(path.name)
    return removed


def file_of(layout: RunLayout, tag: str, name: str) -> Path | None:
    """The path of a file that an entry names; None for one that is no file of this checkpoint."""
    match = _FILE.fullmatch(name)
    return layout.checkpoints / match[1] if match is not None and match[2] == tag else None


def _files(layout: RunLayout, entry: Entry) -> set[Path]:
    """Every file of a checkpoint: those that its entry names, and those that any may have."""
    tag: str = entry["tag"]
    named = {path for name in entry["files"] if (path := file_of(layout, tag, name)) is not None}
    return named | {*checkpoint_files(layout, tag)}


def _problem(layout: RunLayout, tag: str, name: str, facts: Any) -> str | None:
    path = file_of(layout, tag, name)
    if path is None:
        return f"{name} is no file of checkpoint {tag}"
    try:
        size = path.stat().st_size
        if size != facts["size"]:
            return f"{path.name} has {size} bytes, expected {facts['size']}"
        if sha256_file(path) != facts["sha256"]:
            return f"{path.name} differs from its SHA-256"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name}: {error.strerror or error}"
    except (KeyError, TypeError):
        return f"{path.name} has no size or SHA-256 on record"
    return None


def _checked(entry: Entry) -> Entry:
    """An entry with every key, each of its type; what is missing or of another type counts as nothing.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    epoch, batch = parse_tag(entry["tag"])
    if not isinstance(entry.get("files", {}), dict):
        raise TypeError("files")
    metrics = entry.get("metrics")
    return {
        **entry,
        "epoch": epoch,
        "batch": batch,
        "step": _count(entry.get("step")),
        "time": as_number(entry.get("time")),
        "metrics": metrics if isinstance(metrics, dict) else {},
        **{mark: entry.get(mark) is True for mark in ("best", "last", "pinned")},
        "size": _count(entry.get("size")),
        "files": entry.get("files", {}),
    }


def _count(value: Any) -> int:
    number = as_number(value)
    return int(number) if 0 <= number < 2**63 else 0


def _order(entry: Mapping[str, Any]) -> tuple[int, int]:
    return parse_tag(entry["tag"])


def _write(layout: RunLayout, entries: Sequence[Mapping[str, Any]]) -> None:
    content = {"schema": SCHEMA, "run_id": run_id(layout), "checkpoints": list(entries)}
    write_object(layout.checkpoints_index, content)
