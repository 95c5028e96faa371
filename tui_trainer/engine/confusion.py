"""Which classes are taken for which: counted beside an evaluation, as one more metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tui_trainer.engine.metrics import ConfusionMatrix, are_classes

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
        if are_classes(outputs, targets) and 2 <= outputs.shape[1] <= MOST_CLASSES:
            found = {**found, PAIRS: ConfusionMatrix(outputs, targets)}
        return found


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
