"""What front ends ask of a live run happens at a step boundary, is on record, and changes nothing else."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from tests.helpers import (
    Points,
    PointsHparams,
    assert_same_weights,
    events,
    resume,
    rows,
    start,
    tags,
    weights,
)
from tui_trainer.engine import checkpoint
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.engine.launch import Result, launch
from tui_trainer.engine.resuming import ResumePoint
from tui_trainer.engine.schedule import build_schedule
from tui_trainer.errors import TrainerError
from tui_trainer.runs import control
from tui_trainer.runs.checkpoints import read_index, remove_entries
from tui_trainer.runs.layout import RunLayout, checkpoint_tag
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state

ENDLESS = {"epochs": 10**6, "checkpoint_every": 0, "eval_every": 0, "test_size": 0.0, "log_rate": 0.0}
SHORT = {"epochs": 3, "log_rate": 0.0, "dropout": 0.2}


def poll(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.005)
    raise AssertionError(f"waited {seconds} s for {what}")


class Live:
    """A run in a thread, and its remote control."""

    def __init__(self, task: Points, runs_dir: Path, values: dict[str, Any]) -> None:
        self.stop = StopRequest()
        self._results: list[Result] = []
        self._thread = threading.Thread(
            target=lambda: self._results.append(start(task, runs_dir, values, self.stop)), daemon=True
        )
        self._thread.start()
        self.root: Path = poll(lambda: next((p.parent for p in runs_dir.glob("*/run.json")), None), "a run")
        self.layout = RunLayout(self.root)
        poll(lambda: self.step(), "the first row")

    def step(self) -> float:
        return (RunReader(self.root).last_row() or {}).get("step", 0)

    def ask(self, action: str, value: Any = None) -> dict[str, Any]:
        """Send a request and wait for its event."""
        request = control.send(self.layout, action, value, "me@here")

        def answer() -> Any:
            return control.outcome(self.layout, request, events(self.root, "control")).event

        event: dict[str, Any] = poll(answer, action)
        return event

    def result(self) -> Result:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._results[0]


@contextmanager
def live(task: Points, runs_dir: Path, **values: Any) -> Iterator[Live]:
    run = Live(task, runs_dir, {**ENDLESS, **values})
    try:
        yield run
    finally:
        run.stop.request("end of the test")
        run._thread.join(60)


def send_at(batch: int, runs_dir: Path, action: str, value: Any = None) -> Callable[[int], None]:
    """For `Points(on_batch=…)`: sends a request at a batch and lets the trainer take it."""

    def on_batch(number: int) -> None:
        if number == batch:
            layout = RunLayout(next(runs_dir.iterdir()))
            control.send(layout, action, value, "me@here")
            poll(lambda: not control.waiting(layout), "the request to be taken")

    return on_batch


def resumed_from(run_dir: Path, tag: str, copy: Path, task: Points, values: dict[str, Any]) -> Path:
    """A copy of a run that went on from one of its checkpoints, as if it had been killed right after it."""
    shutil.copytree(run_dir, copy)
    layout = RunLayout(copy)
    entries = read_index(layout)
    place = [entry["tag"] for entry in entries].index(tag)
    remove_entries(layout, [entry["tag"] for entry in entries[place + 1 :]])
    hparams = task.hparams_class(task=task.name, **values)
    launch(task, hparams, runs_dir=copy.parent, resume=ResumePoint(layout, read_index(layout)[-1]))
    return copy


def assert_same_run(one: Path, other: Path, tag: str) -> None:
    assert_same_weights(weights(one, tag), weights(other, tag))
    for name in ("step", "lr", "train/loss"):
        np.testing.assert_array_equal(rows(one)[name], rows(other)[name], err_msg=name)


# ---------------------------------------------------------------- pausing


def test_a_paused_run_that_is_to_stop_at_its_epochs_end_goes_on_until_there(tmp_path: Path) -> None:
    with live(Points(), tmp_path) as run:
        run.ask("pause")
        run.ask("stop", "epoch_end")
        result = run.result()
    assert result.status == "stopped"
    assert result.steps == result.epochs * events(run.root, "run_start")[0]["steps_per_epoch"]


def test_a_paused_run_stands_still_and_its_time_does_not_count(tmp_path: Path) -> None:
    with live(Points(), tmp_path) as run:
        paused = run.ask("pause")
        assert (paused["requested_by"], paused["step"]) == ("me@here", run.step())
        assert read_state(RunReader(run.root)).status == "paused"
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert run.step() == paused["step"]
            time.sleep(0.01)
        gone_on = run.ask("unpause")
        assert gone_on["step"] == paused["step"]
        assert gone_on["time"] - paused["time"] >= 1.0
        assert gone_on["elapsed"] - paused["elapsed"] < 0.5
        poll(lambda: run.step() > paused["step"], "further steps")
        assert read_state(RunReader(run.root)).status == "running"
        run.ask("stop")
        run.result()
    began, ended = events(run.root, "run_start")[0], events(run.root, "run_end")[0]
    assert ended["elapsed"] < ended["time"] - began["time"] - 0.5
    series = rows(run.root)
    assert series["samples_per_s"][series["step"] == paused["step"] + 1] > 16 / 0.9


def test_a_paused_run_can_be_saved_changed_and_stopped(tmp_path: Path) -> None:
    with live(Points(), tmp_path) as run:
        step = run.ask("pause")["step"]
        saved = run.ask("save")
        assert saved["path"] == f"checkpoints/model_{tags(run.root)[0]}.pt"
        assert run.ask("set", {"lr": 0.5})["old"] == {"lr": 0.001}
        assert run.ask("pin", tags(run.root)[0])["step"] == step
        assert read_index(run.layout)[0]["pinned"]
        run.ask("stop")
        result = run.result()
    assert (result.status, result.steps, result.exit_code) == ("stopped", step, 130)
    assert result.reason == "by request (me@here)"
    assert events(run.root)[-1]["event"] == "run_end"
    assert len(tags(run.root)) == 1


def test_a_stop_of_another_kind_ends_a_paused_run(tmp_path: Path) -> None:
    with live(Points(), tmp_path) as run:
        step = run.ask("pause")["step"]
        run.stop.request("SIGTERM")
        result = run.result()
    assert (result.status, result.reason, result.steps) == ("stopped", "SIGTERM", step)
    assert tags(run.root)


def test_a_pause_holds_an_evaluation_too(tmp_path: Path) -> None:
    seen: list[float] = []

    class Watched(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            if not model.training:
                seen.append(time.monotonic())
                if len(seen) == 3:
                    layout = RunLayout(next(tmp_path.iterdir()))
                    control.send(layout, "pause", None, "me@here")
                    poll(lambda: not control.waiting(layout), "the request to be taken")
            return super().compute_loss(model, batch, criterion)

    with live(Watched(2001), tmp_path, eval_every=1, eval_batch_size=1, test_size=0.9) as run:
        poll(lambda: events(run.root, "control"), "the pause")
        count = len(seen)
        assert count < 1800
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            assert len(seen) == count
            time.sleep(0.01)
        run.ask("unpause")
        ended = poll(lambda: events(run.root, "epoch_end"), "the epoch's end")[0]
    began = events(run.root, "epoch_start")[0]
    assert ended["seconds"] <= ended["time"] - began["time"] - 0.25


# ---------------------------------------------------------------- saving


def test_what_is_saved_inside_an_epoch_goes_on_bit_for_bit(tmp_path: Path) -> None:
    runs_dir = tmp_path / "runs"
    whole = start(Points(on_batch=send_at(3, runs_dir, "save")), runs_dir, SHORT).run_dir
    (saved,) = events(whole, "control")
    tag = checkpoint_tag(*divmod(saved["step"], 6))
    assert (saved["action"], saved["path"]) == ("save", f"checkpoints/model_{tag}.pt")
    copy = resumed_from(whole, tag, tmp_path / "copy", Points(), SHORT)
    assert_same_run(copy, whole, "3")


def test_a_save_at_an_epochs_end_is_that_epochs_checkpoint(tmp_path: Path) -> None:
    # Sent in the last batch, and from a hook after it: the epoch's own checkpoint serves both.
    class Hooked(Points):
        def on_epoch_end(self, context: Any) -> None:
            send_at(0, tmp_path, "save")(0)

    result = start(Hooked(on_batch=send_at(6, tmp_path, "save")), tmp_path, {**SHORT, "epochs": 1})
    assert tags(result.run_dir) == ["1"]
    names = [event["event"] for event in events(result.run_dir)]
    assert names.count("checkpoint") == 1
    assert {event["path"] for event in events(result.run_dir, "control")} == {"checkpoints/model_1.pt"}
    assert names.index("epoch_end") < names.index("checkpoint") < names.index("control")


def test_a_save_without_space_is_refused_with_the_reason_and_training_goes_on(tmp_path: Path) -> None:
    with live(Points(), tmp_path) as run:
        shutil.rmtree(run.layout.checkpoints)
        run.layout.checkpoints.write_text("in the way")
        event = run.ask("save")
        assert "checkpoint not saved" in event["error"]
        poll(lambda: run.step() > event["step"], "further steps")
        run.layout.checkpoints.unlink()


def test_a_save_of_weights_that_are_no_numbers_is_refused_and_training_finds_out_itself(
    tmp_path: Path,
) -> None:
    class Poisoned(Points):
        """A finite loss whose gradient is not, in the eighth batch."""

        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            loss, outputs, targets = super().compute_loss(model, batch, criterion)
            if model.training and self.trained_batches == 8:
                loss = loss + (outputs * 0).sum().abs().sqrt()
            return loss, outputs, targets

    with pytest.raises(TrainerError, match="loss is not finite"):
        start(Poisoned(on_batch=send_at(8, tmp_path, "save")), tmp_path, SHORT)
    root = next(tmp_path.iterdir())
    (refused,) = events(root, "control")
    assert "weights are not finite" in refused["error"]
    assert tags(root) == ["1"]


# ---------------------------------------------------------------- the learning rate

SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "warm-up": {"warmup": 0.5},
    "cosine": {"scheduler": "cosine", "warmup": 0.2},
    "one_cycle": {"scheduler": "one_cycle"},
    "step": {"scheduler": "step", "lr_decay": 0.5, "lr_decay_every": 1},
    "plateau": {"scheduler": "plateau", "lr_patience": 0, "lr_decay": 0.5},
}


def rates(
    values: dict[str, Any], set_at: int | None = None, lr: float = 0.0, task: Points | None = None
) -> np.ndarray[Any, Any]:
    """The rates of two parameter groups over 20 steps, five an epoch; evaluations never improve."""
    hparams = PointsHparams(lr=0.01, **values)
    layers = [nn.Linear(1, 1), nn.Linear(1, 1)]
    groups = [{"params": layers[0].parameters()}, {"params": layers[1].parameters(), "lr": 0.002}]
    if values.get("scheduler") == "one_cycle":
        # torch's cycle starts every group from the same peak.
        groups[1].pop("lr")
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9)
    schedule = build_schedule(task or Points(), hparams, optimizer, 20, 5, "min")
    found = []
    for step in range(1, 21):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.after_step()
        if step % 5 == 0:
            schedule.after_evaluation(1.0)
        if step == set_at:
            schedule.set_lr(lr)
    return np.array(found)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_set_rate_counts_from_the_next_step_and_scales_the_rest_of_the_schedule(name: str) -> None:
    plain, changed = rates(SCHEDULES[name]), rates(SCHEDULES[name], set_at=7, lr=0.004)
    np.testing.assert_array_equal(changed[:7], plain[:7])
    assert changed[7][0] == 0.004
    np.testing.assert_allclose(changed[7:], plain[7:] * 0.004 / plain[7][0], rtol=1e-9, atol=1e-18)


OWN: dict[str, Callable[[Any], Any]] = {
    "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=20),
    "exponential": lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.9),
    "restarts": lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=6),
    "cyclic": lambda optimizer: lr_scheduler.CyclicLR(optimizer, 0.001, 0.01, step_size_up=3),
    "one after another": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer,
        [
            lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4),
            lr_scheduler.StepLR(optimizer, step_size=3),
        ],
        milestones=[10],
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_a_scheduler_of_ones_own_goes_on_from_the_set_rate(name: str) -> None:
    class Own(Points):
        def scheduler(self, hparams: Any, optimizer: Any, total_steps: int | None) -> Any:
            return OWN[name](optimizer)

    plain, changed = rates({}, task=Own()), rates({}, set_at=7, lr=0.004, task=Own())
    assert changed[7][0] == 0.004
    np.testing.assert_allclose(changed[7:], plain[7:] * 0.004 / plain[7][0], rtol=1e-9, atol=1e-18)


def test_a_rate_of_zero_can_be_left() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.01)
    schedule = build_schedule(Points(), PointsHparams(lr=0.01, scheduler="cosine"), optimizer, 4, 4, "min")
    for _ in range(4):
        optimizer.step()
        schedule.after_step()
    assert schedule.set_lr(0.005) == 0
    assert optimizer.param_groups[0]["lr"] == 0.005
    assert optimizer.param_groups[0]["initial_lr"] == pytest.approx(0.005)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_set_rate_is_on_record_and_survives_a_resume_bit_for_bit(tmp_path: Path, name: str) -> None:
    values = {**SHORT, **SCHEDULES[name], "checkpoint_every": "2steps", "lr": 0.01}
    runs_dir = tmp_path / "runs"
    task = Points(on_batch=send_at(3, runs_dir, "set", {"lr": 0.004}))
    whole = start(task, runs_dir, values).run_dir
    (event,) = events(whole, "control")
    step, series = event["step"], rows(whole)["lr"]
    assert 3 <= step < 8
    assert event["value"] == {"lr": 0.004}
    assert series[step] == 0.004
    assert event["old"]["lr"] != 0.004
    first = events(whole, "epoch_end")[0]
    assert first["lr"] == series[first["step"] - 1]
    parameters = checkpoint.load_trainer_state(RunLayout(whole).trainer_state_file("3"))
    for tag in ("1+2", "2"):
        copy = resumed_from(whole, tag, tmp_path / f"from {tag}", Points(), values)
        assert_same_run(copy, whole, "3")
        state = checkpoint.load_trainer_state(RunLayout(copy).trainer_state_file("3"))
        assert state["schedule"] == parameters["schedule"]
        assert len(events(copy, "control")) == 1


def test_a_rate_set_near_the_end_of_a_cosine_does_not_explode_when_the_run_gets_longer(
    tmp_path: Path,
) -> None:
    values = {**SHORT, "scheduler": "cosine", "lr": 0.01}
    runs_dir = tmp_path / "runs"
    short = start(Points(on_batch=send_at(14, runs_dir, "set", {"lr": 0.002})), runs_dir, values)
    resume(Points(), short.run_dir, {**values, "epochs": 6})
    series = rows(short.run_dir)["lr"]
    assert len(series) == 36
    assert series[18:].max() <= 0.002
    assert series[18] == 0.002
    assert (np.diff(series[18:]) < 0).all()


# ---------------------------------------------------------------- stopping


def test_a_stop_at_the_epochs_end_evaluates_and_saves_that_epoch_first(tmp_path: Path) -> None:
    values = {**SHORT, "epochs": 50, "checkpoint_every": 0}
    result = start(Points(on_batch=send_at(8, tmp_path, "stop", "epoch_end")), tmp_path, values)
    assert (result.status, result.epochs, result.exit_code) == ("stopped", 2, 130)
    assert result.reason == "by request (me@here), at the end of epoch 2"
    names = [event["event"] for event in events(result.run_dir) if event["event"] != "system"]
    assert names[-3:] == ["epoch_end", "checkpoint", "run_end"]
    assert tags(result.run_dir) == ["2"]
    assert "test/loss" in events(result.run_dir, "epoch_end")[-1]["metrics"]
    again = resume(Points(), result.run_dir, {**values, "epochs": 3})
    assert (again.status, again.epochs) == ("finished", 3)


def test_to_stop_now_overrides_to_stop_at_the_epochs_end(tmp_path: Path) -> None:
    with live(Points(200_000), tmp_path) as run:
        run.ask("stop", "epoch_end")
        assert read_state(RunReader(run.root)).stopping == "epoch_end"
        run.ask("stop", "now")
        result = run.result()
    assert (result.status, result.epochs, result.reason) == ("stopped", 0, "by request (me@here)")
    assert read_state(RunReader(run.root)).stopping == ""


def test_a_stop_before_the_first_step_leaves_at_the_next_phase_and_keeps_nothing(tmp_path: Path) -> None:
    built: list[str] = []
    stop = StopRequest()

    class Slow(Points):
        def datasets(self, hparams: Any) -> Any:
            control.send(RunLayout(next(tmp_path.iterdir())), "stop", "now", "me@here")
            poll(lambda: stop.reason, "the stop to be heard")
            return super().datasets(hparams)

        def model(self, hparams: Any) -> nn.Module:
            built.append("model")
            return super().model(hparams)

    result = start(Slow(), tmp_path, ENDLESS, stop)
    assert (result.status, result.steps, result.exit_code) == ("stopped", 0, 130)
    assert built == []
    assert not list(tmp_path.iterdir())


def test_a_stop_is_noticed_in_the_middle_of_an_evaluation(tmp_path: Path) -> None:
    stop, tested = StopRequest(), 0

    class Watched(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> Any:
            nonlocal tested
            tested += not model.training
            if tested == 3 and not model.training:
                control.send(RunLayout(next(tmp_path.iterdir())), "stop", "now", "me@here")
                poll(lambda: stop.reason, "the stop to be heard")
            return super().compute_loss(model, batch, criterion)

    values = {**SHORT, "eval_batch_size": 1}
    result = start(Watched(), tmp_path, values, stop)
    assert (result.status, tested) == ("stopped", 3)
    assert [event["action"] for event in events(result.run_dir, "control")] == ["stop"]
    assert events(result.run_dir, "epoch_end") == []
    whole = start(Points(), tmp_path / "whole", values).run_dir
    resume(Points(), result.run_dir, values)
    assert_same_run(result.run_dir, whole, "3")


# ---------------------------------------------------------------- checkpoints and the folder


def test_a_pinned_checkpoint_survives_retention_and_a_protected_one_deletion(tmp_path: Path) -> None:
    # A long epoch: at an epoch's end a checkpoint may be the best one too.
    with live(Points(200_000), tmp_path, keep_checkpoints=1) as run:
        run.ask("save")
        (pinned,) = tags(run.root)
        run.ask("pin", pinned)
        for _ in range(3):
            run.ask("save")
        assert tags(run.root)[0] == pinned
        last = tags(run.root)[-1]
        assert last != pinned
        for tag, why in ((pinned, "pinned"), (last, "last"), ("99", "no such checkpoint")):
            assert why in run.ask("rm", tag)["error"]
        assert "error" not in run.ask("unpin", pinned)
        assert "error" not in run.ask("rm", pinned)
        assert tags(run.root) == [last]
        assert "99" in run.ask("pin", "99")["error"]
        run.ask("pin")
        assert RunReader(run.root).run()["pinned"] is True
        run.ask("unpin")
    assert RunReader(run.root).run()["pinned"] is False


def test_junk_in_the_folder_is_told_once_and_harms_nothing(tmp_path: Path) -> None:
    with live(Points(), tmp_path) as run:
        (run.layout.control / "mine").mkdir()
        (run.layout.control / "mine" / "file").write_text("keep")
        (run.layout.control / "1-1-aa.json").write_bytes(b"\xff" * 10000)
        poll(lambda: not (run.layout.control / "1-1-aa.json").exists(), "the junk to go")
        run.ask("save")
        run.ask("stop")
        assert run.result().status == "stopped"
    alerts = events(run.root, "alert")
    assert [alert["title"] for alert in alerts] == ["request not understood"] * 2
    assert {alert["message"].partition(":")[0] for alert in alerts} == {"control/mine", "control/1-1-aa.json"}


def test_requests_to_an_earlier_trainer_are_thrown_away(tmp_path: Path) -> None:
    values = {**SHORT, "epochs": 2}
    stopped = start(Points(on_batch=send_at(8, tmp_path, "stop")), tmp_path, values)
    layout = RunLayout(stopped.run_dir)
    (layout.control / f"{time.time_ns()}-1-aa.json").write_text('{"action": "stop", "value": "now"}')
    result = resume(Points(), stopped.run_dir, values)
    assert (result.status, result.epochs) == ("finished", 2)
    assert [event["action"] for event in events(stopped.run_dir, "control")] in ([], ["stop"])
    assert not list(layout.control.iterdir())


def test_a_control_folder_that_vanishes_does_not_disturb_and_works_when_it_is_back(tmp_path: Path) -> None:
    with live(Points(), tmp_path) as run:
        shutil.rmtree(run.layout.control)
        step = run.step()
        poll(lambda: run.step() > step + 20, "further steps")
        run.ask("save")
