"""Ctrl-C: once stops at a step boundary and saves, twice leaves at once, and the record is always whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.helpers import Points, events, resume, start, tags, weights
from tui_trainer.engine.interrupt import StopNow, StopRequest, stop_on_signals
from tui_trainer.files import lock_is_held
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader

VALUES = {"epochs": 10**6, "checkpoint_every": 0, "eval_every": 0, "test_size": 0.0}

# Tells of each training batch of one kind by a line, so that nobody has to guess when it is running.
SCRIPT = """
import json, signal, sys, time
from tests.helpers import Points
from tui_trainer import train

# What comes after the run is not the run's affair.
signal.signal(signal.SIGINT, lambda *_: None)
mode, runs_dir, values = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

def on_batch(number):
    if number == 4:
        print("training", flush=True)
    if number >= 4 and mode == "slow step":
        # Longer than the test waits for the second signal: the step never ends by itself.
        print("in a step", flush=True)
        time.sleep(60)

if mode == "slow start":
    def slow(self, hparams):
        print("starting", flush=True)
        time.sleep(60)
    Points.datasets = slow
result = train(Points(on_batch=on_batch), values, runs_dir=runs_dir)
facts = [result.status, result.reason, result.steps, result.exit_code, result.run_dir.exists()]
print(json.dumps(facts), flush=True)
sys.stdin.read()
"""


def begin(mode: str, runs_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, mode, str(runs_dir), json.dumps(VALUES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for text in process.stdout:
        if text.strip() == line:
            return
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_stops_at_a_step_boundary_and_saves(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = begin("run", tmp_path)
    wait_for(process, "training")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    status, reason, steps, exit_code, exists = json.loads(out)
    assert (status, reason, exit_code, exists) == ("stopped", number.name, code, True)
    (run_dir,) = tmp_path.iterdir()
    last = events(run_dir)[-1]
    assert (last["event"], last["status"], last["steps"]) == ("run_end", "stopped", steps)
    epoch, batch = divmod(steps, 7)
    assert tags(run_dir) == [f"{epoch}+{batch}" if batch else str(epoch)]
    assert RunReader(run_dir).run()["status"] == "stopped"
    assert not lock_is_held(RunLayout(run_dir).lock)
    again = resume(Points(), run_dir, {**VALUES, "max_steps": steps + 3})
    assert (again.status, again.steps) == ("finished", steps + 3)


@pytest.mark.slow
def test_a_signal_before_the_first_step_leaves_no_run_behind(tmp_path: Path) -> None:
    process = begin("slow start", tmp_path)
    wait_for(process, "starting")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out) == ["stopped", "SIGINT", 0, 130, False]
    assert not list(tmp_path.iterdir())


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals(StopRequest()):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_was_ignored_on_purpose_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stop_on_signals(StopRequest()):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_first_signal_leaves_a_wish_the_second_goes_and_a_third_is_nothing() -> None:
    stop = StopRequest(saves=True)
    with stop_on_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason == "SIGTERM"
        with pytest.raises(StopNow):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.reason == "SIGTERM"


def test_a_signal_after_a_request_to_stop_is_still_the_first() -> None:
    stop = StopRequest(saves=True)
    stop.request("by request (somebody@elsewhere)")
    with stop_on_signals(stop):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(StopNow):
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.reason == "by request (somebody@elsewhere)"


def test_with_nothing_trained_the_first_signal_goes_at_once() -> None:
    stop = StopRequest()
    with stop_on_signals(stop), pytest.raises(StopNow):
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.reason == "SIGINT"


def test_a_stop_from_another_thread_is_like_any_other(tmp_path: Path) -> None:
    stop, results = StopRequest(), []
    task = Points(on_batch=lambda number: stop.request("button") if number == 5 else None)
    thread = threading.Thread(target=lambda: results.append(start(task, tmp_path, VALUES, stop)))
    thread.start()
    thread.join(60)
    (result,) = results
    assert (result.status, result.reason, result.steps) == ("stopped", "button", 5)
    assert weights(result.run_dir, "0+5")


class HitAtTheEnd(StopRequest):
    """A signal comes at the very moment in which the loop is over."""

    hit = False

    def __setattr__(self, name: str, value: object) -> None:
        if name == "leaving" and value and not self.hit:
            self.__dict__["hit"] = True
            raise StopNow(self.leave("SIGTERM"))
        super().__setattr__(name, value)


def test_a_signal_at_the_very_end_does_not_close_the_record_twice(tmp_path: Path) -> None:
    stop = HitAtTheEnd()
    result = start(Points(), tmp_path, {"epochs": 1}, stop)
    assert (stop.hit, result.status) == (True, "stopped")
    # What a watchdog would do, while the run's own end is under way.
    assert stop.abandon is not None
    assert stop.abandon() is None
    assert len(events(result.run_dir, "run_end")) == 1
