"""Which classes are taken for which: counted beside an evaluation, as one more metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tui_trainer.engine.metrics import ConfusionMatrix

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

PAIRS = "pairs of classes"
"""The name of the metric."""
MOST_CLASSES = 1024
"""A matrix of more would take more than 8 MB a batch, and nobody could read it."""


def counting(task: Task) -> Task:
    """A task in all but that its metrics have `PAIRS` too, where it is about classes."""
    return _Counting(task)  # type: ignore[return-value]


class _Counting:
    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._task.metrics(outputs, targets)
        if _are_classes(outputs, targets):
            found = {**found, PAIRS: ConfusionMatrix(outputs, targets)}
        return found


def _are_classes(outputs: Any, targets: Any) -> bool:
    """Whether outputs are scores [samples, classes, …] of targets that are whole numbers [samples, …]."""
    if not (isinstance(outputs, Tensor) and isinstance(targets, Tensor)):
        return False
    if targets.is_floating_point() or outputs.dim() != targets.dim() + 1 or targets.dim() == 0:
        return False
    # Scores in the last dimension, as a decoder gives them, mean something else where all fits by chance.
    last = outputs.dim() > 2 and outputs.shape[:-1] == targets.shape
    first = outputs.shape[0] == targets.shape[0] and outputs.shape[2:] == targets.shape[1:]
    return first and not last and 2 <= outputs.shape[1] <= MOST_CLASSES


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
