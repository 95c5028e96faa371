"""Reducers: how the values of single batches become one value for a whole epoch.

A batch's values stay on the device; `engine.meter` adds them up. A plain tensor of `Task.metrics` is a
`Mean`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

Combine = Literal["mean", "sum", "last", "merge"]


class Reducer:
    """One batch's contribution to a metric.

    A subclass computes `values` from a batch and says how they combine over batches and what comes of it.

    Attributes:
        combine: over batches, `values` are averaged (weighted by `Task.count`), summed, the last ones
            kept, or combined by `merge`.
        wide: `values` may have any number of elements, the same in each batch; they are flattened.
        values: scalar tensors, on the device.
    """

    combine: ClassVar[Combine] = "sum"
    wide: ClassVar[bool] = False

    def __init__(self, *values: Tensor) -> None:
        self.values = tuple(value.detach() for value in values)

    def finish(self, totals: Sequence[float]) -> float:
        """The metric of the epoch, from the combined `values`."""
        return totals[0]

    def merge(self, totals: Sequence[float], values: Sequence[float]) -> list[float]:
        """Totals with one more batch's `values`, where `combine` is "merge". On the host, in float64."""
        raise NotImplementedError(f"{type(self).__name__} must define merge(totals, values)")


class Mean(Reducer):
    """A mean over the epoch, weighted by `Task.count`, then passed through `then`.

    Args:
        value: the batch's mean, a scalar.
        then: applied to the epoch's mean, for example `math.exp` for a perplexity.
    """

    combine = "mean"

    def __init__(self, value: Tensor, then: Callable[[float], float] | None = None) -> None:
        super().__init__(value)
        self._then = then

    def finish(self, totals: Sequence[float]) -> float:
        if self._then is None:
            return totals[0]
        try:
            return self._then(totals[0])
        except OverflowError:
            return math.inf


class Sum(Reducer):
    """A sum over the epoch."""


class Last(Reducer):
    """The value of the epoch's last batch."""

    combine = "last"


class Ratio(Reducer):
    """The ratio of two sums over the epoch; NaN when the denominator is 0.

    Args:
        numerator: the batch's part of the numerator, a scalar.
        denominator: the batch's part of the denominator, a scalar.
    """

    def __init__(self, numerator: Tensor, denominator: Tensor) -> None:
        super().__init__(numerator, denominator)

    def finish(self, totals: Sequence[float]) -> float:
        numerator, denominator = totals
        return numerator / denominator if denominator else math.nan


class R2(Reducer):
    """Coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)², over all samples of the epoch.

    As scikit-learn's `r2_score` for one target. NaN for fewer than two samples or constant targets.

    Each batch gives its residual and its own mean and spread, which Chan, Golub & LeVeque's update combines:
    Σy² − (Σy)²/n would lose all digits where the targets are large and close together.

    Args:
        outputs: predictions ŷ, any shape.
        targets: truth y, the same shape.
    """

    combine = "merge"

    def __init__(self, outputs: Tensor, targets: Tensor) -> None:
        wide = torch.float32 if targets.device.type == "mps" else torch.float64
        y = targets.detach().to(wide)
        residual = (y - outputs.detach().to(wide)).square().sum()
        mean = y.sum() / max(y.numel(), 1)
        # `full` writes the number on the device; a tensor made of a Python number would be a blocking copy.
        n = torch.full((), float(y.numel()), dtype=wide, device=y.device)
        super().__init__(residual, n, mean, (y - mean).square().sum())

    def merge(self, totals: Sequence[float], values: Sequence[float]) -> list[float]:
        (residual, n, mean, spread), (its_residual, its_n, its_mean, its_spread) = totals, values
        both = n + its_n
        if not both:
            return list(totals)
        delta = its_mean - mean
        return [
            residual + its_residual,
            both,
            mean + delta * its_n / both,
            spread + its_spread + delta * delta * n * its_n / both,
        ]

    def finish(self, totals: Sequence[float]) -> float:
        residual, n, _, spread = totals
        return 1.0 - residual / spread if n > 1 and spread > 0 else math.nan


def are_classes(outputs: Any, targets: Any) -> bool:
    """Whether outputs are scores (n, classes, …) of targets that are class indices (n, …)."""
    if not (isinstance(outputs, Tensor) and isinstance(targets, Tensor)):
        return False
    if targets.is_floating_point() or outputs.dim() != targets.dim() + 1 or targets.dim() == 0:
        return False
    # Scores in the last dimension, as a decoder gives them, mean something else where all fits by chance.
    last = outputs.dim() > 2 and outputs.shape[:-1] == targets.shape
    first = outputs.shape[0] == targets.shape[0] and outputs.shape[2:] == targets.shape[1:]
    return first and not last


class ConfusionMatrix(Reducer):
    """How often each class was taken for each other one; as a metric, the F1 score averaged over classes.

    As scikit-learn's `f1_score(average="macro", zero_division=0)` over the classes that occur among targets
    or predictions.

    Args:
        outputs: logits (n, classes, …), or predicted classes in the targets' shape.
        targets: class indices (n, …). Negative ones, such as an ignore_index, count for nothing.
        classes: how many there are; None: as many as `outputs` has logits.
    """

    wide = True

    def __init__(self, outputs: Tensor, targets: Tensor, classes: int | None = None) -> None:
        outputs, targets = outputs.detach(), targets.detach()
        if outputs.dim() == targets.dim() + 1:
            classes, outputs = classes or outputs.shape[1], outputs.argmax(1)
        if classes is None:
            raise ValueError("ConfusionMatrix needs the number of classes where outputs are no logits")
        true, predicted = targets.reshape(-1).long(), outputs.reshape(-1).long()
        counted = (true >= 0) & (true < classes) & (predicted >= 0) & (predicted < classes)
        # Without `counted` as an index, which would make the host wait for the device.
        pairs = torch.where(counted, true * classes + predicted, classes * classes)
        # Whole numbers, since float32 stands still at 2**24: the pixels of a few large masks.
        counts = torch.zeros(classes * classes + 1, dtype=torch.int32, device=pairs.device)
        super().__init__(counts.scatter_add_(0, pairs, torch.ones_like(pairs, dtype=torch.int32))[:-1])

    @staticmethod
    def matrix(totals: Sequence[float]) -> list[list[int]]:
        """Samples by true class (row) and predicted class (column)."""
        classes = math.isqrt(len(totals))
        counts: list[list[int]] = np.asarray(totals).astype(np.int64).reshape(classes, classes).tolist()
        return counts

    def finish(self, totals: Sequence[float]) -> float:
        counts = np.asarray(self.matrix(totals))
        # F1 = 2 TP / (2 TP + FP + FN)
        occurs = counts.sum(axis=0) + counts.sum(axis=1)
        scores = 2.0 * counts.diagonal()[occurs > 0] / occurs[occurs > 0]
        return float(scores.mean()) if len(scores) else math.nan
