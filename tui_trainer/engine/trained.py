"""The one place that builds a trained model: from a run's hparams, what it keeps of its data, and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine import rng
from tui_trainer.engine.checkpoint import load_into, load_weights
from tui_trainer.engine.data import raw_splits
from tui_trainer.engine.device import choose_device
from tui_trainer.engine.facts import differences, facts_of, kept_facts
from tui_trainer.engine.failure import during
from tui_trainer.engine.identity import source_change
from tui_trainer.engine.prepare import build_model
from tui_trainer.engine.run_task import task_of, valid_hparams
from tui_trainer.errors import FileError, TrainerError, UsageError
from tui_trainer.runs.checkpoints import entry_of, verify
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader

if TYPE_CHECKING:
    from tui_trainer.runs.checkpoints import Entry
    from tui_trainer.tasks.base import Task

Parts = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Trained:
    """A trained model with what belongs to it.

    Attributes:
        task: knows of the data what the run kept, or has read them.
        hparams: those of the checkpoint, with what was asked for otherwise.
        model: in evaluation mode.
        device: where the model is.
        facts: what the run keeps of its data; None where that is nothing.
        layout: the run.
        entry: the checkpoint's in the index.
        parts: training, validation and test set, where they were read.
        notices: what somebody who uses it should know, a sentence each.
    """

    task: Task
    hparams: Hparams
    model: nn.Module
    device: torch.device
    facts: Mapping[str, Any] | None
    layout: RunLayout
    entry: Entry
    parts: Parts | None
    notices: tuple[str, ...]

    @property
    def classes(self) -> list[str] | None:
        """Names of the classes; None where the task does not tell."""
        named = (self.facts or {}).get("classes") or getattr(self.task, "classes", None)
        return [str(name) for name in named] if isinstance(named, (list, tuple)) else None


def load_trained(
    root: Path,
    tag: str,
    device: str | None = None,
    hparams: Hparams | None = None,
    *,
    with_data: bool = False,
) -> Trained:
    """Build the model of a checkpoint.

    What the run keeps of its data serves in place of the data; they are read where it keeps nothing, or too
    little for `Task.model`. Where the task file has changed and no longer fits, the run's copy of it serves.
    Random streams are left alone unless data are read.

    Args:
        root: the run directory.
        tag: of the checkpoint.
        device: as the hparam; None: the hparam's own, or, where this machine lacks that, `auto`.
        hparams: to use instead of the checkpoint's.
        with_data: read the data in any case.

    Raises:
        TrainerError: what is missing or does not fit.
    """
    layout = RunLayout(root)
    entry = entry_of(layout, tag)

    def load(copy: bool) -> Trained:
        return _load(layout, entry, device, hparams, with_data, copy)

    try:
        return load(copy=False)
    except Exception as error:
        changed = _change(layout, tag)
        if changed is None:
            raise
        try:
            trained = load(copy=True)
        except Exception:
            # What the file says now is what is told.
            if isinstance(error, TrainerError):
                error.hint = f"{changed}; {error.hint}".removesuffix("; ")
            raise error from error.__cause__
        notice = f"{changed}, which is used here, since the file no longer fits the checkpoint"
        return replace(trained, notices=(notice, *trained.notices))


def _change(layout: RunLayout, tag: str) -> str | None:
    """How the task file differs from the one that the run began with; None where it does not."""
    try:
        return source_change(task_of(layout, tag)[0], RunReader(layout.root).run(), layout.root)
    except TrainerError as error:
        kept = next(layout.task_source.glob("*.py"), None)
        why = str(error).split("\n", 1)[0]
        return None if kept is None else f"the task file can't be loaded ({why}); the run's copy is {kept}"


def _load(
    layout: RunLayout,
    entry: Entry,
    device: str | None,
    hparams: Hparams | None,
    with_data: bool,
    copy: bool,
) -> Trained:
    """As `load_trained`; with `copy`, the task file is the run's own."""
    root, tag = layout.root, str(entry["tag"])
    task, values = task_of(layout, tag, copy=copy)
    if hparams is None:
        hparams = valid_hparams(task, values, layout.parameters_file(tag))
    chosen = _device(device, hparams)
    weights, facts = good_weights(layout, tag), kept_facts(layout)
    building = _Building(lambda: task_of(layout, tag, copy=copy)[0], hparams, weights, layout.model_file(tag))
    changed = source_change(task, RunReader(root).run(), root)
    notices = [changed] if changed is not None else []
    parts = None
    if with_data:
        task, model, parts, others = building.with_data(facts)
        if others:
            notices.append(f"the data are not those that the run keeps: {', '.join(others)} differ")
    else:
        task, model = building.without_data(facts)
    return Trained(
        task, hparams, model.to(chosen).eval(), chosen, facts, layout, entry, parts, tuple(notices)
    )


@dataclass(frozen=True)
class _Building:
    """The two ways to a model.

    Attributes:
        fresh: makes a task that knows of no data.
        hparams: validated.
        weights: of the checkpoint.
        file: theirs, for messages.
    """

    fresh: Callable[[], Task]
    hparams: Hparams
    weights: Mapping[str, Tensor]
    file: Path

    def without_data(self, facts: Mapping[str, Any] | None) -> tuple[Task, nn.Module]:
        """From what is kept of the data; from the data where that does not do."""
        if facts is not None:
            task = self.fresh()
            try:
                task.use_data_facts(facts)
                return task, self._model(task)
            except Exception as error:
                try:
                    return self.with_data(None)[:2]
                except Exception as other:
                    # The data are asked for second, so what went wrong first is what is told.
                    raise error from other
        return self.with_data(None)[:2]

    def with_data(self, facts: Mapping[str, Any] | None) -> tuple[Task, nn.Module, Parts, list[str]]:
        """From the data, read as the kept facts say by tasks that mind them.

        Returns:
            The task, the model, the data, and names of the facts that are others in these data.
        """
        task = self.fresh()
        if facts is not None:
            task.use_data_facts(facts)
        rng.seed_everything(self.hparams.seed)
        with during("loading data"):
            parts = raw_splits(task, self.hparams)
        others = [] if facts is None else differences(facts, facts_of(task))
        if facts is not None and others:
            # The weights are those of a model for the data that were trained on.
            task.use_data_facts(facts)
        return task, self._model(task), parts, others

    def _model(self, task: Task) -> nn.Module:
        with rng.preserved(torch.device("cpu")), during("building the model"):
            model = build_model(task, self.hparams)
        load_into(model, self.weights, self.file)
        return model


def _device(wanted: str | None, hparams: Hparams) -> torch.device:
    if wanted is not None:
        return choose_device(wanted).torch
    try:
        return choose_device(hparams.device).torch
    except UsageError:
        # It was trained on another machine.
        return choose_device("auto").torch


def good_weights(layout: RunLayout, tag: str) -> dict[str, Tensor]:
    """The weights of a checkpoint, on the host, compared with their SHA-256 first.

    Raises:
        FileError: the file is missing, not as it was saved, or can't be read.
    """
    file = layout.model_file(tag)
    if problems := verify(layout, tag, only=file):
        hint = "tui-train checkpoints verify RUN shows which are good"
        raise FileError("bad checkpoint", f"{layout.root}: {'; '.join(problems)}", hint)
    return load_weights(file)
