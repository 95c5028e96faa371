"""Hparams typed with `--resume`, `--fork` and `--init-from`: what is said, refused and recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.e2e.conftest import Done, events
from tui_trainer.cli.serve import Interpreter

Run = Callable[..., Done]


@pytest.fixture
def parent(tui_train: Run, folder: Path) -> Path:
    """A finished run of one epoch."""
    words = ["--epochs", 1, "--latent_dim", 16, "--run-dir", "runs/first", "--run-name", "first", "--quiet"]
    assert tui_train("--no-ui", "digits", *words).code == 0
    return folder / "runs/first"


def others(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("runs/*-digits-*/run.json"))


def test_every_refused_hparam_is_named_at_once_and_nothing_is_touched(
    parent: Path, tui_train: Run, folder: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in parent.rglob("*")}
    for words in (["--resume", "first"], ["--fork", "first@1"]):
        done = tui_train("--no-ui", *words, "--epochs", 2, "--seed", 3, "--latent_dim", 8, "--lr", 0.1)
        assert done.code == 2
        assert "seed: 0 -> 3" in done.err
        assert "latent_dim: 16 -> 8" in done.err
        assert "--init-from" in done.err
        assert "lr:" not in done.err.partition("hint:")[0]
    assert {path: path.stat().st_mtime_ns for path in parent.rglob("*")} == before
    assert others(folder) == []


@pytest.mark.parametrize("words", [["--resume", "first"], ["--fork", "first"]])
def test_a_change_is_said_before_the_start_and_takes_effect(
    words: list[str], parent: Path, tui_train: Run, folder: Path
) -> None:
    done = tui_train("--no-ui", *words, "--epochs", 2, "--lr", "3e-4", "--json")
    assert done.code == 0, done.err
    assert "warning: lr: 0.001 -> 0.0003 (it trains differently from here on)" in done.err
    assert "note: epochs: 1 -> 2 (" in done.err
    started = next(line for line in done.lines if line["event"] in ("run_resume", "run_start"))
    assert started["changed"] == {"lr": [0.001, 0.0003], "epochs": [1, 2]}
    assert [line["lr"] for line in done.lines if line["event"] == "epoch_end"] == [0.0003]
    again = tui_train("--no-ui", *words, "--epochs", 1, "--quiet")
    assert "nothing to do" in again.err


def test_the_form_names_a_refused_hparam_at_its_field(parent: Path, folder: Path) -> None:
    words = ["--resume", "runs/first", "--lr", "0.01", "--latent_dim", "8", "--epochs", "3"]
    meaning = Interpreter().meaning(words)
    assert meaning.problems == [
        {"key": "latent_dim", "message": "can't change on resume: latent_dim: 16 -> 8"}
    ]
    assert [text.partition(" (")[0] for text in meaning.warnings] == ["lr: 0.001 -> 0.01", "epochs: 1 -> 3"]
    fresh = Interpreter().meaning(["--init-from", "runs/first", "--latent_dim", "8"])
    assert (fresh.task, fresh.values["latent_dim"], fresh.problems) == ("digits", "16", [])
    assert fresh.options == ["--init-from", "runs/first"]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints/model_1.pt", weights_only=True)


STILL = ["--epochs", 1, "--optimizer", "SGD", "--lr", "1e-30", "--quiet"]


def test_weights_alone_start_a_run_with_the_task_and_hparams_of_theirs(
    parent: Path, tui_train: Run, folder: Path
) -> None:
    done = tui_train("--no-ui", "--init-from", "first@best", "--batch-size", 16, *STILL)
    assert done.code == 0, done.err
    (run,) = others(folder)
    assert all(torch.equal(tensor, weights(parent)[name]) for name, tensor in weights(run).items())
    hparams = json.loads((run / "hparams.json").read_text())
    assert (hparams["latent_dim"], hparams["batch_size"], hparams["optimizer"]) == (16, 16, "SGD")
    assert json.loads((run / "run.json").read_text())["parent"]["kind"] == "init"
    told = [event for event in events(run) if event["event"] == "run_start"]
    assert told[0]["parent"]["checkpoint"] == "1"
    shown = tui_train("show", run.name).out
    assert "\nparent  first@1 (weights only)\n" in shown
    assert "\nlineage\nfirst first  finished · epoch 1" in shown
    assert f"\n└─ init @1  {run.name}" in shown
    (child,) = json.loads(tui_train("show", "first", "--json").out)["children"]
    assert (child["run_id"], child["kind"], child["checkpoint"]) == (run.name, "init", "1")


def test_weights_from_a_file_need_a_task_and_take_its_defaults(
    parent: Path, tui_train: Run, folder: Path
) -> None:
    (folder / "given.pt").write_bytes((parent / "checkpoints/model_1.pt").read_bytes())
    done = tui_train("--no-ui", "--init-from", "given.pt")
    assert (done.code, "no task" in done.err, "given.pt" in done.err) == (2, True, True)
    # A task that is typed has its own defaults, which these weights do not fit.
    for word in ("given.pt", "first"):
        done = tui_train("--no-ui", "digits", "--init-from", word, *STILL)
        assert done.code == 3
        assert "does not fit" in done.err
        assert "layers.2.weight" in done.err
    assert others(folder) == []
    done = tui_train("--no-ui", "--check", "digits", "--init-from", "given.pt", "--latent_dim", 16, "--json")
    assert done.code == 0, done.err
    assert others(folder) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--init-from", "first", "--resume", "first"], 2, "give only one"),
        (["--init-from", "first", "--fork", "first@1"], 2, "give only one"),
        (["--init-from", "first@9"], 3, "no checkpoint 9"),
        (["--init-from", "nowhere"], 2, "no such run"),
        (["--init-from", "nowhere.pt"], 3, "does not exist"),
        (
            ["--init-from", "runs/first/checkpoints/trainer_state_1.pt", "digits"],
            3,
            "without tensors by name",
        ),
        (["--init-from", "runs/first/run.json", "digits"], 3, "not written by torch.save"),
    ],
)
def test_weights_that_can_not_be_had_start_nothing(
    words: list[str], code: int, said: str, parent: Path, tui_train: Run, folder: Path
) -> None:
    done = tui_train("--no-ui", *words)
    assert (done.code, said in done.err) == (code, True), done.err
    assert "Traceback" not in done.err
    assert others(folder) == []


def test_a_job_that_is_started_again_resumes_rather_than_starting_from_the_weights(
    parent: Path, tui_train: Run, folder: Path
) -> None:
    words = ["--run-dir", "runs/second", "--resume", "auto", "--init-from", "first"]
    assert tui_train("--no-ui", *words, *STILL).code == 0
    assert tui_train("--no-ui", *words, *STILL[2:], "--epochs", 2).code == 0
    told = [event["event"] for event in events(folder / "runs/second")]
    assert (told.count("run_start"), told.count("run_resume")) == (1, 1)


@pytest.mark.slow
def test_weights_alone_in_the_background(parent: Path, tui_train: Run, folder: Path) -> None:
    done = tui_train("--detach", "--init-from", "runs/first/checkpoints/model_1.pt", "--epochs", 3)
    assert done.code == 0, done.err
    run = Path(done.out.strip())
    assert json.loads((run / "run.json").read_text())["parent"]["kind"] == "init"
    tui_train("stop", str(run))
