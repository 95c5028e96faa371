"""Batches: each sample once an epoch, decided by the seed alone, also from the middle of an epoch on."""

from __future__ import annotations

import collections
import dataclasses
import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset

from tests.helpers import NoisyItems, Points, PointsHparams, points
from tui_trainer import train
from tui_trainer.engine import rng
from tui_trainer.engine.batches import first_length, to_device
from tui_trainer.engine.data import build_loaders, raw_splits
from tui_trainer.engine.loaders import DatasetLoader, ForeignLoader, TensorLoader, worker_count
from tui_trainer.engine.sampler import BatchPlan

CPU = torch.device("cpu")


def numbers(loader: Any, epoch: int, start: int = 0) -> list[list[int]]:
    return [batch[0].flatten().tolist() for batch in loader.epoch(epoch, start)]


def tensor_loader(samples: int, batch_size: int, **plan: Any) -> TensorLoader:
    return TensorLoader((torch.arange(samples),), BatchPlan(samples, batch_size, **plan), CPU, True)


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(1, 20), st.booleans(), st.booleans(), st.integers(0, 5))
def test_each_sample_comes_exactly_once_an_epoch(
    samples: int, batch_size: int, join: bool, shuffle: bool, epoch: int
) -> None:
    loader = tensor_loader(samples, batch_size, join_single=join, shuffle=shuffle, seed=3)
    batches = numbers(loader, epoch)
    assert sorted(number for batch in batches for number in batch) == list(range(samples))
    assert len(batches) == loader.batches
    assert all(len(batch) == batch_size for batch in batches[:-1])
    if join and samples > 1 and batch_size > 1:
        assert all(len(batch) > 1 for batch in batches)


def test_orders_differ_by_epoch_and_repeat_by_seed() -> None:
    one, same, other = (tensor_loader(50, 7, seed=seed) for seed in (1, 1, 2))
    assert numbers(one, 0) == numbers(same, 0)
    assert numbers(one, 0) != numbers(one, 1)
    assert numbers(one, 1) != numbers(other, 0)
    assert numbers(one, 0) != numbers(other, 0)


def test_an_epoch_goes_on_from_its_middle_with_the_same_batches() -> None:
    loader = tensor_loader(50, 7)
    for start in range(9):
        assert numbers(loader, 2, start) == numbers(loader, 2)[start:]


@pytest.mark.parametrize("samples", [33, 65])
def test_a_last_batch_of_one_sample_is_joined_for_batchnorm_and_never_dropped(
    tmp_path: Path, samples: int
) -> None:
    sizes: list[int] = []

    class Sizes(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            if model.training:
                sizes.append(len(batch[0]))
            return super().compute_loss(model, batch, criterion)

    result = train(Sizes(samples, batchnorm=True), {"epochs": 1, "test_size": 0.0}, runs_dir=tmp_path)
    assert sum(sizes) == samples
    assert sizes[-1] == 17
    assert result.steps == len(sizes) == samples // 16
    sizes.clear()
    train(Sizes(samples), {"epochs": 1, "test_size": 0.0}, runs_dir=tmp_path)
    assert sizes[-1] == 1


def test_steps_per_epoch_counts_joined_batches_and_windows(tmp_path: Path) -> None:
    from tests.helpers import events

    values = {"epochs": 2, "test_size": 0.0, "grad_accumulation": 3}
    result = train(Points(16 * 4 + 1, batchnorm=True), values, runs_dir=tmp_path)
    (begin,) = events(result.run_dir, "run_start")
    assert (begin["steps_per_epoch"], begin["total_steps"], result.steps) == (2, 4, 4)


def item_loader(workers: int = 0, seed: int = 0) -> DatasetLoader:
    return DatasetLoader(NoisyItems(), BatchPlan(60, 8, seed=seed), CPU, workers)


def inputs(loader: Any, epoch: int, start: int = 0) -> torch.Tensor:
    return torch.cat([batch[0] for batch in loader.epoch(epoch, start)])


def test_random_augmentation_follows_seed_epoch_and_batch() -> None:
    loader = item_loader()
    first = inputs(loader, 1)
    rng.seed_everything(99)
    assert torch.equal(inputs(item_loader(), 1), first)
    assert torch.equal(inputs(loader, 1, start=3), first[24:])
    assert not torch.equal(inputs(item_loader(seed=1), 1), first)
    torch.manual_seed(99)
    expected = torch.rand(3)
    torch.manual_seed(99)
    next(iter(loader.epoch(0)))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
def test_random_augmentation_is_alike_with_any_number_of_workers() -> None:
    loader = item_loader(workers=2)
    try:
        assert torch.equal(inputs(loader, 1), inputs(item_loader(), 1))
        assert torch.equal(inputs(loader, 2, start=4), inputs(item_loader(), 2, start=4))
        # Left in the middle, as a stop does, it begins anew.
        next(loader.epoch(0))
        assert torch.equal(inputs(loader, 0), inputs(item_loader(), 0))
    finally:
        loader.close()


def test_loading_leaves_the_loops_own_streams_untouched() -> None:
    own = DataLoader(NoisyItems(), batch_size=8, shuffle=True)
    for loader in (item_loader(), ForeignLoader(own, 0, CPU), tensor_loader(60, 8)):
        rng.seed_everything(5)
        expected = (random.random(), np.random.rand(), float(torch.rand(())))
        rng.seed_everything(5)
        for _ in loader.epoch(0):
            pass
        assert (random.random(), np.random.rand(), float(torch.rand(()))) == expected


def test_augmentation_does_not_depend_on_what_the_model_draws() -> None:
    def run(loader: Any, draws: int) -> torch.Tensor:
        parts = []
        for batch in loader.epoch(1):
            torch.rand(draws), np.random.rand(draws)
            parts.append(batch[0])
        return torch.cat(parts)

    for build in (
        item_loader,
        lambda: ForeignLoader(DataLoader(NoisyItems(), batch_size=8, shuffle=True), 0, CPU),
    ):
        assert torch.equal(run(build(), 1), run(build(), 17))


@pytest.mark.parametrize("where", ["global", "loader", "sampler"])
def test_a_loader_of_ones_own_repeats_each_epoch_wherever_its_generator_is(where: str) -> None:
    def build() -> ForeignLoader:
        data = TensorDataset(torch.arange(40))
        generator = torch.Generator().manual_seed(3)
        if where == "sampler":
            return ForeignLoader(
                DataLoader(data, batch_size=8, sampler=RandomSampler(data, generator=generator)), 0, CPU
            )
        own = generator if where == "loader" else None
        return ForeignLoader(DataLoader(data, batch_size=8, shuffle=True, generator=own), 0, CPU)

    whole = build()
    epochs = [numbers(whole, epoch) for epoch in range(3)]
    assert epochs[0] != epochs[1]
    assert numbers(build(), 2, start=3) == epochs[2][3:]


def test_a_sampler_with_set_epoch_is_told_the_epoch() -> None:
    told: list[int] = []

    class Sampler(torch.utils.data.SequentialSampler):
        def set_epoch(self, epoch: int) -> None:
            told.append(epoch)

    data = TensorDataset(torch.arange(4))
    loader = ForeignLoader(DataLoader(data, sampler=Sampler(data)), 0, CPU)
    for epoch in range(3):
        list(loader.epoch(epoch))
    assert set(told) == {0, 1, 2}


class Unsized(IterableDataset[Any]):
    """Batches' samples from a stream without a length."""

    def __init__(self, samples: int = 40) -> None:
        self.inputs, self.targets = points(samples)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(zip(self.inputs, self.targets, strict=True)))


class Streamed(Points):
    def datasets(self, hparams: Any) -> Any:
        return Unsized(40), Unsized(20)


def test_data_without_a_length_train_and_are_evaluated(tmp_path: Path) -> None:
    result = train(
        Streamed(), {"epochs": 2, "batch_size": 8, "checkpoint_every": "5steps"}, runs_dir=tmp_path
    )
    assert (result.steps, result.epochs) == (10, 2)
    assert result.metrics["test/accuracy"] >= 0
    # The epoch's last step is recognised, so that it is an epoch's checkpoint.
    assert sorted(path.name for path in result.run_dir.glob("checkpoints/model_[0-9]*.pt")) == [
        "model_1.pt",
        "model_2.pt",
    ]


def test_a_loader_of_ones_own_trains(tmp_path: Path) -> None:
    class Own(Points):
        def dataloader(self, hparams: Any, dataset: Any, train: bool) -> Any:
            return DataLoader(TensorDataset(*dataset), batch_size=10, shuffle=train)

    result = train(Own(100), {"epochs": 2}, runs_dir=tmp_path)
    assert (result.steps, result.status) == (16, "finished")


def test_a_generator_that_is_read_up_is_an_error_that_says_so(tmp_path: Path) -> None:
    from tui_trainer.errors import TrainerError

    class Once(Points):
        def datasets(self, hparams: Any) -> Any:
            return points(32), None

        def dataloader(self, hparams: Any, dataset: Any, train: bool) -> Any:
            return (batch for batch in [dataset, dataset])

    with pytest.raises(TrainerError, match="no batch in epoch 2") as caught:
        train(Once(), {"epochs": 2}, runs_dir=tmp_path)
    assert "generator" in caught.value.hint


Pair = collections.namedtuple("Pair", "inputs targets")


@dataclasses.dataclass(frozen=True)
class Sample:
    inputs: Any
    names: list[str]
    size: int = dataclasses.field(init=False, default=3)


def test_nested_batches_move_and_keep_their_type() -> None:
    meta = torch.device("meta")
    x = torch.ones(2)
    batch = {"pair": Pair(x, [x, "text"]), "sample": Sample(x, ["a"]), "number": 3, "tuple": (x,)}
    moved = to_device(batch, meta)
    assert isinstance(moved["pair"], Pair)
    assert moved["pair"].inputs.device == meta
    assert moved["pair"].targets[0].device == meta
    assert moved["pair"].targets[1] == "text"
    assert moved["sample"].inputs.device == meta
    assert (moved["sample"].names, moved["sample"].size, moved["number"]) == (["a"], 3, 3)
    assert moved["tuple"][0].device == meta
    assert batch["pair"].inputs.device == CPU
    grouped = to_device(collections.defaultdict(list, {"x": x}), meta)
    assert isinstance(grouped, collections.defaultdict)
    assert grouped["x"].device == meta
    assert grouped["missing"] == []
    packed = nn.utils.rnn.pack_sequence([torch.ones(2, 1), torch.ones(1, 1)])
    assert type(to_device(packed, CPU)) is type(packed)


def test_the_length_of_a_batch_is_that_of_its_first_tensor() -> None:
    assert first_length({"names": ["a", "b"], "x": torch.ones(3, 2)}) == 3
    assert first_length(Pair(torch.ones(4), torch.ones(9))) == 4
    assert first_length(Sample(np.ones(5), [])) == 5
    with pytest.raises(TypeError, match="count"):
        first_length({"text": "abc", "scalar": torch.tensor(1.0)})


class Dicts(NoisyItems):
    def __getitem__(self, index: int) -> Any:
        return {"x": self.inputs[index], "y": int(self.targets[index])}


def test_a_task_with_dict_batches_trains(tmp_path: Path) -> None:
    class Task(Points):
        def datasets(self, hparams: Any) -> Any:
            return Dicts()

        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            return super().compute_loss(model, (batch["x"], batch["y"]), criterion)

    result = train(Task(), {"epochs": 1, "num_workers": 0}, runs_dir=tmp_path)
    assert "test/accuracy" in result.metrics


def test_fast_items_need_no_processes_and_a_number_is_obeyed() -> None:
    assert worker_count("auto", Dicts(), 8) == 0
    assert worker_count(3, Dicts(), 8) == 3


def test_evaluation_batches_have_their_own_size_and_keep_their_order() -> None:
    hparams = PointsHparams(batch_size=4, eval_batch_size=10)
    task = Points(100)
    loaders = build_loaders(task, hparams, raw_splits(task, hparams), nn.Linear(1, 1), CPU)
    assert loaders.test is not None
    sizes = [len(batch[0]) for batch in loaders.test.epoch(0)]
    assert sizes == [10, 10]
    assert torch.equal(inputs(loaders.test, 0), inputs(loaders.test, 4))


class Hanging(Dataset[Any]):
    """Items of which all but the first never come."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        while index:
            time.sleep(1)
        return index


def test_a_users_loader_that_hangs_leaves_no_process_behind() -> None:
    before = set(multiprocessing.active_children())
    loader = ForeignLoader(DataLoader(Hanging(), num_workers=1), 0, CPU)
    batches = loader.epoch(0)
    next(batches)
    assert set(multiprocessing.active_children()) > before
    loader.close()
    assert set(multiprocessing.active_children()) == before
