"""Which classes are taken for which: counted on the device beside an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from tui_trainer.engine.micro import Count, MicroBatches

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

T = TypeVar("T")

MOST_CLASSES = 2048
"""A matrix of more would take more than the 32 MB of this one, and nobody could read it."""


class Confusion:
    """Counts pairs of a true class and the one that the model gives.

    Attributes:
        counts: int64 [classes, classes], true class by given class; None before the first batch with classes.
    """

    def __init__(self) -> None:
        self.counts: Tensor | None = None
        self._seen: list[tuple[Tensor, Tensor]] = []

    def watched(self, task: Task) -> Task:
        """The task, whose outputs and targets are seen here too."""
        return _Watched(task, self)  # type: ignore[return-value]

    def see(self, outputs: Any, targets: Any) -> None:
        """Take the outputs of a batch, which count once `take` is called.

        Args:
            outputs: scores [samples, classes, …].
            targets: whole numbers [samples, …]. Those that are no class, such as −100, are passed over.
                Anything else is no classification, and passed over whole.
        """
        if _are_classes(outputs, targets):
            self._seen.append((outputs.detach().argmax(1), targets.detach()))
            if self.counts is None:
                size = outputs.shape[1]
                self.counts = torch.zeros((size, size), dtype=torch.int64, device=outputs.device)

    def forget(self) -> None:
        """Leave out what was seen and not taken: the same samples come again."""
        self._seen.clear()

    def take(self) -> None:
        """Count what was seen. Nothing waits for the device."""
        for given, true in self._seen:
            assert self.counts is not None
            size = len(self.counts)
            true, given = true.flatten().long(), given.flatten()
            # What is no class goes to a place behind all pairs.
            pair = torch.where((true >= 0) & (true < size), true * size + given, size * size)
            flat = torch.zeros(size * size + 1, dtype=torch.int64, device=pair.device)
            flat.scatter_add_(0, pair, torch.ones_like(pair))
            self.counts += flat[:-1].view(size, size)
        self._seen.clear()


def _are_classes(outputs: Any, targets: Any) -> bool:
    if not (isinstance(outputs, Tensor) and isinstance(targets, Tensor)):
        return False
    if targets.is_floating_point() or outputs.dim() != targets.dim() + 1 or targets.dim() == 0:
        return False
    # Scores in the last dimension, as a decoder gives them, mean something else where all fits by chance.
    last = outputs.dim() > 2 and outputs.shape[:-1] == targets.shape
    first = outputs.shape[0] == targets.shape[0] and outputs.shape[2:] == targets.shape[1:]
    return first and not last and 2 <= outputs.shape[1] <= MOST_CLASSES


class _Watched:
    """A task as `Forward` knows it."""

    def __init__(self, task: Task, confusion: Confusion) -> None:
        self.metrics, self.count = task.metrics, task.count
        self._task, self._confusion = task, confusion

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
        returned = self._task.compute_loss(model, batch, criterion)
        if type(returned) is tuple and len(returned) == 3:
            self._confusion.see(*returned[1:])
        return returned


class CountedBatches(MicroBatches):
    """Micro-batches whose confusions count once, also where memory runs out and they are done again."""

    def __init__(self, confusion: Confusion, **options: Any) -> None:
        super().__init__("auto", "evaluation", **options)
        self._confusion = confusion

    def run(self, window: Sequence[Any], count: Count, work: Callable[[Sequence[Any]], T]) -> T:
        def attempt(batches: Sequence[Any]) -> T:
            self._confusion.forget()
            return work(batches)

        done = super().run(window, count, attempt)
        self._confusion.take()
        return done


def per_class(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of samples of each class.

    Where nothing is there to divide by, the value is 0, as in scikit-learn's report.

    Args:
        counts: true class by given class.
        classes: their names.
    """
    given = [sum(column) for column in zip(*counts, strict=True)]
    rows = []
    for k, name in enumerate(classes):
        right, support = counts[k][k], sum(counts[k])
        rows.append(
            {
                "class": name,
                "precision": right / given[k] if given[k] else 0.0,
                "recall": right / support if support else 0.0,
                "f1": 2 * right / (given[k] + support) if given[k] + support else 0.0,
                "support": support,
            }
        )
    return rows
