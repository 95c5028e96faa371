"""`tui-train log`, and `--log-to` beside a run that trains."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.e2e.conftest import Done, events, only_run, wait_for
from tests.helpers import assert_same_weights, weights
from tests.pseudo import process_state
from tests.ui.recorded import finished
from tui_trainer import train
from tui_trainer.errors import UsageError
from tui_trainer.files import FileLock

Run = Callable[..., Done]

TASK = """
import os, pathlib, time
import torch
from torch import nn
from tui_trainer import Task

class Waiting(Task):
    "Trains half of its steps, and waits there for what is to be seen."

    def datasets(self, hparams):
        x = torch.linspace(-1, 1, 160).unsqueeze(1)
        return (x, x**2), (x, x**2)

    def model(self, hparams):
        return nn.Linear(1, 1)

    def on_epoch_end(self, context):
        sign = os.environ.get("WAITS_FOR")
        if sign and context.epoch == 1:
            end = time.monotonic() + 60
            while not pathlib.Path(sign).exists():
                assert time.monotonic() < end, sign
                time.sleep(0.01)
"""
WORDS = (
    "--no-ui",
    "waiting.py",
    "--batch-size",
    16,
    "--epochs",
    2,
    "--device",
    "cpu",
    "--quiet",
    "--log_rate",
    0,
)


@pytest.fixture
def waiting(folder: Path) -> Path:
    torch.set_num_threads(1)
    (folder / "waiting.py").write_text(TASK)
    return folder


def lines(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_is_logged_afterwards_as_often_as_one_likes(tui_train: Run, waiting: Path) -> None:
    assert tui_train(*WORDS).code == 0
    for _ in range(2):
        done = tui_train("log", "last", "--to", "csv", "--out", "all")
        assert done.code == 0
        assert done.err.startswith("csv: 20 step rows, 2 evaluations and epochs, 2 texts")
        run = only_run(waiting)
        assert run is not None
        assert done.out == f"all/{run.name}\n"
        assert len(lines(waiting / "all" / run.name / "steps.csv")) == 20


def test_what_can_not_be_logged_is_said_before_anything_is_done(tui_train: Run, waiting: Path) -> None:
    assert tui_train("log", "last", "--to", "csv").code == 2
    for words in (("log", "last", "--to", "excel"), (*WORDS, "--log-to", "csv,excel")):
        done = tui_train(*words)
        assert done.code == 2
        assert "unknown logger: excel" in done.err
    assert only_run(waiting) is None
    with pytest.raises(UsageError, match="unknown logger: excel"):
        train("digits", {"epochs": 1}, log_to="excel")
    assert only_run(waiting) is None


@pytest.mark.parametrize("name", ["logs", "logs/csv", "logs/csv.lock", "logs/csv/.steps.csv.new"])
def test_nothing_is_written_through_a_link_of_a_strangers_run(
    name: str, tui_train: Run, folder: Path
) -> None:
    run = finished(folder / "it", epochs=1).root
    target = folder / "mine"
    target.write_text("precious") if "." in name else target.mkdir()
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    (run / name).symlink_to(target)
    done = tui_train("log", "it", "--to", "csv")
    if name.endswith(".new"):
        assert done.code == 0
    else:
        assert done.code == 3
        assert f"{name} is a link" in done.err
    assert target.read_text() == "precious" if "." in name else not list(target.iterdir())


def test_a_run_is_logged_by_one_process_at_a_time(tui_train: Run, folder: Path) -> None:
    run = finished(folder / "it", epochs=1).root
    (run / "logs").mkdir()
    lock = FileLock(run / "logs" / "csv.lock").acquire()
    done = tui_train("log", "it", "--to", "csv")
    assert done.code == 2
    assert f"process {os.getpid()} writes it to csv" in done.err
    lock.release()
    assert tui_train("log", "it", "--to", "csv").code == 0


@pytest.mark.slow
def test_a_logger_follows_a_run_while_it_trains_and_ends_with_it(
    tui_train: Run, waiting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Training goes on when the first half has arrived.
    monkeypatch.setenv("WAITS_FOR", str(waiting / "it" / "logs" / "csv" / "steps.csv"))
    assert tui_train(*WORDS, "--run-dir", "it", "--log-to", "csv").code == 0
    folder = waiting / "it" / "logs" / "csv"
    wait_for(lambda: "run/end" in (folder / "log.csv").read_text(), "the run's end in log.csv")
    assert [int(row["step"]) for row in lines(folder / "steps.csv")] == list(range(1, 21))
    assert [row["epoch"] for row in lines(folder / "epochs.csv")] == ["1", "2"]
    wait_for(lambda: "csv: 20 step rows" in (waiting / "it" / "console.log").read_text(), "its last words")


FAULTS = {
    "raises": "raise RuntimeError('no network today')",
    "exits": "os._exit(7)",
    "hangs": "time.sleep(1000)",
}
FAKE = """
import os, pathlib, time

Settings = dict

def init(**options):
    pathlib.Path(os.environ["SIGN"]).write_text(str(os.getpid()))
    {fault}
"""


@pytest.fixture
def sign(waiting: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Is written by the logger's process when it meets its fault; that process ends with the test."""
    path = waiting / "sign"
    monkeypatch.setenv("SIGN", str(path))
    yield path
    with suppress(OSError, ValueError):
        os.kill(int(path.read_text()), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_training_does_not_notice_a_logger_that_fails(
    fault: str, tui_train: Run, waiting: Path, sign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tui_train(*WORDS, "--run-dir", "alone").code == 0
    packages = waiting / "packages"
    (packages / "wandb").mkdir(parents=True)
    (packages / "wandb" / "__init__.py").write_text(FAKE.format(fault=FAULTS[fault]))
    monkeypatch.syspath_prepend(str(packages))
    path = os.pathsep.join(filter(None, (str(packages), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("WAITS_FOR", str(sign))
    done = tui_train(*WORDS, "--run-dir", "it", "--log-to", "wandb")
    assert (done.code, done.err) == (0, "")
    pid = int(sign.read_text())
    run = waiting / "it"
    recorded = events(run)
    assert recorded[-1]["status"] == "finished"
    assert_same_weights(weights(run, 2), weights(waiting / "alone", 2))
    assert rows_without_time(run) == rows_without_time(waiting / "alone")
    alerts = [event["title"] for event in recorded if event["event"] == "alert"]
    assert alerts in ([], ["wandb gets no more"])
    if fault == "hangs":
        assert process_state(pid) in "SD"
    else:
        wait_for(lambda: process_state(pid) in ("", "Z"), "its end")
    if fault == "raises":
        assert "no network today" in (run / "console.log").read_text()


def rows_without_time(run: Path) -> Any:
    from tests.helpers import rows

    timed = ("time", "samples_per_s", "data_wait")
    return {name: series.tolist() for name, series in rows(run).items() if name not in timed}


def test_a_logger_that_dies_while_the_run_trains_is_told_once(tmp_path: Path) -> None:
    from tests.ui.recorded import Recorder
    from tui_trainer.engine.followers import start_followers

    # There is no such logger, which its process finds out.
    recorder = Recorder(tmp_path / "it").start()
    start_followers(["nowhere"], recorder.writer)
    wait_for(lambda: "alert" in (tmp_path / "it" / "events.jsonl").read_text(), "the alert")
    (alert,) = [event for event in events(tmp_path / "it") if event["event"] == "alert"]
    assert alert["title"] == "nowhere gets no more"
    assert alert["message"] == "its process ended with exit code 2; console.log tells why"
    assert "tui-train log it --to nowhere" in alert["hint"]
    assert "unknown logger: nowhere" in (tmp_path / "it" / "console.log").read_text()
    recorder.end()
