"""The runs folder: listing runs without reading them whole, and finding the one that a word means."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui_trainer.errors import FileError, UsageError, did_you_mean
from tui_trainer.files import open_plain
from tui_trainer.runs.checkpoints import read_index
from tui_trainer.runs.events import decode
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.layout import RunLayout, checkpoint_tag, parse_tag, short_id
from tui_trainer.runs.reader import LONGEST_LINE, RunReader, is_run
from tui_trainer.runs.state import ACTIVE, CRASHED_REASON, ENDED, SILENT_S

_BLOCK = 16 << 10
_FARTHEST = 256 << 20
"""Bytes from the end of a record in which its latest epoch is looked for: a week of nothing but load."""
_LIST_HINT = "tui-train runs lists them"
_CKPT_HINT = "a checkpoint is a .pt file of a run, RUN, RUN@best, RUN@last, RUN@7 or RUN@7+120"


def summarise(root: Path, clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """What `runs --json` says of a run, from run.json and the end of its events only.

    Args:
        root: the run directory.
        clock: source of unix seconds, for the duration of a run that goes on.

    Returns:
        run_id, name, run_dir, task, status, epoch, step, best ({metric, value, epoch} or None), and metrics
        (the latest values), created (unix seconds or None), duration_s (or None), epochs, device, pinned,
        reason, parent (as run.json names it, or None).
    """
    reader = RunReader(root, clock)
    return summarise_run(reader, reader.run(), reader.hparams(), clock)


def summarise_run(
    reader: RunReader, run: dict[str, Any], hparams: dict[str, Any], clock: Callable[[], float] = time.time
) -> dict[str, Any]:
    """As `summarise`, for a caller that has read run.json and hparams.json already."""
    root = reader.layout.root
    # Before the events: a process found dead can't have added any after them.
    status, reason = _status(run, reader)
    seen = _latest(root)
    if status in ACTIVE:
        status = "paused" if seen["paused"] else "running" if seen["going"] else "starting"
    if status == "crashed":
        if seen["status"] in ENDED:
            # Killed between its last event and run.json.
            status, reason = seen["status"], seen["reason"]
        else:
            reason = reason or CRASHED_REASON
    step = seen["step"]
    if status not in ENDED:
        step = max(step, _whole((reader.last_row() or {}).get("step")))
    created = _seconds(run.get("created"))
    last = clock() if status in ACTIVE else _seconds(run.get("ended")) or seen["time"]
    return {
        "run_id": str(run.get("run_id") or root.name),
        "name": str(run.get("name") or ""),
        "run_dir": str(root),
        "task": str(run.get("task") or ""),
        "status": status,
        "epoch": seen["epoch"],
        "step": step,
        "best": seen["best"],
        "metrics": seen["metrics"],
        "created": created,
        "duration_s": _duration(seen, created, last, status in ACTIVE and status != "paused"),
        "epochs": _whole(hparams.get("epochs")),
        "device": str(run.get("device") or hparams.get("device") or ""),
        "pinned": run.get("pinned") is True,
        "reason": reason,
        "parent": run.get("parent") if isinstance(run.get("parent"), dict) else None,
    }


def list_runs(runs_dir: Path) -> list[dict[str, Any]]:
    """A summary of every run in a folder, newest first; empty when the folder is missing."""
    found = [summarise(root) for root in run_roots(runs_dir)]
    return sorted(found, key=lambda run: (run["created"] or 0.0, run["run_id"]), reverse=True)


def find_run(word: str, runs_dir: Path) -> Path:
    """The run that a word means.

    In this order: `last`, an existing run directory, then in the runs folder an id, a unique prefix of one,
    its four-digit end, a human name.

    Raises:
        UsageError: no run, or more than one.
    """
    if word == "last":
        return _newest(runs_dir)
    if word and is_run(_path(word)):
        return _path(word)
    roots = [] if not word or "/" in word else sorted(run_roots(runs_dir))
    ids = {root.name: root for root in roots}
    if word in ids:
        return ids[word]
    for matching in (
        [root for root in roots if root.name.startswith(word)],
        [root for root in roots if short_id(root) == word],
        [root for root in roots if str(RunReader(root).run().get("name") or "") == word],
    ):
        if len(matching) == 1:
            return matching[0]
        if matching:
            names = ", ".join(root.name for root in matching[:8])
            more = f" and {len(matching) - 8} more" if len(matching) > 8 else ""
            raise UsageError("ambiguous run", f"{word} may be {names}{more}", "give more of the id")
    if word and _path(word).is_dir():
        raise UsageError("not a run", f"{word} is a folder without a run.json", _LIST_HINT)
    known = [*ids, *(str(RunReader(root).run().get("name") or "") for root in roots)]
    near = did_you_mean(word, [name for name in known if name])
    raise UsageError("no such run", f"{word or 'an empty name'} (looked in {runs_dir}){near}", _LIST_HINT)


def find_checkpoint(word: str, runs_dir: Path) -> tuple[Path, str]:
    """The run directory and tag of the checkpoint that a word means. Its files are not checked here.

    Args:
        word: a `.pt` path, RUN, RUN@best, RUN@last, RUN@7 or RUN@7+120.
        runs_dir: the folder of runs.

    Raises:
        UsageError: no such run, or a mark that is none of these.
        FileError: the run has no such checkpoint, or its index is corrupt.
    """
    if word.endswith(".pt"):
        return _from_file(_path(word))
    run, at, mark = word.rpartition("@")
    if not at or is_run(_path(word)):
        run, mark = word, "last"
    root = find_run(run, runs_dir)
    entries = read_index(RunLayout(root))
    if not entries:
        raise FileError("no checkpoint", f"{root.name} has none yet")
    if mark in ("best", "last"):
        marked = [entry["tag"] for entry in entries if entry.get(mark)]
        if marked or mark == "last":
            return root, str(marked[-1] if marked else entries[-1]["tag"])
        raise FileError("no such checkpoint", f"{root.name} has none that is marked best")
    try:
        tag = checkpoint_tag(*parse_tag(mark))
    except ValueError:
        raise UsageError("not a checkpoint", f"{mark!r} in {word}", _CKPT_HINT) from None
    _require(root, tag, entries)
    return root, tag


def checkpoint_of_file(path: Path) -> tuple[Path, str] | None:
    """The run directory and tag that a `.pt` belongs to by its name and place; None for any other file."""
    match = re.fullmatch(r"model_([0-9]+(?:\+[0-9]+)?)\.pt", path.name)
    # Absolute, so that `model_3.pt` given inside the checkpoints folder leads to its run.
    folder = Path(os.path.abspath(path)).parent
    root = folder.parent
    return (root, match[1]) if match and is_run(root) and folder == RunLayout(root).checkpoints else None


def _from_file(path: Path) -> tuple[Path, str]:
    if not path.is_file():
        hint = "a checkpoint is a .pt file, RUN@7, RUN@best or RUN; tui-train runs lists the runs"
        raise FileError("no such checkpoint", f"{path} does not exist", hint)
    found = checkpoint_of_file(path)
    if found is None:
        raise FileError("not a checkpoint of a run", str(path), _CKPT_HINT)
    root, tag = found
    _require(root, tag, read_index(RunLayout(root)))
    return root, tag


def _path(word: str) -> Path:
    try:
        return Path(word).expanduser()
    except RuntimeError:
        return Path(word)


def _require(root: Path, tag: str, entries: Sequence[dict[str, Any]]) -> None:
    tags = [str(entry["tag"]) for entry in entries]
    if tag not in tags:
        shown = ", ".join(tags[-8:]) or "none"
        raise FileError("no such checkpoint", f"{root.name} has no checkpoint {tag}; the newest are {shown}")


def run_roots(runs_dir: Path) -> Iterator[Path]:
    """The run directories of a folder, in no order; none where the folder is missing."""
    try:
        with os.scandir(runs_dir) as entries:
            for entry in entries:
                path = runs_dir / entry.name
                if not entry.name.startswith(".") and is_run(path):
                    yield path
    except OSError:
        return


def _newest(runs_dir: Path) -> Path:
    def age(root: Path) -> tuple[float, str]:
        return _seconds(RunReader(root).run().get("created")) or 0.0, root.name

    newest = max(run_roots(runs_dir), key=age, default=None)
    if newest is None:
        where, hint = os.path.abspath(runs_dir), "--runs-dir DIR (or $TUI_TRAIN_RUNS) looks elsewhere"
        raise UsageError("no such run", f"there are no runs in {where}", hint)
    return newest


def _duration(
    seen: Mapping[str, Any], created: float | None, last: float | None, active: bool
) -> float | None:
    """Seconds of training, all processes of the run together; since its creation where nothing tells."""
    elapsed, at = seen["elapsed"], seen["elapsed_at"]
    if elapsed is not None:
        since = last - at if active and last is not None and at is not None else 0.0
        return float(elapsed) + max(0.0, since)
    return max(0.0, last - created) if last is not None and created is not None else None


def _status(run: dict[str, Any], reader: RunReader) -> tuple[str, str]:
    status, reason = str(run.get("status") or "unknown"), str(run.get("reason") or "")
    if status not in ACTIVE:
        return (status if status in ENDED else "unknown"), reason
    liveness = reader.liveness()
    if liveness == "dead":
        return "crashed", reason
    if liveness == "remote" and reader.heartbeat_age_s() > SILENT_S:
        return "unknown", reason
    return status, reason


def _latest(root: Path) -> dict[str, Any]:
    """Epoch, step, best and so on of a run, from as few of its last events as will do."""
    found: dict[str, Any] = {}
    for event in _backwards(RunLayout(root).events):
        name = event["event"]
        found.setdefault("time", _seconds(event.get("time")))
        if name == "run_end":
            found.setdefault("status", str(event.get("status")))
            found.setdefault("reason", str(event.get("reason") or ""))
        elif name == "run_resume":
            found.setdefault("status", "running")
            found.setdefault("paused", False)
        elif name == "control" and event.get("action") in _PAUSES:
            found.setdefault("paused", event["action"] == "pause")
        if name in _GOING:
            found.setdefault("going", True)
        for key, names in (("step", _STEP_OF), ("epoch", _EPOCH_OF)):
            if name in names and names[name] in event:
                found.setdefault(key, _whole(event[names[name]]))
        if "elapsed" in event:
            found.setdefault("elapsed", _seconds(event["elapsed"]))
            found.setdefault("elapsed_at", _seconds(event.get("time")))
        if isinstance(best := event.get("best"), dict) and isinstance(best.get("metric"), str):
            facts = {"value": as_number(best.get("value")), "epoch": _whole(best.get("epoch"))}
            found.setdefault("best", {**best, **facts})
        if name in _MEASURED and isinstance(event.get("metrics"), dict):
            earlier = {str(metric): as_number(value) for metric, value in event["metrics"].items()}
            found["metrics"] = earlier | found.get("metrics", {})
        # Before the first epoch's end there is nothing to find but a long way back.
        if name in ("epoch_end", "run_start") or (name == "run_end" and not found.get("epoch")):
            break
    return _NOTHING | found


_NOTHING: dict[str, Any] = {
    "epoch": 0,
    "step": 0,
    "best": None,
    "metrics": {},
    "time": None,
    "status": "",
    "reason": "",
    "paused": False,
    "going": False,
    "elapsed": None,
    "elapsed_at": None,
}
_EPOCH_OF = dict.fromkeys(("run_start", "epoch_end", "checkpoint", "run_resume"), "epoch") | {
    "run_end": "epochs"
}
_STEP_OF = dict.fromkeys(
    ("run_start", "epoch_start", "epoch_end", "evaluation", "checkpoint", "control", "run_resume"), "step"
) | {"run_end": "steps"}
_GOING = ("epoch_start", "evaluation", "epoch_end", "run_resume")
_MEASURED = ("epoch_end", "evaluation")
_PAUSES = ("pause", "unpause", "resume")
_SKIPPED = (b'{"event":"system"', b'{"event":"log"', b'{"event":"phase"')


def _backwards(path: Path) -> Iterator[dict[str, Any]]:
    """Complete events from the last to the first, without those that say nothing about progress."""
    with suppress(OSError), open_plain(path) as file:
        end = os.fstat(file.fileno()).st_size
        size, rest, torn = _BLOCK, b"", True
        first = end - _FARTHEST
        while end > max(0, first) and len(rest) <= LONGEST_LINE:
            start = max(0, end - size)
            file.seek(start)
            lines = (file.read(end - start) + rest).split(b"\n")
            if torn:
                # What follows the last newline is empty, or not complete yet.
                torn = len(lines) == 1
                if torn and start == 0:
                    return
                lines = lines if torn else lines[:-1]
            # The first piece may be the end of a line that begins in the block before.
            rest = lines.pop(0) if start > 0 else b""
            for line in reversed(lines):
                if line and not line.startswith(_SKIPPED) and (event := decode(line)) is not None:
                    yield event
            end, size = start, min(size * 2, 4 << 20)


def _whole(value: Any) -> int:
    number = as_number(value)
    return int(number) if math.isfinite(number) else 0


def _seconds(value: Any) -> float | None:
    number = as_number(value)
    return number if math.isfinite(number) else None
