"""Hparams that are changed when a run goes on: each one takes effect, and the record tells of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from tests.engine.test_controls import send_at
from tests.engine.test_fork import fork
from tests.engine.test_resume import crash_at
from tests.helpers import Points, PointsHparams, events, resume, rows, weights
from tui_trainer import Field, TrainerError, train
from tui_trainer.cli.resume import resume_point
from tui_trainer.config.names import OPTIMIZER_OPTIONS
from tui_trainer.engine import checkpoint
from tui_trainer.engine.launch import launch
from tui_trainer.engine.optim import adopt_options, build_optimizer
from tui_trainer.engine.schedule import Schedule, build_schedule
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state

# Three epochs of six batches, the last of them with something changed.
BASE = {"epochs": 2, "log_rate": 0.0, "dropout": 0.2, "lr": 0.01}


class Hparams(PointsHparams):
    """With a hparam that may change."""

    dropout: float = Field(0.0, ge=0, lt=1, on_resume="warned", description="Part of the units left out.")


class Task(Points):
    hparams_class = Hparams


# What changes the weights: hparams to begin with, and what the changed one becomes.
TRAINS_ON_OTHERWISE: dict[str, tuple[dict[str, Any], Any]] = {
    "loss": ({}, "MultiMarginLoss"),
    "label_smoothing": ({}, 0.3),
    "lr": ({}, 0.02),
    "weight_decay": ({}, 0.3),
    "momentum": ({"optimizer": "SGD"}, 0.9),
    "betas": ({}, (0.5, 0.9)),
    "eps": ({}, 0.1),
    "grad_clip_norm": ({}, 0.01),
    "precision": ({}, "bfloat16"),
    "warmup": ({"scheduler": "cosine"}, 0.9),
    "lr_decay": ({"scheduler": "step", "lr_decay_every": 1}, 0.9),
    "lr_decay_every": ({"scheduler": "step", "lr_decay_every": 1}, 3),
    "dropout": ({}, 0.7),
}
# What it does instead is told by tests of their own.
ELSEWHERE = {"monitor", "monitor_mode", "lr_patience", "deterministic", "compile"}


def test_no_warned_hparam_is_left_out_here() -> None:
    warned = {name for name, spec in Hparams.specs().items() if spec.on_resume == "warned"}
    assert warned == TRAINS_ON_OTHERWISE.keys() | ELSEWHERE


@pytest.mark.parametrize("name", TRAINS_ON_OTHERWISE)
def test_a_changed_hparam_changes_what_is_trained(name: str, tmp_path: Path) -> None:
    own, value = TRAINS_ON_OTHERWISE[name]
    values = {**BASE, "epochs": 1, **own}
    parent = train(Task(), values, runs_dir=tmp_path).run_dir
    same = fork(Task(), parent, "1", {**values, "epochs": 2})
    other = fork(Task(), parent, "1", {**values, "epochs": 2, name: value})
    one, two = weights(same.run_dir, 2), weights(other.run_dir, 2)
    assert any(not torch.equal(one[key], two[key]) for key in one)
    (started,) = events(other.run_dir, "run_start")
    assert started["changed"].keys() == {"epochs", name}


def lr_at(run_dir: Path) -> np.ndarray[Any, Any]:
    return rows(run_dir)["lr"]


def resumed_rates(
    tmp_path: Path,
    before: dict[str, Any],
    after: dict[str, Any],
    stop_at: int = 9,
    task: type[Points] = Task,
) -> Any:
    """The rate of each step of a run that was cut off and then went on with changed hparams."""
    values = {**BASE, "epochs": 3, "checkpoint_every": f"{stop_at}steps", **before}
    with pytest.raises(TrainerError, match="power cut"):
        train(task(on_batch=crash_at(stop_at + 1)), values, runs_dir=tmp_path)
    (run_dir,) = tmp_path.iterdir()
    resume(task(), run_dir, {**values, **after})
    found = lr_at(run_dir)
    assert len(found) == 18
    return found[stop_at:]


def formula(tmp_path: Path, values: dict[str, Any], task: type[Points] = Task) -> np.ndarray[Any, Any]:
    """The rate of each step of a run that has had these hparams from its first step on."""
    values = {**BASE, "epochs": 3, "checkpoint_every": 0, **values}
    return lr_at(train(task(), values, runs_dir=tmp_path).run_dir)


SCHEDULES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lr of a constant rate": ({}, {"lr": 3e-4}),
    "lr of a warm-up": ({"warmup": 0.8}, {"lr": 3e-4}),
    "lr of a cosine": ({"scheduler": "cosine", "warmup": 0.2}, {"lr": 0.02}),
    "lr of a cycle": ({"scheduler": "one_cycle"}, {"lr": 0.02}),
    "lr of steps": ({"scheduler": "step", "lr_decay_every": 1}, {"lr": 0.5}),
    "a warm-up that begins": ({}, {"warmup": 1.0}),
    "a warm-up that ends": ({"warmup": 1.0}, {"warmup": 0.0}),
    "a warm-up that ends, and lr": ({"warmup": 1.0}, {"warmup": 0.0, "lr": 0.5}),
    "a later peak": ({"scheduler": "one_cycle"}, {"warmup": 0.8}),
    "other steps": ({"scheduler": "step", "lr_decay_every": 1}, {"lr_decay": 0.5}),
    "rarer steps": ({"scheduler": "step", "lr_decay_every": 1}, {"lr_decay_every": 2}),
    "lr and length": ({"scheduler": "cosine"}, {"lr": 0.02, "max_steps": 18}),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_the_rate_goes_on_as_if_it_had_been_so_from_the_first_step(case: str, tmp_path: Path) -> None:
    before, after = SCHEDULES[case]
    found = resumed_rates(tmp_path / "runs", before, after)
    expected = formula(tmp_path / "whole", {**before, **after})
    np.testing.assert_allclose(found, expected[9:], rtol=1e-12, atol=1e-18)


def own_cosine(hparams: Any, optimizer: Any, total: int) -> Any:
    return lr_scheduler.CosineAnnealingLR(optimizer, total)


def own_steps(hparams: Any, optimizer: Any, total: int) -> Any:
    return lr_scheduler.StepLR(optimizer, 4, gamma=hparams.lr_decay)


def own_warm_restarts(hparams: Any, optimizer: Any, total: int) -> Any:
    warm = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4)
    restarts = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, max(1, hparams.lr_decay_every))
    return lr_scheduler.SequentialLR(optimizer, [warm, restarts], milestones=[4])


def own_chain(hparams: Any, optimizer: Any, total: int) -> Any:
    first = lr_scheduler.ExponentialLR(optimizer, hparams.lr_decay)
    return lr_scheduler.ChainedScheduler([first, lr_scheduler.PolynomialLR(optimizer, total, 2.0)])


def own_cycle(hparams: Any, optimizer: Any, total: int) -> Any:
    return lr_scheduler.OneCycleLR(optimizer, hparams.lr, total, div_factor=100 * hparams.lr_decay)


def own_factor(hparams: Any, optimizer: Any, total: int) -> Any:
    return lr_scheduler.LambdaLR(optimizer, lambda step: hparams.lr_decay**step)


OWN_SCHEDULES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "a shorter cosine": (own_cosine, {"epochs": 6}, {"epochs": 3}),
    "a longer cosine": (own_cosine, {"max_steps": 10}, {"max_steps": None}),
    "lr of a cosine": (own_cosine, {}, {"lr": 0.02}),
    "deeper steps": (own_steps, {"lr_decay": 0.9}, {"lr_decay": 0.5}),
    "deeper steps, and lr": (own_steps, {"lr_decay": 0.9}, {"lr_decay": 0.5, "lr": 0.5}),
    "rarer restarts": (own_warm_restarts, {"lr_decay_every": 2}, {"lr_decay_every": 5}),
    "a chain": (own_chain, {"lr_decay": 0.9, "epochs": 5}, {"lr_decay": 0.8, "epochs": 3}),
    "a cycle from lower": (own_cycle, {"lr_decay": 0.1}, {"lr_decay": 0.2, "lr": 0.02}),
    "a factor": (own_factor, {"lr_decay": 0.9}, {"lr_decay": 0.8}),
}


@pytest.mark.parametrize("case", OWN_SCHEDULES)
def test_a_schedule_of_the_tasks_own_follows_changed_hparams_too(case: str, tmp_path: Path) -> None:
    build, before, after = OWN_SCHEDULES[case]

    class Own(Task):
        def scheduler(self, hparams: Any, optimizer: Any, total_steps: int | None) -> Any:
            return build(hparams, optimizer, total_steps)

    found = resumed_rates(tmp_path / "runs", before, after, task=Own)
    expected = formula(tmp_path / "whole", {**before, **after}, task=Own)
    np.testing.assert_allclose(found, expected[9:], rtol=1e-12, atol=1e-18)


class Halving(lr_scheduler.LRScheduler):
    """A scheduler that torch does not have: its rate is halved every so many steps."""

    def __init__(self, optimizer: Any, every: int) -> None:
        self.every = every
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        return [rate * 0.5 ** (self.last_epoch // self.every) for rate in self.base_lrs]


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"lr_decay_every": 3}, ["after step 12: Halving keeps every 6, not 3"]), ({"dropout": 0.3}, [])],
)
def test_a_schedule_that_keeps_its_settings_is_told_of(
    changed: dict[str, Any], told: list[str], tmp_path: Path
) -> None:
    class Own(Task):
        def scheduler(self, hparams: Any, optimizer: Any, total_steps: int | None) -> Any:
            return Halving(optimizer, hparams.lr_decay_every)

    values = {**BASE, "lr_decay_every": 6}
    run_dir = train(Own(), values, runs_dir=tmp_path).run_dir
    resume(Own(), run_dir, {**values, "epochs": 3, **changed})
    assert lr_at(run_dir).tolist() == [0.01] * 6 + [0.005] * 6 + [0.0025] * 6
    alerts = [a["message"] for a in events(run_dir, "alert") if "own schedule" in a["title"]]
    assert [message.partition(";")[0] for message in alerts] == told


class Stuck(Task):
    """Nothing gets better."""

    def criterion(self, hparams: Any) -> Any:
        return lambda outputs, targets: outputs.sum() * 0 + 1.0


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [0.01, 0.01, 0.001]),
        ({"lr": 0.5}, [0.05, 0.05, 0.005]),
        ({"lr_decay": 0.5}, [0.01, 0.01, 0.005]),
        ({"lr_patience": 0}, [0.01, 0.001, 0.0001]),
    ],
)
def test_a_plateau_goes_on_with_what_was_changed(
    changed: dict[str, Any], expected: list[float], tmp_path: Path
) -> None:
    values = {**BASE, "scheduler": "plateau", "lr": 0.1, "lr_patience": 1, "lr_decay": 0.1, "epochs": 3}
    # The second and the third evaluation are no better than the first, so the rate falls after the third.
    run_dir = train(Stuck(), values, runs_dir=tmp_path).run_dir
    resume(Stuck(), run_dir, {**values, "epochs": 6, **changed})
    found = [event["lr"] for event in events(run_dir, "epoch_end")]
    np.testing.assert_allclose(found, [0.1, 0.1, 0.1, *expected], rtol=1e-9)


@pytest.mark.parametrize("optimizer", sorted(name for name, takes in OPTIMIZER_OPTIONS.items() if takes))
def test_every_optimizer_takes_on_its_options_and_trains_on(optimizer: str) -> None:
    options = {"weight_decay": 0.3, "momentum": 0.5, "betas": (0.5, 0.7), "eps": 1e-3}
    wanted = {name: options[name] for name in OPTIMIZER_OPTIONS[optimizer]}

    def build(values: dict[str, Any]) -> tuple[nn.Parameter, torch.optim.Optimizer]:
        model: nn.Module = nn.Linear(3, 2, bias=False)
        if optimizer == "SparseAdam":
            model = nn.Embedding(3, 2, sparse=True)
        hparams = PointsHparams(optimizer=optimizer, **values)  # type: ignore[arg-type]
        built = build_optimizer(Points(), hparams, model)
        (parameter,) = model.parameters()
        return parameter, built

    def step(parameter: nn.Parameter, built: torch.optim.Optimizer) -> None:
        gradient = torch.ones_like(parameter)
        parameter.grad = gradient.to_sparse(1) if optimizer == "SparseAdam" else gradient
        built.step()

    def adopt(values: dict[str, Any], state: dict[str, Any]) -> torch.optim.Optimizer:
        parameter, built = build(values)
        groups = [dict(group) for group in built.param_groups]
        built.load_state_dict(state)
        adopt_options(built, groups, list(wanted))
        before = parameter.detach().clone()
        step(parameter, built)
        assert not torch.equal(parameter, before)
        return built

    parameter, first = build({})
    step(parameter, first)
    own = {name: first.param_groups[0][name] for name in wanted}
    second = adopt(wanted, first.state_dict())
    assert {name: second.param_groups[0][name] for name in wanted} == wanted
    third = adopt({}, second.state_dict())
    assert {name: third.param_groups[0][name] for name in wanted} == own


def test_each_parameter_group_of_ones_own_optimizer_takes_on_what_its_code_gives_it(tmp_path: Path) -> None:
    class Grouped(Task):
        def optimizer(self, hparams: Any, model: nn.Module) -> Any:
            first, *others = model.parameters()
            decay = hparams.weight_decay or 0.0
            groups = [
                {"params": [first], "lr": 3 * hparams.lr, "weight_decay": decay},
                {"params": others, "weight_decay": 0.0},
            ]
            return torch.optim.SGD(groups, lr=hparams.lr)

    run_dir = train(Grouped(), BASE, runs_dir=tmp_path).run_dir
    resume(Grouped(), run_dir, {**BASE, "epochs": 3, "lr": 0.02, "weight_decay": 0.5})
    state = checkpoint.load_trainer_state(RunLayout(run_dir).trainer_state_file("3"))
    groups = [(group["lr"], group["weight_decay"]) for group in state["optimizer"]["param_groups"]]
    assert groups == [pytest.approx((0.06, 0.5)), pytest.approx((0.02, 0.0))]


def test_a_cycles_momentum_stays_the_cycles(tmp_path: Path) -> None:
    values = {**BASE, "scheduler": "one_cycle", "epochs": 3, "checkpoint_every": "5steps"}
    with pytest.raises(TrainerError):
        train(Task(on_batch=crash_at(6)), values, runs_dir=tmp_path / "a")
    (run_dir,) = (tmp_path / "a").iterdir()
    resume(Task(), run_dir, {**values, "betas": (0.5, 0.7)})
    whole = train(Task(), {**values, "betas": (0.5, 0.7)}, runs_dir=tmp_path / "b")
    for tag in ("1+4", "2+3", "3"):
        one, other = (
            checkpoint.load_trainer_state(RunLayout(run).trainer_state_file(tag))["optimizer"]["param_groups"]
            for run in (run_dir, whole.run_dir)
        )
        assert one[0]["betas"] == pytest.approx(other[0]["betas"]), tag


# ---------------------------------------------------------------- a rate that was set while the run was live


def schedule(**values: Any) -> tuple[torch.optim.Optimizer, Schedule]:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=values.get("lr", 0.01))
    return optimizer, build_schedule(Points(), PointsHparams(**values), optimizer, 10, 5, "min")


def go_on(
    saved: tuple[torch.optim.Optimizer, Schedule], before: dict[str, Any], step: int, **values: Any
) -> float:
    """The next step's rate of a run that goes on with other hparams."""
    optimizer, fresh = schedule(**values)
    optimizer.load_state_dict(saved[0].state_dict())
    fresh.load_state_dict(saved[1].state_dict(), step, before)
    return float(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("scheduler", ["constant", "cosine", "plateau"])
def test_a_live_rate_stays_unless_lr_is_given(scheduler: Any) -> None:
    optimizer, live = schedule(scheduler=scheduler, lr=0.01)
    for _ in range(5):
        optimizer.step()
        live.after_step()
    shape = optimizer.param_groups[0]["lr"] / 0.01
    live.set_lr(0.003)
    saved = (optimizer, live)
    assert go_on(saved, {}, 5, scheduler=scheduler, lr=0.01) == 0.003
    assert go_on(saved, {"lr": 0.01}, 5, scheduler=scheduler, lr=0.05) == pytest.approx(0.05 * shape)
    # Typed, though it says what the hparam said before.
    assert go_on(saved, {"lr": 0.01}, 5, scheduler=scheduler, lr=0.01) == pytest.approx(0.01 * shape)


def test_a_live_rate_keeps_its_proportion_in_a_schedule_of_the_tasks_own() -> None:
    class Own(Points):
        def scheduler(self, hparams: Any, optimizer: Any, total_steps: int | None) -> Any:
            return lr_scheduler.ExponentialLR(optimizer, hparams.lr_decay)

    def built(decay: float) -> tuple[torch.optim.Optimizer, Schedule]:
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.01)
        hparams = PointsHparams(lr=0.01, lr_decay=decay)
        return optimizer, build_schedule(Own(), hparams, optimizer, 10, 5, "min")

    optimizer, live = built(0.5)
    for _ in range(2):
        optimizer.step()
        live.after_step()
    live.set_lr(0.005)
    changed, fresh = built(0.8)
    for _ in range(2):
        # As after a rollback, also when it has moved on in between.
        changed.load_state_dict(optimizer.state_dict())
        fresh.load_state_dict(live.state_dict(), 2, {"lr_decay": 0.5})
        assert fresh.rate == pytest.approx(2 * 0.01 * 0.8**2, rel=1e-12)
        changed.step()
        fresh.after_step()
        assert fresh.rate == pytest.approx(2 * 0.01 * 0.8**3, rel=1e-12)


def test_a_checkpoint_that_does_not_hold_its_lr_is_scaled_by_its_hparams() -> None:
    optimizer, old = schedule(scheduler="cosine", lr=0.01)
    state = old.state_dict()
    del state["lr"]
    fresh_optimizer, fresh = schedule(scheduler="cosine", lr=0.02)
    fresh_optimizer.load_state_dict(optimizer.state_dict())
    fresh.load_state_dict(state, 0, {"lr": 0.01})
    assert fresh_optimizer.param_groups[0]["lr"] == 0.02


def test_a_typed_lr_replaces_the_live_one_and_the_record_tells(tmp_path: Path) -> None:
    task = Task(on_batch=send_at(3, tmp_path, "set", {"lr": 0.003}))
    run_dir = train(task, BASE, runs_dir=tmp_path).run_dir
    assert lr_at(run_dir)[-1] == 0.003
    resume(Task(), run_dir, {**BASE, "epochs": 3})
    point = replace(resume_point(RunLayout(run_dir)), typed=frozenset({"lr"}))
    launch(Task(), Hparams(task="points", **{**BASE, "epochs": 4}), runs_dir=tmp_path, resume=point)
    assert lr_at(run_dir)[12:].tolist() == [0.003] * 6 + [0.01] * 6
    told = [event["message"] for event in events(run_dir, "alert")]
    assert "lr 0.003, set while it was live -> 0.01" in told


# ---------------------------------------------------------------- best, early stopping, plateau


def test_another_monitored_metric_counts_its_best_anew(tmp_path: Path) -> None:
    run_dir = train(Task(), BASE, runs_dir=tmp_path).run_dir
    resume(Task(), run_dir, {**BASE, "epochs": 3, "monitor": "test/accuracy"})
    third = events(run_dir, "epoch_end")[-1]
    assert third["best"] == {
        "metric": "test/accuracy",
        "value": third["metrics"]["test/accuracy"],
        "epoch": 3,
    }
    assert (third["improved"], events(run_dir, "run_resume")[0]["monitor"]) == (True, "test/accuracy")
    assert [a["title"] for a in events(run_dir, "alert") if a["level"] == "info"][-1] == "best counts anew"


def test_another_mode_turns_best_around(tmp_path: Path) -> None:
    run_dir = train(Task(), BASE, runs_dir=tmp_path).run_dir
    resume(Task(), run_dir, {**BASE, "epochs": 4, "monitor_mode": "max", "lr": 1e-9})
    values = [event["metrics"]["test/loss"] for event in events(run_dir, "epoch_end")]
    assert events(run_dir, "epoch_end")[-1]["best"]["value"] == max(values[2:])


@pytest.mark.parametrize(
    ("monitor", "changed", "anew"),
    [
        (None, {"loss": "MultiMarginLoss"}, True),
        (None, {"label_smoothing": 0.5}, True),
        ("test/accuracy", {"loss": "MultiMarginLoss"}, False),
        (None, {"lr": 0.02}, False),
    ],
)
def test_a_best_loss_is_compared_with_no_other_loss(
    monitor: str | None, changed: dict[str, Any], anew: bool, tmp_path: Path
) -> None:
    values = {**BASE, "monitor": monitor, "scheduler": "plateau", "lr_patience": 0}
    run_dir = train(Task(), values, runs_dir=tmp_path).run_dir
    before = events(run_dir, "epoch_end")[-1]["best"]
    resume(Task(), run_dir, {**values, "epochs": 3, **changed})
    third = events(run_dir, "epoch_end")[-1]
    assert (third["best"]["epoch"] == 3 and third["improved"]) or not anew
    if not anew and not third["improved"]:
        assert third["best"] == before
    state = checkpoint.load_trainer_state(RunLayout(run_dir).trainer_state_file("3"))["schedule"]["scheduler"]
    assert (state["best"] == third["metrics"][monitor or "test/loss"]) or not anew


def test_algorithms_and_compilation_follow_the_hparams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[bool] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: compiled.append(True))
    asked: list[bool] = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", asked.append)
    run_dir = train(Task(), BASE, runs_dir=tmp_path).run_dir
    assert (compiled, asked) == ([], [])
    resume(Task(), run_dir, {**BASE, "epochs": 3, "compile": True, "deterministic": True})
    assert (compiled, asked) == ([True], [True])


# ---------------------------------------------------------------- the record


def test_the_record_tells_what_was_changed(tmp_path: Path) -> None:
    run_dir = train(Task(), BASE, runs_dir=tmp_path).run_dir
    resume(Task(), run_dir, {**BASE, "epochs": 3, "lr": 0.02, "betas": (0.9, 0.9)})
    (resumed,) = events(run_dir, "run_resume")
    assert resumed["changed"] == {"lr": [0.01, 0.02], "betas": [None, [0.9, 0.9]], "epochs": [2, 3]}
    told = {event["level"]: event["message"] for event in events(run_dir, "alert")}
    assert told["info"].startswith("epochs: 2 -> 3 (")
    assert told["warning"].startswith("lr: 0.01 -> 0.02; betas: none -> 0.9,0.9 (")
    assert RunReader(run_dir).hparams()["lr"] == 0.02
    assert read_state(RunReader(run_dir)).hparams["lr"] == 0.02


def test_what_stays_the_same_is_not_told(tmp_path: Path) -> None:
    values = {**BASE, "epochs": 3}
    with pytest.raises(TrainerError):
        train(Task(on_batch=crash_at(8)), values, runs_dir=tmp_path)
    (run_dir,) = tmp_path.iterdir()
    resume(Task(), run_dir, values)
    assert "changed" not in events(run_dir, "run_resume")[0]
    assert events(run_dir, "alert") == []


def test_a_change_that_no_checkpoint_has_seen_yet_is_not_forgotten(tmp_path: Path) -> None:
    values = {**BASE, "epochs": 3}
    with pytest.raises(TrainerError):
        train(Task(on_batch=crash_at(8)), values, runs_dir=tmp_path)
    (run_dir,) = tmp_path.iterdir()
    with pytest.raises(TrainerError):
        resume(Task(on_batch=crash_at(3)), run_dir, {**values, "lr": 0.02})
    assert RunReader(run_dir).hparams()["lr"] == 0.02
    # The third start types nothing: it goes on with the run's hparams, from a checkpoint of older ones.
    resume(Task(), run_dir, {**values, "lr": RunReader(run_dir).hparams()["lr"]})
    assert lr_at(run_dir).tolist() == [0.01] * 6 + [0.02] * 12
    assert events(run_dir, "run_resume")[0]["changed"] == {"lr": [0.01, 0.02]}


def test_a_changed_run_goes_on_exactly_from_then_on(tmp_path: Path) -> None:
    """What was adopted is part of the next checkpoint, and nothing of it is adopted twice."""
    changed = {**BASE, "epochs": 4, "scheduler": "cosine", "lr": 0.02, "weight_decay": 0.1, "warmup": 0.3}
    first = {**changed, "lr": 0.01, "weight_decay": None, "warmup": 0.0}

    def until(directory: Path, batch: int) -> Path:
        with pytest.raises(TrainerError):
            train(Task(on_batch=crash_at(batch)), first, runs_dir=directory)
        (run_dir,) = directory.iterdir()
        return run_dir

    whole = until(tmp_path / "whole", 8)
    resume(Task(), whole, changed)
    broken = until(tmp_path / "broken", 8)
    with pytest.raises(TrainerError):
        resume(Task(on_batch=crash_at(9)), broken, changed)
    resume(Task(), broken, changed)
    assert all(torch.equal(one, weights(whole, 4)[name]) for name, one in weights(broken, 4).items())
    assert not math.isnan(lr_at(broken)[-1])


def test_what_went_bad_by_a_changed_hparam_is_looked_for_with_it(tmp_path: Path) -> None:
    class Fragile(Task):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
            loss, outputs, targets = super().compute_loss(model, batch, criterion)
            broken = max(float(p.detach().abs().max()) for p in model.parameters()) > 50
            return (loss * math.nan if model.training and broken else loss), outputs, targets

    values = {**BASE, "optimizer": "SGD"}
    run_dir = train(Fragile(), values, runs_dir=tmp_path).run_dir
    with pytest.raises(TrainerError, match=r"step 14: epoch 3, batch 2.*first bad: the loss"):
        resume(Fragile(), run_dir, {**values, "epochs": 3, "lr": 1e3})
