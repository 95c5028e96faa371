"""`--detach` and `attach`: runs that need no terminal, and the ways back to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Done, events, wait_for
from tests.pseudo import PseudoTerminal, process_state
from tui_trainer.files import lock_is_held, read_owner

Run = Callable[..., Done]
LONG = ("digits", "--epochs", 100_000, "--checkpoint_every", 0)


@pytest.fixture(autouse=True)
def _nothing_left_behind(folder: Path) -> Iterator[None]:
    yield
    for lock in folder.rglob("run.lock"):
        with suppress(ProcessLookupError, KeyError):
            if lock_is_held(lock):
                os.kill(read_owner(lock)["pid"], signal.SIGKILL)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "tui_trainer", *map(str, words)]


def steps(run: Path) -> int:
    path = run / "steps.f64"
    return path.stat().st_size if path.exists() else 0


def end(pid: int, run: Path) -> list[dict[str, Any]]:
    """Stop a trainer and return its record."""
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not lock_is_held(run / "run.lock"), "the run's end")
    return events(run)


@pytest.mark.slow
def test_a_detached_run_outlives_its_starter_in_a_session_of_its_own(folder: Path) -> None:
    terminal = PseudoTerminal()
    process = terminal.start(
        ["-m", "tui_trainer", *map(str, LONG), "--detach", "--run-name", "far away"], env=os.environ.copy()
    )
    assert process.wait(60) == 0, terminal.text
    run = next((folder / "runs").iterdir())
    terminal.see(f"runs/{run.name}")
    # It held its record before the starter returned, and needs no terminal.
    assert lock_is_held(run / "run.lock")
    pid = read_owner(run / "run.lock")["pid"]
    terminal.hang_up()
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (1, 2)} == {str(run / "console.log")}
    seen = wait_for(lambda: steps(run), "the first step")
    wait_for(lambda: steps(run) > seen, "more steps")
    record = end(pid, run)
    assert (record[-1]["status"], record[-1]["reason"]) == ("stopped", "SIGTERM")
    typed = json.loads((run / "run.json").read_text())["command"]
    assert typed == ["tui-train", *map(str, LONG), "--run-name", "far away"]
    terminal.close()


def test_the_run_directory_alone_is_on_stdout(folder: Path) -> None:
    words = command("digits", "--epochs", 1, "--max_steps", 1, "--detach", "--run-dir", "here")
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "here\n", "")
    wait_for(lambda: not lock_is_held(Path("here/run.lock")), "the end")
    assert events(Path("here"))[-1]["event"] == "run_end"


@pytest.mark.slow
def test_a_second_start_into_a_live_run_is_refused_and_does_not_disturb_it(
    tui_train: Run, folder: Path
) -> None:
    assert tui_train(*LONG, "--detach", "--run-dir", "one").code == 0
    run = folder / "one"
    pid = read_owner(run / "run.lock")["pid"]
    log = (run / "console.log").read_bytes()
    for more in ((), ("--resume", "auto")):
        again = tui_train(*LONG, "--detach", "--run-dir", "one", *more)
        assert again.code == 2
        assert "run is in use" in again.err
    assert read_owner(run / "run.lock")["pid"] == pid
    assert (run / "console.log").read_bytes().startswith(log)
    assert b"error" not in (run / "console.log").read_bytes()
    assert end(pid, run)[-1]["reason"] == "SIGTERM"


@pytest.mark.slow
def test_a_run_goes_on_in_the_background_from_its_checkpoint(tui_train: Run, folder: Path) -> None:
    assert tui_train("--no-ui", "digits", "--epochs", 1, "--quiet").code == 0
    run = next((folder / "runs").iterdir())
    nothing = tui_train("--resume", "last", "--detach")
    assert nothing.code == 0
    assert "nothing to do" in nothing.err
    done = tui_train("--resume", "last", "--epochs", 2, "--detach")
    assert done.code == 0, done.err
    assert Path(done.out.strip()).samefile(run)
    # Its old record ends like the new one.
    wait_for(lambda: not lock_is_held(run / "run.lock"), "the end")
    assert [event["epoch"] for event in events(run) if event["event"] == "epoch_end"] == [1, 2]


def test_what_is_wrong_with_the_words_is_said_before_anything_is_started(
    tui_train: Run, folder: Path
) -> None:
    done = tui_train("digits", "--lr", "fast", "--detach")
    assert done.code == 2
    assert "--lr: expected a number" in done.err
    nothing = tui_train("--detach")
    assert nothing.code == 2
    assert "no task" in nothing.err
    assert not (folder / "runs").exists()


def test_a_run_that_dies_before_it_holds_its_record_says_why(tui_train: Run, folder: Path) -> None:
    (folder / "mine.py").write_text(
        "import os\nimport sys\n"
        # Its starter reads the file too, and is not in a session of its own.
        "if os.getsid(0) == os.getpid():\n    sys.exit('no licence on this machine')\n"
        "import torch\nfrom tui_trainer import Task\n\n\nclass Mine(Task):\n"
        "    def datasets(self, hparams):\n        return torch.randn(64, 4), torch.arange(64) % 2\n\n"
        "    def model(self, hparams):\n        return torch.nn.Linear(4, 2)\n"
    )
    done = tui_train("mine.py", "--detach")
    assert done.code == 1
    assert done.out == ""
    assert "no licence on this machine" in done.err
    assert not list((folder / "runs").iterdir())


@pytest.mark.slow
def test_attach_shows_a_run_and_leaving_does_not_end_it(tui_train: Run, folder: Path) -> None:
    assert tui_train(*LONG, "--detach").code == 0
    run = next((folder / "runs").iterdir())
    wait_for(lambda: steps(run), "the first step")
    pid = read_owner(run / "run.lock")["pid"]
    terminals = [PseudoTerminal(), PseudoTerminal()]
    env = {**os.environ, "TERM": "xterm-256color"}
    viewers = [t.start(["-m", "tui_trainer", "attach"], env=env) for t in terminals]
    for terminal in terminals:
        terminal.see("\x1b[?1049h")
        terminal.see(run.name[-4:])
    for terminal, viewer in zip(terminals, viewers, strict=True):
        terminal.press("q")
        assert viewer.wait(60) == 0
        terminal.see(f"training goes on: tui-train attach {run.name[-4:]}")
        assert terminal.restored
        terminal.close()
    assert process_state(pid) not in ("", "Z")
    assert end(pid, run)[-1]["reason"] == "SIGTERM"


def test_attach_without_a_terminal_names_what_works_there(tui_train: Run, folder: Path) -> None:
    assert tui_train("--no-ui", "digits", "--epochs", 1, "--max_steps", 1, "--quiet").code == 0
    done = tui_train("attach")
    assert done.code == 2
    assert "no usable terminal" in done.err
    assert "tui-train show last" in done.err
    missing = tui_train("attach", "nowhere")
    assert missing.code == 2
    assert "no such run" in missing.err
