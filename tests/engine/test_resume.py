"""A resumed run is the run that was never interrupted: each loss and each weight, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from tests.comparing import assert_same_run
from tests.helpers import (
    NoisyItems,
    Points,
    assert_same_weights,
    events,
    points,
    resume,
    rows,
    start,
    tags,
    weights,
)
from tui_trainer import TrainerError, train
from tui_trainer.cli.resume import resume_point
from tui_trainer.engine import checkpoint
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.engine.metrics import Mean
from tui_trainer.errors import FileError
from tui_trainer.runs.checkpoints import read_index
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader


class Rich(Points):
    """With a metric that is not a plain mean."""

    def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
        loss = nn.functional.cross_entropy(outputs, targets)
        return {**super().metrics(outputs, targets), "perplexity": Mean(loss, then=np.exp)}


class Augmented(Points):
    def datasets(self, hparams: Any) -> Any:
        return NoisyItems(101)


class OwnLoader(Points):
    def dataloader(self, hparams: Any, dataset: Any, train: bool) -> Any:
        return DataLoader(TensorDataset(*dataset), batch_size=hparams.batch_size, shuffle=train)


class Stream(IterableDataset[Any]):
    """Without a length, in a random order."""

    def __iter__(self) -> Any:
        inputs, targets = points(81)
        return iter([(inputs[k], targets[k]) for k in torch.randperm(81).tolist()])


class Streamed(Rich):
    def datasets(self, hparams: Any) -> Any:
        return Stream(), points(20)


class NumpyRate(Points):
    """An optimizer and a schedule of one's own, with a rate that torch.load would refuse."""

    def optimizer(self, hparams: Any, model: nn.Module) -> Any:
        return torch.optim.NAdam(model.parameters(), lr=np.float64(0.01))

    def scheduler(self, hparams: Any, optimizer: Any, total_steps: int | None) -> Any:
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total_steps or 1)


# Each trains three epochs of six batches.
CASES: dict[str, tuple[Callable[..., Points], dict[str, Any]]] = {
    "dropout, Adam, cosine with warm-up": (Rich, {"dropout": 0.3, "scheduler": "cosine", "warmup": 0.2}),
    "SGD, plateau, EMA, accumulation, clipping, BatchNorm": (
        lambda **kw: Rich(batchnorm=True, **kw),
        {
            "optimizer": "SGD",
            "momentum": 0.9,
            "lr": 0.3,
            "scheduler": "plateau",
            "lr_patience": 0,
            "ema_decay": 0.8,
            "grad_accumulation": 2,
            "grad_clip_norm": 0.5,
            "dropout": 0.2,
        },
    ),
    "one cycle": (Points, {"scheduler": "one_cycle", "optimizer": "AdamW", "dropout": 0.1}),
    "random augmentation": (Augmented, {"num_workers": 0, "dropout": 0.2}),
    "a loader of one's own": (OwnLoader, {"dropout": 0.2}),
    "data without a length": (Streamed, {"dropout": 0.2}),
    "float16": (Rich, {"precision": "float16", "optimizer": "SGD", "lr": 0.1, "dropout": 0.2}),
    "bfloat16, EMA": (Rich, {"precision": "bfloat16", "ema_decay": 0.9}),
    "LBFGS": (Points, {"optimizer": "LBFGS", "lr": 0.1}),
    "evaluations by steps": (
        Rich,
        {"eval_every": "4steps", "scheduler": "plateau", "lr_patience": 0, "lr": 0.1},
    ),
    "own optimizer and schedule": (NumpyRate, {"dropout": 0.2}),
    "a row now and then": (Rich, {"log_rate": 1e-6, "dropout": 0.2}),
}
BASE = {"epochs": 3, "log_rate": 0.0}

_reference: dict[str, Path] = {}


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def reference(case: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was never interrupted."""
    if case not in _reference:
        kind, values = CASES[case]
        _reference[case] = train(
            kind(), {**BASE, **values}, runs_dir=tmp_path_factory.mktemp("whole")
        ).run_dir
    return _reference[case]


def crash_at(batch: int) -> Callable[[int], None]:
    def crash(number: int) -> None:
        if number == batch:
            raise RuntimeError("power cut")

    return crash


@pytest.mark.parametrize(("every", "batch"), [(1, 15), ("3steps", 8)])
def test_after_a_crash(case: str, reference: Path, tmp_path: Path, every: int | str, batch: int) -> None:
    kind, values = CASES[case]
    values = {**BASE, **values}
    if "log_rate" in CASES[case][1] and every != 1:
        pytest.skip("a save inside an epoch writes the row that is under way")
    with pytest.raises(TrainerError, match="power cut"):
        train(kind(on_batch=crash_at(batch)), {**values, "checkpoint_every": every}, runs_dir=tmp_path)
    (run_dir,) = tmp_path.iterdir()
    assert read_index(RunLayout(run_dir))
    result = resume(kind(), run_dir, {**values, "checkpoint_every": every})
    assert (result.status, result.epochs) == ("finished", 3)
    assert_same_run(run_dir, reference)


def test_after_stops_inside_epochs(case: str, reference: Path, tmp_path: Path) -> None:
    kind, values = CASES[case]
    values = {**BASE, **values}
    if "log_rate" in CASES[case][1]:
        pytest.skip("a stop writes the row that is under way")

    def stopping(at: int) -> tuple[Points, StopRequest]:
        stop = StopRequest()
        return kind(on_batch=lambda number: stop.request("test") if number == at else None), stop

    task, stop = stopping(3)
    run_dir = start(task, tmp_path, values, stop).run_dir
    for at in (1, 2, 6):
        task, stop = stopping(at)
        assert resume(task, run_dir, values, stop).status == "stopped"
    assert resume(kind(), run_dir, values).status == "finished"
    assert_same_run(run_dir, reference)
    assert len(events(run_dir, "run_resume")) == 4


@pytest.mark.parametrize(
    "case", ["evaluations by steps", "SGD, plateau, EMA, accumulation, clipping, BatchNorm"]
)
def test_after_a_stop_in_the_middle_of_an_evaluation(case: str, reference: Path, tmp_path: Path) -> None:
    kind, values = CASES[case]
    values = {**BASE, **values, "eval_batch_size": 5}
    whole = train(kind(), values, runs_dir=tmp_path / "whole").run_dir

    def stopping(at: int) -> tuple[Points, StopRequest]:
        """Stop in the `at`-th test batch; the first one only tries the test set out."""
        stop, task, seen = StopRequest(), kind(), 0
        compute = task.compute_loss

        def compute_loss(model: nn.Module, batch: Any, criterion: Any) -> Any:
            nonlocal seen
            seen += not model.training
            if seen == at:
                stop.request("test")
            return compute(model, batch, criterion)

        task.compute_loss = compute_loss  # type: ignore[method-assign]
        return task, stop

    task, stop = stopping(3)
    result = start(task, tmp_path / "runs", values, stop)
    assert (result.status, events(result.run_dir, "epoch_end"), events(result.run_dir, "evaluation")) == (
        "stopped",
        [],
        [],
    )
    for at in (2, 9):
        task, stop = stopping(at)
        assert resume(task, result.run_dir, values, stop).status == "stopped"
    assert resume(kind(), result.run_dir, values).status == "finished"
    assert_same_run(result.run_dir, whole)


def test_the_record_holds_nothing_twice_and_nothing_from_after_the_checkpoint(tmp_path: Path) -> None:
    values = {**BASE, "checkpoint_every": "4steps"}
    with pytest.raises(TrainerError):
        train(Points(on_batch=crash_at(12)), values, runs_dir=tmp_path)
    (run_dir,) = tmp_path.iterdir()
    before = events(run_dir)
    assert rows(run_dir)["step"].tolist() == list(range(1, 12))
    layout = RunLayout(run_dir)
    entry = resume_point(layout).entry
    assert entry is not None
    assert entry["tag"] == "1+2"
    resume(Points(), run_dir, values)
    assert rows(run_dir)["step"].tolist() == list(range(1, 19))
    after = events(run_dir)
    names = [event["event"] for event in after if event["event"] not in ("phase", "system")]
    assert names.count("run_start") == names.count("run_resume") == names.count("run_end") == 1
    assert names[-1] == "run_end"
    assert "alert" not in names
    assert [event["epoch"] for event in after if event["event"] == "epoch_end"] == [1, 2, 3]
    # Each checkpoint is told about once, the one that was resumed from included.
    paths = [event["path"] for event in after if event["event"] == "checkpoint"]
    assert paths == [f"checkpoints/model_{tag}.pt" for tag in tags(run_dir)]
    (resumed,) = [event for event in after if event["event"] == "run_resume"]
    assert (resumed["step"], resumed["epoch"], resumed["checkpoint"]) == (8, 1, "checkpoints/model_1+2.pt")
    kept = next(number for number, event in enumerate(after) if event["event"] == "run_resume")
    first = [event for event in after[:kept] if event["event"] == "epoch_end"]
    assert first == [event for event in before if event["event"] == "epoch_end"]
    run = RunReader(run_dir).run()
    assert run["status"] == "finished"
    assert "reason" in run
    assert len(run["resumes"]) == 1


def test_a_run_without_a_checkpoint_starts_again_under_its_id(tmp_path: Path) -> None:
    values = {**BASE, "checkpoint_every": 0}
    with pytest.raises(TrainerError):
        train(Points(on_batch=crash_at(9)), values, runs_dir=tmp_path)
    (run_dir,) = tmp_path.iterdir()
    result = resume(Points(), run_dir, values)
    assert (result.run_dir, result.status) == (run_dir, "finished")
    whole = train(Points(), values, runs_dir=tmp_path / "whole")
    assert_same_run(run_dir, whole.run_dir)


def test_more_epochs_go_on_where_the_run_ended(tmp_path: Path) -> None:
    whole = train(Points(), {**BASE, "epochs": 4, "dropout": 0.2}, runs_dir=tmp_path / "whole")
    short = train(Points(), {**BASE, "epochs": 2, "dropout": 0.2}, runs_dir=tmp_path / "runs")
    result = resume(Points(), short.run_dir, {**BASE, "epochs": 4, "dropout": 0.2})
    assert (result.epochs, result.steps) == (4, 24)
    assert_same_run(short.run_dir, whole.run_dir, "4")


@pytest.mark.parametrize("scheduler", ["cosine", "one_cycle"])
def test_more_epochs_stretch_the_schedule(tmp_path: Path, scheduler: str) -> None:
    values = {**BASE, "scheduler": scheduler, "lr": 0.01}
    short = train(Points(), {**values, "epochs": 2}, runs_dir=tmp_path / "runs")
    resume(Points(), short.run_dir, {**values, "epochs": 4})
    whole = train(Points(), {**values, "epochs": 4}, runs_dir=tmp_path / "whole")
    found, expected = rows(short.run_dir)["lr"], rows(whole.run_dir)["lr"]
    assert len(found) == 24
    # From the first step on it follows the longer schedule, rather than standing at the shorter one's zero.
    np.testing.assert_allclose(found[12:], expected[12:], rtol=1e-9)


def test_the_gradient_scaler_goes_on(tmp_path: Path) -> None:
    class Loud(Points):
        """Gradients that float16 can't hold at the first scale."""

        def criterion(self, hparams: Any) -> Any:
            return lambda outputs, targets: 100 * torch.nn.functional.cross_entropy(outputs, targets)

    values = {**BASE, "precision": "float16", "optimizer": "SGD", "lr": 1e-4, "epochs": 1}
    result = train(Loud(), values, runs_dir=tmp_path)
    state = checkpoint.load_trainer_state(result.run_dir / "checkpoints/trainer_state_1.pt")
    before = state["scaler"]["scale"]
    assert before < 65536.0
    resume(Loud(), result.run_dir, {**values, "max_steps": 7, "epochs": 2})
    state = checkpoint.load_trainer_state(result.run_dir / "checkpoints/trainer_state_1+1.pt")
    assert state["scaler"]["scale"] in (before, before / 2)


def test_early_stopping_goes_on_counting(tmp_path: Path) -> None:
    class Flat(Points):
        def criterion(self, hparams: Any) -> Any:
            return lambda outputs, targets: outputs.sum() * 0 + 1.0

    values = {**BASE, "epochs": 9, "early_stopping_patience": 4}
    with pytest.raises(TrainerError):
        train(Flat(on_batch=crash_at(15)), values, runs_dir=tmp_path)
    (run_dir,) = tmp_path.iterdir()
    result = resume(Flat(), run_dir, values)
    assert (result.epochs, result.status) == (5, "finished")
    # Killed between its last save and the end of its record, it ends all the same.
    edited = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(json.dumps({**edited, "status": "running"}))
    again = resume(Flat(), run_dir, values)
    assert (again.epochs, again.status, again.reason) == (5, "finished", result.reason)
    # Asked for more, it waits anew, or goes on counting up to the new patience.
    assert resume(Flat(), run_dir, {**values, "epochs": 20}).epochs == 9
    assert resume(Flat(), run_dir, {**values, "epochs": 20, "early_stopping_patience": 6}).epochs == 11


def test_a_damaged_newest_checkpoint_is_passed_over_with_an_alert(tmp_path: Path) -> None:
    result = train(Points(), {**BASE, "epochs": 2}, runs_dir=tmp_path)
    newest = result.run_dir / "checkpoints/model_2.pt"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    again = resume(Points(), result.run_dir, {**BASE, "epochs": 3})
    assert again.epochs == 3
    (alert,) = [event for event in events(result.run_dir, "alert") if event["level"] == "warning"]
    assert "model_2.pt" in alert["message"]
    assert [event["step"] for event in events(result.run_dir, "run_resume")] == [6]


class Shifted(Points):
    """With evaluations that are worse than they are.

    Args:
        worse: by so much after so many training batches of the process.
        otherwise: by so much after any other number.
    """

    def __init__(self, worse: dict[int, float], otherwise: float = 0.0) -> None:
        super().__init__()
        self.worse = worse
        self.otherwise = otherwise

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        loss, outputs, targets = super().compute_loss(model, batch, criterion)
        worse = self.worse.get(self.trained_batches, self.otherwise)
        return (loss if model.training else loss + worse), outputs, targets


@pytest.mark.parametrize(
    ("worse", "values", "before"),
    [
        ({}, {}, "2"),
        ({12: 10}, {}, "1"),
        ({8: -10, 18: -20}, {"eval_every": "4steps"}, "1+2"),
    ],
)
def test_when_the_best_is_damaged_the_best_before_it_is_marked_and_kept(
    worse: dict[int, float], values: dict[str, Any], before: str, tmp_path: Path
) -> None:
    run_dir = train(Shifted(worse), {**BASE, **values}, runs_dir=tmp_path).run_dir
    layout = RunLayout(run_dir)

    def best() -> list[str]:
        return [entry["tag"] for entry in read_index(layout) if entry["best"]]

    assert best() == ["3"]
    data = bytearray(layout.model_file("3").read_bytes())
    data[len(data) // 2] ^= 1
    layout.model_file("3").write_bytes(data)
    resume(Shifted({}, otherwise=100), run_dir, {**BASE, **values, "epochs": 5, "keep_checkpoints": 1})
    assert best() == [before]
    told = events(run_dir, "run_end")[-1]["best"]["value"]
    assert [e["metrics"]["test/loss"] for e in read_index(layout) if e["best"]] == [told]


def test_another_model_is_refused_by_name(tmp_path: Path) -> None:
    result = train(Points(), {**BASE, "epochs": 1}, runs_dir=tmp_path)
    before = sorted(path.name for path in result.run_dir.rglob("*.pt"))
    with pytest.raises(FileError, match="does not fit"):
        resume(Points(), result.run_dir, {**BASE, "epochs": 2, "latent_dim": 5})
    assert sorted(path.name for path in result.run_dir.rglob("*.pt")) == before


def test_a_finished_run_has_nothing_left_to_do_and_stays_as_it_is(tmp_path: Path) -> None:
    result = train(Points(), BASE, runs_dir=tmp_path)
    before = weights(result.run_dir, 3)
    again = resume(Points(), result.run_dir, BASE)
    assert (again.status, again.epochs, again.steps) == ("finished", 3, 18)
    assert again.metrics == result.metrics
    assert again.best == result.best
    assert_same_weights(weights(result.run_dir, 3), before)


@pytest.mark.slow
def test_with_loader_processes(tmp_path: Path) -> None:
    values = {**BASE, "num_workers": 2, "dropout": 0.2, "checkpoint_every": "4steps"}
    whole = train(Augmented(), {**values, "num_workers": 0}, runs_dir=tmp_path / "whole")
    with pytest.raises(TrainerError):
        train(Augmented(on_batch=crash_at(11)), values, runs_dir=tmp_path / "runs")
    (run_dir,) = (tmp_path / "runs").iterdir()
    resume(Augmented(), run_dir, values)
    assert_same_run(run_dir, whole.run_dir)


# ---------------------------------------------------------------- would these tests notice?
