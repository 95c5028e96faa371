"""What is in a data set, before anything is trained on it: `data_report`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine import rng
from tui_trainer.engine.data import collate_of, raw_splits
from tui_trainer.engine.data_report.facts import DataReport, Problem, SplitFacts
from tui_trainer.engine.data_report.problems import find_problems
from tui_trainer.engine.data_report.split import Fingerprints, look_at
from tui_trainer.errors import ColumnsError, UsageError

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
        found, refused = _splits(task, hparams)
        parts = dict(zip(("train", "val", "test"), found, strict=True))
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
    return DataReport(task.name, task.summary(), splits, classes, (*refused, *problems))


def _splits(task: Task, hparams: Hparams) -> tuple[tuple[Any, Any, Any], list[Problem]]:
    """The data without the columns that can't be used as they are, and what is wrong with these.

    Raises:
        TrainerError: what is wrong is something else, or no column is left.
    """
    refused: list[ColumnsError] = []
    while True:
        try:
            found = raw_splits(task, hparams)
            return found, [Problem(error.title, error.message, error.hint) for error in refused]
        except ColumnsError as error:
            ignored = getattr(hparams, "ignore", None)
            # The target can't be left out, and what is left out can't be wrong again.
            if not isinstance(ignored, tuple) or {getattr(hparams, "target", None), *ignored} & {
                *error.columns
            }:
                raise
            refused.append(error)
            named = {
                name: tuple(each for each in getattr(hparams, name) if each not in error.columns)
                for name in ("numeric", "categorical")
                if isinstance(getattr(hparams, name, None), tuple)
            }
            hparams = hparams.model_copy(update={**named, "ignore": (*ignored, *error.columns)})
        except UsageError as error:
            raise refused[0] if refused and error.title == "no features" else error from None


def _names(task: Task, key: str) -> tuple[str, ...]:
    value = (task.data_facts() or {}).get(key, getattr(task, key, None))
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()
