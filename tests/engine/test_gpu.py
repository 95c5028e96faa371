"""The same on a CUDA device. Skipped where there is none."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.engine.test_own_steps import Gan, OwnLoop
from tests.helpers import (
    NoisyItems,
    Points,
    assert_same_weights,
    events,
    points,
    resume,
    rows,
    tags,
    weights,
)
from tui_trainer import TrainerError, train
from tui_trainer.config.hparams import Hparams
from tui_trainer.engine.data import build_loaders, raw_splits
from tui_trainer.engine.metrics import R2, ConfusionMatrix, Last, Ratio
from tui_trainer.tasks.base import Task

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


class Digits(Task):
    """scikit-learn's digits: 8×8 pixels, ten classes."""

    name = "digits"

    def datasets(self, hparams: Hparams) -> Any:
        from sklearn.datasets import load_digits

        inputs, targets = load_digits(return_X_y=True)
        return inputs / 16.0, targets

    def model(self, hparams: Hparams) -> nn.Module:
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
        hits = (outputs.argmax(1) == targets).float()
        ratio = Ratio(hits.sum(), torch.full_like(hits, 1.0).sum())
        return {
            "accuracy": hits.mean(),
            "ratio": ratio,
            "last": Last(hits.mean()),
            "r2": R2(outputs[:, 0], hits),
        }


def test_losses_agree_with_the_cpus(tmp_path: Path) -> None:
    values = {"epochs": 2, "log_rate": 0.0, "test_size": 0.2}
    gpu = train(Digits(), {**values, "device": "cuda"}, runs_dir=tmp_path)
    cpu = train(Digits(), {**values, "device": "cpu"}, runs_dir=tmp_path)
    np.testing.assert_allclose(
        rows(gpu.run_dir)["train/loss"], rows(cpu.run_dir)["train/loss"], rtol=2e-3, atol=2e-3
    )
    for name, value in cpu.metrics.items():
        assert gpu.metrics[name] == pytest.approx(value, abs=2e-2)
    assert gpu.metrics["test/ratio"] == pytest.approx(gpu.metrics["test/accuracy"], abs=1e-6)
    (begin,) = events(gpu.run_dir, "run_start")
    assert begin["device"].startswith("cuda")


def test_tensors_live_on_the_device_and_batches_need_no_copy() -> None:
    task, device = Points(), torch.device("cuda", 0)
    hparams = task.hparams_class(device="cuda")
    loaders = build_loaders(task, hparams, raw_splits(task, hparams), nn.Linear(1, 1), device)
    for loader in (loaders.train, loaders.test):
        assert loader is not None
        assert all(part.device == device for batch in loader.epoch(0) for part in batch)


def test_items_arrive_on_the_device_from_loader_processes(tmp_path: Path) -> None:
    class Noisy(Points):
        def datasets(self, hparams: Any) -> Any:
            return NoisyItems(101)

    values = {"device": "cuda", "num_workers": 2, "log_rate": 0.0, "epochs": 1}
    gpu = train(Noisy(), values, runs_dir=tmp_path)
    cpu = train(Noisy(), {**values, "device": "cpu", "num_workers": 0}, runs_dir=tmp_path)
    np.testing.assert_allclose(rows(gpu.run_dir)["train/loss"], rows(cpu.run_dir)["train/loss"], rtol=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precisions_learn(tmp_path: Path, precision: str) -> None:
    values = {"device": "cuda", "precision": precision, "epochs": 5, "lr": 3e-3, "grad_clip_norm": 1.0}
    result = train(Digits(), values, runs_dir=tmp_path)
    assert result.metrics["test/accuracy"] > 0.85


def test_deterministic_repeats_bit_for_bit(tmp_path: Path) -> None:
    values = {"device": "cuda", "deterministic": True, "epochs": 2}
    one, same = (train(Digits(), values, runs_dir=tmp_path) for _ in range(2))
    assert_same_weights(weights(one.run_dir, 2), weights(same.run_dir, 2))


def test_checkpoints_hold_tensors_of_the_host(tmp_path: Path) -> None:
    result = train(Points(), {"device": "cuda", "epochs": 1, "ema_decay": 0.9}, runs_dir=tmp_path)
    assert all(tensor.device.type == "cpu" for tensor in weights(result.run_dir, 1).values())


@pytest.mark.parametrize("options", [{}, {"precision": "float16", "ema_decay": 0.9, "scheduler": "cosine"}])
def test_a_resumed_run_is_the_run_that_was_never_interrupted(tmp_path: Path, options: dict[str, Any]) -> None:
    values = {
        "device": "cuda",
        "epochs": 3,
        "dropout": 0.3,
        "log_rate": 0.0,
        "deterministic": True,
        **options,
    }
    values["checkpoint_every"] = "4steps"
    whole = train(Points(), values, runs_dir=tmp_path / "whole")

    def crash(number: int) -> None:
        if number == 12:
            raise RuntimeError("power cut")

    with pytest.raises(TrainerError):
        train(Points(on_batch=crash), values, runs_dir=tmp_path / "runs")
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert tags(run_dir)[-1] == "1+2"
    resume(Points(), run_dir, values)
    assert_same_weights(weights(run_dir, 3), weights(whole.run_dir, 3))
    np.testing.assert_array_equal(rows(run_dir)["train/loss"], rows(whole.run_dir)["train/loss"])


def test_a_run_started_on_the_cpu_goes_on_on_the_gpu(tmp_path: Path) -> None:
    result = train(Points(), {"device": "cpu", "epochs": 1}, runs_dir=tmp_path)
    again = resume(Points(), result.run_dir, {"device": "cuda", "epochs": 2})
    assert again.epochs == 2


def test_running_out_of_memory_is_an_error_with_a_hint(tmp_path: Path) -> None:
    class Huge(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            torch.empty(1 << 50, device="cuda")
            return super().compute_loss(model, batch, criterion)

    with pytest.raises(TrainerError, match="out of memory") as caught:
        train(Huge(), {"device": "cuda"}, runs_dir=tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("options", [{}, {"optimizer": "ASGD"}, {"precision": "float16"}])
def test_a_step_without_a_finite_gradient_is_skipped(tmp_path: Path, options: dict[str, Any]) -> None:
    class Bad(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
            loss, outputs, targets = super().compute_loss(model, batch, criterion)
            bad = model.training and self.trained_batches == 9
            return loss * float("nan") if bad else loss, outputs, targets

    values = {"device": "cuda", "epochs": 3, "log_rate": 0.0, "on_nonfinite": "skip", **options}
    result = train(Bad(), values, runs_dir=tmp_path)
    assert rows(result.run_dir)["step"].tolist() == [step for step in range(1, 19) if step != 9]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights(result.run_dir, 3).values())
    assert events(result.run_dir, "alert")[0]["title"] == "step skipped"


def test_a_bad_loss_names_the_first_bad_tensor(tmp_path: Path) -> None:
    class BadData(Points):
        def datasets(self, hparams: Any) -> Any:
            inputs, targets = points(101)
            inputs[50, 3] = float("nan")
            return (inputs, targets), None

    with pytest.raises(TrainerError, match="first bad: tensor 0 of the batch, training sample 50"):
        train(BadData(), {"device": "cuda", "epochs": 2}, runs_dir=tmp_path)


class Counted(OwnLoop):
    """A step of its own, and a metric of many numbers."""

    def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
        return {**super().metrics(outputs, targets), "f1": ConfusionMatrix(outputs, targets)}


@pytest.mark.parametrize("kind", [Points, Counted])
def test_no_step_waits_for_the_device(tmp_path: Path, kind: type[Points]) -> None:
    """The host asks for values when rows are due, not at every step."""

    def synchronisations(samples: int) -> int:
        values = {"device": "cuda", "epochs": 1, "log_rate": 1e-6, "test_size": 0.0}
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                train(kind(samples), values, runs_dir=tmp_path)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(warning.message) for warning in told)

    synchronisations(160)
    assert abs(synchronisations(16 * 10) - synchronisations(16 * 100)) <= 2


def test_memory_that_runs_out_makes_the_passes_smaller(tmp_path: Path) -> None:
    class Hungry(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
            if model.training and len(batch[0]) > 4:
                # More than any GPU has.
                torch.empty(1 << 44, dtype=torch.uint8, device="cuda")
            return super().compute_loss(model, batch, criterion)

    values = {"device": "cuda", "epochs": 1, "deterministic": True}
    result = train(Hungry(), values, runs_dir=tmp_path)
    (alert,) = events(result.run_dir, "alert")
    assert alert["title"] == "out of memory: smaller micro-batches"
    assert "16.00 TiB asked for" in alert["message"]
    whole = train(Points(), values, runs_dir=tmp_path)
    for name, tensor in weights(whole.run_dir, 1).items():
        torch.testing.assert_close(weights(result.run_dir, 1)[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_gan_goes_on_exactly(tmp_path: Path, precision: str) -> None:
    class OnDevice(Gan):
        def train_step(self, context: Any, batch: Any) -> dict[str, Any]:
            with torch.device(context.device):
                return super().train_step(context, batch)

    values = {"device": "cuda", "deterministic": True, "epochs": 3, "precision": precision}
    whole = train(OnDevice(), values, runs_dir=tmp_path)
    part = train(OnDevice(), {**values, "epochs": 1}, runs_dir=tmp_path)
    resume(OnDevice(), part.run_dir, values)
    assert_same_weights(weights(part.run_dir, 3), weights(whole.run_dir, 3))
