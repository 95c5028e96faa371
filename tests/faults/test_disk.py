"""Disks that are full, fail or are gone: training goes on, what is saved stays whole, saving recovers."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.counting import Tried, is_full
from tests.faults.tracing import Operation, traced
from tests.helpers import Points, assert_same_weights, events, resume, start, tags, weights
from tests.pseudo import wait_until
from tui_trainer import train
from tui_trainer.engine import saving
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.errors import Exit, FileError
from tui_trainer.runs.checkpoints import verify
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader

BASE = {"epochs": 5}
FULL = (6, "no space or quota left, at each operation of a save", "saving pauses and goes on by itself")
BROKEN = (7, "EIO or EROFS at the n-th operation of a save, once and for good", "tried again; then as 6")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "AT_ONCE_S", (0.0, 0.0))
    monkeypatch.setattr(saving, "PAUSE_S", 0.01)
    monkeypatch.setattr(saving, "LAST_PATIENCE_S", 20.0)


class Hooked(Points):
    """Calls something at each epoch's end."""

    def __init__(self, at_end: Callable[[int], None]) -> None:
        super().__init__()
        self.at_end = at_end

    def on_epoch_end(self, context: Any) -> None:
        self.at_end(context.epoch)


@contextmanager
def refusing(number: int, refuses: Callable[[int], bool]) -> Iterator[list[Operation]]:
    """While inside, operations of the second and later saves fail.

    Args:
        number: the error.
        refuses: whether the n-th of these operations (from 1) does.

    Yields:
        The operations so far.
    """
    seen: list[Operation] = []

    def tell(operation: Operation) -> None:
        # The record is written by other threads, and has tests of its own.
        if threading.current_thread().name != "checkpoint-writer":
            return
        if not seen and "_2." not in operation.path:
            return
        seen.append(operation)
        if refuses(len(seen)):
            raise OSError(number, os.strerror(number), operation.path)

    with traced(tell):
        yield seen


def operations_of_a_save(folder: Path) -> int:
    """How many there are in the second save."""
    with refusing(0, lambda n: False) as seen:
        train(Points(), {"epochs": 2}, runs_dir=folder)
    return len(seen)


def assert_whole(run_dir: Path) -> None:
    layout = RunLayout(run_dir)
    for entry in RunReader(run_dir).checkpoints():
        assert verify(layout, entry["tag"]) == []
    assert not list(layout.checkpoints.glob(".*"))


@pytest.mark.fault(*FULL)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_saving_pauses_without_space_and_goes_on_with_it(tmp_path: Path, tried: Tried, number: int) -> None:
    whole = train(Points(), BASE, runs_dir=tmp_path / "whole").run_dir
    count = operations_of_a_save(tmp_path / "count")
    assert count > 15
    for first in range(1, count + 1, 1 if is_full() else 5):
        with tried.attempt():
            run_dir = _run_without_space(tmp_path / str(first), number, first)
            assert {"1", "5"} <= set(tags(run_dir))
            assert_whole(run_dir)
            assert_same_weights(weights(run_dir, 5), weights(whole, 5))
            said = [event["title"] for event in events(run_dir, "alert")]
            assert said in (["saving pauses", "saving goes on"], [])
            if first <= count - 10:
                assert os.strerror(number) in events(run_dir, "alert")[0]["message"]


def _run_without_space(runs_dir: Path, number: int, first: int) -> Path:
    """A run whose disk is full from one operation on, until its fourth epoch is over."""
    full = threading.Event()
    full.set()
    seen_good = []

    def at_end(epoch: int) -> None:
        if epoch == 4:
            (run_dir,) = runs_dir.iterdir()
            seen_good.append(verify(RunLayout(run_dir), "1") == [])
            full.clear()

    with refusing(number, lambda n: n >= first and full.is_set()):
        result = train(Hooked(at_end), BASE, runs_dir=runs_dir)
    assert (result.status, seen_good) == ("finished", [True])
    return result.run_dir


@pytest.mark.fault(*FULL)
def test_a_disk_that_is_really_full(tmp_path: Path, tried: Tried) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    ballast = disk / "ballast"

    def at_end(epoch: int) -> None:
        if epoch == 2:
            (run_dir,) = (disk / "runs").iterdir()
            wait_until(lambda: tags(run_dir) == ["1"], "the first checkpoint")
            with suppress(OSError), open(ballast, "wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        if epoch == 4:
            ballast.unlink()

    try:
        with tried.attempt():
            result = train(Hooked(at_end), BASE, runs_dir=disk / "runs")
            assert result.status == "finished"
            assert {"1", "5"} <= set(tags(result.run_dir))
            assert_whole(result.run_dir)
            epochs = [event["epoch"] for event in events(result.run_dir, "epoch_end")]
            assert epochs == [1, 2, 3, 4, 5]
            assert events(result.run_dir)[-1]["event"] == "run_end"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.fault(6, "a disk with room for fewer than two checkpoints at the start", "the start is refused")
def test_a_start_without_room_for_two_checkpoints_is_refused(
    tmp_path: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    with tried.attempt():
        with pytest.raises(FileError, match=r"two must fit; 97\.66 KiB free at") as caught:
            train(Points(), BASE, runs_dir=tmp_path)
        assert caught.value.exit_code == Exit.FILE
        assert not list(tmp_path.iterdir())


@pytest.mark.fault(6, "a disk with room for some checkpoints, but not for all", "told at the start")
def test_a_run_that_will_not_fit_is_told_at_the_start(
    tmp_path: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=400_000))
    with tried.attempt():
        result = train(Points(), {"epochs": 9}, runs_dir=tmp_path)
        (alert,) = events(result.run_dir, "alert")
        assert (alert["title"], "up to 10 checkpoints" in alert["message"]) == ("the disk may fill up", True)
        kept = train(Points(), {"epochs": 9, "keep_checkpoints": 2}, runs_dir=tmp_path)
        assert events(kept.run_dir, "alert") == []


@pytest.mark.fault(
    6, "no space for the last checkpoint, for good", "the run ends as failed and can be resumed"
)
def test_a_run_whose_end_can_not_be_saved_has_not_finished(
    tmp_path: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "LAST_PATIENCE_S", 0.0)
    whole = train(Points(), BASE, runs_dir=tmp_path / "whole").run_dir
    with tried.attempt():
        with refusing(errno.ENOSPC, lambda n: True), pytest.raises(FileError) as caught:
            train(Points(), BASE, runs_dir=tmp_path / "runs")
        assert (caught.value.title, caught.value.exit_code) == ("last checkpoint not saved", Exit.FILE)
        (run_dir,) = (tmp_path / "runs").iterdir()
        assert (tags(run_dir), RunReader(run_dir).run()["status"]) == (["1"], "failed")
        assert_whole(run_dir)
        resume(Points(), run_dir, BASE)
        assert_same_weights(weights(run_dir, 5), weights(whole, 5))


@pytest.mark.fault(
    6, "no space when a run is stopped", "it stops all the same, and says that it could not save"
)
def test_a_stop_without_space_is_still_a_stop(
    tmp_path: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "HURRIED_PATIENCE_S", 0.0)
    stop = StopRequest()
    task = Points(on_batch=lambda number: stop.request("SIGTERM") if number == 15 else None)
    with tried.attempt(), refusing(errno.ENOSPC, lambda n: True):
        result = start(task, tmp_path, BASE, stop)
        assert (result.status, result.exit_code) == ("stopped", Exit.SIGTERM)
        said = [event["title"] for event in events(result.run_dir, "alert")]
        over = "training is over, its end is not saved"
        assert said == ["saving pauses", over, "last checkpoint not saved"]
        assert tags(result.run_dir) == ["1"]


@pytest.mark.fault(*BROKEN)
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_an_operation_that_fails_once_is_done_again(tmp_path: Path, tried: Tried, number: int) -> None:
    count = operations_of_a_save(tmp_path / "count")
    for bad in range(1, count + 1, 1 if is_full() else 6):
        with tried.attempt(), refusing(number, bad.__eq__):
            result = train(Points(), {"epochs": 3}, runs_dir=tmp_path / str(bad))
            assert tags(result.run_dir) == ["1", "2", "3"]
            assert events(result.run_dir, "alert") == []
            assert_whole(result.run_dir)


@pytest.mark.fault(*BROKEN)
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ESTALE])
def test_a_disk_that_fails_for_good_leaves_training_alone(
    tmp_path: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(saving, "LAST_PATIENCE_S", 0.0)
    count = operations_of_a_save(tmp_path / "count")
    for first in range(1, count - 10, 1 if is_full() else 9):
        with tried.attempt():
            with refusing(number, first.__le__), pytest.raises(FileError):
                train(Points(), BASE, runs_dir=tmp_path / str(first))
            (run_dir,) = (tmp_path / str(first)).iterdir()
            assert [event["epoch"] for event in events(run_dir, "epoch_end")] == [1, 2, 3, 4, 5]
            assert verify(RunLayout(run_dir), "1") == []
            assert resume(Points(), run_dir, BASE).epochs == 5


@pytest.mark.fault(
    7, "the run directory vanishes in mid-run", "training goes on; saving goes on where it is back"
)
def test_a_folder_that_vanishes_and_comes_back(tmp_path: Path, tried: Tried) -> None:
    runs_dir, away, home = tmp_path / "runs", tmp_path / "away", []

    def at_end(epoch: int) -> None:
        if epoch == 2:
            home.extend(runs_dir.iterdir())
            wait_until(lambda: tags(home[0]) == ["1"], "the first checkpoint")
            os.rename(home[0], away)
        if epoch == 4:
            os.rename(away, home[0])

    with tried.attempt():
        result = train(Hooked(at_end), BASE, runs_dir=runs_dir)
        assert {"1", "5"} <= set(tags(result.run_dir))
        assert [event["epoch"] for event in events(result.run_dir, "epoch_end")] == [1, 2, 3, 4, 5]
        assert_whole(result.run_dir)
