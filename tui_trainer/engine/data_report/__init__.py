"""What is in a data set, before anything is trained on it: `data_report`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine import rng
from tui_trainer.engine.data import collate_of, raw_splits
from tui_trainer.engine.data_report.facts import DataReport, SplitFacts
from tui_trainer.engine.data_report.problems import find_problems
from tui_trainer.engine.data_report.split import Fingerprints, look_at

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

SECONDS = 15.0
"""How long each split is looked at, unless all of it is asked for."""


def data_report(
    task: Task,
    hparams: Hparams,
    samples: int | None,
    seconds: float = SECONDS,
    on_phase: Callable[[str], None] = lambda name: None,
) -> DataReport:
    """Look at a task's data as training would get them.

    Args:
        task: whose data.
        hparams: validated.
        samples: to look at in each split, evenly spread; None: all, however long it takes.
        seconds: to look at each split.
        on_phase: is told what happens.

    Raises:
        TrainerError: the data are none.
        Exception: whatever the task's code raises, with the `phase` it happened in.
    """
    phase = "loading data"

    def reading(index: int) -> None:
        nonlocal phase
        phase = f"reading sample {index:,} of {name}"

    try:
        on_phase(phase)
        rng.seed_everything(hparams.seed)
        parts = dict(zip(("train", "val", "test"), raw_splits(task, hparams), strict=True))
        phase = "asking for the data's facts"
        classes, columns = (_names(task, key) for key in ("classes", "columns"))
        splits: dict[str, SplitFacts] = {}
        train: Fingerprints | None = None
        for name, part in parts.items():
            if part is not None:
                on_phase(f"looking at {name}")
                limit = seconds if samples is not None else float("inf")
                splits[name], prints = look_at(part, task, samples, limit, reading, classes, columns, train)
                train = train or prints
    except Exception as error:
        if not hasattr(error, "phase"):
            error.phase = phase  # type: ignore[attr-defined]
        raise
    collated = task.overrides("dataloader") or collate_of(parts["train"]) is not None
    problems = find_problems(splits, task.normalizes, collated)
    return DataReport(task.name, task.summary(), splits, classes, problems)


def _names(task: Task, key: str) -> tuple[str, ...]:
    value = (task.data_facts() or {}).get(key, getattr(task, key, None))
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()
