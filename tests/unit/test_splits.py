"""Splits: complete, disjoint, seeded, stratified, and refused when a part would be empty."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tui_trainer.datasets.splits import split_indices
from tui_trainer.errors import Exit, UsageError

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=80)
SIZES = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.34, 0.5])


@settings(max_examples=150)
@given(
    labels=LABELS,
    test_size=SIZES,
    val_size=SIZES.filter(lambda size: size < 0.5),
    seed=st.integers(0, 2**32 - 1),
)
def test_splits_are_complete_disjoint_and_fair(
    labels: list[int], test_size: float, val_size: float, seed: int
) -> None:
    n = len(labels)
    try:
        splits = split_indices(n, test_size, val_size, seed, labels)
    except UsageError:
        assume(False)
    parts = (splits.train, splits.val, splits.test)
    assert sorted(np.concatenate(parts)) == list(range(n))
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)
    assert (len(splits.val) > 0, len(splits.test) > 0) == (val_size > 0, test_size > 0)
    classes = np.array(labels)
    for label in set(labels):
        total = (classes == label).sum()
        assert (classes[splits.train] == label).sum() >= 1
        # Hamilton's method stays within one sample of a class's exact share.
        assert abs((classes[splits.test] == label).sum() - test_size * total) < 1 + 1e-9


@settings(max_examples=50)
@given(n=st.integers(1, 300), test_size=SIZES, seed=st.integers(0, 2**32 - 1))
def test_unlabelled_split_has_the_rounded_size(n: int, test_size: float, seed: int) -> None:
    wanted = int(test_size * n + 0.5)
    if test_size and not 0 < wanted < n:
        with pytest.raises(UsageError):
            split_indices(n, test_size, 0, seed)
    else:
        assert len(split_indices(n, test_size, 0, seed).test) == wanted


def test_same_on_each_machine() -> None:
    assert split_indices(20, 0.2, 0.1, seed=7).test.tolist() == [2, 5, 12, 13]
    assert split_indices(20, 0.2, 0.1, seed=7).val.tolist() == [15, 16]


def test_data_drawn_from_the_same_seed_are_not_split_by_value() -> None:
    drawn = np.random.default_rng(0).random(1000)
    test = drawn[split_indices(1000, 0.2, 0, seed=0).test]
    assert abs(test.mean() - 0.5) < 0.1


def test_only_the_seed_decides() -> None:
    labels = np.arange(200) % 3
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = split_indices(200, 0.2, 0.1, 5, labels)
    assert torch.equal(before, torch.get_rng_state())
    np.random.seed(3)
    again = split_indices(200, 0.2, 0.1, 5, labels)
    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, split_indices(200, 0.2, 0.1, 6, labels).test)


def test_class_of_one_sample_trains() -> None:
    splits = split_indices(11, 0.5, 0, 0, ["rare"] + ["common"] * 10)
    assert 0 in splits.train
    assert len(splits.test) == 6


def test_text_labels() -> None:
    labels = np.array(["cat"] * 50 + ["dog"] * 10)
    test = labels[split_indices(60, 0.2, 0, 0, labels).test]
    assert (list(test).count("cat"), list(test).count("dog")) == (10, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((3, 0.1, 0.0, 0), "test split leaves no sample: test_size 0.1 of 3 samples"),
        ((10, 0.2, 0.01, 0), "val split leaves no sample: val_size 0.01 of 10 samples"),
        ((2, 0.99, 0.0, 0), "training split leaves no sample: test_size 0.99"),
        ((0, 0.2, 0.0, 0), "test split leaves no sample: test_size 0.2 of 0 samples"),
        ((3, 0.3, 0.0, 0, ["a", "b", "c"]), "test_size 0.3 of 3 samples with 3 classes"),
    ],
)
def test_empty_split_is_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_indices(*arguments)
    assert words in str(caught.value)
    assert caught.value.exit_code == Exit.USAGE
    assert caught.value.hint


def test_labels_of_another_length() -> None:
    with pytest.raises(ValueError, match="expected 3 labels"):
        split_indices(3, 0.5, 0, 0, [1, 2])
