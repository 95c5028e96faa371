"""A run's state, folded from its events."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import (
    Alert,
    Best,
    Evaluation,
    Parent,
    RunState,
    better_direction,
    fold,
    fold_all,
    read_state,
    with_liveness,
)
from tui_trainer.runs.writer import RunWriter

START = {
    "event": "run_start",
    "time": 10.0,
    "run_id": "r",
    "task": "digits",
    "hparams": {"epochs": 3, "batch_size": 64},
    "device": "cpu",
    "world_size": 2,
    "parameters": 42762,
    "train_samples": 1437,
    "test_samples": 360,
    "steps_per_epoch": 23,
    "total_steps": 69,
    "monitor": "test/loss",
}


def epoch_end(epoch: int, loss: float | str, **fields: Any) -> dict[str, Any]:
    metrics = {"train/loss": loss, "test/loss": loss, "test/accuracy": 0.5 + epoch / 10}
    head = {"event": "epoch_end", "time": 10.0 + epoch, "epoch": epoch, "step": 23 * epoch}
    return head | {"metrics": metrics, "lr": 0.1, "seconds": 0.4, "samples_per_s": 900} | fields


def test_a_run_is_starting_and_names_its_phase_until_it_trains() -> None:
    state = fold_all(RunState(), [{"event": "phase", "name": "loading data", "time": 9.0}])
    assert (state.status, state.phase, state.phase_began) == ("starting", "loading data", 9.0)
    state = fold(state, {"event": "phase", "name": "loading data", "seconds": 1.5})
    assert (state.phase, state.phase_began, state.phases) == ("", None, {"loading data": 1.5})
    state = fold(state, START)
    assert state.status == "starting"
    state = fold(state, {"event": "epoch_start", "epoch": 1, "step": 0})
    assert (state.status, state.current_epoch, state.epoch) == ("running", 1, 0)


def test_the_start_gives_the_facts() -> None:
    state = fold(RunState(), START)
    assert (state.epochs, state.batch_size, state.total_steps, state.steps_per_epoch) == (3, 64, 69, 23)
    assert (state.parameters, state.train_samples, state.test_samples) == (42762, 1437, 360)
    assert (state.device, state.world_size, state.task, state.started) == ("cpu", 2, "digits", 10.0)


def test_epochs_make_history_and_bests() -> None:
    state = fold_all(RunState(), [START, epoch_end(1, 0.5), epoch_end(2, 0.2), epoch_end(3, 0.3)])
    assert state.best == Best("test/loss", 0.2, 2)
    assert state.bests["test/accuracy"] == Best("test/accuracy", 0.8, 3)
    assert state.metrics["test/loss"] == 0.3
    assert [summary.best for summary in state.history] == [True, True, False]
    assert (state.epoch, state.step, state.lr, state.updated) == (3, 69, 0.1, 13.0)


def test_the_trainers_own_best_wins() -> None:
    best = {"metric": "val/f1", "value": 0.7, "epoch": 1}
    state = fold_all(RunState(), [START | {"monitor": "val/f1"}, epoch_end(1, 0.5, best=best)])
    assert state.best == Best("val/f1", 0.7, 1)


def test_declared_directions_decide_what_is_best() -> None:
    start = START | {"directions": {"test/accuracy": "min"}}
    state = fold_all(RunState(), [start, epoch_end(1, 0.5), epoch_end(2, 0.2)])
    assert state.bests["test/accuracy"].epoch == 1


def evaluation(epoch: int, step: int, loss: float) -> dict[str, Any]:
    head = {"event": "evaluation", "time": 10.0 + step, "epoch": epoch, "step": step}
    return head | {"metrics": {"test/loss": loss}}


def test_evaluations_inside_epochs_are_kept_with_their_places() -> None:
    state = fold_all(RunState(), [START, evaluation(1, 10, 0.5), epoch_end(1, 0.4), evaluation(2, 33, 0.1)])
    assert state.evaluations == (
        Evaluation(10, 20.0, {"test/loss": 0.5}, pytest.approx(10 / 23)),
        Evaluation(33, 43.0, {"test/loss": 0.1}, pytest.approx(33 / 23)),
    )
    assert [summary.step for summary in state.history] == [23]
    assert state.best == Best("test/loss", 0.1, 2)


def test_an_evaluation_lies_in_its_epoch_also_where_lengths_are_not_as_announced() -> None:
    state = fold_all(RunState(), [START, evaluation(1, 30, 0.5), evaluation(3, 31, 0.5)])
    assert [item.epoch for item in state.evaluations] == [1.0, 2.0]
    unknown = fold_all(RunState(), [{**START, "steps_per_epoch": None}, evaluation(1, 30, 0.5)])
    assert math.isnan(unknown.evaluations[0].epoch)


def test_the_newest_evaluations_are_kept() -> None:
    state = fold_all(RunState(), [START, *(evaluation(1, step, 0.5) for step in range(1, 2102))])
    assert (len(state.evaluations), state.evaluations[0].step, state.evaluations[-1].step) == (
        2000,
        102,
        2101,
    )


def test_a_resume_drops_the_evaluations_beyond_it() -> None:
    events = [START, epoch_end(1, 0.5), evaluation(2, 30, 0.3), evaluation(2, 40, 0.1)]
    resumed = {"event": "run_resume", "time": 99.0, "step": 35, "epoch": 1}
    state = fold_all(RunState(), [*events, resumed])
    assert [item.step for item in state.evaluations] == [30]
    assert (state.best, state.metrics["test/loss"]) == (Best("test/loss", 0.3, 2), 0.3)
    assert [summary.epoch for summary in state.history] == [1]


def test_a_fork_begins_where_its_parent_was() -> None:
    parent = {"run_id": "20261123-031415-digits-7f3a", "run_dir": "../x", "checkpoint": "2+5", "step": 51}
    state = fold(RunState(), START | {"parent": parent, "step": 51, "epoch": 2, "batch": 5})
    assert (state.step, state.epoch, state.current_epoch, state.resumes) == (51, 2, 2, 0)
    assert state.parent == Parent(**parent)
    assert state.parent.label == "7f3a@2+5"
    # Nothing better came since: the best is still the one of the parent, wherever it is asked for.
    carried = {"metric": "test/loss", "value": 0.1, "epoch": 1}
    state = fold(state, epoch_end(3, 0.4, best=carried))
    assert state.best == state.bests["test/loss"] == Best("test/loss", 0.1, 1)


@pytest.mark.parametrize("value", [None, "7f3a", {}, {"run_id": ""}, ["x"]])
def test_a_parent_that_is_none_is_none(value: Any) -> None:
    assert fold(RunState(), START | {"parent": value}).parent is None


def test_nan_is_never_best() -> None:
    state = fold_all(RunState(), [START, epoch_end(1, "NaN"), epoch_end(2, 0.2), epoch_end(3, "NaN")])
    assert state.best == Best("test/loss", 0.2, 2)
    assert math.isnan(state.metrics["test/loss"])


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("test/loss", "min"),
        ("val/cross_entropy", "min"),
        ("test/perplexity", "min"),
        ("top1_error", "min"),
        ("test/rmse", "min"),
        ("test/WER", "min"),
        ("test/accuracy", "max"),
        ("loss/accuracy", "max"),
        ("test/f1", "max"),
        ("test/lossless_rate", "max"),
        ("", "max"),
    ],
)
def test_the_name_of_a_metric_tells_its_direction(metric: str, direction: str) -> None:
    assert better_direction(metric) == direction


def test_pausing_shows_until_unpaused() -> None:
    state = fold_all(RunState(), [START, {"event": "epoch_start", "epoch": 1}])
    state = fold(state, {"event": "control", "action": "pause", "step": 7})
    assert (state.status, state.step, len(state.controls)) == ("paused", 7, 1)
    assert fold(state, {"event": "evaluation", "step": 7, "metrics": {}}).status == "paused"
    assert fold(state, {"event": "control", "action": "unpause", "step": 7}).status == "running"


def test_a_request_to_stop_shows_until_the_end() -> None:
    def asked(value: str, **fields: Any) -> dict[str, Any]:
        return {"event": "control", "action": "stop", "value": value, "step": 7} | fields

    state = fold_all(RunState(), [START, {"event": "epoch_start", "epoch": 1}])
    assert (state.stopping, fold(state, asked("now", error="no")).stopping) == ("", "")
    state = fold(state, asked("epoch_end"))
    assert (state.stopping, state.status) == ("epoch_end", "running")
    state = fold(state, asked("now"))
    assert fold(state, asked("epoch_end")).stopping == "now"
    assert fold(state, {"event": "run_end", "status": "stopped"}).stopping == ""
    assert fold(state, {"event": "run_resume", "epoch": 0, "step": 0}).stopping == ""


def test_a_paused_run_that_is_to_stop_at_its_epochs_end_goes_on_until_there() -> None:
    pause = {"event": "control", "action": "pause", "step": 3}
    stop = {"event": "control", "action": "stop", "value": "epoch_end", "step": 3}
    state = fold_all(RunState(), [START, {"event": "epoch_start", "epoch": 1, "step": 0}, pause, stop])
    assert (state.status, state.stopping) == ("running", "epoch_end")


def test_a_count_that_is_none_is_left_out() -> None:
    state = fold_all(RunState(), [START, epoch_end(1, 0.5), epoch_end(2, 0.5, step=10**400)])
    assert (state.step, state.epoch) == (23, 2)


def test_a_refused_request_changes_nothing_and_is_kept() -> None:
    state = fold_all(RunState(), [START, {"event": "epoch_start", "epoch": 1}])
    state = fold(state, {"event": "control", "action": "pause", "step": 7, "error": "why"})
    assert (state.status, len(state.controls)) == ("running", 1)


def test_the_end_has_a_status_and_a_reason() -> None:
    end = {
        "event": "run_end",
        "time": 99.0,
        "status": "stopped",
        "reason": "by request",
        "epochs": 1,
        "steps": 30,
    }
    state = fold_all(RunState(), [START, epoch_end(1, 0.5), end])
    assert (state.status, state.reason, state.ended, state.step) == ("stopped", "by request", 99.0, 30)
    assert fold(state, {"event": "control", "action": "pause"}).status == "stopped"
    assert fold(RunState(), {"event": "run_end", "status": "odd"}).status == "unknown"


def test_a_resume_takes_back_what_came_after() -> None:
    end = {"event": "run_end", "status": "failed", "reason": "NaN"}
    resume = {"event": "run_resume", "epoch": 1, "step": 23, "checkpoint": "checkpoints/model_1.pt"}
    state = fold_all(RunState(), [START, epoch_end(1, 0.5), epoch_end(2, 0.2), end, resume])
    assert (state.status, state.reason, state.ended, state.resumes) == ("running", "", None, 1)
    assert (state.epoch, state.step, len(state.history)) == (1, 23, 1)
    assert state.best == Best("test/loss", 0.5, 1)
    assert state.metrics["test/loss"] == 0.5


def test_alerts_logs_system_and_checkpoints_are_kept() -> None:
    alert = {"event": "alert", "level": "warning", "title": "t", "message": "m", "step": 3, "time": 4.0}
    log = {"event": "log", "message": "hello"}
    checkpoint = {
        "event": "checkpoint",
        "epoch": 1,
        "step": 23,
        "path": "checkpoints/model_1.pt",
        "best": True,
    }
    state = fold_all(RunState(), [alert, log, checkpoint, {"event": "system", "cpu": 41}])
    assert state.alerts == (Alert("warning", "t", "m", 3, 4.0),)
    assert (state.logs, state.checkpoints, state.system["cpu"]) == ((log,), (checkpoint,), 41)


def test_alerts_and_logs_are_bounded_but_counted() -> None:
    state = fold_all(RunState(), [{"event": "alert", "message": str(n)} for n in range(1000)])
    assert (len(state.alerts), state.alert_count, state.alerts[-1].message) == (200, 1000, "999")


def test_folding_leaves_the_earlier_state_alone() -> None:
    before = fold_all(RunState(), [START, epoch_end(1, 0.5)])
    metrics = dict(before.metrics)
    fold(before, epoch_end(2, 0.1))
    assert (before.metrics, len(before.history), before.epoch) == (metrics, 1, 1)


def test_folding_at_once_and_one_by_one_agree() -> None:
    events = [
        START,
        {"event": "epoch_start", "epoch": 1},
        epoch_end(1, 0.5),
        {"event": "control"},
        epoch_end(2, 1),
    ]
    state = RunState()
    for event in events:
        state = fold(state, event)
    assert state == fold_all(RunState(), events)


NAMES = [
    "run_start",
    "run_resume",
    "phase",
    "epoch_start",
    "evaluation",
    "epoch_end",
    "checkpoint",
    "control",
]
NAMES += ["system", "log", "alert", "run_end", "else"]
KEYS = [
    "epoch",
    "step",
    "metrics",
    "best",
    "directions",
    "hparams",
    "status",
    "name",
    "seconds",
    "time",
    "action",
]
ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
VALUES = ODD | st.lists(ODD, max_size=2) | st.dictionaries(st.sampled_from(["a", "metric", "epoch"]), ODD)


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(KEYS), VALUES)), max_size=6)
)
def test_no_event_whatever_it_holds_stops_the_fold(events: list[tuple[str, dict[str, Any]]]) -> None:
    fold_all(RunState(), [fields | {"event": name} for name, fields in events])


@pytest.mark.parametrize(
    ("status", "liveness", "age", "shown"),
    [
        ("running", "live", 0, "running"),
        ("running", "dead", 0, "crashed"),
        ("paused", "dead", 0, "crashed"),
        ("starting", "dead", 0, "crashed"),
        ("running", "remote", 59, "running"),
        ("running", "remote", 61, "unknown"),
        ("finished", "dead", 0, "finished"),
        ("finished", "remote", 9999, "finished"),
    ],
)
def test_a_run_without_its_process_is_not_shown_as_running(
    status: str, liveness: Any, age: float, shown: str
) -> None:
    assert with_liveness(RunState(status=status), liveness, age).status == shown


def test_the_files_fill_in_what_events_do_not_say(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    writer = RunWriter.create(layout, {"task": "digits", "name": "night"}, {"epochs": 9, "batch_size": 8})
    writer.row({"step": 12, "loss": 0.5})
    writer.event("epoch_start", epoch=1)
    state = read_state(RunReader(layout.root))
    assert (state.status, state.task, state.name, state.epochs, state.batch_size) == (
        "running",
        "digits",
        "night",
        9,
        8,
    )
    assert (state.step, state.row, state.run_dir) == (12, {"step": 12, "loss": 0.5}, str(layout.root))
    writer.close()
    assert read_state(RunReader(layout.root)).status == "crashed"


def test_an_end_that_only_run_json_could_hold_counts(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    RunWriter.create(layout, {}, {}).close(status="stopped", reason="by request")
    state = read_state(RunReader(layout.root))
    assert (state.status, state.reason) == ("stopped", "by request")
