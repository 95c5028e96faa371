"""What is told of an error in a task's code: the user's frames, what went in, what to do."""

from __future__ import annotations

import gc
import weakref
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from tests.helpers import Points, PointsHparams
from tui_trainer.engine.check import check
from tui_trainer.engine.describe import describe
from tui_trainer.engine.failure import explain, user_traceback
from tui_trainer.engine.hints import hint_for
from tui_trainer.engine.metrics import Mean
from tui_trainer.errors import TrainerError, UsageError
from tui_trainer.tasks.declared import check_declared

Pair = namedtuple("Pair", "left right")


@dataclass
class Item:
    pixels: Any
    label: int


class Surly:
    """Does not want to be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.zeros(3, 4), "float32 [3, 4]"),
        (torch.zeros(2, dtype=torch.int64, device="meta"), "int64 [2] on meta"),
        (np.zeros((2, 5)), "ndarray float64 [2, 5]"),
        ((torch.zeros(2), None), "(float32 [2], None)"),
        ({"x": torch.zeros(2), "name": "a"}, "{x: float32 [2], name: str}"),
        (Pair(torch.zeros(1), 3), "Pair(left=float32 [1], right=int)"),
        (Item(torch.zeros(1), 3), "Item(pixels=float32 [1], label=int)"),
        (["a"] * 40, "list of 40 str"),
        ([torch.zeros(1)] * 8, "[" + "float32 [1], " * 6 + "… 8 in all]"),
        (37, "37"),
        ("x" * 99, "'" + "x" * 32 + "…'"),
        (nn.Linear, "the class Linear"),
        (((((1,),),),), "(((tuple,),),)"),
    ],
)
def test_a_value_is_described_by_kind_and_shape(value: Any, text: str) -> None:
    assert describe(value) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Expected all tensors to be on the same device, cuda:0 and cpu!", "inputs.device"),
        ("Cannot re-initialize CUDA in forked subprocess.", "--num-workers 0"),
        ("[Errno 24] Too many open files", "ulimit -n"),
        ("cannot pickle '_io.TextIOWrapper' object", "open files in __getitem__"),
        ("Expected input batch_size (8) to match target batch_size (4).", "one row for each sample"),
        ("Found dtype Long but expected Float", "targets.float()"),
        ("optimizer got an empty parameter list", "nn.ModuleList"),
        ("Calculated padded input size per channel: (1 x 1). Kernel size: (3 x 3).", "too small"),
        ("something that nobody has heard of", ""),
    ],
)  # fmt: skip
def test_the_usual_errors_have_a_hint(text: str, hint: str) -> None:
    assert hint_for(text).find(hint) >= 0
    assert bool(hint_for(text)) == bool(hint)


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 6)
        self.rest = nn.ModuleDict({"out": nn.Sequential(nn.ReLU(), nn.Linear(7, 3))})

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.first(inputs)
        return self.rest["out"](hidden)


def failure_of(task: Points, **values: Any) -> TrainerError:
    with pytest.raises(Exception) as caught:
        check(task, PointsHparams(**values))
    return explain(caught.value)


def test_the_innermost_layer_is_named_as_in_the_state_dict_with_what_it_got() -> None:
    class Task(Points):
        def model(self, hparams: Any) -> nn.Module:
            return Deep()

    error = failure_of(Task())
    first, *lines = error.message.splitlines()
    assert "in the first test batch, layer rest.out.1 Linear(in_features=7, out_features=3): mat1" in first
    assert lines == [
        "batch: (float32 [16, 8], int64 [16])",
        "layer got: float32 [16, 6]",
        "in forward: hidden float32 [16, 6]",
    ]
    assert error.hint.startswith("the layer takes 7 features and got 6")


def test_the_batch_is_the_one_that_failed_and_not_the_one_before() -> None:
    class Rows(Dataset[Any]):
        def __len__(self) -> int:
            return 64

        def __getitem__(self, index: int) -> Any:
            if index == 60:
                raise OSError(f"sample {index} is gone")
            return torch.zeros(8), 0

    class Task(Points):
        def datasets(self, hparams: Any) -> Any:
            return (torch.zeros(4, 8), torch.zeros(4, dtype=torch.int64)), Rows()

    error = failure_of(Task(), eval_batch_size=61)
    assert "sample 60 is gone" in error.message
    assert "\nbatch: " not in error.message
    assert "in __getitem__: index 60" in error.message


def test_an_explained_error_keeps_no_tensor_alive() -> None:
    alive: list[weakref.ref[Any]] = []

    class Task(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            outputs = model(batch[0])
            alive.extend([weakref.ref(model), weakref.ref(outputs)])
            return (outputs @ outputs).mean(), outputs, batch[1]

    try:
        check(Task(), PointsHparams())
    except Exception as caught:
        error = explain(caught)
        assert "outputs float32 [16, 3]" in error.message
    gc.collect()
    assert [each() for each in alive] == [None, None]


def test_objects_that_can_not_be_looked_at_cost_no_message() -> None:
    class Task(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            surly = Surly()
            return surly.loss, batch

    error = failure_of(Task())
    assert "ValueError in the first test batch: no" in error.message
    assert "test_trouble.py:" in error.message


def test_what_the_user_says_in_an_error_of_their_own_gets_no_hint_of_ours() -> None:
    class Task(Points):
        def model(self, hparams: Any) -> nn.Module:
            raise ValueError("size mismatch: the width must be even")

    assert failure_of(Task()).hint == ""


def test_a_traceback_has_the_users_frames_alone_and_an_endless_one_is_cut() -> None:
    def again(depth: int) -> int:
        return again(depth + 1)

    with pytest.raises(RecursionError) as caught:
        again(0)
    text = user_traceback(caught.value)
    assert text is not None
    assert text.count("  File ") == 4
    assert "[Previous line repeated" in text
    assert text.endswith("RecursionError: maximum recursion depth exceeded")

    class Task(Points):
        def model(self, hparams: Any) -> nn.Module:
            return Deep()

    with pytest.raises(RuntimeError) as failed:
        check(Task(), PointsHparams())
    text = user_traceback(failed.value)
    assert text is not None
    places = [line for line in text.splitlines() if line.startswith("  File ")]
    assert [line.rpartition(", in ")[2] for line in places][-1] == "forward"
    assert not any("site-packages" in line or "/tui_trainer/" in line for line in places)


def test_a_method_may_have_more_parameters_if_they_have_defaults_and_other_names() -> None:
    class Task(Points):
        def model(self, settings: Any, pretrained: bool = False) -> nn.Module:
            return super().model(settings)

        @staticmethod
        def criterion(hparams: Any) -> Any:
            return None

        def count(self, *batch: Any) -> Any:
            return len(batch)

    check_declared(Task())

    class Wrong(Points):
        def metrics(self, outputs: Any) -> Any:
            return {}

    with pytest.raises(UsageError, match=r"Wrong defines metrics\(self, outputs") as caught:
        check_declared(Wrong())
    assert caught.value.hint == "def metrics(self, outputs, targets): …"


@pytest.mark.parametrize("directions", [{"accuracy": "up"}, {"test/accuracy": "max"}, ["accuracy"]])
def test_directions_that_would_be_misunderstood_are_refused(directions: Any) -> None:
    class Task(Points):
        pass

    Task.directions = directions
    with pytest.raises(UsageError, match="directions is") as caught:
        check_declared(Task())
    assert 'directions = {"accuracy": "max"}' in caught.value.hint


@pytest.mark.parametrize("count", [None, -1, "8", torch.ones(3)])
def test_a_count_that_is_no_number_is_refused(count: Any) -> None:
    class Task(Points):
        def count(self, batch: Any) -> Any:
            return count

    error = failure_of(Task())
    assert error.title == "wrong count"


def test_what_is_trained_is_what_is_judged() -> None:
    class Task(Points):
        def metrics(self, outputs: Any, targets: Any) -> Any:
            return {"loss": torch.tensor(-1.0), "ones": 1.0}

    metrics = check(Task(), PointsHparams())["metrics"]
    assert metrics["train/loss"] > 0
    assert metrics["test/ones"] == 1.0


def test_a_loss_that_is_a_reducer_is_refused() -> None:
    class Task(Points):
        def compute_loss(self, model: Any, batch: Any, criterion: Any) -> Any:
            loss, outputs, targets = super().compute_loss(model, batch, criterion)
            return {"loss": Mean(loss)}, outputs, targets

    assert failure_of(Task()).title == "loss is no tensor"


def test_a_scheduler_of_another_optimizer_is_refused() -> None:
    class Task(Points):
        def scheduler(self, hparams: Any, optimizer: Any, total_steps: Any) -> Any:
            other = torch.optim.SGD(self.model(hparams).parameters())
            return torch.optim.lr_scheduler.StepLR(other, 2)

    assert failure_of(Task()).title == "scheduler of another optimizer"


def test_a_loss_that_is_broadcast_is_told_once_in_each_run_of_a_process() -> None:
    class Task(Points):
        def datasets(self, hparams: Any) -> Any:
            return torch.zeros(64, 8), torch.zeros(64)

        def model(self, hparams: Any) -> nn.Module:
            return nn.Linear(8, 1)

        def criterion(self, hparams: Any) -> Any:
            return nn.MSELoss()

    for _ in range(2):
        alerts = check(Task(), PointsHparams(batch_size=8))["alerts"]
        assert [alert["title"] for alert in alerts] == ["the loss compares each output with each target"]
        assert "outputs are [8, 1], targets [8]" in alerts[0]["message"]


def test_an_optimizer_of_another_model_is_refused_before_the_first_step() -> None:
    class Task(Points):
        def optimizer(self, hparams: Any, model: nn.Module) -> Any:
            return torch.optim.SGD(self.model(hparams).parameters())

    task = Task()
    error = failure_of(task)
    assert error.title == "optimizer of another model"
    assert task.trained_batches == 0
