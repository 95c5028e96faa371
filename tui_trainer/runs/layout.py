"""Where everything lies in a run directory, and how runs and checkpoints are named."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

SCHEMA = 1
"""Version of the run directory's format. Readers take this one and older; adding keys does not raise it."""

_TAG = re.compile(r"([0-9]{1,15})(?:\+([0-9]{1,15}))?")
_ATTEMPTS = 100


def is_newer(schema: Any) -> bool:
    """Whether a file says that its format is newer than this version's. One that says nothing is old."""
    return isinstance(schema, (int, float)) and schema > SCHEMA


@dataclass(frozen=True)
class RunLayout:
    """The paths of one run.

    Attributes:
        root: the run directory. Every path in the record is relative to it, so a run can be moved.
    """

    root: Path

    @property
    def run_json(self) -> Path:
        return self.root / "run.json"

    @property
    def hparams_json(self) -> Path:
        return self.root / "hparams.json"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def steps(self) -> Path:
        return self.root / "steps.f64"

    @property
    def steps_header(self) -> Path:
        return self.root / "steps.json"

    @property
    def console_log(self) -> Path:
        return self.root / "console.log"

    @property
    def lock(self) -> Path:
        return self.root / "run.lock"

    @property
    def control(self) -> Path:
        return self.root / "control"

    @property
    def task_source(self) -> Path:
        return self.root / "task"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def checkpoints_index(self) -> Path:
        return self.checkpoints / "checkpoints.json"

    @property
    def data_facts(self) -> Path:
        """What a prediction must know of the data: names of classes, a vocabulary, means."""
        return self.checkpoints / "data.json"

    @property
    def media(self) -> Path:
        """Images that the task logged."""
        return self.root / "media"

    @property
    def logs(self) -> Path:
        """What was made of the record for other tools."""
        return self.root / "logs"

    def model_file(self, tag: str) -> Path:
        """The state_dict of a checkpoint."""
        return self.checkpoints / f"model_{tag}.pt"

    def parameters_file(self, tag: str) -> Path:
        """The hparams of a checkpoint, a valid preset."""
        return self.checkpoints / f"model_parameters_{tag}.json"

    def trainer_state_file(self, tag: str) -> Path:
        """What an exact resume needs: optimizer, scheduler, scaler, random states, position."""
        return self.checkpoints / f"trainer_state_{tag}.pt"

    def tensors_file(self, tag: str) -> Path:
        """Names, shapes, dtypes and norms of a checkpoint's tensors, for browsing."""
        return self.checkpoints / f"model_tensors_{tag}.json"


def run_id(layout: RunLayout) -> str:
    """The name of the run's folder."""
    return layout.root.name or layout.root.resolve().name


def short_id(run: str | Path) -> str:
    """The end of a run's id, or of its folder's name, which is enough to name it."""
    return (run if isinstance(run, str) else run.name).rpartition("-")[2]


def checkpoint_tag(epoch: int, batch: int = 0) -> str:
    """The tag of a checkpoint: `12`, or `12+340` inside an epoch.

    Args:
        epoch: finished epochs.
        batch: batches done in the epoch after that one.

    Raises:
        ValueError: a negative number.
    """
    if epoch < 0 or batch < 0:
        raise ValueError(f"a checkpoint can't be at epoch {epoch}, batch {batch}")
    return f"{epoch}+{batch}" if batch else str(epoch)


def parse_tag(tag: str) -> tuple[int, int]:
    """Finished epochs and batches of a tag. As a sort key it puts tags in the order of training.

    Raises:
        ValueError: not a tag.
    """
    match = _TAG.fullmatch(tag)
    if match is None:
        raise ValueError(f"not a checkpoint tag: {tag!r}")
    return int(match[1]), int(match[2] or 0)


def default_runs_dir() -> Path:
    """Where runs live: $TUI_TRAIN_RUNS, or `runs` in the working directory."""
    return Path(os.environ.get("TUI_TRAIN_RUNS") or "runs").expanduser()


def task_slug(task: str) -> str:
    """A task's name as part of a folder's name: `some/my_task.py:MyTask` becomes `my_task`."""
    name = re.split(r"[/\\]", task.strip())[-1]
    # `my_task.py:Class` and `package.module:Class` name an object after the colon.
    name = name.partition(":")[0].removesuffix(".py").rpartition(".")[2]
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:40] or "run"


def create_run_dir(runs_dir: Path, task: str, now: Callable[[], datetime] = datetime.now) -> RunLayout:
    """Make a new, empty run directory, safe against other processes doing the same.

    Args:
        runs_dir: the folder of runs, created if it is missing.
        task: the task as it was named: a built-in name, a file, a module path.
        now: source of the local time in the id.

    Raises:
        OSError: the folder can't be created.
    """
    runs_dir.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        name = f"{now():%Y%m%d-%H%M%S}-{task_slug(task)}-{secrets.token_hex(2)}"
        try:
            (runs_dir / name).mkdir()
        except FileExistsError:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        return RunLayout(runs_dir / name)
    raise AssertionError("unreachable")
