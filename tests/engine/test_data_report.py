"""The data report: its numbers against NumPy, what it calls a problem, and its bounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine.data_report import data_report
from tui_trainer.engine.data_report.facts import DataReport, PartFacts
from tui_trainer.engine.data_report.sampling import visits
from tui_trainer.errors import UsageError
from tui_trainer.headless.data_report import sections
from tui_trainer.runs.events import encode
from tui_trainer.tasks.base import Task


class Given(Task):
    """Has the data it is given."""

    name = "given"

    def __init__(self, data: Any, facts: dict[str, Any] | None = None) -> None:
        self._data, self._facts = data, facts or {}

    def datasets(self, hparams: Any) -> Any:
        return self._data

    def data_facts(self) -> dict[str, Any]:
        return self._facts

    def model(self, hparams: Any) -> nn.Module:
        raise AssertionError("no report needs a model")


class Items(Dataset[Any]):
    def __init__(self, make: Callable[[int], Any], count: int) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


def report(data: Any, samples: int | None = 10_000, task: type[Given] = Given, **options: Any) -> DataReport:
    facts = options.pop("facts", None)
    return data_report(task(data, facts), Hparams(task="given"), samples, **options)


def part(found: DataReport, name: str, split: str = "train") -> PartFacts:
    return next(part for part in found.splits[split].parts if part.name == name)


def problems(data: Any, **options: Any) -> dict[str, str]:
    return {problem.title: problem.message for problem in report(data, **options).problems}


def clean(
    count: int = 200, classes: int = 4, seed: int = 0
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Inputs and targets in which there is nothing to find."""
    return np.random.default_rng(seed).normal(size=(count, 5)).astype("f4"), np.arange(count) % classes


# ---------------------------------------------------------------------- numbers


def test_numbers_are_those_of_numpy_also_beside_nan_and_far_from_zero() -> None:
    inputs = np.random.default_rng(1).normal(1e6, [1, 10, 100], (999, 3))
    inputs[3, 1], inputs[4, 1], inputs[5, 2] = np.nan, np.inf, -np.inf
    found = part(report(((torch.from_numpy(inputs), torch.zeros(999)), None)), "inputs")
    for column, (name, summary) in enumerate(found.columns.items()):
        values = inputs[:, column][np.isfinite(inputs[:, column])]
        assert name == f"[{column}]"
        assert summary.mean == pytest.approx(values.mean(), rel=1e-12)
        assert summary.std == pytest.approx(values.std(), rel=1e-6)
        assert (summary.min, summary.max) == (values.min(), values.max())
    assert [(each.nan, each.infinite) for each in found.columns.values()] == [(0, 0), (1, 1), (0, 1)]
    finite = inputs[np.isfinite(inputs)]
    assert found.summary is not None
    assert found.summary.mean == pytest.approx(finite.mean(), rel=1e-12)
    assert found.summary.std == pytest.approx(finite.std(), rel=1e-6)


def test_pieces_of_large_samples_add_up() -> None:
    images = np.random.default_rng(2).integers(0, 256, (40, 3, 200, 200), np.uint8)
    found = part(report(((images, np.arange(40)), None)), "inputs")
    assert found.summary is not None
    assert found.summary.mean == pytest.approx(images.mean())
    assert found.summary.std == pytest.approx(images.std())
    assert found.shapes == (((3, 200, 200), 40),)
    assert (found.dtypes, found.columns) == ({"uint8": 40}, {})


def test_classes_are_counted_and_named_as_the_task_names_them() -> None:
    targets = np.array([0] * 50 + [1] * 30 + [2] * 20)
    inputs = np.random.default_rng(0).normal(size=(100, 2)).astype("f4")
    facts = {"classes": ["cat", "dog", "cow"], "columns": ["weight", "height"]}
    found = report(((inputs, targets), None), facts=facts)
    assert part(found, "targets").values == (("cat", 50), ("dog", 30), ("cow", 20))
    assert part(found, "targets").classes
    assert list(part(found, "inputs").columns) == ["weight", "height"]


def test_tokens_are_no_classes_and_the_classes_of_pixels_are() -> None:
    tokens = np.arange(20 * 30).reshape(20, 30) % 200
    assert not part(report(((tokens, tokens), None)), "targets").classes
    pixels = part(report(((np.zeros((20, 5, 5), "f4"), np.ones((20, 5, 5), "i8")), None)), "targets")
    assert (pixels.classes, pixels.values) == (True, ((1, 500),))


def test_parts_of_any_nesting_are_found_with_their_shapes_and_lengths() -> None:
    @dataclass
    class Sample:
        tokens: torch.Tensor
        meta: dict[str, Any]
        label: int

    def make(index: int) -> Sample:
        meta = {
            "size": (float(index), index),
            "text": "a" * (index % 3 + 1),
            "gap": None if index % 2 else 1.5,
        }
        return Sample(torch.full((index % 4 + 1, 2), index), meta, index % 2)

    found = report((Items(make, 40), None))
    names = [each.name for each in found.splits["train"].parts]
    assert names == ["tokens", "meta.size[0]", "meta.size[1]", "meta.text", "meta.gap", "label"]
    tokens = part(found, "tokens")
    assert tokens.shape_count == 4
    assert tokens.lengths is not None
    assert (tokens.lengths.min, tokens.lengths.mean, tokens.lengths.max) == (1, 2.5, 4)
    assert tokens.lengths.bins == (10, 10, 10, 10)
    assert (part(found, "meta.gap").missing, part(found, "meta.gap").samples) == (20, 40)
    assert part(found, "meta.text").kind == "text"
    assert [each.name for each in found.splits["train"].parts if each.target] == ["label"]
    assert "samples of different shapes" in {problem.title for problem in found.problems}


def test_several_inputs_and_bare_tensors_have_plain_names() -> None:
    several = report((Items(lambda i: (torch.ones(3), torch.tensor(1.0), i % 2), 10), None))
    assert [each.name for each in several.splits["train"].parts] == ["inputs[0]", "inputs[1]", "targets"]
    assert [each.name for each in report((torch.rand(9, 3),)).splits["train"].parts] == ["inputs"]


def test_what_makes_a_sample_readable_decides_what_is_reported() -> None:
    class Letters(Given):
        def readable(self, sample: Any) -> Any:
            return {"text": "".join(chr(97 + token) for token in sample[0].tolist())}

    tokens = torch.arange(60).reshape(20, 3) % 26
    found = report(((tokens,), None), task=Letters)
    assert [each.name for each in found.splits["train"].parts] == ["text"]
    assert found.splits["train"].examples[0]["parts"][0]["text"] == "abc"


# ---------------------------------------------------------------------- bounds


def test_every_beginning_of_the_order_is_evenly_spread() -> None:
    order = visits(100_000, 1000)
    assert sorted(order) == [100 * k for k in range(1000)]
    for beginning in (10, 50, 333):
        gaps = np.diff([0, *sorted(order[:beginning]), 100_000])
        assert gaps.max() < 4 * 100_000 / beginning


def test_only_so_many_samples_are_read_and_the_report_says_so() -> None:
    read: list[int] = []

    def make(index: int) -> Any:
        read.append(index)
        return torch.rand(2), 0.5 * index

    found = report((Items(make, 5000), None), samples=100).splits["train"]
    assert sorted(read) == list(range(0, 5000, 50))
    assert (found.samples, found.looked_at, found.which, found.out_of_time) == (
        5000,
        100,
        "evenly spread",
        False,
    )


def test_a_slow_data_set_is_left_when_its_time_is_up() -> None:
    seconds = iter(range(1000))
    ticks = lambda: float(next(seconds))  # noqa: E731
    from tui_trainer.engine.data_report.split import look_at

    found, _ = look_at(
        Items(lambda i: torch.rand(2), 500), Given(None), 100, 10.0, lambda i: None, clock=ticks
    )
    assert found.out_of_time
    assert (found.looked_at, found.which) == (10, "evenly spread")


class Stream(IterableDataset[Any]):
    def __init__(self, count: int | None) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Any]:
        number = 0
        while self.count is None or number < self.count:
            yield torch.rand(2), number % 2
            number += 1


def test_of_a_stream_the_first_samples_are_looked_at_and_a_short_one_is_counted() -> None:
    endless = report((Stream(None), None), samples=50).splits["train"]
    assert (endless.samples, endless.looked_at, endless.which) == (None, 50, "the first")
    short = report((Stream(20), None), samples=50).splits["train"]
    assert (short.samples, short.looked_at, short.which) == (20, 20, "all")


def test_batches_without_a_length_are_said_to_be_batches() -> None:
    class Batches:
        def __iter__(self) -> Iterator[Any]:
            return iter([(torch.rand(8, 3), torch.zeros(8))] * 4)

    assert report((Batches(), None)).splits["train"].unit == "batch"


def test_a_failing_sample_is_named() -> None:
    def make(index: int) -> Any:
        if index == 7:
            raise ValueError("no such file")
        return torch.rand(2), 1

    with pytest.raises(ValueError, match="no such file") as caught:
        report((Items(make, 9), None))
    assert caught.value.phase == "reading sample 7 of train"  # type: ignore[attr-defined]


def test_a_split_that_can_not_be_made_is_an_error_of_its_own() -> None:
    with pytest.raises(UsageError):
        report(Stream(None))


# ---------------------------------------------------------------------- problems


def test_clean_data_have_no_problem_and_a_report_that_is_json() -> None:
    found = report((clean(), clean(40, seed=1)))
    assert found.problems == ()
    assert json.loads(json.dumps(found.as_json()))["splits"]["test"]["samples"] == 40


def test_rows_that_come_twice_within_and_across_splits_are_counted() -> None:
    inputs, targets = clean()
    inputs[10:15] = inputs[0:5]
    test = inputs[:12].copy(), targets[:12].copy()
    told = problems(((inputs, targets), (np.concatenate([test[0], clean(40, seed=2)[0]]), np.arange(52) % 4)))
    assert told["duplicates in train"].startswith("10 of 200 samples (5.0%)")
    assert "5 of these inputs with different targets" in told["duplicates in train"]
    assert told["duplicates across splits"] == "the inputs of 12 of 52 test samples (23.1%) are in train too"


def test_only_looked_at_duplicates_are_said_to_be_at_least_so_many() -> None:
    inputs, targets = clean(1000)
    told = problems(((inputs, targets), (inputs.copy(), targets)), samples=100)
    assert "at least 100 of 100" in told["duplicates across splits"]


def test_balance_and_classes_that_are_missing_are_told_with_their_numbers() -> None:
    inputs, _ = clean()
    targets = np.zeros(200, np.int64)
    targets[:2], targets[2:4] = 1, 2
    test = clean(40, seed=1)[0], np.array([0] * 20 + [3] * 20)
    told = problems(((inputs, targets), test))
    assert told["nearly one class"] == "98.0% of train is targets 0 (196 of 200)"
    assert told["classes missing in train"].endswith("does not have: 3")
    assert told["classes missing in test"].endswith("does not have: 1, 2")


@pytest.mark.parametrize(
    ("labels", "title", "hint"),
    [
        ([1, 2, 3], "labels do not start at 0", "subtract 1"),
        ([-1, 1], "labels do not start at 0", "number the classes anew"),
        ([0, 1, 5], "labels with gaps", "6 outputs"),
        ([0.0, 1.0, 2.0], "float targets that look like classes", ".long()"),
    ],
)
def test_labels_that_a_loss_would_stumble_over_are_told(labels: list[Any], title: str, hint: str) -> None:
    inputs, _ = clean()
    targets = np.resize(np.array(labels, "f4" if isinstance(labels[0], float) else "i8"), 200)
    found = {problem.title: problem for problem in report(((inputs, targets), None)).problems}
    assert list(found) == [title]
    assert hint in found[title].hint


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_targets_that_are_no_finite_numbers_are_a_problem_and_no_failure(bad: float) -> None:
    x, y = clean()
    targets = y.astype("f4")
    targets[0] = bad
    assert "targets of train" in problems(((x, targets), None))["NaN or infinite numbers"]


def test_numbers_to_predict_and_labels_from_zero_are_no_problem() -> None:
    inputs, _ = clean()
    assert problems(((inputs, np.random.default_rng(0).normal(size=200).astype("f4")), None)) == {}
    assert problems(((inputs, np.arange(200)), None)) == {}


def test_columns_that_are_constant_empty_of_numbers_or_of_another_scale_are_named() -> None:
    inputs, targets = clean()
    inputs[:, 1], inputs[7, 2] = 3.0, np.nan
    inputs[:, 3] *= 1e5
    told = problems(((inputs, targets), None), facts={"columns": ["a", "b", "c", "d", "e"]})
    assert told["constant column"].startswith("b has one value")
    assert told["NaN or infinite numbers"] == "inputs of train: 1 NaN of 1,000 numbers, in c"
    assert "std of d" in told["columns of very different scales"]
    assert len(told) == 3


def test_a_model_that_normalizes_makes_scales_no_problem() -> None:
    class Normalizing(Given):
        normalizes = True

    inputs, targets = clean()
    inputs[:, 3] *= 1e5
    assert problems(((inputs, targets), None), task=Normalizing) == {}


def test_inputs_that_are_all_the_same_are_one_problem_not_many() -> None:
    told = problems(((np.zeros((50, 1, 8, 8), "f4"), np.arange(50) % 2), None))
    assert list(told) == ["all inputs are the same"]


def test_tiny_test_sets_doubles_and_foreign_objects_are_told() -> None:
    inputs, targets = clean()
    assert "12 samples" in problems(((inputs, targets), clean(12, seed=3)))["tiny test set"]
    assert "float64 inputs" in problems(
        ((torch.from_numpy(inputs).double(), torch.from_numpy(targets)), None)
    )
    told = problems((Items(lambda i: (object(), i % 2), 20), None))
    assert told["parts that are no tensors"] == "inputs (object)"


def test_a_collate_function_is_trusted_with_samples_of_any_shape() -> None:
    class Collated(Items):
        def collate_fn(self, samples: Any) -> Any:
            return samples

    assert problems((Collated(lambda i: (torch.full((i % 3 + 1,), i), i % 2), 60), None)) == {}


# ---------------------------------------------------------------------- as people read it


@pytest.mark.parametrize("drawing", ["colours", "shades", "ascii"])
def test_reports_of_any_form_can_be_drawn_at_any_width(drawing: Any) -> None:
    def uneven(index: int) -> Any:
        text = "\n".join(["\x1b[31mred" * 30] * 9)
        return {
            "text": text,
            "gap": None,
            **({"more": index} if index % 2 else {}),
            "y": ["a", "b"][index % 2],
        }

    nan = np.full((9, 3), np.nan, "f4")
    for data in (
        (Items(uneven, 9), None),
        ((nan, nan), (nan, nan)),
        ((np.zeros((9, 3, 70, 50), "f4"), np.zeros((9, 70, 50), "u1")), None),
        ((np.zeros((9, 500), "f4"), np.arange(9)), None),
        (Items(lambda i: (object(), {}), 9), None),
        (Stream(None), None),
    ):
        facts = json.loads(encode(report(data, samples=20).as_json()))
        for width in (1, 38, 110):
            made = sections(facts, width, drawing)
            assert made[0].title
            pictures = [line.plain for line in made[-1].lines if set(line.plain) <= set("▀ ░▒▓█.:-=+*#%@")]
            assert all(len(line) <= max(width, 1) for line in pictures)
            assert not any("\x1b" in line.plain for section in made for line in section.lines)


def test_a_wide_table_keeps_its_targets_in_view() -> None:
    def make(index: int) -> Any:
        return {f"column{k}": float(index * k % 7) for k in range(300)}, {"price": index + 0.5}

    made = {
        section.title: section.lines
        for section in sections(report((Items(make, 30), None)).as_json(), 110, "ascii")
    }
    for title in ("parts of a sample (train)", "samples of train"):
        lines = [line.plain for line in made[title]]
        assert lines[-1].startswith("and 260 more")
        assert lines[-2].startswith("price")


# ---------------------------------------------------------------------- examples


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (3, 8, 8), (8, 8, 3), (8, 8, 4), (300, 200)])
def test_pictures_of_every_layout_become_examples(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random((5, *shape)).astype("f4")
    shown = report(((images, np.arange(5)), None)).splits["train"].examples[0]["parts"][0]
    assert shown["form"] == "image"
    assert max(shown["height"], shown["width"]) <= 64
    assert shown["channels"] == (3 if {3, 4} & set(shape) else 1)


def test_numbers_that_are_no_picture_are_shown_as_a_row() -> None:
    shown = (
        report(((np.arange(200, dtype="f4").reshape(5, 40), np.arange(5)), None)).splits["train"].examples[0]
    )
    assert shown["parts"][0] == {
        "name": "inputs", "target": False, "form": "numbers", "shape": [40], "values": [*range(16)],
    }  # fmt: skip
