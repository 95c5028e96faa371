"""Time limits: when a run stops so that its save is done in time, and what is no time."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.helpers import Points, PointsHparams, events, resume
from tests.pseudo import wait_until
from tui_trainer import train
from tui_trainer.engine import experiment, launch
from tui_trainer.engine.clock import TrainingClock
from tui_trainer.engine.deadline import FLOOR_S, SLURM_END, Deadline, end_time
from tui_trainer.engine.experiment import Experiment
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.errors import UsageError
from tui_trainer.runs import control

NOW = datetime(2026, 11, 26, 14, 0, 0).timestamp()


class Limit:
    """A deadline a given time ahead, with clocks of its own."""

    def __init__(self, seconds: float) -> None:
        self.wall, self.clock = NOW, 50.0
        self.stop = StopRequest()
        self.deadline = Deadline(NOW + seconds, lambda: self.wall, lambda: self.clock)

    def after(self, seconds: float) -> str | None:
        """Why the run is to stop, this long after its start."""
        self.clock = 50.0 + seconds
        self.deadline.check(self.stop)
        return self.stop.reason


def test_it_stops_half_a_minute_before_a_distant_end() -> None:
    limit = Limit(3600)
    assert limit.after(3600 - FLOOR_S - 1) is None
    assert limit.after(3600 - FLOOR_S) == "time limit 2026-11-26 15:00:00"


def test_a_near_end_leaves_most_of_the_time_to_training() -> None:
    limit = Limit(10)
    assert limit.after(8.9) is None
    assert limit.after(9.1) is not None


def test_slow_saves_stop_it_earlier() -> None:
    limit = Limit(3600)
    limit.deadline.closing_s = lambda: 600.0
    assert limit.after(2999) is None
    assert limit.after(3001) is not None


def test_a_clock_that_is_set_changes_nothing() -> None:
    limit = Limit(3600)
    limit.wall += 86400
    assert limit.after(60) is None
    limit.wall -= 10 * 86400
    assert limit.after(3599) is not None


def test_an_earlier_wish_to_stop_keeps_its_reason() -> None:
    limit = Limit(10)
    limit.stop.request("SIGINT")
    assert limit.after(10) == "SIGINT"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("14:30", "2026-11-26 14:30:00"),
        ("13:59", "2026-11-27 13:59:00"),
        ("14:00:00", "2026-11-27 14:00:00"),
        ("9:05", "2026-11-27 09:05:00"),
        ("2026-11-28", "2026-11-28 00:00:00"),
        ("2026-11-26T18:00", "2026-11-26 18:00:00"),
        (f"{NOW + 60}", "2026-11-26 14:01:00"),
        (f"{NOW + 60:.0f}", "2026-11-26 14:01:00"),
    ],
)
def test_an_end_time_has_many_forms(typed: str, expected: str) -> None:
    end = end_time(typed, {}, lambda: NOW)
    assert end is not None
    assert f"{datetime.fromtimestamp(end)}" == expected


def test_a_time_in_another_zone_is_that_moment() -> None:
    assert end_time("2027-01-01T00:00:00+00:00", {}, lambda: NOW) == 1798761600


@pytest.mark.parametrize(
    "typed", ["", "soon", "25:00", "14:60", "-5", "nan", "1e400", "2026-13-01", "9" * 30]
)
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="expected a time"):
        end_time(typed, {}, lambda: NOW)


@pytest.mark.parametrize("typed", ["2026-11-26T13:00", f"{NOW}", "0"])
def test_an_end_time_that_is_over_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="end time is over"):
        end_time(typed, {}, lambda: NOW)


def test_slurm_says_when_a_job_ends_unless_something_is_typed() -> None:
    ahead = {SLURM_END: f"{NOW + 600:.0f}"}
    assert end_time(None, ahead, lambda: NOW) == NOW + 600
    assert end_time("14:05", ahead, lambda: NOW) == NOW + 300
    # Of a job that was made longer after it began, or of a cluster that has no limit.
    for said in (f"{NOW - 600:.0f}", "0", "Unknown", ""):
        assert end_time(None, {SLURM_END: said}, lambda: NOW) is None


def test_a_control_folder_that_hangs_stops_neither_the_clock_nor_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, over = threading.Event(), threading.Event()
    beats, now = [0], [0.0]

    class Counting(TrainingClock):
        def beat(self) -> None:
            super().beat()
            beats[0] += 1

    def hang(*_: object) -> list[object]:
        looks.set()
        # Longer than the test waits for what must happen meanwhile.
        over.wait(200)
        return []

    def step(number: int) -> None:
        if number == 3:
            assert looks.wait(60)
            seen = beats[0]
            wait_until(lambda: beats[0] > seen + 2, "beats while the folder hangs")
            now[0] = 3600.0
            wait_until(lambda: stop.reason, "the time limit")
            over.set()

    stop = StopRequest()
    monkeypatch.setattr(launch, "TrainingClock", Counting)
    monkeypatch.setattr(launch, "Deadline", lambda end: Deadline(end, clock=lambda: now[0]))
    monkeypatch.setattr(control, "take", hang)
    hparams = PointsHparams(task="points")
    result = launch.launch(
        Points(on_batch=step), hparams, runs_dir=tmp_path, stop=stop, end=time.time() + 600
    )
    assert (result.status, result.steps) == ("stopped", 3)
    assert result.reason.startswith("time limit")


def test_max_minutes_leaves_time_for_the_last_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(launch, "TrainingClock", lambda: TrainingClock(lambda: now[0], lambda: now[0]))
    monkeypatch.setattr(Experiment, "closing_s", lambda self: 95.0)

    def step(number: int) -> None:
        now[0] += 10.0

    values = {"epochs": 100, "max_minutes": 3, "eval_every": 0, "num_workers": 0}
    result = train(Points(on_batch=step), values, runs_dir=tmp_path)
    assert (result.status, result.reason, result.steps) == ("finished", "max_minutes 3 reached", 9)
    assert events(result.run_dir, "run_end")[0]["elapsed"] == 90.0


def test_the_first_save_of_a_process_has_its_time_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    after_window = Experiment._after_window

    def spying(self: Experiment, batches: int) -> bool:
        told.append(self.closing_s() - 2.0 * self.slowest_step)
        return after_window(self, batches)

    monkeypatch.setattr(Experiment, "_after_window", spying)
    monkeypatch.setattr(experiment, "checkpoint_bytes", lambda ready: 10**9)
    monkeypatch.setattr(experiment, "check_disk", lambda *given: None)
    values = {"epochs": 1, "checkpoint_every": 0, "log_rate": 0.0}
    run_dir = train(Points(), values, runs_dir=tmp_path).run_dir
    # A gigabyte at 50 MB/s, from the first step on whose time is known.
    assert (told[0], told[-1]) == (0.0, pytest.approx(40.0))
    (saved,) = events(run_dir, "checkpoint")
    resume(Points(), run_dir, {**values, "epochs": 2})
    assert told[-1] == pytest.approx(2.0 * saved["seconds"])
    train(Points(), {**values, "max_minutes": 1}, runs_dir=tmp_path)
    assert told[-1] == pytest.approx(12.0)
