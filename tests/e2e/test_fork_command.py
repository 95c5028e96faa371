"""`tui-train --fork CKPT`: a new run that goes on from a checkpoint of another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.e2e.conftest import Done, events

Run = Callable[..., Done]

TASK = """
import torch
from tui_trainer import Task

class Mine(Task):
    '''Two clusters.'''
    def datasets(self, hparams):
        inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        return inputs, (inputs[:, 0] > 0).long()
    def model(self, hparams):
        return torch.nn.Linear(4, 2)
"""


@pytest.fixture
def parent(tui_train: Run, folder: Path) -> Path:
    """A finished run of three epochs."""
    words = ["--epochs", 3, "--dropout", 0.1, "--checkpoint_every", "20steps", "--run-dir", "runs/first"]
    assert tui_train("--no-ui", "digits", *words, "--quiet").code == 0
    return folder / "runs/first"


def forks(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("runs/*-digits-*/run.json"))


def weights(run: Path, tag: str) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / f"model_{tag}.pt", weights_only=True)


@pytest.mark.parametrize("word", ["runs/first@1+15", "first@1+15", "runs/first/checkpoints/model_1+15.pt"])
def test_it_ends_with_the_same_weights_in_a_run_of_its_own(
    word: str, parent: Path, tui_train: Run, folder: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in parent.rglob("*")}
    done = tui_train("--no-ui", "--fork", word, "--run-name", "second try")
    assert done.code == 0, done.err
    assert "forked  from first@1+15 at epoch 1, step 60" in done.out
    (run,) = forks(folder)
    one, other = weights(run, "3"), weights(parent, "3")
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())
    assert {path: path.stat().st_mtime_ns for path in parent.rglob("*")} == before
    hparams = [json.loads((root / "hparams.json").read_text()) for root in (run, parent)]
    assert hparams[0] == hparams[1]


def test_show_and_runs_name_the_parent(parent: Path, tui_train: Run, folder: Path) -> None:
    assert tui_train("--no-ui", "--fork", "first@2", "--run-dir", "runs/second", "--quiet").code == 0
    expected = {"run_id": "first", "run_dir": "../first", "checkpoint": "2", "step": 90, "kind": "fork"}
    assert json.loads(tui_train("show", "second", "--json").out)["parent"] == expected
    listed = {run["run_id"]: run["parent"] for run in tui_train("runs", "--json").lines}
    assert listed == {"first": None, "second": expected}
    assert "\nparent  first@2\n" in tui_train("show", "second").out
    assert "parent" not in tui_train("show", "first").out


def test_plain_names_of_a_run_mean_its_newest_checkpoint(parent: Path, tui_train: Run, folder: Path) -> None:
    done = tui_train("--no-ui", "--fork", "first", "--epochs", 4, "--json")
    assert done.code == 0, done.err
    start = next(line for line in done.lines if line["event"] == "run_start")
    assert (start["parent"]["checkpoint"], start["step"]) == ("3", 135)
    assert [line["epoch"] for line in done.lines if line["event"] == "epoch_end"] == [4]


def test_nothing_to_do_makes_no_run(parent: Path, tui_train: Run, folder: Path) -> None:
    for words in (["--fork", "first"], ["--fork", "first@1+15", "--max_steps", 50]):
        done = tui_train("--no-ui", *words)
        assert done.code == 0
        assert "nothing to do" in done.err
    assert forks(folder) == []


def test_a_damaged_checkpoint_is_refused(parent: Path, tui_train: Run, folder: Path) -> None:
    path = parent / "checkpoints/model_2.pt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = tui_train("--no-ui", "--fork", "first@2")
    assert done.code == 3
    assert "model_2.pt differs from its SHA-256" in done.err
    assert tui_train("--no-ui", "--fork", "first@9").code == 3
    assert forks(folder) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fork", "first@1", "--resume", "first"], "give only one"),
        (["tabular", "--fork", "first@1"], "two tasks"),
        (["--fork", "nothing@1"], "no such run"),
        (["--fork", "first@soon"], "not a checkpoint"),
        (["--fork", "first@1", "--latent_dim", "64"], "latent_dim: 128 -> 64"),
        (["--fork", "first@1", "--run-dir", "runs/first"], "--resume"),
        (["--fork="], "no such run"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_written(
    words: list[str], said: str, parent: Path, tui_train: Run, folder: Path
) -> None:
    done = tui_train("--no-ui", *words)
    assert done.code == 2
    assert said in done.err
    assert forks(folder) == []


def test_resuming_at_an_earlier_checkpoint_points_to_the_fork(parent: Path, tui_train: Run) -> None:
    done = tui_train("--no-ui", "--resume", "first@1")
    assert done.code == 2
    assert "--fork first@1" in done.err


def test_the_kept_source_of_a_task_file_is_used_where_the_file_is_gone(tui_train: Run, folder: Path) -> None:
    (folder / "mine.py").write_text(TASK)
    words = ["--epochs", 2, "--batch_size", 8, "--run-dir", "runs/first", "--quiet"]
    assert tui_train("--no-ui", "mine.py", *words).code == 0
    (folder / "mine.py").unlink()
    done = tui_train("--no-ui", "--fork", "first@1", "--run-dir", "runs/second", "--quiet")
    assert done.code == 0, done.err
    assert (folder / "runs/second/task/mine.py").read_text() == TASK
    assert [e["epoch"] for e in events(folder / "runs/second") if e["event"] == "epoch_end"] == [2]


@pytest.mark.slow
def test_in_the_background(parent: Path, tui_train: Run, folder: Path) -> None:
    done = tui_train("--detach", "--fork", "first@1")
    assert done.code == 0, done.err
    run = Path(done.out.strip())
    assert run != parent
    assert json.loads((run / "run.json").read_text())["parent"]["checkpoint"] == "1"
    tui_train("stop", str(run))
