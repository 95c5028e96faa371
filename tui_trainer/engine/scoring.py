"""Measuring a trained model on its data: the metrics of training, and which classes it mistakes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine import rng
from tui_trainer.engine.alerts import Alert, no_alert
from tui_trainer.engine.batch_looper import test_batch_looper
from tui_trainer.engine.confusion import PAIRS, counting, per_class
from tui_trainer.engine.criterion import build_criterion
from tui_trainer.engine.data import build_loaders
from tui_trainer.engine.device import check_precision
from tui_trainer.engine.failure import during
from tui_trainer.engine.forward import Forward
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.metrics import ConfusionMatrix
from tui_trainer.engine.micro import MicroBatches
from tui_trainer.engine.run_task import task_of
from tui_trainer.engine.trained import Trained, load_trained
from tui_trainer.errors import UsageError
from tui_trainer.runs.layout import RunLayout, run_id
from tui_trainer.runs.reader import RunReader

Split = Literal["train", "val", "test", "all"]
SPLITS: tuple[Split, ...] = ("test", "val", "train", "all")
Progress = Callable[[str, int, "int | None"], None]
"""Is told the split, the batches that are done, and how many there are."""


@dataclass(frozen=True)
class Scores:
    """How a model does.

    Attributes:
        trained: the model.
        split: what the confusion is of.
        samples: of that split; None where the data have no length.
        metrics: by name with the split, such as `test/loss`.
        confusion: true class by given class; None where the task knows no classes.
        classes: names of them, empty without.
    """

    trained: Trained
    split: str
    samples: int | None
    metrics: dict[str, float]
    confusion: list[list[int]] | None
    classes: list[str]

    def facts(self) -> dict[str, Any]:
        """All of it in values that JSON can hold."""
        layout, entry = self.trained.layout, self.trained.entry
        model = layout.model_file(entry["tag"]).relative_to(layout.root).as_posix()
        found: dict[str, Any] = {
            "run_id": str(RunReader(layout.root).run().get("run_id") or run_id(layout)),
            "checkpoint": model,
            "epoch": entry["epoch"],
            "step": entry["step"],
            "split": self.split,
            "samples": self.samples,
            "metrics": self.metrics,
        }
        if self.confusion is not None:
            table = per_class(self.confusion, self.classes)
            found |= {"classes": self.classes, "per_class": table, "confusion": self.confusion}
        return found


def score(
    root: Path,
    tag: str,
    split: Split | None = None,
    hparams: Hparams | None = None,
    device: str | None = None,
    alert: Alert = no_alert,
    progress: Progress = lambda split, batches, of: None,
) -> Scores:
    """Measure a checkpoint exactly as training does at the end of an epoch.

    Args:
        root: the run directory.
        tag: of the checkpoint.
        split: train, val, test or all; None: test, or what there is instead; of other data than the run's
            their own test set, or all samples together, as `data`.
        hparams: to use instead of the checkpoint's.
        device: as the hparam; None: the hparam's own where this machine has it.
        alert: is told a title and a message of what was dealt with.
        progress: is told how far it is.

    Raises:
        UsageError: there is no such split.
        TrainerError: what else is missing or does not fit.
    """
    whole = split is None and hparams is not None and _other_data(RunLayout(root), tag, hparams)
    if whole:
        assert hparams is not None
        hparams = hparams.model_copy(update={"test_size": 0.0, "val_size": 0.0})
    trained = load_trained(root, tag, device, hparams, with_data=True)
    for notice in trained.notices:
        alert("not as it was", notice)
    check_precision(trained.hparams.precision, trained.device)
    parts = _chosen(trained, split, whole)
    metrics: dict[str, float] = {}
    measured: dict[str, _Measured] = {}
    with rng.preserved(trained.device):
        for name, part in parts.items():
            measured[name] = _measure(trained, name, part, alert, progress)
            metrics |= {f"{name}/{metric}": value for metric, value in measured[name].means.items()}
    told = next(iter(measured))
    counts = measured[told].counts
    return Scores(trained, told, measured[told].samples, metrics, counts, _names(trained, counts))


def _other_data(layout: RunLayout, tag: str, hparams: Hparams) -> bool:
    """Whether the data are none of the run's, and nobody says how to split them."""
    _, own = task_of(layout, tag)

    def place(path: str | None) -> str | None:
        return None if path is None else os.path.realpath(os.path.expanduser(path))

    other = place(hparams.dataset_path) != place(own.get("dataset_path"))
    other |= hparams.dataset_json_fname != own.get("dataset_json_fname")
    return other and (hparams.test_size, hparams.val_size) == (own.get("test_size"), own.get("val_size"))


def _chosen(trained: Trained, split: Split | None, whole: bool) -> dict[str, Any]:
    """The parts of the data to measure; the classes of the first are counted.

    Args:
        split: as of `score`.
        whole: nothing was split off, so that all samples but a test set of the data's own are in `train`.

    Raises:
        UsageError: there is no such part.
    """
    assert trained.parts is not None
    task = trained.task
    if task.overrides("train_step") and not task.overrides("compute_loss"):
        message = f"{type(task).__name__} makes its own training steps, and says nothing of a loss to measure"
        raise UsageError("nothing to evaluate", message, "define compute_loss(self, model, batch, criterion)")
    train, val, test = trained.parts
    if trained.hparams.overfit_batches:
        # What is trained on is what is tested.
        val, test = None, train
    named = {"test": test, "val": val, "train": train}
    there = {name: part for name, part in named.items() if part is not None}
    if whole and list(there) == ["train"]:
        # Random changes are for training.
        return {"data": train.unaugmented() if hasattr(train, "unaugmented") else train}
    if split == "all":
        return there
    name: str = split or next(iter(there))
    if name not in there:
        message = f"the data have no {name} set, only {', '.join(there)}"
        raise UsageError("no such split", message, "--split train measures what was trained on")
    return {name: there[name]}


@dataclass(frozen=True)
class _Measured:
    means: dict[str, float]
    counts: list[list[int]] | None
    samples: int | None


def _measure(trained: Trained, name: str, part: Any, alert: Alert, progress: Progress) -> _Measured:
    task, hparams, device = trained.task, trained.hparams, trained.device
    criterion = build_criterion(task, hparams)
    if isinstance(criterion, nn.Module):
        criterion.to(device)
    assert trained.parts is not None
    # Whatever it is: as the test set it comes in order, and whole.
    splits = build_loaders(task, hparams, (trained.parts[0], None, part), trained.model, device, alert)
    with closing(splits):
        loader, done = splits.test, 0
        assert loader is not None

        def after_window(batches: int) -> bool:
            nonlocal done
            done += batches
            progress(name, done, loader.batches)
            return True

        forward = Forward(counting(task), criterion, device, hparams.precision)
        batches = MicroBatches("auto", "evaluation", device=device, alert=alert)
        meter = Meter(device)
        with during(f"evaluating the {name} set"):
            means = test_batch_looper(
                loader.epoch(0), trained.model, forward, meter, after_window, micro=batches
            )
        means.pop(PAIRS, None)
        pairs = meter.totals(PAIRS)
        counts = None if pairs is None else ConfusionMatrix.matrix(pairs)
        return _Measured(means, counts, loader.samples)


def _names(trained: Trained, counts: list[list[int]] | None) -> list[str]:
    """Names of the classes that were counted: their numbers where the task knows no better."""
    if counts is None:
        return []
    known = trained.classes or []
    return known if len(known) == len(counts) else [str(k) for k in range(len(counts))]
