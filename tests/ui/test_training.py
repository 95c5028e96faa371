"""A run in a thread of the app: how it ends, what it keeps, what it never does to the terminal."""

from __future__ import annotations

import json
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from tests.helpers import Points, events, tags
from tests.pseudo import PseudoTerminal, process_state, wait_until
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.engine.launch import Result, Watch, launch
from tui_trainer.errors import TrainerError, UsageError
from tui_trainer.files import lock_is_held, read_owner
from tui_trainer.ui.console import ConsoleRedirect
from tui_trainer.ui.main import _stopping_on_signals
from tui_trainer.ui.training import Killed, Training


@dataclass
class PointsPlan:
    """A run of `Points`, as a command line would start it."""

    runs_dir: Path
    task: Points
    values: dict[str, Any]
    warnings: Sequence[str] = ()

    def run(self, *, watch: Watch | None = None, stop: StopRequest | None = None) -> Result:
        hparams = self.task.hparams_class(task="points", num_workers=0, **self.values)
        return launch(self.task, hparams, runs_dir=self.runs_dir, watch=watch, stop=stop)


Train = Callable[..., Training]


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Train]:
    """Start a run of `Points` in a thread; it ends with the test."""
    started: list[Training] = []

    def start(task: Points | None = None, **values: Any) -> Training:
        plan = PointsPlan(tmp_path, task or Points(), values, ("a warning",))
        training = Training(["points"], lambda words: plan)
        started.append(training)
        training.start()
        return training

    yield start
    for training in started:
        training.kill()
        training.join(150)


def test_a_run_that_ends_well_tells_its_directory_at_once_and_its_result_at_the_end(tmp_path: Path) -> None:
    changes: list[tuple[bool, bool]] = []

    def note() -> None:
        changes.append((training.run_dir is not None, training.live))

    training = Training(["points"], lambda words: PointsPlan(tmp_path, Points(), {}, ("careful",)), note)
    assert not training.live
    training.start()
    assert training.join(150)
    assert changes == [(True, True), (True, False)]
    assert training.error is None
    assert training.result is not None
    assert training.result.run_dir == training.run_dir
    assert (training.result.status, training.exit_code, training.warnings) == ("finished", 0, ("careful",))


def test_a_wrong_command_line_is_its_error(tmp_path: Path) -> None:
    def refuse(words: list[str]) -> PointsPlan:
        raise UsageError("wrong hparams", f"{words} is wrong", "another word")

    training = Training(["points"], refuse)
    training.start()
    assert training.join(150)
    assert training.error is not None
    assert (training.error.title, training.error.hint, training.exit_code) == (
        "wrong hparams",
        "another word",
        2,
    )
    assert (training.run_dir, training.log, training.live) == (None, None, False)


def test_whatever_a_model_raises_is_an_error_with_a_log_and_holds_no_memory(train: Train) -> None:
    model: list[weakref.ref[torch.nn.Module]] = []

    class Failing(Points):
        def compute_loss(self, network: torch.nn.Module, batch: Any, criterion: Any) -> Any:
            if network.training:
                model.append(weakref.ref(network))
                raise ValueError("broken on purpose")
            return super().compute_loss(network, batch, criterion)

    training = train(Failing())
    assert training.join(150)
    assert training.error is not None
    assert "broken on purpose" in str(training.error)
    assert training.exit_code == 1
    assert training.log is not None
    assert "broken on purpose" in training.log.read_text()
    assert model[0]() is None


@pytest.mark.parametrize("leaving", [SystemExit(3), KeyboardInterrupt(), BaseException("odd")], ids=repr)
def test_nothing_that_a_task_raises_is_lost(leaving: BaseException, tmp_path: Path) -> None:
    def leave(words: list[str]) -> PointsPlan:
        raise leaving

    training = Training([], leave)
    training.start()
    assert training.join(150)
    assert isinstance(training.error, TrainerError)


def test_a_kill_that_comes_when_all_is_over_hides_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed() -> None:
        raise Killed

    monkeypatch.setattr("tui_trainer.ui.training._free_memory", killed)

    def wrong(words: list[str]) -> PointsPlan:
        raise TrainerError("wrong", "words")

    training = Training([], wrong)
    training.start()
    assert training.join(150)
    assert not training.live
    assert training.error is not None


def test_a_stop_request_stops_at_a_step_boundary_and_saves(train: Train) -> None:
    going = threading.Event()
    training = train(Points(on_batch=lambda number: going.set()), epochs=100_000)
    assert going.wait(150)
    training.stop.request("stopped from the app")
    assert training.join(150)
    assert training.exit_code == 130
    assert training.run_dir is not None
    assert tags(training.run_dir)


def test_a_killed_run_leaves_at_once_without_saving_and_closes_its_record(train: Train) -> None:
    going = threading.Event()
    training = train(Points(on_batch=lambda number: going.set()), epochs=100_000, checkpoint_every="0")
    assert going.wait(150)
    wait_until(lambda: training.stop.saves, "the first step")
    training.kill()
    training.kill()
    assert training.join(150)
    assert training.error is None
    assert training.exit_code == 130
    assert training.run_dir is not None
    last = events(training.run_dir)[-1]
    assert (last["event"], last["status"], last["reason"]) == ("run_end", "stopped", "killed, without saving")
    assert not lock_is_held(training.run_dir / "run.lock")
    assert not any(Path(training.run_dir).glob("checkpoints/model_*.pt")) or last["epochs"] > 0


class Handed:
    """A run that the app has handed over, and what its signals do to it."""

    def __init__(self) -> None:
        self.stop = StopRequest(saves=True)
        self.killed: list[str] = []

    def kill(self, who: str) -> None:
        self.killed.append(who)

    def abandon(self) -> None:
        """It listens."""

    def join(self) -> None:
        """It has ended."""


def sent(handed: Handed, *numbers: signal.Signals, signalled: bool = False) -> list[str]:
    """Who has killed the run, after signals that come at once."""
    with ConsoleRedirect() as console, _stopping_on_signals(cast("Training", handed), console, signalled):
        for number in numbers:
            os.kill(os.getpid(), number)
    return handed.killed


def test_a_run_that_was_to_stop_already_still_saves_at_the_first_signal() -> None:
    handed = Handed()
    handed.stop.request("by request (ann@host)")
    assert sent(handed, signal.SIGTERM) == []
    assert sent(handed, signal.SIGTERM, signalled=True) == ["SIGTERM"]


def test_after_the_app_ctrl_c_twice_leaves_however_fast_and_an_echo_does_not() -> None:
    assert sent(Handed(), signal.SIGTERM, signal.SIGTERM) == []
    assert sent(Handed(), signal.SIGINT, signal.SIGINT) == ["SIGINT"]
    handed = Handed()
    assert sent(handed, signal.SIGUSR1, signal.SIGUSR1, signal.SIGINT) == []
    assert (list(handed.stop.saves_asked), handed.stop.reason) == (["SIGUSR1"], "SIGINT")


TASK = """
import os
import subprocess
import sys

import torch
from torch.utils.data import DataLoader, Dataset
from tui_trainer import Task


class Items(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        if index == 0:
            print("printed by a loader", flush=True)
            os.write(2, b"raw from a loader\\n")
        return torch.full((4,), float(index % 2)), index % 2


class Mine(Task):
    def datasets(self, hparams):
        print("printed by the task")
        print("and to stderr", file=sys.stderr)
        os.write(1, b"raw from the task\\n")
        subprocess.run([sys.executable, "-c", "print('from a child process')"])
        return Items(), Items()

    def model(self, hparams):
        return torch.nn.Linear(4, 2)

    def dataloader(self, hparams, dataset, train):
        return DataLoader(dataset, batch_size=8, num_workers=2, multiprocessing_context=CONTEXT)
"""


@pytest.fixture
def terminal() -> Iterator[PseudoTerminal]:
    opened = PseudoTerminal()
    yield opened
    opened.close()


def app(terminal: PseudoTerminal, folder: Path, *words: object, script: str = "") -> Any:
    """The app itself on a terminal, with runs and settings in a folder."""
    folders = {name: str(folder / name.lower()) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    env = {**os.environ, **folders, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1"}
    env |= {"TUI_TRAIN_RUNS": str(folder / "runs"), "TEXTUAL_ANIMATIONS": "none"}
    return terminal.start([*([script] if script else MODULE), *map(str, words)], cwd=folder, env=env)


def the_run(folder: Path, terminal: PseudoTerminal) -> Path:
    """The one run of a folder, once it trains."""

    def stepping() -> list[Path]:
        return [path for path in folder.glob("runs/*/steps.f64") if path.stat().st_size]

    return Path(wait_until(stepping, "a step", 60, lambda: terminal.text[-4000:])[0]).parent


def ending(run: Path) -> dict[str, Any]:
    record = (run / "events.jsonl").read_text().splitlines()
    last: dict[str, Any] = json.loads(record[-1])
    return last


MODULE = ("-m", "tui_trainer")
LONG = ("digits", "--epochs", 100_000, "--checkpoint_every", 0, "--start")


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_loader_processes_work_inside_the_app_and_nothing_draws_over_it(
    context: str, terminal: PseudoTerminal, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(TASK.replace("CONTEXT", repr(context)))
    process = app(terminal, tmp_path, "mine.py", "--epochs", 1, "--start")
    terminal.see("\x1b[?1049h")
    run = the_run(tmp_path, terminal)
    wait_until(lambda: '"run_end"' in (run / "events.jsonl").read_text(), "the end", 120)
    assert ending(run)["status"] == "finished", ending(run)
    # The record ends a moment before the run does; until then the app asks, and then has nothing to ask.
    terminal.press("\x11")
    questions = ("detach: it goes on", "The run is")

    def answered() -> bool:
        return process.poll() is not None or any(question in terminal.text for question in questions)

    wait_until(answered, "an answer")
    terminal.press("s")
    assert process.wait(150) == 0
    assert terminal.restored
    log = (run / "console.log").read_text()
    for text in (
        "printed by the task",
        "and to stderr",
        "raw from the task",
        "from a child process",
        "printed by a loader",
        "raw from a loader",
    ):
        assert text in log
    # The closing comes on the normal screen, when the app has gone.
    closing = terminal.text.rpartition("\x1b[?1049l")[2]
    assert "finished: 1 epoch" in closing
    assert "raw from" not in closing


@pytest.mark.slow
def test_sigterm_saves_and_gives_the_terminal_back(terminal: PseudoTerminal, tmp_path: Path) -> None:
    process = app(terminal, tmp_path, *LONG)
    run = the_run(tmp_path, terminal)
    # To the whole group, as `kill %1` does: the app hears of it once, not twice.
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(150) == 143
    assert terminal.restored
    assert (ending(run)["event"], ending(run)["reason"]) == ("run_end", "SIGTERM")
    assert list(run.glob("checkpoints/model_*.pt"))
    assert "stopped by SIGTERM" in terminal.text.rpartition("\x1b[?1049l")[2]


@pytest.mark.slow
def test_a_run_and_its_loader_processes_outlive_the_terminal(
    terminal: PseudoTerminal, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(TASK.replace("CONTEXT", "'fork'"))
    process = app(terminal, tmp_path, "mine.py", "--epochs", 100_000, "--checkpoint_every", 0, "--start")
    run = the_run(tmp_path, terminal)
    trainer = read_owner(run / "run.lock")["pid"]
    # A shell tells the whole group, loader processes too.
    os.killpg(process.pid, signal.SIGHUP)
    terminal.hang_up()
    assert process.wait(150) == 129
    size = (run / "steps.f64").stat().st_size
    wait_until(lambda: (run / "steps.f64").stat().st_size > size + 1024, "more steps")
    assert os.getsid(trainer) == trainer
    os.kill(trainer, signal.SIGTERM)
    wait_until(lambda: process_state(trainer) in ("", "Z"), "the trainer's end")
    assert ending(run)["reason"] == "SIGTERM"


@pytest.mark.slow
def test_detaching_leaves_the_run_and_gives_the_prompt_back(terminal: PseudoTerminal, tmp_path: Path) -> None:
    process = app(terminal, tmp_path, *LONG)
    run = the_run(tmp_path, terminal)
    trainer = read_owner(run / "run.lock")["pid"]
    terminal.press("\x11")
    terminal.see("detach")
    terminal.press("d")
    assert process.wait(150) == 0
    terminal.see(f"training goes on: tui-train attach {run.name[-4:]}")
    assert terminal.restored
    size = (run / "steps.f64").stat().st_size
    wait_until(lambda: (run / "steps.f64").stat().st_size > size + 4096, "more steps")
    assert os.getsid(trainer) == trainer
    links = {os.readlink(f"/proc/{trainer}/fd/{fd}") for fd in os.listdir(f"/proc/{trainer}/fd")}
    assert not any(link.startswith("/dev/pts/") for link in links)
    os.kill(trainer, signal.SIGTERM)
    wait_until(lambda: process_state(trainer) in ("", "Z"), "the trainer's end")
    assert list(run.glob("checkpoints/model_*.pt"))


CRASHING = """
import sys
from tui_trainer.cli.launcher import supervise
from tui_trainer.cli.main import main

def child(report):
    from tui_trainer.ui.app import TrainerApp
    update = TrainerApp.update

    def failing(app):
        if app.training is not None and app.training.stop.saves:
            raise ValueError("the app broke on purpose")
        update(app)

    TrainerApp.update = failing
    return main(sys.argv[1:], report)

sys.exit(supervise(child))
"""


@pytest.mark.slow
def test_an_app_that_breaks_does_not_break_the_run(terminal: PseudoTerminal, tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text(CRASHING)
    process = app(terminal, tmp_path, *LONG, script="crashing.py")
    run = the_run(tmp_path, terminal)
    trainer = read_owner(run / "run.lock")["pid"]
    assert process.wait(150) == 0
    terminal.see("the app broke on purpose")
    terminal.see(f"training goes on: tui-train attach {run.name[-4:]}")
    assert terminal.restored
    size = (run / "steps.f64").stat().st_size
    wait_until(lambda: (run / "steps.f64").stat().st_size > size + 1024, "more steps")
    os.kill(trainer, signal.SIGTERM)
    wait_until(lambda: process_state(trainer) in ("", "Z"), "the trainer's end")
    assert ending(run)["reason"] == "SIGTERM"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("digits --lr fast --start", 2, '--lr: expected a number > 0, got "fast"'),
        ("--start", 2, "no task"),
        ("digitz", 2, "did you mean digits"),
        ("nowhere.py", 3, "nowhere.py"),
        ("--preset nowhere", 2, "nowhere"),
        ("digits --learning-rate 1", 2, "did you mean lr"),
        ("--resume nowhere", 2, "no such run"),
        ("attach nowhere", 2, "no such run"),
    ],
)
def test_what_no_field_could_show_is_said_instead_of_opening_the_app(
    words: str, code: int, says: str, terminal: PseudoTerminal, tmp_path: Path
) -> None:
    process = app(terminal, tmp_path, *words.split())
    assert process.wait(150) == code
    terminal.see(says)
    assert "error: " in terminal.text
    assert "\x1b" not in terminal.text


@pytest.mark.slow
def test_a_wrong_value_is_left_to_its_field(terminal: PseudoTerminal, tmp_path: Path) -> None:
    process = app(terminal, tmp_path, "digits", "--lr", "fast")
    terminal.see("\x1b[?1049h")
    terminal.press("\x11")
    assert process.wait(150) == 0
    assert terminal.restored


TELLING = Path(__file__).parents[1] / "faults" / "telling.py"


@pytest.mark.slow
def test_sigusr1_to_either_process_of_an_app_saves(terminal: PseudoTerminal, tmp_path: Path) -> None:
    process = app(terminal, tmp_path, *LONG)
    run = the_run(tmp_path, terminal)
    trainer = read_owner(run / "run.lock")["pid"]
    assert trainer != process.pid
    for number, pid in enumerate((process.pid, trainer), start=1):

        def saved(number: int = number, pid: int = pid) -> bool:
            # Again and again: for a moment a second one counts as the echo of the first.
            os.kill(pid, signal.SIGUSR1)
            return len(events(run, "control")) >= number

        wait_until(saved, "the save")
    assert {(e["action"], e["requested_by"]) for e in events(run, "control")} == {("save", "SIGUSR1")}
    assert len(tags(run)) >= 2
    process.terminate()
    assert process.wait(150) == 143
    assert terminal.restored


@pytest.mark.slow
def test_a_start_that_hangs_in_native_code_is_left_all_the_same(
    terminal: PseudoTerminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(TELLING.read_text())
    monkeypatch.setenv("STUCK", "first batch")
    process = app(terminal, tmp_path, "mine.py", "--num_workers", 0, "--start")
    wait_until((tmp_path / "stuck").exists, "the hang", shown=lambda: terminal.text[-4000:])
    process.terminate()
    assert process.wait(150) == 143
    assert terminal.restored
    assert not list((tmp_path / "runs").iterdir())
    closing = terminal.text.rpartition("\x1b[?1049l")[2]
    assert "the run did not listen" in closing
    assert "nothing was trained, nothing is kept" in closing
