"""A forked run goes on from a checkpoint of another one as that one did, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.comparing import TIMES, assert_equal
from tests.engine.test_resume import CASES, crash_at
from tests.helpers import Points, assert_same_weights, events, resume, rows, tags, weights
from tests.pseudo import wait_until
from tui_trainer import TrainerError, train
from tui_trainer.cli.resume import fork_point, resume_point
from tui_trainer.engine import checkpoint
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.engine.launch import Result, launch
from tui_trainer.errors import FileError
from tui_trainer.files import sha256_file
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import Parent, read_state
from tui_trainer.tasks.base import Task

BASE = {"epochs": 3, "log_rate": 0.0, "checkpoint_every": "4steps", "dropout": 0.2}


def fork(
    task: Task,
    parent: Path,
    tag: str,
    values: dict[str, Any],
    stop: StopRequest | None = None,
    run_dir: Path | None = None,
) -> Result:
    """A new run beside one, from a checkpoint of it, as `--fork` does."""
    hparams = task.hparams_class(task=task.name, **values)
    point = fork_point(RunLayout(parent), tag)
    return launch(task, hparams, runs_dir=parent.parent, run_dir=run_dir, resume=point, stop=stop)


def files(run_dir: Path) -> dict[str, str]:
    """Every file of a run with its checksum."""
    return {str(p.relative_to(run_dir)): sha256_file(p) for p in run_dir.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "case",
    [
        "dropout, Adam, cosine with warm-up",
        "SGD, plateau, EMA, accumulation, clipping, BatchNorm",
        "random augmentation",
        "a loader of one's own",
        "data without a length",
        "float16",
        "evaluations by steps",
    ],
)
@pytest.mark.parametrize("tag", ["1", "1+2"])
def test_it_ends_as_the_run_that_it_comes_from(case: str, tag: str, tmp_path: Path) -> None:
    kind, own = CASES[case]
    values = {**BASE, **own, "checkpoint_every": 1 if tag == "1" else "4steps"}
    whole = train(kind(), values, runs_dir=tmp_path).run_dir
    before = files(whole)
    result = fork(kind(), whole, tag, values)
    assert (result.status, result.epochs) == ("finished", 3)
    assert result.run_dir != whole
    assert files(whole) == before
    assert_same_weights(weights(result.run_dir, "3"), weights(whole, "3"))
    one, other = (
        checkpoint.load_trainer_state(RunLayout(run).trainer_state_file("3"))
        for run in (result.run_dir, whole)
    )
    for part in ("optimizer", "schedule", "scaler", "averaged", "rng", "monitor"):
        assert_equal(one[part], other[part], part)
    mine, all_rows = rows(result.run_dir), rows(whole)
    first = int(mine["step"][0])
    assert first == entry(whole, tag)["step"] + 1
    for name, found in mine.items():
        if name not in TIMES:
            assert found.tolist() == pytest.approx(
                all_rows[name][first - 1 :].tolist(), abs=0, rel=0, nan_ok=True
            )
    assert told(result.run_dir) == [line for line in told(whole) if line[1] >= first]


def entry(run_dir: Path, tag: str) -> dict[str, Any]:
    return next(entry for entry in RunReader(run_dir).checkpoints() if entry["tag"] == tag)


def told(run_dir: Path) -> list[tuple[Any, ...]]:
    keys = ("event", "step", "epoch", "metrics", "best", "improved", "lr")
    names = ("epoch_end", "evaluation")
    return [tuple(event.get(key) for key in keys) for event in events(run_dir) if event["event"] in names]


def test_the_record_says_where_it_comes_from(tmp_path: Path) -> None:
    whole = train(Points(), BASE, runs_dir=tmp_path)
    result = fork(Points(), whole.run_dir, "1+2", BASE)
    parent = {
        "run_id": whole.run_id,
        "run_dir": f"../{whole.run_dir.name}",
        "checkpoint": "1+2",
        "step": 8,
        "kind": "fork",
    }
    assert RunReader(result.run_dir).run()["parent"] == parent
    assert "parent" not in RunReader(whole.run_dir).run()
    (started,) = events(result.run_dir, "run_start")
    assert (started["parent"], started["step"], started["epoch"], started["batch"]) == (parent, 8, 1, 2)
    assert events(result.run_dir, "run_resume") == []
    assert [event["epoch"] for event in events(result.run_dir, "epoch_end")] == [2, 3]
    state = read_state(RunReader(result.run_dir))
    assert state.parent == Parent(**parent)
    assert (state.resumes, state.step, state.epoch) == (0, 18, 3)
    elsewhere = fork(Points(), whole.run_dir, "2", BASE, run_dir=tmp_path / "other" / "place")
    assert RunReader(elsewhere.run_dir).run()["parent"]["run_dir"] == str(whole.run_dir.resolve())


def test_its_time_is_its_own(tmp_path: Path) -> None:
    whole = train(Points(), BASE, runs_dir=tmp_path)
    layout = RunLayout(whole.run_dir)
    state = checkpoint.load_trainer_state(layout.trainer_state_file("1+2"))
    assert state["progress"]["seconds"] > 0
    result = fork(Points(), whole.run_dir, "1+2", BASE)
    (began,) = events(result.run_dir, "run_start")
    for event in events(result.run_dir, "epoch_end"):
        assert event["elapsed"] <= event["time"] - began["time"] + 0.5
        assert event["seconds"] <= event["elapsed"] + 1e-6


def test_it_needs_its_parent_no_more_once_it_trains(tmp_path: Path) -> None:
    values = {**BASE, "checkpoint_every": 0, "keep_checkpoints": 1}
    whole = train(Points(), {**BASE, "keep_checkpoints": None}, runs_dir=tmp_path).run_dir
    with pytest.raises(TrainerError, match="power cut"):
        fork(Points(on_batch=crash_at(3)), whole, "1+2", values, run_dir=tmp_path / "fork")
    assert tags(tmp_path / "fork") == ["1+2"]
    expected = weights(whole, "3")
    RunLayout(whole).trainer_state_file("1+2").unlink()
    assert resume(Points(), tmp_path / "fork", values).status == "finished"
    assert_same_weights(weights(tmp_path / "fork", "3"), expected)
    assert rows(tmp_path / "fork")["step"].tolist() == list(range(9, 19))
    assert RunReader(tmp_path / "fork").run()["parent"]["checkpoint"] == "1+2"
    assert read_state(RunReader(tmp_path / "fork")).parent is not None


@pytest.mark.parametrize("tag", ["1", "2"])
def test_its_first_checkpoint_is_marked_best_where_nothing_was_better(tag: str, tmp_path: Path) -> None:
    whole = train(Points(), {**BASE, "checkpoint_every": 1}, runs_dir=tmp_path).run_dir
    improved = [event["improved"] for event in events(whole, "epoch_end")]
    stop = StopRequest()
    task = Points(on_batch=lambda number: stop.request("test"))
    result = fork(task, whole, tag, {**BASE, "checkpoint_every": 1}, stop)
    (first, *_) = RunReader(result.run_dir).checkpoints()
    assert (first["tag"], first["best"]) == (tag, improved[int(tag) - 1])


def test_more_epochs_go_on_from_an_ended_runs_last_checkpoint(tmp_path: Path) -> None:
    long = train(Points(), {**BASE, "epochs": 4}, runs_dir=tmp_path).run_dir
    short = train(Points(), {**BASE, "epochs": 2}, runs_dir=tmp_path).run_dir
    result = fork(Points(), short, "2", {**BASE, "epochs": 4})
    assert_same_weights(weights(result.run_dir, "4"), weights(long, "4"))


def test_a_live_run_can_be_forked(tmp_path: Path) -> None:
    forked: list[Result] = []

    def on_batch(number: int) -> None:
        if number == 9 and not forked:
            (run_dir,) = tmp_path.iterdir()
            wait_until(lambda: tags(run_dir) == ["1"], "the first checkpoint")
            forked.append(fork(Points(), run_dir, "1", BASE))

    whole = train(Points(on_batch=on_batch), {**BASE, "checkpoint_every": 1, "epochs": 2}, runs_dir=tmp_path)
    assert (whole.status, whole.epochs) == ("finished", 2)
    assert (forked[0].status, forked[0].epochs) == ("finished", 3)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    whole = train(Points(), BASE, runs_dir=tmp_path).run_dir
    path = RunLayout(whole).trainer_state_file("1")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"trainer_state_1\.pt differs"):
        fork_point(RunLayout(whole), "1")
    with pytest.raises(FileError, match="checkpoint 7 is not in"):
        fork_point(RunLayout(whole), "7")


def test_a_start_that_fails_leaves_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    runs = tmp_path / "runs"
    whole = train(Points(), BASE, runs_dir=runs).run_dir
    with pytest.raises(FileError, match="does not fit"):
        fork(Points(), whole, "1", {**BASE, "latent_dim": 5})
    assert list(runs.iterdir()) == [whole]


def test_a_fork_that_saved_nothing_says_what_to_fork_again(tmp_path: Path) -> None:
    whole = train(Points(), BASE, runs_dir=tmp_path)
    result = fork(Points(), whole.run_dir, "1", BASE)
    layout = RunLayout(result.run_dir)
    layout.checkpoints_index.unlink()
    with pytest.raises(FileError, match=f"{whole.run_id}@1"):
        resume_point(layout)


@pytest.mark.parametrize("forgotten", ["optimizer", "rng", "meter"])
def test_each_part_of_the_state_matters(
    forgotten: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative controls: a fork that leaves one part out ends elsewhere."""
    whole = train(Points(), BASE, runs_dir=tmp_path).run_dir
    load: Callable[[Path], dict[str, Any]] = checkpoint.load_trainer_state

    def forgetful(path: Path) -> dict[str, Any]:
        state = load(path)
        match forgotten:
            case "optimizer":
                state["optimizer"]["state"] = {}
            case "rng":
                state["rng"]["torch"] = torch.Generator().manual_seed(1).get_state()
            case "meter":
                state["meter"] = {"weights": {}, "totals": {}, "means": {}}
        return state

    monkeypatch.setattr(checkpoint, "load_trainer_state", forgetful)
    result = fork(Points(), whole, "1+2", BASE)
    monkeypatch.undo()
    one, other = weights(result.run_dir, "3"), weights(whole, "3")
    changed = any(not torch.equal(one[name], tensor) for name, tensor in other.items())
    assert changed or told(result.run_dir) != told(whole)[1:]


def test_a_stop_before_its_first_step_can_be_resumed(tmp_path: Path) -> None:
    whole = train(Points(), BASE, runs_dir=tmp_path).run_dir
    stop = StopRequest()
    stop.request("test")
    # As if it had been asked for just before the first step.
    stop.saves = True
    result = fork(Points(), whole, "1", BASE, stop)
    assert (result.status, result.steps, tags(result.run_dir)) == ("stopped", 6, ["1"])
    assert resume(Points(), result.run_dir, BASE).status == "finished"
    assert_same_weights(weights(result.run_dir, "3"), weights(whole, "3"))
