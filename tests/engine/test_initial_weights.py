"""`--init-from`: a new run whose model starts from weights, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.engine.test_resume import crash_at
from tests.helpers import Points, assert_same_weights, events, resume, rows, weights
from tui_trainer import TrainerError, train
from tui_trainer.cli.resume import find_weights, initial_weights, resume_point
from tui_trainer.engine.check import check
from tui_trainer.engine.launch import Result, launch
from tui_trainer.errors import Exit, FileError
from tui_trainer.files import sha256_file
from tui_trainer.models.layers import json_tensor
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state
from tui_trainer.tasks.base import Task

BASE = {"epochs": 1, "log_rate": 0.0, "dropout": 0.2}
STILL = {**BASE, "optimizer": "SGD", "lr": 1e-30}
"""Steps that are too small for float32: a run ends with the weights that it began with."""


def start_from(word: str | Path, task: Task, runs_dir: Path, values: dict[str, Any]) -> Result:
    """A new run as `--init-from WORD` starts it."""
    found = initial_weights(find_weights(str(word), runs_dir))
    hparams = task.hparams_class(task=task.name, **values)
    return launch(task, hparams, runs_dir=runs_dir, weights=found)


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    return train(Points(), {**BASE, "epochs": 2}, runs_dir=tmp_path / "runs").run_dir


@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_the_model_starts_from_the_weights(ema_decay: float | None, parent: Path) -> None:
    result = start_from(f"{parent}@2", Points(), parent.parent, {**STILL, "ema_decay": ema_decay})
    assert_same_weights(weights(result.run_dir, 1), weights(parent, 2))
    if ema_decay is not None:
        state = torch.load(RunLayout(result.run_dir).trainer_state_file("1"), weights_only=True)
        assert_same_weights(state["averaged"]["raw"], weights(parent, 2))


def test_everything_but_the_weights_begins_anew(parent: Path) -> None:
    values = {**BASE, "dropout": 0.0}
    result = start_from(f"{parent}@1", Points(), parent.parent, values)
    assert rows(result.run_dir)["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert [event["epoch"] for event in events(result.run_dir, "epoch_end")] == [1]

    class Begins(Points):
        """The same weights, given by the task itself."""

        def model(self, hparams: Any) -> nn.Module:
            model = super().model(hparams)
            model.load_state_dict(weights(parent, 1))
            return model

    other = train(Begins(), values, runs_dir=parent.parent)
    assert_same_weights(weights(result.run_dir, 1), weights(other.run_dir, 1))


def test_the_record_says_where_the_weights_come_from(parent: Path) -> None:
    result = start_from(f"{parent}@1", Points(), parent.parent, {**BASE, "batch_size": 8})
    expected = {
        "run_id": parent.name,
        "run_dir": f"../{parent.name}",
        "checkpoint": "1",
        "step": 6,
        "kind": "init",
    }
    assert RunReader(result.run_dir).run()["parent"] == expected
    (started,) = events(result.run_dir, "run_start")
    assert started["parent"] == expected
    assert not {"step", "epoch", "batch", "changed"} & started.keys()
    state = read_state(RunReader(result.run_dir))
    assert (state.epoch, [summary.epoch for summary in state.history]) == (1, [1])
    assert state.parent is not None
    assert state.parent.origin == f"weights from {parent.name[-4:]}@1"
    assert "parent" not in RunReader(parent).run()


def test_a_file_from_anywhere_will_do(parent: Path, tmp_path: Path) -> None:
    file = tmp_path / "given.pt"
    wrapped = {f"module._orig_mod.{name}": tensor for name, tensor in weights(parent, 2).items()}
    torch.save(wrapped, file)
    result = start_from(file, Points(), tmp_path / "runs", STILL)
    assert_same_weights(weights(result.run_dir, 1), weights(parent, 2))
    expected = {"file": str(file), "sha256": sha256_file(file), "kind": "init"}
    assert RunReader(result.run_dir).run()["parent"] == expected
    state = read_state(RunReader(result.run_dir))
    assert state.parent is not None
    assert state.parent.origin == "weights from given.pt"


def test_weights_that_do_not_fit_are_named_and_leave_no_run(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with pytest.raises(FileError, match=r"0\.weight") as refused:
        start_from(f"{parent}@2", Points(), tmp_path / "other", {**BASE, "latent_dim": 5})
    assert refused.value.exit_code == Exit.FILE
    assert list((tmp_path / "other").iterdir()) == []
    file = tmp_path / "nothing.pt"
    torch.save({"optimizer": [1.0], "epoch": 3}, file)
    with pytest.raises(FileError, match="without tensors by name"):
        start_from(file, Points(), tmp_path / "other", BASE)


def test_weights_that_a_script_saved_beside_other_things_are_found(parent: Path, tmp_path: Path) -> None:
    file = tmp_path / "everything.pt"
    torch.save({"model": weights(parent, 2), "epoch": 3, "optimizer": {"state": {}}}, file)
    result = start_from(file, Points(), tmp_path / "other", STILL)
    assert_same_weights(weights(result.run_dir, 1), weights(parent, 2))


def test_a_damaged_checkpoint_of_a_run_is_refused_by_its_checksum(parent: Path) -> None:
    path = RunLayout(parent).model_file("2")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"model_2\.pt differs from its SHA-256"):
        start_from(path, Points(), parent.parent, BASE)
    # Of the others only the weights are needed.
    RunLayout(parent).trainer_state_file("1").unlink()
    assert start_from(f"{parent}@1", Points(), parent.parent, BASE).status == "finished"


class Named(Points):
    """Whose model holds the names of its classes."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    def model(self, hparams: Any) -> nn.Module:
        model = super().model(hparams)
        model.register_buffer("classes", json_tensor(self.names))
        return model


def test_names_that_describe_other_data_are_not_taken_over(tmp_path: Path) -> None:
    parent = train(Named(["cat", "dog", "bee"]), BASE, runs_dir=tmp_path).run_dir
    result = start_from(parent, Named(["iris", "rose", "lily"]), tmp_path, STILL)
    found, before = weights(result.run_dir, 1), weights(parent, 1)
    assert torch.equal(found["classes"], json_tensor(["iris", "rose", "lily"]))
    assert torch.equal(found["0.weight"], before["0.weight"])
    (alert,) = events(result.run_dir, "alert")
    assert (alert["level"], "classes" in alert["message"]) == ("warning", True)
    again = start_from(parent, Named(["cat", "dog", "bee"]), tmp_path, STILL)
    assert events(again.run_dir, "alert") == []


def test_a_dry_run_tries_the_weights(parent: Path, tmp_path: Path) -> None:
    found = initial_weights(find_weights(f"{parent}@2", parent.parent))
    task, hparams = Points(), Points.hparams_class(task="points", **STILL)
    fresh, trained = check(task, hparams), check(task, hparams, weights=found)
    assert trained["metrics"]["test/loss"] < fresh["metrics"]["test/loss"]
    with pytest.raises(FileError, match="does not fit"):
        check(task, Points.hparams_class(task="points", latent_dim=5), weights=found)
    assert list(parent.parent.iterdir()) == [parent]


@pytest.mark.parametrize("kind", ["checkpoint", "file"])
def test_a_crash_before_its_first_save_starts_from_the_weights_again(
    kind: str, parent: Path, tmp_path: Path
) -> None:
    file = tmp_path / "given.pt"
    torch.save(weights(parent, 2), file)
    word = f"{parent}@2" if kind == "checkpoint" else str(file)
    expected = start_from(word, Points(), tmp_path / "whole", BASE)
    with pytest.raises(TrainerError, match="power cut"):
        start_from(word, Points(on_batch=crash_at(3)), tmp_path / "broken", BASE)
    (run_dir,) = (tmp_path / "broken").iterdir()
    assert resume(Points(), run_dir, BASE).status == "finished"
    assert_same_weights(weights(run_dir, 1), weights(expected.run_dir, 1))
    assert events(run_dir, "run_start")[-1]["parent"] == RunReader(run_dir).run()["parent"]


def test_a_crash_before_its_first_save_needs_the_weights_as_they_were(parent: Path, tmp_path: Path) -> None:
    file = tmp_path / "given.pt"
    torch.save(weights(parent, 2), file)
    with pytest.raises(TrainerError, match="power cut"):
        start_from(file, Points(on_batch=crash_at(3)), tmp_path / "broken", BASE)
    (run_dir,) = (tmp_path / "broken").iterdir()
    torch.save(weights(parent, 1), file)
    with pytest.raises(FileError, match="not what it was"):
        resume_point(RunLayout(run_dir))
    file.unlink()
    with pytest.raises(FileError, match=r"given\.pt"):
        resume_point(RunLayout(run_dir))
