"""A task's own training steps, and several optimizers: as a loop written by hand would do it."""

from __future__ import annotations

import copy
import math
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from tests.comparing import assert_same_run
from tests.helpers import Points, PointsHparams, assert_same_weights, events, resume, rows, weights
from tui_trainer import Task, TrainerError, train
from tui_trainer.engine.check import check
from tui_trainer.engine.schedule import build_schedule
from tui_trainer.engine.several import SeveralOptimizers
from tui_trainer.errors import UsageError
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state


class Pair(nn.Module):
    """A generator and a discriminator of points in the plane."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))


def real_points() -> Tensor:
    return torch.randn(64, 2, generator=torch.Generator().manual_seed(3)) + 2.0


class Gan(Task):
    """The generator comes first, so that its gradients could get into the discriminator's step."""

    name = "gan"
    hparams_class = PointsHparams
    on_batch: Any = None

    def datasets(self, hparams: Any) -> Any:
        return (real_points(),), None

    def model(self, hparams: Any) -> nn.Module:
        return Pair()

    def optimizer(self, hparams: Any, model: Any) -> Any:
        return {
            "generator": torch.optim.Adam(model.generator.parameters(), lr=hparams.lr),
            "discriminator": torch.optim.SGD(model.discriminator.parameters(), lr=0.1, momentum=0.9),
        }

    def train_step(self, context: Any, batch: Any) -> dict[str, Any]:
        if self.on_batch is not None:
            self.on_batch(context.step)
        (real,) = batch
        model, bce = context.model, nn.functional.binary_cross_entropy_with_logits
        fake = model.generator(torch.randn(len(real), 3))
        judged = model.discriminator(fake)
        fooled = bce(judged, torch.ones_like(judged))
        context.backward(fooled)
        context.step("generator")
        true, false = model.discriminator(real), model.discriminator(fake.detach())
        seen = bce(true, torch.ones_like(true)) + bce(false, torch.zeros_like(false))
        context.backward(seen)
        context.step("discriminator")
        return {"loss": fooled + seen, "fooled": fooled, "at": torch.tensor(float(context.step))}


class Observed(Gan):
    """Keeps what the first step begins with, and every batch."""

    def __init__(self) -> None:
        self.began: Any = None
        self.batches: list[Tensor] = []

    def train_step(self, context: Any, batch: Any) -> dict[str, Any]:
        if self.began is None:
            self.began = (copy.deepcopy(context.model.state_dict()), torch.get_rng_state())
        self.batches.append(batch[0].clone())
        return super().train_step(context, batch)


def by_hand(task: Observed, lr: float) -> dict[str, Tensor]:
    """The weights that the same training has without the engine."""
    model, bce = Pair(), nn.functional.binary_cross_entropy_with_logits
    model.load_state_dict(task.began[0])
    torch.set_rng_state(task.began[1])
    generator = torch.optim.Adam(model.generator.parameters(), lr=lr)
    discriminator = torch.optim.SGD(model.discriminator.parameters(), lr=0.1, momentum=0.9)
    for real in task.batches:
        fake = model.generator(torch.randn(len(real), 3))
        judged = model.discriminator(fake)
        model.zero_grad()
        bce(judged, torch.ones_like(judged)).backward()
        generator.step()
        true, false = model.discriminator(real), model.discriminator(fake.detach())
        model.zero_grad()
        (bce(true, torch.ones_like(true)) + bce(false, torch.zeros_like(false))).backward()
        discriminator.step()
    return model.state_dict()


def test_a_gan_trains_as_in_a_loop_by_hand(tmp_path: Path) -> None:
    task = Observed()
    result = train(task, {"lr": 0.01, "scheduler": "constant", "epochs": 2}, runs_dir=tmp_path)
    assert len(task.batches) == 8
    assert_same_weights(weights(result.run_dir, 2), by_hand(task, 0.01))


def test_a_dry_run_is_the_first_step() -> None:
    metrics = check(Gan(), PointsHparams(task="x"))["metrics"]
    assert metrics["train/at"] == 0.0


def test_the_values_of_a_step_are_recorded(tmp_path: Path) -> None:
    result = train(Gan(), {"epochs": 2, "log_rate": 0.0}, runs_dir=tmp_path)
    ends = events(result.run_dir, "epoch_end")
    assert set(ends[0]["metrics"]) == {"train/loss", "train/fooled", "train/at"}
    assert [end["metrics"]["train/at"] for end in ends] == [1.5, 5.5]
    assert result.best is not None
    assert result.best["metric"] == "train/loss"
    assert len(rows(result.run_dir)["step"]) == 8


def test_what_a_step_records_is_better_when_lower_unless_its_name_says_otherwise(tmp_path: Path) -> None:
    class Scored(Gan):
        directions: ClassVar = {"at": "max"}

        def train_step(self, context: Any, batch: Any) -> dict[str, Any]:
            return {**super().train_step(context, batch), "accuracy": torch.tensor(0.5)}

    result = train(Scored(), {"epochs": 2, "monitor": "train/fooled"}, runs_dir=tmp_path)
    directions = read_state(RunReader(result.run_dir)).directions
    assert directions["train/fooled"] == directions["train/loss"] == "min"
    assert directions["train/accuracy"] == directions["train/at"] == "max"
    values = [end["metrics"]["train/fooled"] for end in events(result.run_dir, "epoch_end")]
    assert result.best is not None
    assert result.best["value"] == min(values)


class OwnLoop(Points):
    """What the engine does by itself, written as a step of one's own."""

    def train_step(self, context: Any, batch: Any) -> dict[str, Any]:
        loss, outputs, targets = self.compute_loss(context.model, batch, context.criterion)
        context.backward(loss)
        context.step()
        return {"loss": loss, **self.metrics(outputs.detach(), targets)}


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": "SGD", "momentum": 0.9, "lr": 0.1, "scheduler": "cosine", "warmup": 0.2},
        {"grad_clip_norm": 0.05, "ema_decay": 0.8},
        {"precision": "float16", "optimizer": "SGD", "lr": 0.1, "grad_clip_norm": 0.5},
        {"precision": "bfloat16"},
        {"on_nonfinite": "skip"},
    ],
)
def test_a_step_of_ones_own_has_clipping_precision_schedule_and_averages(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    own = train(OwnLoop(), values, runs_dir=tmp_path)
    usual = train(Points(), values, runs_dir=tmp_path)
    assert_same_weights(weights(own.run_dir, 2), weights(usual.run_dir, 2))
    assert own.metrics == usual.metrics


class Poisoned(OwnLoop):
    """The third batch has no loss."""

    def train_step(self, context: Any, batch: Any) -> dict[str, Any]:
        inputs, targets = batch
        return super().train_step(context, (inputs * (math.nan if context.step == 2 else 1.0), targets))


def test_a_bad_step_of_ones_own_is_skipped(tmp_path: Path) -> None:
    values = {"on_nonfinite": "skip", "epochs": 1, "optimizer": "SGD", "lr": 0.1}
    result = train(Poisoned(batchnorm=True), values, runs_dir=tmp_path)
    assert all(bool(tensor.isfinite().all()) for tensor in weights(result.run_dir, 1).values())
    (alert,) = events(result.run_dir, "alert")
    assert alert["message"] == "step 3 had no finite loss and gradient, and changed nothing"


class Two(Points):
    """One loss, and an optimizer for each layer."""

    def optimizer(self, hparams: Any, model: Any) -> Any:
        return {
            "first": torch.optim.SGD(model[0].parameters(), lr=hparams.lr),
            "last": torch.optim.AdamW(model[3].parameters(), lr=10 * hparams.lr),
        }


class TwoGroups(Points):
    """One SGD with other rates for the layers."""

    def optimizer(self, hparams: Any, model: Any) -> Any:
        groups = [{"params": model[0].parameters()}, {"params": model[3].parameters(), "lr": 10 * hparams.lr}]
        return torch.optim.SGD(groups, lr=hparams.lr, momentum=0.9)


class TwoAlike(TwoGroups):
    """The same as two optimizers."""

    def optimizer(self, hparams: Any, model: Any) -> Any:
        return {
            "first": torch.optim.SGD(model[0].parameters(), lr=hparams.lr, momentum=0.9),
            "last": torch.optim.SGD(model[3].parameters(), lr=10 * hparams.lr, momentum=0.9),
        }


@pytest.mark.parametrize(
    "values",
    [
        {"scheduler": "cosine", "warmup": 0.2, "grad_clip_norm": 0.05},
        {"scheduler": "one_cycle"},
        {"on_nonfinite": "skip", "grad_accumulation": 2},
        {"precision": "float16"},
    ],
)
def test_optimizers_that_step_together_are_as_one_with_their_groups(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    values = {"lr": 0.01, **values}
    two = train(TwoAlike(), values, runs_dir=tmp_path)
    one = train(TwoGroups(), values, runs_dir=tmp_path)
    assert_same_weights(weights(two.run_dir, 2), weights(one.run_dir, 2))


class Half(Two):
    """Only the first layer's optimizer gets gradients."""

    def model(self, hparams: Any) -> Any:
        model = super().model(hparams)
        model[3].requires_grad_(False)
        return model


class HalfByStep(Half, OwnLoop):
    """The same as a step of one's own."""

    def train_step(self, context: Any, batch: Any) -> dict[str, Any]:
        context.step("last")
        loss, _, _ = self.compute_loss(context.model, batch, context.criterion)
        context.backward(loss)
        context.step("first")
        return {"loss": loss}


@pytest.mark.parametrize("task", [Half, HalfByStep])
@pytest.mark.parametrize("grad_clip_norm", [None, 100.0])
def test_in_float16_an_optimizer_without_gradients_has_no_step(
    tmp_path: Path, task: type[Points], grad_clip_norm: float | None
) -> None:
    values = {"precision": "float16", "grad_clip_norm": grad_clip_norm, "lr": 0.01}
    result = train(task(), values, runs_dir=tmp_path)
    first, last = (end["metrics"]["train/loss"] for end in events(result.run_dir, "epoch_end"))
    assert last < first


class InParts(Points):
    """A loss whose parts' names do not tell which way they get better."""

    def compute_loss(self, model: Any, batch: Any, criterion: Any) -> Any:
        loss, outputs, targets = super().compute_loss(model, batch, criterion)
        return {"loss": loss, "kind": 2 * loss}, outputs, targets


def test_a_part_of_the_loss_is_minimised_without_a_test_set_too(tmp_path: Path) -> None:
    values = {"monitor": "train/kind", "test_size": 0.0, "lr": 0.01, "epochs": 3}
    result = train(InParts(), values, runs_dir=tmp_path)
    assert result.best is not None
    assert result.best["epoch"] == 3


def test_a_schedule_moves_the_rates_of_all(tmp_path: Path) -> None:
    kinds = SeveralOptimizers(
        Two().optimizer(PointsHparams(task="x"), Points().model(PointsHparams(task="x")))
    )
    hparams = PointsHparams(task="x", scheduler="step", lr_decay=0.5, lr_decay_every=1)
    schedule = build_schedule(Points(), hparams, kinds, 4, 2, "min")
    rates = [[group["lr"] for group in kinds.param_groups]]
    for _ in range(2):
        kinds.step()
        schedule.after_step()
    rates.append([group["lr"] for group in kinds.param_groups])
    schedule.set_lr(3.0)
    rates.append([group["lr"] for group in kinds.param_groups])
    assert rates == [[0.001, 0.01], [0.0005, 0.005], [3.0, 30.0]]


def crash_at(step: int) -> Any:
    def crash(number: int) -> None:
        if number == step:
            raise RuntimeError("power cut")

    return crash


@pytest.mark.parametrize(("every", "at"), [("3steps", 5), (1, 9)])
def test_a_gan_resumes_exactly(tmp_path: Path, every: Any, at: int) -> None:
    values = {"epochs": 3, "checkpoint_every": every, "log_rate": 0.0, "scheduler": "cosine"}
    whole = train(Gan(), values, runs_dir=tmp_path / "whole")
    task = Gan()
    task.on_batch = crash_at(at)
    with pytest.raises(TrainerError, match="power cut"):
        train(task, values, runs_dir=tmp_path / "cut")
    (run_dir,) = (tmp_path / "cut").iterdir()
    assert resume(Gan(), run_dir, values).status == "finished"
    assert_same_run(run_dir, whole.run_dir)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "train_step returned None"),
        (torch.zeros(()), "train_step returned a Tensor"),
        ({"fooled": torch.zeros(())}, "a dict with fooled, and no loss"),
        ({"loss": 1.0}, "a float was returned as loss"),
    ],
)
def test_what_a_step_must_return(tmp_path: Path, returned: Any, words: str) -> None:
    class Wrong(Gan):
        def train_step(self, context: Any, batch: Any) -> Any:
            return returned

    with pytest.raises(TrainerError, match=words):
        train(Wrong(), {"epochs": 1}, runs_dir=tmp_path)


@pytest.mark.parametrize(("name", "words"), [("generater", 'did you mean "?generator'), (None, "no name")])
def test_a_step_of_an_unknown_optimizer_names_those_there_are(tmp_path: Path, name: Any, words: str) -> None:
    class Wrong(Gan):
        def train_step(self, context: Any, batch: Any) -> Any:
            context.step(name)

    with pytest.raises(TrainerError, match=words) as caught:
        train(Wrong(), {"epochs": 1}, runs_dir=tmp_path)
    assert "generator, discriminator" in caught.value.hint


@pytest.mark.parametrize(
    ("task", "values", "words"),
    [
        (OwnLoop, {"grad_accumulation": 2}, "grad_accumulation is 2, and OwnLoop.train_step"),
        (OwnLoop, {"micro_batch": 4}, "micro_batch is 4"),
        (OwnLoop, {"optimizer": "LBFGS"}, "LBFGS repeats"),
    ],
)
def test_hparams_that_a_step_of_ones_own_can_not_follow_are_refused(
    tmp_path: Path, task: Any, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        train(task(), values, runs_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_parameter_of_two_optimizers_that_step_together_is_refused(tmp_path: Path) -> None:
    class Shared(Points):
        def optimizer(self, hparams: Any, model: Any) -> Any:
            return {name: torch.optim.SGD(model.parameters(), lr=0.1) for name in ("one", "other")}

    with pytest.raises(TrainerError, match="to one and to other"):
        train(Shared(), {}, runs_dir=tmp_path)


def test_a_state_of_other_optimizers_is_refused(tmp_path: Path) -> None:
    result = train(TwoAlike(), {"lr": 0.01}, runs_dir=tmp_path)

    class Swapped(TwoAlike):
        def optimizer(self, hparams: Any, model: Any) -> Any:
            return dict(reversed(super().optimizer(hparams, model).items()))

    with pytest.raises(TrainerError, match="the parameter has shape"):
        resume(Swapped(), result.run_dir, {"lr": 0.01, "epochs": 3})


@pytest.mark.parametrize("batches", ["(float32 [13, 2],)", "float32 [13, 2]", "{x: float32 [13, 2]}"])
def test_a_batch_that_nothing_is_said_about_is_an_error_with_a_way_out(tmp_path: Path, batches: str) -> None:
    data = {
        "(": (real_points(),),
        "f": list(real_points()),
        "{": [{"x": point} for point in real_points()],
    }[batches[0]]

    class Unlabelled(Gan):
        def datasets(self, hparams: Any) -> Any:
            return data

    with pytest.raises(TrainerError, match=f"yields {re.escape(batches)}") as caught:
        train(Unlabelled(), {"epochs": 1}, runs_dir=tmp_path)
    assert "compute_loss" in caught.value.hint
    assert "(train, None)" in caught.value.hint
