"""NaN and infinity in data, loss, gradient and weight: told, skipped or taken back, and never saved."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.faults.counting import Tried
from tests.helpers import Points, assert_same_weights, events, points, resume, rows, tags, weights
from tui_trainer import train
from tui_trainer.engine import checkpoint, saving
from tui_trainer.engine.nonfinite import NonFinite
from tui_trainer.engine.sampler import BatchPlan
from tui_trainer.errors import Exit
from tui_trainer.runs.checkpoints import verify
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader

STEPS = 7
"""Of an epoch: 101 samples in batches of 16."""
BASE = {"epochs": 4, "log_rate": 0.0, "test_size": 0.0, "checkpoint_every": "4steps"}
FAULT = "NaN or infinity in data, loss, gradient or weight"
OUTCOME = (
    "noticed without waiting for the device; the run stops with step, batch and first bad tensor, or skips "
    "the step, or goes back, as configured; a bad state is never saved"
)


class BadData(Points):
    """Sample 50 holds a NaN."""

    def datasets(self, hparams: Any) -> Any:
        inputs, targets = points(self.samples)
        inputs[50, 3] = float("nan")
        return (inputs, targets), None


class _Exploding(torch.autograd.Function):
    """Passes a loss on, and makes its gradient infinite."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * float("inf")


class Bad(Points):
    """Goes bad in one batch, which is known by its content: trained again, it goes bad again.

    Args:
        how: "loss", "gradient" or "weight"; "none" for a batch that teaches nothing.
        epoch: finished epochs before it.
        batch: its number in the epoch, from 0.
        times: how often.
    """

    def __init__(self, how: str, epoch: int, batch: int, times: int = 1000) -> None:
        super().__init__()
        self.how, self.times = how, times
        indices = BatchPlan(101, 16, seed=0).indices(epoch, range(batch, batch + 1))
        self.inputs = points(101)[0][indices]

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        loss, outputs, targets = super().compute_loss(model, batch, criterion)
        if not model.training or not self.times or not torch.equal(batch[0], self.inputs):
            return loss, outputs, targets
        self.times -= 1
        if self.how == "loss":
            loss = loss * float("nan")
        elif self.how == "gradient":
            loss = _Exploding.apply(loss)
        elif self.how == "none":
            loss = loss * 0.0
        else:
            with torch.no_grad():
                next(model.parameters()).fill_(float("inf"))
        return loss, outputs, targets


def only_run(folder: Path) -> Path:
    (run_dir,) = folder.iterdir()
    return run_dir


def assert_all_saved_is_good(run_dir: Path) -> None:
    for tag in tags(run_dir):
        assert verify(RunLayout(run_dir), tag) == []
        assert all(bool(torch.isfinite(tensor).all()) for tensor in weights(run_dir, tag).values())


@pytest.mark.fault(12, FAULT, OUTCOME)
@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize(
    ("how", "bad"),
    [
        ("loss", "the loss, though every layer's output is finite"),
        ("gradient", "the gradient of 3.bias"),
        ("weight", "a weight after the update, though every gradient is finite"),
    ],
)
def test_a_stop_names_the_step_its_samples_and_the_first_bad_tensor(
    tmp_path: Path, tried: Tried, how: str, bad: str, epoch: int
) -> None:
    with tried.attempt():
        with pytest.raises(NonFinite) as caught:
            train(Bad(how, epoch, 2), BASE, runs_dir=tmp_path)
        assert caught.value.exit_code == Exit.FAILED
        samples = ", ".join(map(str, BatchPlan(101, 16, seed=0).indices(epoch, range(2, 3))[:8]))
        where = f"step {epoch * STEPS + 3}: epoch {epoch + 1}, batch 3, training samples {samples}, …"
        assert f"{where}; first bad: {bad}" in caught.value.message
        assert_all_saved_is_good(only_run(tmp_path))


@pytest.mark.fault(12, FAULT, OUTCOME)
def test_a_bad_sample_is_named(tmp_path: Path, tried: Tried) -> None:
    with tried.attempt():
        with pytest.raises(NonFinite, match="first bad: tensor 0 of the batch, training sample 50"):
            train(BadData(), {**BASE, "grad_accumulation": 3}, runs_dir=tmp_path)
        assert_all_saved_is_good(only_run(tmp_path))


@pytest.mark.fault(12, FAULT, OUTCOME)
def test_what_was_saved_before_resumes(tmp_path: Path, tried: Tried) -> None:
    with tried.attempt():
        with pytest.raises(NonFinite):
            train(Bad("loss", 2, 2), BASE, runs_dir=tmp_path / "runs")
        run_dir = only_run(tmp_path / "runs")
        resume(Points(), run_dir, BASE)
        whole = train(Points(), BASE, runs_dir=tmp_path / "whole").run_dir
        assert_same_weights(weights(run_dir, 4), weights(whole, 4))


@pytest.mark.fault(12, FAULT, OUTCOME)
@pytest.mark.parametrize("how", ["loss", "gradient"])
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "SGD", "lr": 0.1},
        {"optimizer": "SGD", "lr": 0.1, "grad_clip_norm": 0.5, "ema_decay": 0.9},
        {"optimizer": "ASGD", "lr": 0.1},
    ],
)
def test_a_skipped_step_changes_no_weight_and_no_metric(
    tmp_path: Path, tried: Tried, how: str, options: dict[str, Any]
) -> None:
    values = {**BASE, **options, "on_nonfinite": "skip"}
    with tried.attempt():
        result = train(Bad(how, 2, 2), values, runs_dir=tmp_path)
        assert (result.status, result.steps) == ("finished", 4 * STEPS)
        if options["optimizer"] == "SGD":
            # Without momentum a gradient of zero moves nothing either.
            other = train(Bad("none", 2, 2), {**BASE, **options}, runs_dir=tmp_path / "other")
            assert_same_weights(weights(result.run_dir, 4), weights(other.run_dir, 4))
        (alert,) = events(result.run_dir, "alert")
        assert (alert["title"], alert["message"][:12]) == ("step skipped", "step 17 had ")
        series = rows(result.run_dir)
        assert series["step"].tolist() == [step for step in range(1, 29) if step != 17]
        third = slice(2 * STEPS, 3 * STEPS - 1)
        mean = np.average(series["train/loss"][third], weights=[16, 16, 16, 16, 16, 5])
        assert events(result.run_dir, "epoch_end")[2]["metrics"]["train/loss"] == pytest.approx(
            mean, abs=1e-9
        )
        assert_all_saved_is_good(result.run_dir)


@pytest.mark.fault(12, FAULT, OUTCOME)
def test_a_skipped_step_does_not_count_for_the_optimizer(tmp_path: Path, tried: Tried) -> None:
    with tried.attempt():
        result = train(Bad("gradient", 2, 2), {**BASE, "on_nonfinite": "skip"}, runs_dir=tmp_path)
        state = checkpoint.load_trainer_state(result.run_dir / "checkpoints/trainer_state_4.pt")
        assert {float(part["step"]) for part in state["optimizer"]["state"].values()} == {4 * STEPS - 1}


@pytest.mark.fault(12, FAULT, OUTCOME)
def test_a_bad_sample_leaves_running_statistics_and_their_average_alone(tmp_path: Path, tried: Tried) -> None:
    class BadNorm(BadData):
        def __init__(self) -> None:
            super().__init__(batchnorm=True)

    values = {**BASE, "on_nonfinite": "skip", "ema_decay": 0.9}
    with tried.attempt():
        result = train(BadNorm(), values, runs_dir=tmp_path)
        assert_all_saved_is_good(result.run_dir)
        assert weights(result.run_dir, 4)["1.running_mean"].abs().max() > 0


@pytest.mark.fault(12, FAULT, OUTCOME)
def test_momentum_begins_with_the_first_step_that_is_made(tmp_path: Path, tried: Tried) -> None:
    values = {**BASE, "optimizer": "SGD", "momentum": 0.9, "lr": 0.05, "on_nonfinite": "skip"}
    with tried.attempt():
        result = train(Bad("loss", 0, 0), values, runs_dir=tmp_path)
        assert result.metrics["train/loss"] < 1.0
        assert_all_saved_is_good(result.run_dir)


@pytest.mark.fault(12, FAULT, OUTCOME)
@pytest.mark.parametrize("parts", [{"micro_batch": 1, "batch_size": 101}, {"grad_accumulation": 100}])
def test_a_step_counts_once_however_many_parts_it_has(
    tmp_path: Path, tried: Tried, parts: dict[str, int]
) -> None:
    values = {**BASE, "checkpoint_every": 1, "batch_size": 1, "on_nonfinite": "skip", **parts}
    with tried.attempt():
        assert train(BadData(), values, runs_dir=tmp_path).status == "finished"


@pytest.mark.fault(12, FAULT, OUTCOME)
def test_going_back_forgets_what_waits_for_room(
    tmp_path: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full from the second checkpoint on: what was copied since is of an undone future."""
    monkeypatch.setattr(saving, "AT_ONCE_S", (0.0, 0.0))
    monkeypatch.setattr(saving, "PAUSE_S", 0.01)
    save, full = checkpoint.save_checkpoint, [True]

    def refuse(layout: RunLayout, epoch: int, batch: int, **facts: Any) -> Any:
        if epoch and full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(layout, epoch, batch, **facts)

    class Recovering(Bad):
        def on_epoch_end(self, context: Any) -> None:
            # By then training has gone back to its beginning, and is in its first epoch once more.
            full[0] = bool(self.times)

    monkeypatch.setattr(checkpoint, "save_checkpoint", refuse)
    values = {**BASE, "checkpoint_every": 1, "on_nonfinite": "rollback"}
    with tried.attempt():
        result = train(Recovering("loss", 2, 2, times=1), values, runs_dir=tmp_path)
        assert rows(result.run_dir)["step"].tolist() == list(range(1, 4 * STEPS + 1))
        entries = RunReader(result.run_dir).checkpoints()
        assert entries[0]["tag"] == "0"
        for entry in entries[1:]:
            state = checkpoint.load_trainer_state(RunLayout(result.run_dir).trainer_state_file(entry["tag"]))
            assert state["progress"]["rollbacks"] == 1


@pytest.mark.fault(12, FAULT, OUTCOME)
def test_data_without_a_single_good_batch_end_a_run_that_skips(tmp_path: Path, tried: Tried) -> None:
    class Hopeless(Points):
        def criterion(self, hparams: Any) -> Any:
            return lambda outputs, targets: outputs.sum() * float("nan")

    with tried.attempt(), pytest.raises(NonFinite, match="nothing left but skipped steps"):
        train(Hopeless(), {**BASE, "epochs": 100, "on_nonfinite": "skip"}, runs_dir=tmp_path)


@pytest.mark.fault(12, FAULT, OUTCOME)
@pytest.mark.parametrize("how", ["loss", "gradient", "weight"])
@pytest.mark.parametrize("epoch", [0, 2])
def test_going_back_lowers_the_rate_and_leaves_a_record_without_seam(
    tmp_path: Path, tried: Tried, how: str, epoch: int
) -> None:
    values = {**BASE, "lr": 0.08, "on_nonfinite": "rollback", "rollback_lr_factor": 0.25}
    with tried.attempt():
        result = train(Bad(how, epoch, 2, times=2), values, runs_dir=tmp_path)
        assert (result.status, result.epochs, result.steps) == ("finished", 4, 4 * STEPS)
        series = rows(result.run_dir)
        assert series["step"].tolist() == list(range(1, 4 * STEPS + 1))
        assert [event["epoch"] for event in events(result.run_dir, "epoch_end")] == [1, 2, 3, 4]
        assert np.isfinite(series["train/loss"]).all()
        back = 4 * ((epoch * STEPS + 2) // 4)
        assert series["lr"].tolist() == [0.08] * back + [0.08 / 16] * (4 * STEPS - back)
        first, second = [event["message"] for event in events(result.run_dir, "alert")]
        assert "lr 0.02 instead of 0.08 (1 of 3)" in first
        assert "lr 0.005 instead of 0.08 (2 of 3)" in second
        assert_all_saved_is_good(result.run_dir)


@pytest.mark.fault(12, FAULT, OUTCOME)
def test_what_going_back_does_not_mend_ends_the_run(tmp_path: Path, tried: Tried) -> None:
    values = {**BASE, "on_nonfinite": "rollback", "max_rollbacks": 2}
    with tried.attempt():
        with pytest.raises(NonFinite, match="first bad: the loss"):
            train(Bad("loss", 1, 2), values, runs_dir=tmp_path)
        run_dir = only_run(tmp_path)
        assert events(run_dir)[-1]["status"] == "failed"
        assert_all_saved_is_good(run_dir)


@pytest.mark.fault(12, FAULT, OUTCOME)
@pytest.mark.parametrize("policy", ["stop", "skip", "rollback"])
def test_no_step_waits_for_the_device(tmp_path: Path, tried: Tried, policy: str) -> None:
    class Reads(TorchDispatchMode):
        """Counts values that the host asks a tensor for."""

        def __init__(self) -> None:
            super().__init__()
            self.count: Counter[str] = Counter()

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.count[str(func)] += 1
            return func(*args, **(kwargs or {}))

    def reads(samples: int) -> int:
        values = {"epochs": 1, "log_rate": 1e-6, "test_size": 0.0, "on_nonfinite": policy}
        with Reads() as mode:
            train(Points(samples), values, runs_dir=tmp_path)
        return mode.count["aten._local_scalar_dense.default"]

    with tried.attempt():
        assert reads(16 * 10) == reads(16 * 40)
