"""A run from hparams to its record: reported numbers are true, seeds decide, endings are clean."""

from __future__ import annotations

import errno
import json
import math
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers import Points, assert_same_weights, events, points, rows, start, tags, weights
from tui_trainer import TrainerError, train
from tui_trainer.engine import checkpoint
from tui_trainer.engine.data import raw_splits
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.errors import Exit, UsageError
from tui_trainer.runs.checkpoints import verify
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader


def index(run_dir: Path) -> dict[str, dict[str, Any]]:
    return {entry["tag"]: entry for entry in RunReader(run_dir).checkpoints()}


# ---------------------------------------------------------------- true numbers


def test_reported_test_metrics_are_those_of_the_saved_model(tmp_path: Path) -> None:
    task = Points(103, batchnorm=True)
    result = train(task, {"epochs": 3, "dropout": 0.3, "eval_batch_size": 6}, runs_dir=tmp_path)
    hparams = task.hparams_class(epochs=3, dropout=0.3)
    inputs, targets = raw_splits(task, hparams)[2]
    for event in events(result.run_dir, "epoch_end"):
        model = task.model(hparams)
        model.load_state_dict(weights(result.run_dir, event["epoch"]))
        model.eval()
        with torch.no_grad():
            outputs = model(inputs)
        loss = float(nn.functional.cross_entropy(outputs, targets))
        assert event["metrics"]["test/loss"] == pytest.approx(loss, abs=1e-6)
        accuracy = float((outputs.argmax(1) == targets).float().mean())
        assert event["metrics"]["test/accuracy"] == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.parametrize("accumulation", [1, 4])
def test_epoch_loss_is_the_sample_weighted_mean_of_its_rows(tmp_path: Path, accumulation: int) -> None:
    values = {"epochs": 2, "log_rate": 0.0, "test_size": 0.0, "grad_accumulation": accumulation}
    result = train(Points(101), values, runs_dir=tmp_path)
    series = rows(result.run_dir)
    sizes = [16] * 6 + [5]
    windows = [sum(sizes[k : k + accumulation]) for k in range(0, 7, accumulation)]
    assert len(series["step"]) == 2 * len(windows)
    for epoch, event in enumerate(events(result.run_dir, "epoch_end")):
        part = slice(epoch * len(windows), (epoch + 1) * len(windows))
        for name in ("train/loss", "train/accuracy"):
            mean = np.average(series[name][part], weights=windows)
            assert event["metrics"][name] == pytest.approx(mean, abs=1e-9)


def test_rows_at_a_low_rate_still_cover_every_step(tmp_path: Path) -> None:
    result = train(Points(), {"epochs": 2, "log_rate": 1e-6}, runs_dir=tmp_path)
    series, ends = rows(result.run_dir), events(result.run_dir, "epoch_end")
    assert series["step"].tolist() == [event["step"] for event in ends]
    np.testing.assert_allclose(series["train/loss"], [event["metrics"]["train/loss"] for event in ends])
    assert (series["train/loss_min"] <= series["train/loss"]).all()
    assert (series["train/loss_max"] >= series["train/loss"]).all()


# ---------------------------------------------------------------- seeds


def test_one_seed_gives_bit_identical_weights_and_another_does_not(tmp_path: Path) -> None:
    values = {"dropout": 0.2, "seed": 5}
    one, same = (train(Points(), values, runs_dir=tmp_path) for _ in range(2))
    other = train(Points(), {**values, "seed": 6}, runs_dir=tmp_path)
    assert_same_weights(weights(one.run_dir, 2), weights(same.run_dir, 2))
    assert not torch.equal(weights(one.run_dir, 2)["0.weight"], weights(other.run_dir, 2)["0.weight"])


def test_a_checkpoints_parameters_repeat_the_run_bit_for_bit(tmp_path: Path) -> None:
    values = {"dropout": 0.2, "betas": [0.8, 0.9], "scheduler": "cosine", "warmup": 0.1, "ema_decay": 0.9}
    one = train(Points(), values, runs_dir=tmp_path)
    parameters = json.loads((one.run_dir / "checkpoints/model_parameters_2.json").read_text())
    again = train(Points(), Points.hparams_class(**parameters), runs_dir=tmp_path)
    assert_same_weights(weights(one.run_dir, 2), weights(again.run_dir, 2))


def test_initial_weights_do_not_depend_on_what_the_data_draw(tmp_path: Path) -> None:
    class Drawing(Points):
        def datasets(self, hparams: Any) -> Any:
            torch.rand(7), np.random.rand(3)
            return super().datasets(hparams)

    one, other = (train(kind(), {"epochs": 1}, runs_dir=tmp_path) for kind in (Points, Drawing))
    assert_same_weights(weights(one.run_dir, 1), weights(other.run_dir, 1))


def test_how_often_one_evaluates_logs_or_saves_does_not_change_training(tmp_path: Path) -> None:
    base = {"dropout": 0.4, "epochs": 3}
    reference = train(Points(batchnorm=True), base, runs_dir=tmp_path)
    for values in (
        {"eval_every": 0},
        {"eval_every": "2steps"},
        {"checkpoint_every": "3steps"},
        {"checkpoint_every": 0},
        {"log_rate": 0.0},
        {"eval_batch_size": 3},
    ):
        result = train(Points(batchnorm=True), {**base, **values}, runs_dir=tmp_path)
        assert_same_weights(weights(reference.run_dir, 3), weights(result.run_dir, 3))


def test_evaluation_is_in_evaluation_mode_without_gradients_and_training_mode_returns(tmp_path: Path) -> None:
    seen: list[tuple[bool, bool]] = []

    class Modes(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            seen.append((model.training, torch.is_grad_enabled()))
            return super().compute_loss(model, batch, criterion)

    train(Modes(48, batchnorm=True), {"epochs": 2, "eval_every": "1steps"}, runs_dir=tmp_path)
    assert set(seen) == {(True, True), (False, False)}
    assert seen[-1] == (False, False)


# ---------------------------------------------------------------- the averaged model


def test_ema_saves_the_average_and_keeps_the_raw_weights_beside_it(tmp_path: Path) -> None:
    decay, raw = 0.7, []

    class Watched(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            if model.training:
                # Weights before this step are those after the one before.
                raw.append({name: p.detach().clone() for name, p in model.named_parameters()})
            return super().compute_loss(model, batch, criterion)

    task = Watched(64, batchnorm=True)
    result = train(task, {"epochs": 2, "ema_decay": decay, "test_size": 0.25}, runs_dir=tmp_path)
    state = checkpoint.load_trainer_state(result.run_dir / "checkpoints/trainer_state_2.pt")
    raw = [*raw[1:], {name: state["averaged"]["raw"][name] for name in raw[0]}]
    average = dict(raw[0])
    for step in raw[1:]:
        average = {name: decay * average[name] + (1 - decay) * step[name] for name in average}
    saved = weights(result.run_dir, 2)
    assert set(saved) == set(task.model(task.hparams_class()).state_dict())
    for name, expected in average.items():
        torch.testing.assert_close(saved[name], expected, rtol=1e-6, atol=1e-7)
    assert torch.equal(saved["1.running_mean"], state["averaged"]["raw"]["1.running_mean"])
    inputs, targets = raw_splits(task, task.hparams_class(test_size=0.25))[2]
    model = task.model(task.hparams_class())
    model.load_state_dict(saved)
    loss = nn.functional.cross_entropy(model.eval()(inputs), targets)
    assert result.metrics["test/loss"] == pytest.approx(float(loss.detach()), abs=1e-6)


# ---------------------------------------------------------------- endings and intervals


class Worse(Points):
    """Its test loss is best in the second epoch."""

    losses = (1.0, 0.5, 0.7, 0.6, 0.9, 0.8)

    def __init__(self) -> None:
        super().__init__(48)
        self.epoch = 0

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
        loss, outputs, targets = super().compute_loss(model, batch, criterion)
        if not model.training:
            loss = torch.tensor(self.losses[min(self.epoch, 5)])
        return loss, outputs, targets

    def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
        return {}

    def on_epoch_end(self, context: Any) -> None:
        self.epoch += 1


def test_early_stopping_waits_for_its_patience(tmp_path: Path) -> None:
    result = train(Worse(), {"epochs": 20, "early_stopping_patience": 3}, runs_dir=tmp_path)
    assert (result.status, result.epochs) == ("finished", 5)
    assert "early stopping" in result.reason
    assert result.best == {"metric": "test/loss", "value": 0.5, "epoch": 2}


def test_early_stopping_on_a_training_metric_needs_no_evaluation(tmp_path: Path) -> None:
    values = {"epochs": 20, "early_stopping_patience": 2, "eval_every": 0, "monitor": "train/loss", "lr": 1e5}
    result = train(Points(), {**values, "grad_clip_norm": 1.0}, runs_dir=tmp_path)
    assert result.epochs < 20
    assert result.best is not None
    assert "test/loss" not in result.metrics


def test_old_checkpoints_go_and_the_best_and_the_newest_stay(tmp_path: Path) -> None:
    result = train(Worse(), {"epochs": 6, "keep_checkpoints": 1}, runs_dir=tmp_path)
    assert tags(result.run_dir) == ["2", "6"]
    entries = index(result.run_dir)
    assert entries["2"]["best"]
    assert entries["6"]["last"]
    assert sorted(path.name for path in result.run_dir.glob("checkpoints/*.pt")) == [
        "model_2.pt",
        "model_6.pt",
        "trainer_state_2.pt",
        "trainer_state_6.pt",
    ]


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (0, ["5"]),
        (1, ["1", "2", "3", "4", "5"]),
        (2, ["1", "2", "4", "5"]),
        ("4steps", ["1", "1+1", "2+2", "4", "5"]),
    ],
)
def test_checkpoints_come_as_often_as_asked_and_always_at_the_end(
    tmp_path: Path, every: int | str, expected: list[str]
) -> None:
    class Once(Worse):
        losses = (0.5, 0.6, 0.6, 0.6, 0.6, 0.6)

    # Three steps an epoch; the first is the best.
    result = train(Once(), {"epochs": 5, "checkpoint_every": every}, runs_dir=tmp_path)
    assert result.steps == 15
    assert tags(result.run_dir) == expected


def test_max_steps_ends_inside_an_epoch_measured_and_saved(tmp_path: Path) -> None:
    result = train(Points(96), {"epochs": 5, "max_steps": 7, "test_size": 0.0}, runs_dir=tmp_path)
    assert (result.status, result.steps, result.epochs) == ("finished", 7, 1)
    assert tags(result.run_dir) == ["1", "1+1"]
    result = train(Points(96), {"epochs": 5, "max_steps": 3}, runs_dir=tmp_path)
    assert tags(result.run_dir) == ["0+3"]
    assert "test/loss" in result.metrics
    (evaluation,) = events(result.run_dir, "evaluation")
    assert evaluation["step"] == 3
    assert index(result.run_dir)["0+3"]["best"]


def test_a_run_that_ends_where_it_was_just_evaluated_is_not_evaluated_again(tmp_path: Path) -> None:
    values = {"max_steps": 6, "eval_every": "3steps", "batch_size": 8, "checkpoint_every": 0}
    result = train(Points(96), values, runs_dir=tmp_path)
    assert [event["step"] for event in events(result.run_dir, "evaluation")] == [3, 6]
    assert tags(result.run_dir) == ["0+6"]


def test_max_minutes_ends_a_run_as_finished(tmp_path: Path) -> None:
    result = train(Points(), {"epochs": 10**6, "max_minutes": 0.005}, runs_dir=tmp_path)
    assert result.status == "finished"
    assert "max_minutes" in result.reason
    assert result.steps > 0
    assert "test/loss" in result.metrics


def test_evaluations_inside_an_epoch_come_every_so_many_steps(tmp_path: Path) -> None:
    result = train(Points(100), {"epochs": 2, "eval_every": "3steps"}, runs_dir=tmp_path)
    assert [event["step"] for event in events(result.run_dir, "evaluation")] == [3, 6, 9]
    # The last epoch is always measured.
    measured = ["test/loss" in event["metrics"] for event in events(result.run_dir, "epoch_end")]
    assert measured == [False, True]


def test_evaluation_every_second_epoch_still_measures_the_last(tmp_path: Path) -> None:
    result = train(Points(), {"epochs": 5, "eval_every": 2}, runs_dir=tmp_path)
    measured = ["test/loss" in event["metrics"] for event in events(result.run_dir, "epoch_end")]
    assert measured == [False, True, False, True, True]


def test_a_stopped_run_still_tells_the_latest_value_of_each_metric(tmp_path: Path) -> None:
    stop = StopRequest()
    task = Points(on_batch=lambda number: stop.request("test") if number == 17 else None)
    result = start(task, tmp_path, {"epochs": 5, "eval_every": 2}, stop)
    assert result.epochs == 2
    assert "test/loss" in result.metrics


def test_a_validation_set_decides_best_and_early_stopping(tmp_path: Path) -> None:
    class Val(Points):
        def datasets(self, hparams: Any) -> Any:
            return points(64), points(20, seed=1), points(20, seed=2)

    result = train(Val(), {"epochs": 2}, runs_dir=tmp_path)
    assert result.best is not None
    assert result.best["metric"] == "val/loss"
    assert {"val/loss", "val/accuracy", "test/loss"} <= set(result.metrics)
    (begin,) = events(result.run_dir, "run_start")
    assert (begin["train_samples"], begin["val_samples"], begin["test_samples"]) == (64, 20, 20)


def test_overfitting_a_few_batches_learns_them(tmp_path: Path) -> None:
    values = {"overfit_batches": 1, "epochs": 60, "lr": 0.02, "batch_size": 8, "checkpoint_every": 0}
    result = train(Points(), values, runs_dir=tmp_path)
    assert result.steps == 60
    assert result.metrics["test/accuracy"] == 1.0


@pytest.mark.parametrize(
    ("monitor", "mode"), [("test/accuracy", "max"), ("test/error", "min"), ("test/odd", "min")]
)
def test_the_monitor_knows_which_way_is_better(tmp_path: Path, monitor: str, mode: str) -> None:
    class Many(Points):
        directions = {"odd": "min"}  # noqa: RUF012

        def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
            accuracy = super().metrics(outputs, targets)["accuracy"]
            return {"accuracy": accuracy, "error": 1 - accuracy, "odd": 1 - accuracy}

    result = train(Many(), {"monitor": monitor, "epochs": 4, "lr": 0.01}, runs_dir=tmp_path)
    values = [event["metrics"][monitor] for event in events(result.run_dir, "epoch_end")]
    assert result.best is not None
    assert result.best["value"] == (max if mode == "max" else min)(values)
    (begin,) = events(result.run_dir, "run_start")
    assert begin["directions"][monitor] == mode
    flipped = train(Many(), {"monitor": monitor, "monitor_mode": "max", "epochs": 4}, runs_dir=tmp_path)
    values = [event["metrics"][monitor] for event in events(flipped.run_dir, "epoch_end")]
    assert flipped.best is not None
    assert flipped.best["value"] == max(values)


@pytest.mark.parametrize(
    "values",
    [
        {"monitor": "test/acuracy"},
        {"monitor": "val/loss"},
        {"monitor": "train/acuracy"},
        {"monitor": "train/acuracy", "test_size": 0.0},
        {"monitor": "test/loss", "test_size": 0.0},
    ],
)
def test_a_monitor_that_is_not_measured_is_refused_before_training(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="monitor") as caught:
        train(Points(), values, runs_dir=tmp_path)
    assert caught.value.exit_code == Exit.USAGE
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- the hook


def test_the_epochs_hook_sees_the_metrics_and_can_log(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Hooked(Points):
        def on_epoch_end(self, context: Any) -> None:
            seen.append((context.epoch, context.step, context.model.training, sorted(context.metrics)))
            context.log_text("sample", f"epoch {context.epoch}")
            context.log_image("weights/0", context.model[0].weight.abs().clamp(max=1))
            context.log_image("colour", np.zeros((2, 3, 3), dtype=np.uint8))
            context.metrics["own"] = torch.tensor(context.epoch * 1.5)
            torch.rand(3)

    result = train(Hooked(), {"epochs": 2, "dropout": 0.2}, runs_dir=tmp_path)
    names = ["test/accuracy", "test/loss", "train/accuracy", "train/loss"]
    assert seen == [(1, 6, False, names), (2, 12, False, names)]
    logs = events(result.run_dir, "log")
    assert [log["text"] for log in logs if "text" in log] == ["epoch 1", "epoch 2"]
    for log in logs:
        if "image" in log:
            assert (result.run_dir / log["image"]).read_bytes().startswith(b"\x89PNG")
    assert [event["metrics"]["own"] for event in events(result.run_dir, "epoch_end")] == [1.5, 3.0]
    assert result.metrics["own"] == 3.0
    plain = train(Points(), {"epochs": 2, "dropout": 0.2}, runs_dir=tmp_path)
    assert_same_weights(weights(result.run_dir, 2), weights(plain.run_dir, 2))


def test_what_the_epochs_hook_measures_can_be_monitored(tmp_path: Path) -> None:
    values = iter([3.0, 5.0, 4.0, 4.5])

    class Hooked(Points):
        directions: ClassVar = {"own": "max"}

        def on_epoch_end(self, context: Any) -> None:
            context.metrics["test/own"] = next(values)

    hparams = {"epochs": 9, "monitor": "test/own", "early_stopping_patience": 2, "eval_every": 1}
    result = train(Hooked(), hparams, runs_dir=tmp_path)
    assert result.best == {"metric": "test/own", "value": 5.0, "epoch": 2}
    assert result.epochs == 4
    assert [event["improved"] for event in events(result.run_dir, "epoch_end")] == [True, True, False, False]


@pytest.mark.parametrize("fault", ["raise", "metric", "image"])
def test_a_hook_that_fails_is_an_alert_and_training_goes_on(tmp_path: Path, fault: str) -> None:
    class Broken(Points):
        def on_epoch_end(self, context: Any) -> None:
            if fault == "raise":
                raise RuntimeError("no picture today")
            if fault == "metric":
                context.metrics["own"] = "good"
            else:
                context.log_image("x", np.zeros((2, 2, 2, 2)))

    result = train(Broken(), {"epochs": 2}, runs_dir=tmp_path)
    assert (result.status, result.epochs) == ("finished", 2)
    alerts = events(result.run_dir, "alert")
    assert [alert["title"] for alert in alerts] == ["on_epoch_end failed"] * 2
    assert "own" not in result.metrics


# ---------------------------------------------------------------- failures


class Exploding(Points):
    """Its loss is no number from training batch `at` on."""

    at = 9

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
        loss, outputs, targets = super().compute_loss(model, batch, criterion)
        return (
            loss * (math.nan if model.training and self.trained_batches >= self.at else 1.0),
            outputs,
            targets,
        )


@pytest.mark.parametrize("log_rate", [0.0, 20.0, 1e-6])
def test_a_loss_that_is_no_number_ends_the_run_and_harms_no_checkpoint(
    tmp_path: Path, log_rate: float
) -> None:
    run_dir = tmp_path / "run"
    values = {"epochs": 5, "log_rate": log_rate, "checkpoint_every": "2steps"}
    with pytest.raises(TrainerError, match="not finite") as caught:
        train(Exploding(), values, run_dir=run_dir)
    assert caught.value.exit_code == Exit.FAILED
    assert caught.value.hint
    assert RunReader(run_dir).run()["status"] == "failed"
    last = events(run_dir)[-1]
    assert (last["event"], last["status"]) == ("run_end", "failed")
    assert tags(run_dir)[-1] == "1+2"
    for tag in tags(run_dir):
        assert verify(RunLayout(run_dir), tag) == []
        assert all(torch.isfinite(tensor).all() for tensor in weights(run_dir, tag).values())


def test_weights_that_are_no_numbers_never_become_a_checkpoint(tmp_path: Path) -> None:
    class Poisoned(Points):
        """A finite loss whose gradient is not."""

        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            loss, outputs, targets = super().compute_loss(model, batch, criterion)
            if model.training and self.trained_batches == 6:
                zero = (outputs * 0).sum()
                loss = loss + zero.abs().sqrt()
            return loss, outputs, targets

    run_dir = tmp_path / "run"
    with pytest.raises(TrainerError, match="not finite"):
        # The sixth batch is the last of its epoch, so no later loss could tell.
        train(Poisoned(), {"epochs": 1, "eval_every": 0, "checkpoint_every": "5steps"}, run_dir=run_dir)
    assert tags(run_dir) == ["0+5"]


class Failing(Points):
    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def datasets(self, hparams: Any) -> Any:
        if self.where == "datasets":
            raise OSError("no such disk")
        return super().datasets(hparams)

    def model(self, hparams: Any) -> Any:
        if self.where == "model":
            raise ValueError("odd width")
        return 3 if self.where == "no model" else super().model(hparams)

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
        if self.where == ("batch" if model.training else "test batch"):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        return super().compute_loss(model, batch, criterion)


@pytest.mark.parametrize("where", ["datasets", "model", "no model", "batch", "test batch"])
def test_a_start_that_fails_leaves_no_run_behind_and_names_its_log(tmp_path: Path, where: str) -> None:
    with pytest.raises(TrainerError, match="log: ") as caught:
        train(Failing(where), {}, runs_dir=tmp_path)
    assert caught.value.exit_code == Exit.FAILED
    assert not list(tmp_path.iterdir())
    log = Path(caught.value.message.rpartition("log: ")[2])
    assert caught.value.title in log.read_text()
    if where in ("datasets", "model", "batch", "test batch"):
        assert "test_experiment.py" in caught.value.message


def test_a_start_that_fails_keeps_a_run_directory_that_was_asked_for(tmp_path: Path) -> None:
    run_dir = tmp_path / "mine"
    with pytest.raises(TrainerError) as caught:
        train(Failing("batch"), {}, run_dir=run_dir)
    assert f"log: {run_dir / 'console.log'}" in caught.value.message
    assert "Traceback" in (run_dir / "console.log").read_text()
    assert RunReader(run_dir).run()["status"] == "failed"
    assert [event["event"] for event in events(run_dir)][-1] == "run_end"


def test_a_failure_in_mid_run_keeps_what_was_saved(tmp_path: Path) -> None:
    def fail(number: int) -> None:
        if number == 9:
            raise RuntimeError("cosmic ray")

    with pytest.raises(TrainerError, match="cosmic ray"):
        train(Points(on_batch=fail), {"epochs": 5}, runs_dir=tmp_path)
    (run_dir,) = tmp_path.iterdir()
    assert tags(run_dir) == ["1"]
    assert events(run_dir)[-1]["event"] == "run_end"
    (alert,) = events(run_dir, "alert")
    assert alert["level"] == "error"


def test_a_full_disk_pauses_saving_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = checkpoint._Hashing.write

    def write(self: Any, data: bytes) -> int:
        if any(f"_{epoch}.pt" in self._file.name for epoch in (2, 3, 4)):
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, data)

    monkeypatch.setattr(checkpoint._Hashing, "write", write)
    result = train(Points(), {"epochs": 5}, runs_dir=tmp_path)
    assert result.status == "finished"
    # What came in between is worth less than the state at the end.
    assert tags(result.run_dir) == ["1", "5"]
    alerts = events(result.run_dir, "alert")
    assert [alert["title"] for alert in alerts] == ["saving pauses", "saving goes on"]
    assert "No space left" in alerts[0]["message"]
    assert "model_5.pt" in alerts[1]["message"]
    # Half a checkpoint takes no space.
    assert not list(result.run_dir.glob("checkpoints/*_2.*"))
    assert not list(result.run_dir.glob("checkpoints/.*"))


# ---------------------------------------------------------------- devices and precisions


@pytest.mark.parametrize("device", ["cuda:7", "mps", "xpu"])
def test_a_device_that_is_not_there_is_a_usage_error(tmp_path: Path, device: str) -> None:
    with pytest.raises(UsageError, match="no such device") as caught:
        train(Points(), {"device": device}, runs_dir=tmp_path)
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("options", [{}, {"optimizer": "SGD", "grad_clip_norm": 1.0, "grad_accumulation": 2}])
def test_half_precisions_train_on_the_cpu(tmp_path: Path, precision: str, options: dict[str, Any]) -> None:
    values = {"precision": precision, "epochs": 4, "lr": 0.05, **options}
    result = train(Points(), values, runs_dir=tmp_path)
    first, *_, last = (event["metrics"]["train/loss"] for event in events(result.run_dir, "epoch_end"))
    assert last < first
    assert all(tensor.dtype == torch.float32 for tensor in weights(result.run_dir, 4).values())


def test_a_precision_that_the_device_lacks_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("not implemented for Half")

    monkeypatch.setattr(torch.nn.functional, "linear", refuse)
    with pytest.raises(UsageError, match="precision not supported"):
        train(Points(), {"precision": "float16"}, runs_dir=tmp_path)


def test_deterministic_runs_and_is_switched_off_again(tmp_path: Path) -> None:
    one, same = (train(Points(), {"deterministic": True}, runs_dir=tmp_path) for _ in range(2))
    assert torch.are_deterministic_algorithms_enabled()
    assert_same_weights(weights(one.run_dir, 2), weights(same.run_dir, 2))
    train(Points(), {"epochs": 1}, runs_dir=tmp_path)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_model_trains_alike_and_keeps_its_own_names(tmp_path: Path) -> None:
    values = {"epochs": 1, "compile": True, "ema_decay": 0.9, "batch_size": 20, "test_size": 0.0}
    result = train(Points(100), values, runs_dir=tmp_path)
    plain = train(Points(100), {**values, "compile": False}, runs_dir=tmp_path)
    for name, tensor in weights(plain.run_dir, 1).items():
        torch.testing.assert_close(weights(result.run_dir, 1)[name], tensor, rtol=1e-3, atol=1e-4)


# ---------------------------------------------------------------- the files


def test_every_pt_file_loads_without_running_code_and_names_are_the_models_own(tmp_path: Path) -> None:
    values = {"ema_decay": 0.9, "scheduler": "plateau", "precision": "float16", "checkpoint_every": "4steps"}
    task = Points(batchnorm=True)
    result = train(task, values, runs_dir=tmp_path)
    files = list(result.run_dir.glob("checkpoints/*.pt"))
    assert len(files) >= 4
    for path in files:
        torch.load(path, weights_only=True)
    task.model(task.hparams_class()).load_state_dict(weights(result.run_dir, 2), strict=True)
    for tag in tags(result.run_dir):
        assert verify(RunLayout(result.run_dir), tag) == []


def test_shared_weights_stay_shared_in_the_file(tmp_path: Path) -> None:
    class Tied(Points):
        def model(self, hparams: Any) -> nn.Module:
            model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3))
            model[1].weight = model[0].weight
            return model

    result = train(Tied(), {"epochs": 1}, runs_dir=tmp_path)
    saved = weights(result.run_dir, 1)
    assert saved["0.weight"].data_ptr() == saved["1.weight"].data_ptr()


def test_the_record_begins_and_ends_as_promised(tmp_path: Path) -> None:
    result = train(Points(), {"epochs": 2}, runs_dir=tmp_path, run_name="first try")
    beside = ("phase", "system", "checkpoint")
    names = [event["event"] for event in events(result.run_dir) if event["event"] not in beside]
    epoch = ["epoch_start", "epoch_end"]
    assert names == ["run_start", *epoch, *epoch, "run_end"]
    assert [event["epoch"] for event in events(result.run_dir, "checkpoint")] == [1, 2]
    run = RunReader(result.run_dir).run()
    assert (run["status"], run["name"], run["task"]) == ("finished", "first try", "points")
    (begin,) = events(result.run_dir, "run_start")
    assert (begin["steps_per_epoch"], begin["total_steps"], begin["train_samples"]) == (6, 12, 81)
    assert begin["parameters"] == 8 * 12 + 12 + 12 * 3 + 3
    for event in events(result.run_dir, "checkpoint"):
        assert (result.run_dir / event["path"]).exists()
    end = events(result.run_dir)[-1]
    assert (end["status"], end["epochs"], end["steps"]) == ("finished", 2, 12)
    assert end["best"] == result.best


def test_a_lazy_model_gets_its_shapes_with_or_without_a_test_set(tmp_path: Path) -> None:
    class Lazy(Points):
        def model(self, hparams: Any) -> nn.Module:
            return nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.LazyLinear(3))

    for test_size in (0.2, 0.0):
        result = train(Lazy(), {"epochs": 1, "test_size": test_size, "ema_decay": 0.9}, runs_dir=tmp_path)
        assert weights(result.run_dir, 1)["0.weight"].shape == (6, 8)


def test_wrong_hparams_are_refused_with_every_problem(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        train(Points(), {"lr": -1.0, "batch_sise": 3}, runs_dir=tmp_path)
    assert "batch_size" in str(caught.value)
    assert not list(tmp_path.iterdir())
