"""Out of memory: batches go on in smaller parts, with gradients and metrics of whole ones, or say why not."""

from __future__ import annotations

import gc
import weakref
from collections import UserDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.helpers import CUDA_TEXT, Points, PointsHparams, Small, events, resume, rows, start, weights
from tui_trainer import train
from tui_trainer.engine.batches import CannotSplit, split_batch
from tui_trainer.engine.check import check
from tui_trainer.engine.failure import explain, is_out_of_memory
from tui_trainer.engine.forward import Forward
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.micro import MicroBatches
from tui_trainer.engine.update import Updater
from tui_trainer.errors import TrainerError

CPU = torch.device("cpu")
HOST_TEXT = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 4294967296 bytes. Error code 12 (Cannot allocate memory)"
)


class Padded(Small):
    """Sequences padded with −100: a batch's loss is a mean over tokens, of which each has another number."""

    def datasets(self, hparams: Any) -> Any:
        generator = torch.Generator().manual_seed(5)
        inputs = torch.randn(self.samples, 6, 8, dtype=self.dtype, generator=generator)
        targets = torch.randint(0, 3, (self.samples, 6), generator=generator)
        lengths = torch.randint(0, 7, (self.samples, 1), generator=generator)
        return inputs, targets.masked_fill(torch.arange(6) >= lengths, -100)

    def criterion(self, hparams: Any) -> Any:
        def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
            real = (targets != -100).sum().clamp(min=1)
            summed: Tensor = nn.functional.cross_entropy(
                outputs.flatten(0, 1), targets.flatten(), reduction="sum"
            )
            return summed / real

        return criterion

    def count(self, batch: Any) -> Any:
        return (batch[1] != -100).sum()

    def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
        return {}


SGD = {"optimizer": "SGD", "lr": 0.3, "epochs": 2, "log_rate": 0.0}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Small, {}),
        (Small, {"grad_accumulation": 3, "momentum": 0.9}),
        (Padded, {"grad_accumulation": 3, "momentum": 0.9}),
        (Padded, {"grad_clip_norm": 0.05, "ema_decay": 0.8}),
        (Small, {"optimizer": "LBFGS", "lr": 0.1, "batch_size": 27, "epochs": 1}),
        (Small, {"micro_batch": 3}),
    ],
)
def test_a_halved_batch_trains_like_a_whole_one(
    tmp_path: Path, kind: type[Small], options: dict[str, Any]
) -> None:
    values = {**SGD, **options}
    small = kind(training=5, evaluation=3)
    halved = train(small, values, runs_dir=tmp_path)
    whole = train(kind(), {**values, "micro_batch": None}, runs_dir=tmp_path)
    last = int(values["epochs"])
    for name, tensor in weights(halved.run_dir, last).items():
        torch.testing.assert_close(tensor, weights(whole.run_dir, last)[name], rtol=0, atol=1e-10)
    assert halved.metrics == pytest.approx(whole.metrics, abs=1e-7)
    # Each row of the record is that of its own step, however many parts the step had.
    losses = [rows(result.run_dir)["train/loss"] for result in (halved, whole)]
    np.testing.assert_allclose(*losses, atol=1e-9)
    assert max(small.passes[-4:]) <= 5


def test_in_float32_gradients_agree_to_a_millionth() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = (torch.randn(37, 8, generator=generator), torch.randint(0, 3, (37,), generator=generator))

    def gradients(micro: int | None) -> list[Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 3))
        updater = Updater(model, torch.optim.SGD(model.parameters(), lr=0.0), micro=MicroBatches(micro))
        updater.step([batch], Forward(Points(), nn.CrossEntropyLoss(), CPU, "float32"), Meter(CPU))
        return [p.grad for p in model.parameters() if p.grad is not None]

    for part, whole in zip(gradients(5), gradients(None), strict=True):
        torch.testing.assert_close(part, whole, rtol=0, atol=1e-6)


def test_scaled_float16_gradients_add_up(tmp_path: Path) -> None:
    values = {**SGD, "precision": "float16"}
    halved = train(Small(training=5, dtype=torch.float32), values, runs_dir=tmp_path)
    whole = train(Small(dtype=torch.float32), values, runs_dir=tmp_path)
    for name, tensor in weights(halved.run_dir, 2).items():
        torch.testing.assert_close(tensor, weights(whole.run_dir, 2)[name], rtol=0, atol=2e-2)
    assert halved.metrics["test/loss"] == pytest.approx(whole.metrics["test/loss"], abs=1e-2)


@pytest.mark.parametrize("after", [0, 7])
def test_the_record_tells_once_what_became_smaller_when_and_why(tmp_path: Path, after: int) -> None:
    task = Small(training=5, after=after)
    result = train(task, SGD, runs_dir=tmp_path)
    (alert,) = events(result.run_dir, "alert")
    assert (alert["level"], alert["title"]) == ("warning", "out of memory: smaller micro-batches")
    assert alert["step"] == after
    assert f"after step {after}: 16 -> 4 samples at once in training" in alert["message"]
    assert "2.00 GiB asked for, 1.20 GiB of 79.10 GiB free on GPU 0" in alert["message"]
    assert "gradients and metrics stay those of whole batches" in alert["message"]
    assert "BatchNorm" not in alert["message"]
    assert result.status == "finished"


def test_an_evaluation_has_a_size_of_its_own(tmp_path: Path) -> None:
    result = train(Small(evaluation=7, samples=150), {**SGD, "eval_batch_size": 30}, runs_dir=tmp_path)
    whole = train(Small(samples=150), {**SGD, "eval_batch_size": 30}, runs_dir=tmp_path)
    assert result.metrics == pytest.approx(whole.metrics, abs=1e-7)
    (alert,) = events(result.run_dir, "alert")
    assert "30 -> 4 samples at once in evaluation" in alert["message"]


def test_a_resumed_run_begins_with_the_size_that_was_found(tmp_path: Path) -> None:
    stop = StopRequest()
    values = {**SGD, "epochs": 3}
    interrupted = Small(training=5, on_batch=lambda number: stop.request("test") if number >= 9 else None)
    stopped = start(interrupted, tmp_path, values, stop)
    assert stopped.status == "stopped"
    task = Small(training=5)
    done = resume(task, stopped.run_dir, values)
    assert task.passes[0] == 4
    assert len(events(done.run_dir, "alert")) == 1
    whole = train(Small(), values, runs_dir=tmp_path)
    for name, tensor in weights(done.run_dir, 3).items():
        torch.testing.assert_close(tensor, weights(whole.run_dir, 3)[name], rtol=0, atol=1e-10)


def test_a_size_of_ones_own_counts_more_than_one_that_was_found(tmp_path: Path) -> None:
    stop = StopRequest()
    interrupted = Small(training=5, on_batch=lambda number: stop.request("test") if number >= 9 else None)
    stopped = start(interrupted, tmp_path, SGD, stop)
    task = Small()
    resume(task, stopped.run_dir, {**SGD, "micro_batch": 8})
    assert set(task.passes) <= {8, 1, 2}


def test_auto_begins_with_whole_batches_where_the_size_was_ones_own(tmp_path: Path) -> None:
    run_dir = train(Small(), {**SGD, "epochs": 1, "micro_batch": 4}, runs_dir=tmp_path).run_dir
    task = Small()
    resume(task, run_dir, {**SGD, "epochs": 2, "micro_batch": "auto"})
    assert max(task.passes) == 16


def test_what_a_failed_pass_held_is_free_before_the_next_one() -> None:
    held: list[weakref.ref[Tensor]] = []

    class Holding(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
            alive.append(sum(ref() is not None for ref in held))
            big = torch.ones(100, 100)
            held.append(weakref.ref(big))
            if len(batch[0]) > 4:
                raise torch.OutOfMemoryError(CUDA_TEXT)
            return super().compute_loss(model, batch, criterion)

    alive: list[int] = []
    model = nn.Linear(8, 3)
    updater = Updater(model, torch.optim.SGD(model.parameters(), lr=0.1), micro=MicroBatches("auto"))
    gc.disable()
    try:
        batch = (torch.ones(16, 8), torch.zeros(16, dtype=torch.long))
        updater.step([batch], Forward(Holding(), nn.CrossEntropyLoss(), CPU, "float32"), Meter(CPU))
    finally:
        gc.enable()
    assert len(alive) == 6
    assert set(alive) == {0}


def test_batchnorm_never_sees_a_single_sample_and_the_alert_speaks_of_it(tmp_path: Path) -> None:
    task = Small(training=3, batchnorm=True)
    result = train(task, {**SGD, "batch_size": 17}, runs_dir=tmp_path)
    assert min(task.passes) == 2
    (alert,) = events(result.run_dir, "alert")
    assert "BatchNorm layers normalise by the smaller parts" in alert["message"]


@pytest.mark.parametrize(
    ("training", "evaluation", "values", "message", "hint"),
    [
        (8, 99, {"micro_batch": None}, "in training with 16 samples at once", "--micro-batch auto"),
        (4, 99, {"micro_batch": 8}, "in training with 8 samples at once", "--micro-batch auto"),
        (0, 99, {}, "in training with 1 sample at once", "precision bfloat16"),
        (99, 8, {"micro_batch": None}, "in evaluation with 16 samples at once", "a smaller eval_batch_size"),
        (99, 0, {}, "in evaluation with 1 sample at once", "precision bfloat16"),
    ],
)
def test_where_nothing_helps_the_error_says_how_much_there_was_and_what_to_change(
    tmp_path: Path, training: int, evaluation: int, values: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(TrainerError) as caught:
        train(Small(training, evaluation), {**SGD, **values}, runs_dir=tmp_path)
    error = caught.value
    assert error.title == "out of memory"
    assert error.message.startswith(f"2.00 GiB asked for, 1.20 GiB of 79.10 GiB free on GPU 0, {message}")
    assert hint in error.hint


def test_the_memory_of_an_optimizers_step_is_not_asked_for_twice(tmp_path: Path) -> None:
    class Hungry(torch.optim.SGD):
        steps = 0

        def step(self, closure: Any = None) -> Any:
            Hungry.steps += 1
            raise torch.OutOfMemoryError(CUDA_TEXT)

    class Own(Points):
        def optimizer(self, hparams: Any, model: nn.Module) -> Any:
            return Hungry(model.parameters(), lr=0.1)

    with pytest.raises(TrainerError, match=r"out of memory: 2\.00 GiB asked for"):
        train(Own(), {"epochs": 1}, runs_dir=tmp_path)
    assert Hungry.steps == 1


class Unsplittable(Small):
    """Batches in which `odd` stands beside inputs and targets."""

    odd: Any = None

    def dataloader(self, hparams: Any, dataset: Any, train: bool) -> Any:
        return [(*dataset, self.odd)]

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        return super().compute_loss(model, batch[:2], criterion)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (torch.ones(7, 2), r"holds a tensor of shape \(7, 2\), and 80 samples"),
        (nn.utils.rnn.pack_sequence([torch.ones(2, 1)]), "holds a value of type PackedSequence"),
        (object(), "holds a value of type object"),
    ],
)
@pytest.mark.parametrize(("micro", "title"), [("auto", "out of memory"), (9, "batch can't be split")])
def test_a_batch_that_cannot_be_split_is_named(
    tmp_path: Path, odd: Any, reason: str, micro: Any, title: str
) -> None:
    task = Unsplittable(training=10, samples=80)
    task.odd = odd
    with pytest.raises(TrainerError, match=reason) as caught:
        train(task, {**SGD, "micro_batch": micro, "test_size": 0.0}, runs_dir=tmp_path)
    assert caught.value.title == title
    assert "batch_size" in caught.value.hint


def test_a_task_whose_counts_do_not_add_up_is_not_trained_in_parts(tmp_path: Path) -> None:
    class Fixed(Small):
        def count(self, batch: Any) -> int:
            return 1

    with pytest.raises(TrainerError, match="count is 1 for it, but 2 for its parts together"):
        train(Fixed(training=8), SGD, runs_dir=tmp_path)


def test_a_model_that_cannot_take_parts_ends_with_what_was_missing_and_why(tmp_path: Path) -> None:
    class Rigid(Small):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
            if model.training and len(batch[0]) != 16:
                raise ValueError("batches of 16, please")
            return super().compute_loss(model, batch, criterion)

    with pytest.raises(TrainerError, match=r"2\.00 GiB asked for.*batches of 16, please"):
        train(Rigid(training=8), SGD, runs_dir=tmp_path)


def test_a_dry_run_halves_too_and_reports_it() -> None:
    report = check(Small(training=5), PointsHparams(optimizer="SGD"))
    assert [alert["title"] for alert in report["alerts"]] == ["out of memory: smaller micro-batches"]
    assert np.isfinite(report["metrics"]["train/loss"])


# ---------------------------------------------------------------------- splitting


@pytest.mark.parametrize(
    ("samples", "size", "least", "lengths"),
    [
        (33, 32, 1, [16, 17]),
        (7, 7, 1, [7]),
        (7, 3, 1, [2, 2, 3]),
        (5, 1, 1, [1] * 5),
        (3, 2, 2, [3]),
        (5, 2, 2, [2, 3]),
        (1, 1, 2, [1]),
    ],
)
def test_parts_are_as_equal_as_can_be(samples: int, size: int, least: int, lengths: list[int]) -> None:
    parts = split_batch(torch.arange(samples), size, least)
    assert [len(part) for part in parts] == lengths
    assert torch.equal(torch.cat(parts), torch.arange(samples))


def test_nested_batches_are_cut_everywhere_and_keep_their_type() -> None:
    rows = torch.arange(5)
    batch = {
        "pair": (rows, [np.arange(5), UserDict(x=rows)]),
        "names": ["a", "b", None, "d", "e"],
        "task": "all",
        "scale": torch.tensor(2.0),
        "labels": ["one", "two"],
    }
    first, second = split_batch(batch, 3)
    assert torch.equal(second["pair"][0], rows[2:])
    assert second["pair"][1][0].tolist() == [2, 3, 4]
    assert isinstance(first["pair"][1][1], UserDict)
    assert first["pair"][1][1]["x"].tolist() == [0, 1]
    assert (first["names"], second["names"]) == (["a", "b"], [None, "d", "e"])
    assert second["task"] == "all"
    assert float(second["scale"]) == 2.0
    assert second["labels"] == ["one", "two"]
    with pytest.raises(CannotSplit, match="shape"):
        split_batch((torch.arange(5), torch.arange(4)), 3)


# ---------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (torch.OutOfMemoryError(CUDA_TEXT), "2.00 GiB asked for, 1.20 GiB of 79.10 GiB free on GPU 0"),
        (
            torch.OutOfMemoryError(
                "XPU out of memory. Tried to allocate 512.00 MiB. GPU 1 has a total capacity of 15.56 GiB. "
                "Of the allocated memory 14.00 GiB is allocated by PyTorch."
            ),
            "512.00 MiB asked for, 15.56 GiB in all on GPU 1",
        ),
        (
            RuntimeError(
                "MPS backend out of memory (MPS allocated: 17.53 GiB, other allocations: 384.00 KiB, max "
                "allowed: 18.13 GiB). Tried to allocate 1.12 GiB on private pool."
            ),
            "1.12 GiB asked for, 18.13 GiB allowed in all",
        ),
        (RuntimeError(HOST_TEXT), "4.00 GiB asked for, .* free on this machine"),
        (
            np._core._exceptions._ArrayMemoryError((10**9,), np.dtype("float64")),
            "7.45 GiB asked for, .* free on this machine",
        ),
        (MemoryError(), "free on this machine"),
        (RuntimeError("CUDA error: out of memory"), "CUDA error: out of memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), "ALLOC_FAILED"),
    ],
)
def test_messages_of_allocators_are_understood(error: Exception, told: str) -> None:
    import re

    assert is_out_of_memory(error)
    explained = explain(error)
    assert explained.title == "out of memory"
    assert re.search(told, explained.message)
    assert "batch_size" in explained.hint


def test_torchs_own_message_of_the_host_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**16, dtype=torch.uint8)
    assert explain(caught.value).message.startswith("8.88 PiB asked for, ")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("out of memory"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that workers "
                     " are out of shared memory."),
        RuntimeError("CUDA error: device-side assert triggered"),
    ],
)  # fmt: skip
def test_other_errors_are_no_shortage_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_a_model_that_does_not_fit_is_not_blamed_on_the_batch(tmp_path: Path) -> None:
    class Huge(Points):
        def model(self, hparams: Any) -> nn.Module:
            raise torch.OutOfMemoryError(CUDA_TEXT)

    with pytest.raises(TrainerError, match="free on GPU 0 while building the model") as caught:
        train(Huge(), {}, runs_dir=tmp_path)
    assert "smaller model" in caught.value.hint
