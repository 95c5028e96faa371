"""Training from the command line: what is printed, what lies on disk, how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.e2e.conftest import Done, events, only_run, wait_for
from tui_trainer.config.presets import list_presets

Run = Callable[..., Done]

SHIPPED = [
    "digits",
    "digits-cnn",
    "tabular-breast-cancer",
    "tabular-diabetes",
    "char-lm-stdlib",
    "seq2seq-dates",
]
SEED = {
    "latent_dim": 128,
    "n_layers": 3,
    "lr": 0.001,
    "batch_size": 32,
    "epochs": 10,
    "optimizer": "Adam",
    "loss": "CrossEntropyLoss",
}


def weights(run: Path, tag: str) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / f"model_{tag}.pt", weights_only=True)


def first_rows(folder: Path) -> Path | None:
    """The step series of the one run, once it holds a row."""
    return next((path for path in (folder / "runs").glob("*/steps.f64") if path.stat().st_size), None)


def test_shipped_presets_are_the_promised_ones(folder: Path) -> None:
    shipped = {listed.name: listed.preset for listed in list_presets() if listed.origin == "shipped"}
    assert set(SHIPPED) <= set(shipped)
    for name, preset in shipped.items():
        assert preset is not None
        assert f"tui-train --preset {name}" in preset.description
        assert "early_stopping_patience" not in preset.values


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_preset_trains_a_few_steps_and_is_valid_with_one_epoch(
    name: str, tui_train: Run, folder: Path
) -> None:
    done = tui_train("--no-ui", "--preset", name, "--epochs", 1, "--max_steps", 3, "--json")
    assert done.code == 0, done.err
    ended = done.lines[-1]
    assert (ended["event"], ended["status"], ended["steps"]) == ("run_end", "finished", 3)
    losses = [
        line["metrics"]["test/loss"] for line in done.lines if line["event"] in ("evaluation", "epoch_end")
    ]
    assert losses
    assert np.isfinite(losses).all()


def test_the_seeds_hparams_run_as_they_stand(tui_train: Run, folder: Path) -> None:
    (folder / "seed.json").write_text(json.dumps(SEED))
    done = tui_train("--no-ui", "digits", "--preset", "seed.json")
    assert done.code == 0, done.err
    run = only_run(folder)
    assert run is not None
    for epoch in range(1, 11):
        assert (run / f"checkpoints/model_{epoch}.pt").is_file()
        parameters = json.loads((run / f"checkpoints/model_parameters_{epoch}.json").read_text())
        assert SEED.items() <= parameters.items()
    assert events(run)[-1]["epochs"] == 10


def test_reported_test_metrics_equal_an_evaluation_without_our_code(tui_train: Run, folder: Path) -> None:
    done = tui_train("--no-ui", "digits", "--epochs", 2, "--batch_size", 50, "--json")
    assert done.code == 0, done.err
    reported = [line for line in done.lines if line["event"] == "epoch_end"][-1]["metrics"]
    run = only_run(folder)
    assert run is not None
    state = weights(run, "2")
    from sklearn.datasets import load_digits

    from tui_trainer.tasks.digits import Digits

    _, (inputs, targets) = Digits().datasets(Digits.hparams_class())
    everything = load_digits()
    assert {tuple(row) for row in inputs.flatten(1).tolist()} <= {
        tuple(row) for row in everything.data.tolist()
    }
    # The bare network, layer by layer, from nothing but the names and shapes in the file.
    linear = [
        name.removesuffix(".weight") for name in state if name.endswith(".weight") and state[name].dim() == 2
    ]
    hidden = inputs.flatten(1).float()
    mean, std = (next(state[n] for n in state if n.endswith(end)) for end in ("mean", "std"))
    hidden = (hidden.reshape(inputs.shape) - mean) / std
    hidden = hidden.flatten(1)
    for i, name in enumerate(linear):
        hidden = torch.nn.functional.linear(hidden, state[f"{name}.weight"], state[f"{name}.bias"])
        hidden = hidden.relu() if i < len(linear) - 1 else hidden
    loss = torch.nn.functional.cross_entropy(hidden, targets).item()
    accuracy = (hidden.argmax(1) == targets).float().mean().item()
    assert reported["test/loss"] == pytest.approx(loss, abs=1e-5)
    assert reported["test/accuracy"] == pytest.approx(accuracy, abs=1e-5)


def test_a_checkpoints_parameters_given_as_preset_repeat_the_run_bit_for_bit(
    tui_train: Run, folder: Path
) -> None:
    words = ["--no-ui", "digits", "--epochs", 2, "--dropout", 0.2, "--lr", 3e-3, "--seed", 7, "--quiet"]
    assert tui_train(*words, "--run-dir", "first").code == 0
    again = tui_train(
        "--no-ui", "--preset", "first/checkpoints/model_parameters_1.json", "--run-dir", "again", "--quiet"
    )
    assert again.code == 0, again.err
    before, after = weights(folder / "first", "2"), weights(folder / "again", "2")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_flags_beat_the_preset_and_the_preset_beats_the_default(tui_train: Run, folder: Path) -> None:
    (folder / "mine.json").write_text('{"task": "digits", "lr": 0.01, "batch_size": 64, "epochs": 1}')
    tui_train("--no-ui", "--preset", "mine.json", "--lr", "3e-4", "--run-dir", "run", "--quiet")
    hparams = json.loads((folder / "run/hparams.json").read_text())
    assert (hparams["lr"], hparams["batch_size"], hparams["optimizer"]) == (3e-4, 64, "Adam")


def test_words_may_come_in_any_order_with_dashes_or_underscores(tui_train: Run, folder: Path) -> None:
    done = tui_train(
        "--batch-size", 64, "--no-compile", "--epochs=1", "digits", "--no_ui", "--quiet", "--run_dir", "run"
    )
    assert done.code == 0, done.err
    hparams = json.loads((folder / "run/hparams.json").read_text())
    assert (hparams["batch_size"], hparams["compile"], hparams["task"]) == (64, False, "digits")


def test_json_lines_are_the_record_and_nothing_else_is_on_stdout(tui_train: Run, folder: Path) -> None:
    done = tui_train("--no-ui", "digits", "--epochs", 2, "--json")
    run = only_run(folder)
    assert run is not None
    assert done.out == (run / "events.jsonl").read_text()
    start = next(line for line in done.lines if line["event"] == "run_start")
    promised = {
        "run_dir",
        "task",
        "hparams",
        "device",
        "world_size",
        "parameters",
        "train_samples",
        "test_samples",
    }
    assert promised | {"steps_per_epoch", "total_steps"} <= start.keys()
    epoch = next(line for line in done.lines if line["event"] == "epoch_end")
    assert {"epoch", "step", "metrics", "lr", "seconds", "samples_per_s"} <= epoch.keys()
    assert done.lines[-1]["event"] == "run_end"
    assert set(done.lines[-1]["best"]) == {"metric", "value", "epoch"}


def test_a_run_without_an_evaluation_interval_still_measures_its_last_epoch(tui_train: Run) -> None:
    done = tui_train("--no-ui", "digits", "--epochs", 3, "--eval_every", 5, "--json")
    measured = ["test/loss" in line["metrics"] for line in done.lines if line["event"] == "epoch_end"]
    assert measured == [False, False, True]


def test_check_reports_and_writes_nothing(tui_train: Run, folder: Path) -> None:
    done = tui_train("digits", "--check", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert {"train/loss", "train/accuracy", "test/loss", "test/accuracy"} <= report["metrics"].keys()
    assert report["parameters"] > 0
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_ctrl_c_in_mid_epoch_saves_and_exits_130_and_resume_gives_the_same_weights(
    start: Any, tui_train: Run, folder: Path
) -> None:
    words = ["--no-ui", "digits", "--epochs", 2, "--batch_size", 2, "--dropout", 0.1, "--quiet"]
    process = start(*words)
    steps = wait_for(lambda: first_rows(folder), "the first row of the record")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    run = steps.parent
    record = events(run)
    assert (record[-1]["event"], record[-1]["status"], record[-1]["reason"]) == (
        "run_end",
        "stopped",
        "SIGINT",
    )
    entries = json.loads((run / "checkpoints/checkpoints.json").read_text())["checkpoints"]
    assert len(entries) == 1
    assert entries[-1]["batch"] > 0
    assert (run / f"checkpoints/model_{entries[-1]['tag']}.pt").is_file()

    resumed = tui_train("--no-ui", "--resume", "last", "--quiet")
    assert resumed.code == 0, resumed.err
    assert tui_train(*words, "--run-dir", "whole").code == 0
    one, other = weights(run, "2"), weights(folder / "whole", "2")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_sigterm_saves_and_exits_143(start: Any, folder: Path) -> None:
    process = start("--no-ui", "digits", "--epochs", 10000, "--checkpoint_every", 0, "--quiet")
    steps = wait_for(lambda: first_rows(folder), "the first row of the record")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert list(steps.parent.glob("checkpoints/model_*.pt"))
    assert events(steps.parent)[-1]["event"] == "run_end"


@pytest.mark.slow
def test_a_lost_terminal_does_not_end_the_run(start: Any, folder: Path) -> None:
    words = ["--no-ui", "digits", "--epochs", 2, "--batch_size", 2]
    process = start(*words, start_new_session=True)
    steps = wait_for(lambda: first_rows(folder), "the first row of the record")
    process.send_signal(signal.SIGHUP)
    assert process.wait(120) == 0
    assert events(steps.parent)[-1]["status"] == "finished"


@pytest.mark.slow
def test_a_reader_that_leaves_early_costs_neither_a_traceback_nor_the_run(start: Any, folder: Path) -> None:
    process = start("--no-ui", "digits", "--epochs", 30, "--json")
    head = subprocess.run(["head", "-3"], stdin=process.stdout, capture_output=True, text=True, check=True)
    process.stdout.close()
    assert len(head.stdout.splitlines()) == 3
    assert process.wait(60) == 0
    assert "Traceback" not in process.stderr.read()
    run = only_run(folder)
    assert run is not None
    record = events(run)
    assert record[-1]["status"] == "finished"
    assert [event["title"] for event in record if event["event"] == "alert"] == ["output closed"]


def test_several_ranks_are_refused_instead_of_training_the_same_twice(
    tui_train: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = tui_train("--no-ui", "digits")
    assert done.code == 2
    assert "without torchrun" in done.err
    assert not (folder / "runs").exists()


def two_epochs(tui_train: Run, folder: Path) -> Path:
    """A finished run."""
    assert tui_train("--no-ui", "digits", "--epochs", 2, "--quiet").code == 0
    run = only_run(folder)
    assert run is not None
    return run


def test_resume_of_a_finished_run_has_nothing_to_do_until_it_gets_more_epochs(
    tui_train: Run, folder: Path
) -> None:
    run = two_epochs(tui_train, folder)
    before = (run / "events.jsonl").read_bytes()
    nothing = tui_train("--no-ui", "--resume", "last", "--quiet")
    assert nothing.code == 0
    assert "nothing to do" in nothing.err
    assert (run / "events.jsonl").read_bytes() == before
    more = tui_train("--no-ui", "--resume", run.name[-4:], "--epochs", 4, "--quiet")
    assert more.code == 0, more.err
    assert [event["epoch"] for event in events(run) if event["event"] == "epoch_end"] == [1, 2, 3, 4]
    assert (run / "checkpoints/model_4.pt").is_file()


def test_a_crashed_run_is_not_finished_by_asking_for_less_than_it_has_done(
    tui_train: Run, folder: Path
) -> None:
    run = two_epochs(tui_train, folder)
    # As a killed process leaves it.
    identity = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**identity, "status": "running"}))
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    (run / "events.jsonl").write_text("".join(line for line in lines if '"run_end"' not in line))
    before = (run / "events.jsonl").read_bytes()
    for words, told in ((("--max_steps", 5), "90 steps"), (("--epochs", 1), "2 epochs")):
        done = tui_train("--no-ui", "--resume", "last", *words, "--quiet")
        assert f"has {told} behind it" in done.err
        assert "nothing to do" in done.err
        assert (run / "events.jsonl").read_bytes() == before
    assert tui_train("--no-ui", "--resume", "last", "--quiet").code == 0, "its own end is reached"


def test_resume_refuses_what_would_make_it_another_experiment(tui_train: Run, folder: Path) -> None:
    tui_train("--no-ui", "digits", "--epochs", 1, "--quiet")
    done = tui_train("--no-ui", "--resume", "last", "--epochs", 2, "--latent_dim", 64)
    assert done.code == 2
    assert "latent_dim: 128 -> 64" in done.err


def test_resume_auto_starts_once_and_then_resumes(tui_train: Run, folder: Path) -> None:
    words = ["--no-ui", "digits", "--run-dir", "run", "--resume", "auto", "--quiet"]
    assert tui_train(*words, "--epochs", 1).code == 0
    assert tui_train(*words, "--epochs", 2).code == 0
    record = [event["event"] for event in events(folder / "run")]
    assert record.count("run_start") == 1
    assert record.count("run_resume") == 1


def test_resume_falls_back_when_the_newest_checkpoint_is_bad(tui_train: Run, folder: Path) -> None:
    tui_train("--no-ui", "digits", "--epochs", 2, "--quiet")
    run = only_run(folder)
    assert run is not None
    newest = run / "checkpoints/model_2.pt"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    done = tui_train("--no-ui", "--resume", "last", "--epochs", 3, "--quiet")
    assert done.code == 0, done.err
    record = events(run)
    resumed = next(event for event in record if event["event"] == "run_resume")
    assert resumed["checkpoint"] == "checkpoints/model_1.pt"
    assert any("model_2.pt" in event["message"] for event in record if event["event"] == "alert")


def test_runs_show_and_checkpoints_tell_the_same_story(tui_train: Run, folder: Path) -> None:
    tui_train("--no-ui", "digits", "--epochs", 2, "--run-name", "first try", "--quiet")
    listed = tui_train("runs", "--json").lines
    assert len(listed) == 1
    promised = {"run_id", "name", "run_dir", "task", "status", "epoch", "step", "best"}
    shown = json.loads(tui_train("show", "first try", "--json").out)
    assert promised <= listed[0].keys()
    assert promised <= shown.keys()
    assert (shown["status"], shown["epoch"], shown["step"]) == ("finished", 2, 90)
    checkpoints = tui_train("checkpoints", "list", "last", "--json").lines
    assert [entry["tag"] for entry in checkpoints] == ["1", "2"]
    assert "first try" in tui_train("runs").out
    assert "model_2.pt" in tui_train("checkpoints", "list", "last").out


def test_pinned_and_marked_checkpoints_are_not_deleted_by_mistake(tui_train: Run, folder: Path) -> None:
    tui_train("--no-ui", "digits", "--epochs", 4, "--quiet", "--run-dir", "run")
    best = next(e["epoch"] for e in tui_train("checkpoints", "list", "run", "--json").lines if e["best"])
    other = next(epoch for epoch in (1, 2, 3) if epoch != best)
    assert tui_train("checkpoints", "pin", f"run@{other}").code == 0
    refused = tui_train("checkpoints", "rm", f"run@{other}")
    assert refused.code == 2
    assert "pinned" in refused.err
    assert tui_train("checkpoints", "unpin", f"run@{other}").code == 0
    assert tui_train("checkpoints", "rm", f"run@{other}").code == 0
    assert not list((folder / "run/checkpoints").glob(f"*_{other}.*"))
    assert tui_train("checkpoints", "verify", "run").code == 0


def test_a_flipped_bit_is_found_by_verify(tui_train: Run, folder: Path) -> None:
    tui_train("--no-ui", "digits", "--epochs", 1, "--quiet", "--run-dir", "run")
    state = folder / "run/checkpoints/trainer_state_1.pt"
    data = bytearray(state.read_bytes())
    data[-100] ^= 4
    state.write_bytes(data)
    done = tui_train("checkpoints", "verify", "run@1")
    assert done.code == 3
    assert "trainer_state_1.pt" in done.out


def test_a_failed_start_leaves_no_run_but_a_log(tui_train: Run, folder: Path) -> None:
    (folder / "bad_task.py").write_text(
        "import torch\nfrom tui_trainer import Task\n\n\nclass Bad(Task):\n    def datasets(self, hparams):\n"
        "        return torch.randn(64, 4), torch.zeros(64).long()\n\n    def model(self, hparams):\n"
        "        return torch.nn.Linear(5, 2)\n"
    )
    done = tui_train("--no-ui", "bad_task.py")
    assert done.code == 1
    assert "error: training failed: RuntimeError in the first test batch" in done.err
    assert "hint:" in done.err
    assert list((folder / "runs").iterdir()) == []
    log = next((folder / "state").rglob("*.log"))
    assert str(log) in done.err
    assert "Traceback" in log.read_text()
