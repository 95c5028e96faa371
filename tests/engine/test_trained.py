"""A run keeps what prediction must know of its data, and a trained model is built from that."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import Points, assert_same_weights, events, points, resume, start, weights
from tui_trainer import load_run, train
from tui_trainer.cli.resume import fork_point
from tui_trainer.engine.facts import facts_of
from tui_trainer.engine.launch import launch
from tui_trainer.engine.run_task import hparams_for
from tui_trainer.errors import TrainerError
from tui_trainer.runs.layout import RunLayout
from tui_trainer.tasks.base import Task
from tui_trainer.tasks.digits import Digits
from tui_trainer.tasks.registry import load_task

BUILT_IN = ["digits", "table", "regression", "images", "char_lm", "seq2seq"]


def kept(run_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run_dir / "checkpoints/data.json").read_text())
    return content


@pytest.mark.parametrize("task", BUILT_IN)
def test_built_in_models_are_built_from_what_the_run_keeps_without_the_data(
    task: str, run_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = run_of(task)
    moved = tmp_path / "elsewhere"
    shutil.copytree(run_dir, moved)
    cls = type(load_run(run_dir).task())
    monkeypatch.setattr(cls, "datasets", lambda self, hparams: pytest.fail("the data were read"))
    model = load_run(moved).model("last")
    assert not model.training
    assert_same_weights(dict(model.state_dict()), weights(run_dir, 1))


@pytest.mark.parametrize("task", BUILT_IN)
def test_facts_survive_json_exactly(task: str, run_of: Any) -> None:
    run_dir = run_of(task)
    content = kept(run_dir)
    assert content["schema"] == 1
    assert content["task"] == load_run(run_dir).hparams["task"]
    fresh = load_run(run_dir).task()
    fresh.use_data_facts(content["facts"])
    assert facts_of(fresh) == content["facts"]


def test_a_run_of_an_earlier_version_asks_for_its_data(run_of: Any, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(run_of("table"), old)
    (old / "checkpoints/data.json").unlink()
    assert_same_weights(dict(load_run(old).model("last").state_dict()), weights(old, 1))


class Sized(Points):
    """Keeps a size of its data in a public attribute, as people do."""

    name = "tests.engine.test_trained:Sized"

    def __init__(self) -> None:
        self.features = 0

    def datasets(self, hparams: Any) -> Any:
        inputs, targets = points(60)
        self.features = inputs.shape[1]
        return inputs, targets

    def model(self, hparams: Any) -> nn.Module:
        return nn.Linear(self.features, 3)

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        return Task.compute_loss(self, model, batch, criterion)


def test_public_attributes_of_a_task_are_kept_by_default(tmp_path: Path) -> None:
    result = train(Sized(), {"epochs": 1}, runs_dir=tmp_path)
    assert kept(result.run_dir)["facts"] == {"features": 8}
    assert load_run(result.run_dir).model("last").in_features == 8


def test_facts_that_do_not_do_fall_back_to_the_data(tmp_path: Path) -> None:
    result = train(Sized(), {"epochs": 1}, runs_dir=tmp_path)
    content = kept(result.run_dir)
    (result.run_dir / "checkpoints/data.json").write_text(json.dumps({**content, "facts": {}}))
    assert load_run(result.run_dir).model("last").in_features == 8


class Strange(Sized):
    """Says what JSON can't hold."""

    def data_facts(self) -> dict[str, Any]:
        return {"means": torch.zeros(3)}


def test_facts_that_are_no_json_are_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="data facts are no JSON") as caught:
        train(Strange(), {"epochs": 1}, runs_dir=tmp_path)
    assert "tolist" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


class Varying(Sized):
    """Whose data are others the next time."""

    classes: Any = ("a", "b", "c")

    def data_facts(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {"classes": list(self.classes), "features": self.features}


def test_resuming_on_other_data_is_told_and_the_new_facts_are_kept(tmp_path: Path) -> None:
    result = train(Varying(), {"epochs": 1}, runs_dir=tmp_path)
    other = Varying()
    other.classes = ("a", "b", "d")
    resume(other, result.run_dir, {"epochs": 2})
    told = [event for event in events(result.run_dir, "alert") if event["title"] == "the data have changed"]
    assert len(told) == 1
    assert told[0]["message"].startswith("classes:")
    assert kept(result.run_dir)["facts"]["classes"] == ["a", "b", "d"]
    resume(other, result.run_dir, {"epochs": 3})
    assert len([e for e in events(result.run_dir, "alert") if e["title"] == "the data have changed"]) == 1


def test_a_fork_keeps_facts_of_its_own(tmp_path: Path) -> None:
    task = Varying()
    parent = start(task, tmp_path, {"epochs": 1}).run_dir
    point = fork_point(RunLayout(parent), "1")
    hparams = task.hparams_class(task=task.name, epochs=2)
    child = launch(Varying(), hparams, runs_dir=tmp_path, resume=point).run_dir
    shutil.rmtree(parent)
    assert kept(child)["facts"]["features"] == 8
    assert load_run(child).model("last").in_features == 8


def test_weights_that_are_not_as_saved_are_refused(run_of: Any, tmp_path: Path) -> None:
    copy = tmp_path / "bad"
    shutil.copytree(run_of("digits"), copy)
    file = copy / "checkpoints/model_1.pt"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(TrainerError, match="differs from its SHA-256"):
        load_run(copy).model("last")


def test_a_task_file_that_has_changed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = (
        "import torch\nfrom tui_trainer import Task\n\n\nclass Mine(Task):\n"
        "    def datasets(self, hparams):\n        return torch.rand(40, 2), torch.arange(40) % 2\n\n"
        "    def model(self, hparams):\n        return torch.nn.Linear(2, 2)\n"
    )
    (tmp_path / "changing_task.py").write_text(source)
    result = train("changing_task.py", {"epochs": 1}, runs_dir=tmp_path / "runs")
    assert load_run(result.run_dir).trained("last").notices == ()
    (tmp_path / "changing_task.py").write_text(source + "\n# more\n")
    assert "changing_task.py has changed" in load_run(result.run_dir).trained("last").notices[0]


@pytest.mark.parametrize("now", ["torch.nn.Linear(2, 3)", "torch.nn.Linear(", "torch.nn.Liner(2, 2)"])
def test_where_a_task_file_no_longer_fits_the_runs_copy_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = (
        "import torch\nfrom tui_trainer import Task\n\n\nclass Other(Task):\n"
        "    def datasets(self, hparams):\n        return torch.rand(40, 2), torch.arange(40) % 2\n\n"
        "    def model(self, hparams):\n        return torch.nn.Linear(2, 2)\n"
    )
    (tmp_path / "growing_task.py").write_text(source)
    result = train("growing_task.py", {"epochs": 1}, runs_dir=tmp_path / "runs")
    (tmp_path / "growing_task.py").write_text(source.replace("torch.nn.Linear(2, 2)", now))
    # As a process of its own would read it.
    monkeypatch.delitem(sys.modules, "growing_task")
    trained = load_run(result.run_dir).trained("last")
    assert_same_weights(trained.model.state_dict(), weights(result.run_dir, 1))
    assert "growing_task.py" in trained.notices[0]
    assert "which is used here" in trained.notices[0]
    # Without the copy both are told.
    (result.run_dir / "task" / "growing_task.py").write_text("")
    with pytest.raises((TrainerError, AttributeError)):
        load_run(result.run_dir).model("last")


def test_a_task_that_read_other_data_before_is_fitted_anew(tmp_path: Path) -> None:
    task = Digits()
    hparams = Digits.hparams_class
    task.datasets(hparams(task="digits", seed=1))
    first = facts_of(task)
    task.datasets(hparams(task="digits", seed=2))
    assert facts_of(task) != first
    known = load_task("digits")
    assert first is not None
    known.use_data_facts(first)
    known.datasets(hparams(task="digits", seed=2))
    assert facts_of(known) == first


def test_a_run_alone_is_its_newest_checkpoint(tmp_path: Path) -> None:
    # Nothing improves.
    hparams = {"epochs": 2, "lr": 1e-30, "latent_dim": 8, "n_layers": 1, "device": "cpu"}
    run = load_run(train("digits", hparams, runs_dir=tmp_path).run_dir)
    assert [run.trained("best").entry["tag"], run.trained().entry["tag"]] == ["1", "2"]


def test_data_that_are_not_here_are_looked_for_where_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, run_dir = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    run_dir.mkdir()
    (run_dir / "run.json").write_text(json.dumps({"cwd": str(home)}))
    (run_dir / "hparams.json").write_text(json.dumps({"task": "tabular", "dataset_path": "t.csv"}))
    monkeypatch.chdir(tmp_path)

    def path() -> str | None:
        return hparams_for(RunLayout(run_dir), "1", {}).dataset_path

    assert path() == "t.csv", "it is nowhere"
    (home / "t.csv").touch()
    assert path() == str(home / "t.csv")
    assert hparams_for(RunLayout(run_dir), "1", {"dataset_path": "u.csv"}).dataset_path == "u.csv"
    (tmp_path / "t.csv").touch()
    assert path() == "t.csv", "what is here is meant first"
