"""What `Task.datasets` may return, and how it is split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from tests.helpers import NoisyItems, Points, PointsHparams, events, points
from tui_trainer import train
from tui_trainer.engine.data import build_loaders, raw_splits
from tui_trainer.errors import Exit, TrainerError, UsageError

CPU = torch.device("cpu")


class Given(Points):
    """Returns what it was given."""

    def __init__(self, given: Any) -> None:
        super().__init__()
        self.given = given

    def datasets(self, hparams: Any) -> Any:
        return self.given


def split(given: Any, **values: Any) -> tuple[Any, Any, Any]:
    return raw_splits(Given(given), PointsHparams(**values))


def numbered(n: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(n).float()[:, None], torch.arange(n) % 4


def test_inputs_and_targets_alone_are_split_by_test_size() -> None:
    train_part, val, test = split(numbered(), test_size=0.25)
    assert val is None
    assert (len(train_part[0]), len(test[0])) == (75, 25)
    both = torch.cat([train_part[0], test[0]]).flatten().sort().values
    assert both.tolist() == list(range(100))


def test_the_split_follows_the_seed_and_nothing_else() -> None:
    first = split(numbered(), seed=1)[2][0].tolist()
    torch.manual_seed(123)
    np.random.seed(5)
    assert split(numbered(), seed=1)[2][0].tolist() == first
    assert split(numbered(), seed=2)[2][0].tolist() != first


def test_classes_keep_their_shares_in_each_split() -> None:
    inputs = torch.zeros(100, 1)
    targets = torch.tensor([0] * 80 + [1] * 20)
    train_part, val, test = split((inputs, targets), test_size=0.2, val_size=0.1)
    assert [int((part[1] == 1).sum()) for part in (train_part, val, test)] == [14, 2, 4]


def test_whole_number_targets_that_are_no_classes_are_split_plainly() -> None:
    _, _, test = split((torch.zeros(50, 1), torch.arange(50)), test_size=0.2)
    assert len(test[1]) == 10


def test_two_parts_are_train_and_test() -> None:
    train_part, val, test = split((numbered(30), numbered(10)))
    assert (len(train_part[0]), val, len(test[0])) == (30, None, 10)
    train_part, val, test = split((numbered(30), numbered(10)), val_size=0.2)
    assert (len(train_part[0]), len(val[0]), len(test[0])) == (24, 6, 10)


def test_train_and_none_has_no_test_set() -> None:
    train_part, val, test = split((numbered(30), None))
    assert (len(train_part[0]), val, test) == (30, None, None)


def test_three_parts_are_train_validation_and_test() -> None:
    lengths = [len(part[0]) for part in split((numbered(30), numbered(20), numbered(10)), val_size=0.3)]
    assert lengths == [30, 20, 10]


def test_test_size_zero_trains_on_everything() -> None:
    train_part, val, test = split(numbered(30), test_size=0.0)
    assert (len(train_part[0]), val, test) == (30, None, None)


def test_arrays_become_tensors_and_float64_becomes_float32() -> None:
    given = (np.zeros((8, 2)), np.arange(8, dtype=np.int32) % 2), None
    inputs, targets = split(given)[0]
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int32)
    assert split(((np.zeros((8, 2), dtype=np.uint16),), None))[0][0].dtype == torch.int32
    frozen = np.ones((4, 1), dtype=np.float32)
    frozen.flags.writeable = False
    assert split(((frozen,), None))[0][0].sum() == 4


def test_float64_tensors_stay_as_they_were_meant() -> None:
    assert split(((torch.zeros(4, 1, dtype=torch.float64),), None))[0][0].dtype == torch.float64


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.int64])
def test_class_targets_of_any_whole_type_train(tmp_path: Path, kind: Any) -> None:
    inputs, targets = points(60)
    given = inputs.numpy().astype(np.float64), targets.numpy().astype(kind)
    assert train(Given(given), {"epochs": 1}, runs_dir=tmp_path).metrics["test/accuracy"] >= 0


def test_a_tensor_data_set_is_taken_apart() -> None:
    train_part, _, test = split(TensorDataset(*numbered()), test_size=0.2)
    assert isinstance(train_part, tuple)
    assert len(test[0]) == 20


def test_a_data_set_is_split_into_subsets() -> None:
    train_part, _, test = split(NoisyItems(60), test_size=0.25)
    assert isinstance(train_part, Subset)
    assert (len(train_part), len(test)) == (45, 15)
    assert sorted([*train_part.indices, *test.indices]) == list(range(60))


def test_a_data_set_with_targets_is_stratified() -> None:
    data = NoisyItems(60)
    data.targets = torch.tensor([0] * 45 + [1] * 15)
    _, _, test = split(data, test_size=0.2)
    assert sum(int(data.targets[index]) for index in test.indices) == 3


class Words(Dataset[Any]):
    """Samples of unequal length, with a `collate_fn`."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        return torch.ones(1 + index % 5)

    def collate_fn(self, samples: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)


def test_a_data_sets_own_collate_fn_is_used_also_for_its_parts() -> None:
    hparams = PointsHparams(num_workers=0, batch_size=5)
    task = Given(Words())
    loaders = build_loaders(task, hparams, raw_splits(task, hparams), torch.nn.Linear(1, 1), CPU)
    assert [batch.shape[0] for batch in loaders.train.epoch(0)] == [5, 5, 5, 1]
    assert loaders.test is not None
    assert [batch.shape[0] for batch in loaders.test.epoch(0)] == [4]


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([(torch.zeros(8), 0)] * 5)


@pytest.mark.parametrize(
    ("given", "title"),
    [
        (None, "no data"),
        ((None, numbered()), "no data"),
        (3, "not a data set"),
        ("digits.csv", "not a data set"),
        ({"x": torch.zeros(3)}, "not a data set"),
        (object(), "not a data set"),
        ((numbered(), 5), "not a data set"),
        (((torch.zeros(4, 1), [0, 1, 0, 1]), None), "not a data set"),
        ((numbered(), numbered(), numbered(), numbered()), "too many data sets"),
        ((torch.zeros(4, 1), torch.zeros(5)), "different lengths"),
        ((torch.zeros(4, 1), torch.tensor(1.0)), "different lengths"),
        ((np.array(["a", "b"]), np.array([0, 1])), "torch can't hold"),
        (((torch.zeros(0, 1), torch.zeros(0)), None), "empty"),
        ((numbered(), (torch.zeros(0, 1), torch.zeros(0))), "empty"),
        ((), "data"),
    ],
)
def test_wrong_data_is_refused_with_a_title_and_a_hint(given: Any, title: str) -> None:
    with pytest.raises(TrainerError, match=title) as caught:
        split(given)
    assert caught.value.hint


def test_data_without_a_length_can_t_be_split() -> None:
    with pytest.raises(UsageError, match="length") as caught:
        split(Endless())
    assert "train, None" in caught.value.hint
    assert split((Endless(), None))[1:] == (None, None)


@pytest.mark.parametrize("values", [{"test_size": 0.01}, {"test_size": 0.2, "val_size": 0.01}])
def test_a_split_that_leaves_no_sample_is_a_usage_error(tmp_path: Path, values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="leaves no sample") as caught:
        train(Points(samples=20), values, runs_dir=tmp_path)
    assert caught.value.exit_code == Exit.USAGE
    assert not list(tmp_path.iterdir())


def test_overfitting_tests_the_very_batches_it_trains() -> None:
    hparams = PointsHparams(overfit_batches=2, batch_size=8)
    task = Given(numbered())
    loaders = build_loaders(task, hparams, raw_splits(task, hparams), torch.nn.Linear(1, 1), CPU)
    assert loaders.test is not None
    trained = [batch[0].flatten().tolist() for batch in loaders.train.epoch(0)]
    assert trained == [batch[0].flatten().tolist() for batch in loaders.train.epoch(7)]
    assert trained == [batch[0].flatten().tolist() for batch in loaders.test.epoch(0)]
    assert loaders.train.samples == 16


def test_overfitting_keeps_to_the_same_batches_of_a_loader_of_ones_own() -> None:
    class Own(Given):
        def dataloader(self, hparams: Any, dataset: Any, train: bool) -> Any:
            return DataLoader(TensorDataset(*dataset), batch_size=8, shuffle=train)

    hparams = PointsHparams(overfit_batches=2, batch_size=8)
    task = Own(numbered())
    loaders = build_loaders(task, hparams, raw_splits(task, hparams), torch.nn.Linear(1, 1), CPU)
    assert loaders.test is not None
    trained = [batch[0].flatten().tolist() for batch in loaders.train.epoch(0)]
    assert len(trained) == 2
    assert trained == [batch[0].flatten().tolist() for batch in loaders.train.epoch(3)]
    assert trained == [batch[0].flatten().tolist() for batch in loaders.test.epoch(0)]


def test_a_list_is_a_sequence_of_samples() -> None:
    samples = [torch.full((2,), float(number)) for number in range(20)]
    train_part, _, test = split(samples, seed=0)
    assert len(train_part) + len(test) == 20


def test_a_list_of_inputs_and_targets_is_refused_with_what_to_do() -> None:
    with pytest.raises(TrainerError, match="a list of 2 tensors") as caught:
        split(list(numbered()), seed=0)
    assert "return a tuple" in caught.value.hint


def test_values_that_were_never_seen_in_training_are_an_alert(tmp_path: Path) -> None:
    rows = [f"{number},{'ab'[number % 2]},{number % 2}" for number in range(40)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["size,kind,y", *rows[:39], "1,strange,0"]) + "\n")
    values = {"dataset_path": str(table), "target": "y", "epochs": 1, "test_size": 0.5, "seed": 0}
    told = []
    for seed in range(4):
        run_dir = train("tabular", {**values, "seed": seed}, runs_dir=tmp_path / "runs").run_dir
        told += [alert["message"] for alert in events(run_dir, "alert") if alert["title"] == "about the data"]
    assert told
    assert 'such as "strange"' in told[0]
