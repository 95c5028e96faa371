"""Which samples train, validate and test: seeded, stratified where labels are given, alike on each machine.

Each sample gets a 64-bit key from the raw stream of NumPy's PCG64, seeded by (a constant, seed); within a
class, the samples with the smallest keys are the test set, the next ones the validation set, the rest the
training set. Only the raw stream of a bit generator is promised to stay alike over NumPy's versions, which
`Generator.permutation` is not, and torch's global random state is neither read nor moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tui_trainer.errors import UsageError

T = TypeVar("T")

_SALT = 0x73706C6974
"""Keeps the keys apart from data drawn with `default_rng(seed)`: the same stream would split by value."""


_MOST_COUNTED = 1 << 20


@dataclass(frozen=True)
class Splits:
    """Indices of each split: int64, ascending, disjoint, together every sample once.

    Attributes:
        train: never empty.
        val: empty when no validation set was asked for.
        test: empty when no test set was asked for.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]

    def datasets(self, pick: Callable[[NDArray[np.int64]], T]) -> tuple[T | None, ...]:
        """What `Task.datasets` returns: (train, test), or (train, val, test) with a validation set.

        Args:
            pick: makes a data set of a split's indices. Empty splits become None.
        """
        return self._given(pick(part) if len(part) else None for part in (self.train, self.val, self.test))

    @property
    def order(self) -> NDArray[np.int64]:
        """All indices: of training, then of validation, then of testing."""
        return np.concatenate([self.train, self.val, self.test])

    def sliced(self, *arrays: Any) -> tuple[tuple[Any, ...] | None, ...]:
        """What `Task.datasets` returns, as views of arrays whose samples are in `order`."""
        ends = np.cumsum([len(self.train), len(self.val), len(self.test)]).tolist()
        bounds = zip([0, *ends[:-1]], ends, strict=True)
        return self._given(
            tuple(array[start:end] for array in arrays) if end > start else None for start, end in bounds
        )

    @staticmethod
    def _given(parts: Iterable[T | None]) -> tuple[T | None, ...]:
        train, val, test = parts
        return (train, test) if val is None else (train, val, test)


SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""How people name the parts of their data."""


def split_of(name: str) -> str | None:
    """The split that a name of a folder, file or array means: train, val, test, or None."""
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def split_indices(n: int, test_size: float, val_size: float, seed: int, labels: Any = None) -> Splits:
    """Split `n` samples by chance.

    `test_size * n` samples, rounded half up, are for testing, and likewise for validation. With labels, each
    class gives its share, and the samples that rounding leaves over come from the classes with the largest
    remainders (Hamilton's method; the seed breaks ties). A class always keeps one sample in training, so a
    class of one sample is in training only.

    Args:
        n: how many samples there are.
        test_size: fraction for testing, 0 to below 1; 0: no test set.
        val_size: fraction for validation, 0 to below 1; 0: no validation set.
        seed: decides the split; whole, ≥ 0.
        labels: the class of each sample (shape [n], numbers or texts); None: the split is not stratified.

    Raises:
        UsageError: a split that was asked for, or training, is left without a sample.
        ValueError: `labels` does not have `n` entries.
    """
    stream = np.random.PCG64(np.random.SeedSequence([_SALT, seed]))
    keys = stream.random_raw(n) if n else np.empty(0, np.uint64)
    if labels is None:
        order, counts = np.argsort(keys, kind="stable"), np.array([n], np.int64)
    else:
        labels = np.asarray(labels)
        if labels.shape != (n,):
            raise ValueError(f"expected {n} labels, got an array of shape {labels.shape}")
        classes, counts = _numbered(labels)
        order = np.lexsort((keys, classes))
        del classes
    # Of many samples, each array counts.
    del keys
    ties = stream.random_raw(len(counts)) if len(counts) else np.empty(0, np.uint64)
    kept = 0 if labels is None else 1
    test = _shares(counts, test_size, counts - kept, ties)
    val = _shares(counts, val_size, counts - test - kept, ties)
    ends = np.cumsum(counts)
    bounds = (ends - counts, ends - counts + test, ends - counts + test + val, ends)
    is_test, is_val, is_train = (
        np.sort(np.concatenate([order[:0], *(order[a:b] for a, b in zip(begin, end, strict=True))]))
        for begin, end in pairwise(bounds)
    )
    splits = Splits(is_train.astype(np.int64), is_val.astype(np.int64), is_test.astype(np.int64))
    why = f" with {len(counts)} classes, each of which keeps one for training" if kept else ""
    _refuse_empty(splits, f"{n} {'sample' if n == 1 else 'samples'}", why, test_size, val_size)
    return splits


def _numbered(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The class of each sample, numbered in the order of the labels, and how many samples each class has."""
    if labels.dtype.kind in "iu" and labels.size and labels.min() >= 0 and labels.max() < _MOST_COUNTED:
        # As `unique` does it, in a fraction of the time and memory that sorting takes.
        found = np.bincount(labels)
        counts = found[found > 0]
        number = np.cumsum(found > 0) - 1
        return number.astype(np.min_scalar_type(len(counts)))[labels], counts
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return classes, counts


def divide(
    parts: tuple[int, int, int], test_size: float, val_size: float, seed: int, labels: Any = None
) -> Splits:
    """Split samples that come as a training, a validation and a test set, in this order, of these lengths.

    A validation or test set of the data's own is used as it is, and `val_size` or `test_size` only where
    there is none. See `split_indices`.
    """
    train, val, test = parts
    own = split_indices(
        train,
        0.0 if test else test_size,
        0.0 if val else val_size,
        seed,
        None if labels is None else labels[:train],
    )
    return Splits(
        own.train,
        np.arange(train, train + val) if val else own.val,
        np.arange(train + val, train + val + test) if test else own.test,
    )


def _shares(
    counts: NDArray[np.int64], fraction: float, most: NDArray[np.int64], ties: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """How many samples each class gives, at most `most` of each."""
    quota = fraction * counts
    most = np.maximum(most, 0)
    shares: NDArray[np.int64] = np.minimum(np.floor(quota).astype(np.int64), most)
    wanted = int(np.floor(fraction * counts.sum() + 0.5)) - int(shares.sum())
    by_remainder = np.lexsort((ties, np.floor(quota) - quota))
    shares[by_remainder[(shares < most)[by_remainder]][: max(wanted, 0)]] += 1
    return shares


def _refuse_empty(splits: Splits, samples: str, why: str, test_size: float, val_size: float) -> None:
    for name, part, size in (("test", splits.test, test_size), ("val", splits.val, val_size)):
        if size > 0 and len(part) == 0:
            raise UsageError(
                f"{name} split leaves no sample",
                f"{name}_size {size:g} of {samples}{why} is none",
                f"give more data, a larger {name}_size, or {name}_size 0 for no such split",
            )
    if len(splits.train) == 0:
        raise UsageError(
            "training split leaves no sample",
            f"test_size {test_size:g} and val_size {val_size:g} of {samples} leave none to train on",
            "give more data, or a smaller test_size and val_size",
        )
