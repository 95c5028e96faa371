"""Controlling a live run from another shell, and the command that runs after its end."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Done, events, only_run, wait_for
from tui_trainer.files import lock_is_held

Run = Callable[..., Done]

ENDLESS = ("--no-ui", "digits", "--epochs", 10**6, "--eval_every", 0, "--checkpoint_every", 0)


def controls(run: Path, action: str) -> list[dict[str, Any]]:
    return [event for event in events(run) if event["event"] == "control" and event["action"] == action]


@pytest.fixture
def live(start: Any, folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """A run that trains in another process."""
    process = start(*ENDLESS, "--log_rate", 0)
    run = wait_for(lambda: only_run(folder), "a run")
    wait_for(lambda: (run / "steps.f64").exists() and (run / "steps.f64").stat().st_size, "the first row")
    return process, run


@pytest.mark.slow
def test_a_run_is_paused_changed_saved_and_stopped_from_another_shell(
    live: tuple[subprocess.Popen[str], Path], tui_train: Run, folder: Path
) -> None:
    process, run = live
    done = tui_train("pause", "last")
    (paused,) = controls(run, "pause")
    assert (done.code, done.out) == (0, f"paused at step {paused['step']:,}\n"), done.err
    assert "@" in paused["requested_by"]
    assert json.loads(tui_train("runs", "--json").out)["status"] == "paused"
    size = (run / "steps.f64").stat().st_size
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        assert (run / "steps.f64").stat().st_size == size
        time.sleep(0.02)

    done = tui_train("set", "last", "lr=3e-4")
    assert (done.code, done.out) == (0, f"lr 0.001 → 0.0003 from step {paused['step'] + 1:,} on\n"), done.err
    done = tui_train("save", run.name)
    saved = Path(controls(run, "save")[0]["path"]).name
    assert (done.code, done.out) == (0, f"saved {saved} at step {paused['step']:,}\n")

    done = tui_train("checkpoints", "pin", f"{run}@last")
    assert (done.code, done.out) == (0, f"{saved} is pinned\n"), done.err
    done = tui_train("checkpoints", "rm", "--force", f"{run}@last")
    assert done.code == 2
    assert f"checkpoint is protected: {saved} is pinned and" in done.err
    assert "pinned" in tui_train("checkpoints", "list", "last").out

    done = tui_train("unpause", "last")
    assert (done.code, done.out) == (0, f"goes on at step {paused['step']:,}\n")
    wait_for(lambda: (run / "steps.f64").stat().st_size > size, "further steps")
    done = tui_train("stop", "last")
    assert done.code == 0, done.err
    assert "stopped by request at epoch" in done.out.splitlines()[-1]
    assert not lock_is_held(run / "run.lock")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopped by request at epoch" in out
    assert "lr 0.001 → 0.0003" in out
    assert events(run)[-1]["reason"].startswith("by request (")


@pytest.mark.slow
def test_a_stop_at_the_epochs_end_is_answered_at_once_and_ends_there(
    live: tuple[subprocess.Popen[str], Path], tui_train: Run
) -> None:
    process, run = live
    done = tui_train("stop", "--epoch_end", run)
    assert done.code == 0, done.err
    assert done.out.startswith("stopping at the end of this epoch")
    process.communicate(timeout=60)
    assert process.returncode == 130
    last = events(run)[-1]
    assert last["reason"].endswith(f", at the end of epoch {last['epochs']}")
    assert (run / f"checkpoints/model_{last['epochs']}.pt").is_file()


@pytest.mark.slow
def test_ctrl_c_beside_a_paused_run_is_still_the_first_one_and_saves(
    live: tuple[subprocess.Popen[str], Path], tui_train: Run
) -> None:
    process, run = live
    assert tui_train("pause", "last").code == 0
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    step = controls(run, "pause")[0]["step"]
    assert (events(run)[-1]["status"], events(run)[-1]["steps"]) == ("stopped", step)
    assert list((run / "checkpoints").glob("model_*.pt"))


@pytest.mark.slow
def test_a_stop_before_the_first_step_says_that_nothing_was_trained(
    start: Any, tui_train: Run, folder: Path
) -> None:
    (folder / "slow.py").write_text(
        "import time\n"
        "from tui_trainer.tasks.digits import Digits\n"
        "class Slow(Digits):\n"
        "    def datasets(self, hparams):\n"
        "        time.sleep(3)\n"
        "        return super().datasets(hparams)\n"
    )
    process = start("--no-ui", "slow.py:Slow")
    run = wait_for(lambda: only_run(folder), "a run")
    done = tui_train("stop", "last")
    assert (done.code, done.out) == (0, "stopped before the first step: nothing was trained\n"), done.err
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not run.exists()


@pytest.mark.parametrize("words", [("pause",), ("unpause",), ("stop",), ("save",), ("set", "lr=0.1")])
def test_a_run_that_has_ended_is_refused_with_its_status(
    words: tuple[str, ...], tui_train: Run, folder: Path
) -> None:
    assert tui_train("--no-ui", "digits", "--epochs", 1, "--max_steps", 1, "--quiet").code == 0
    done = tui_train(words[0], "last", *words[1:])
    assert done.code == 2
    run = only_run(folder)
    assert run is not None
    assert done.err.startswith(f"error: run is not training: {run.name} is finished\nhint: ")
    assert not list((run / "control").iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pause",), "required: RUN"),
        (("pause", "nothing-here"), "no such run"),
        (("set", "last", "epochs=3"), "only lr can be changed"),
        (("set", "last", "lr=fast"), "expected a number > 0"),
        (("stop", "last", "--now", "--epoch-end"), "not allowed with"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_words_are_usage_errors(
    words: tuple[str, ...], said: str, tui_train: Run, folder: Path
) -> None:
    if "last" in words:
        assert tui_train("--no-ui", "digits", "--epochs", 1, "--max_steps", 1, "--quiet").code == 0
    done = tui_train(*words)
    assert done.code == 2
    assert said in done.err


# ---------------------------------------------------------------- --on-end

TELL = (
    'env | grep ^TUI_TRAIN_ | sort > "$HOME/told"; echo "the command spoke"; cat;'
    ' test -f "$TUI_TRAIN_RUN_DIR/run.json"'
)


def told(folder: Path) -> dict[str, str]:
    lines = (folder / "told").read_text().splitlines()
    return {
        name.removeprefix("TUI_TRAIN_"): value for name, _, value in (line.partition("=") for line in lines)
    }


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("TUI_TRAIN_RUNS")
    return folder


def test_the_command_learns_how_the_run_ended(tui_train: Run, home: Path) -> None:
    done = tui_train("--no-ui", "digits", "--epochs", 1, "--max_steps", 2, "--on-end", TELL)
    assert (done.code, done.err) == (0, "")
    run = only_run(home)
    assert run is not None
    assert told(home) == {
        "RUN_DIR": str(run),
        "RUN_ID": run.name,
        "TASK": "digits",
        "STATUS": "finished",
        "REASON": "max_steps 2 reached",
        "EXIT_CODE": "0",
    }
    assert "the command spoke\n" in (run / "console.log").read_text()
    assert "the command spoke" not in done.out


def test_a_start_that_fails_is_told_too_and_what_the_command_says_is_kept(tui_train: Run, home: Path) -> None:
    (home / "broken.py").write_text(
        "from tui_trainer.tasks.digits import Digits\n"
        "class Broken(Digits):\n"
        "    def model(self, hparams):\n"
        "        raise RuntimeError('no model today')\n"
    )
    done = tui_train("--no-ui", "broken.py", "--on-end", TELL)
    assert done.code == 1
    assert (told(home)["STATUS"], told(home)["EXIT_CODE"]) == ("failed", "1")
    assert "no model today" in told(home)["REASON"]
    (log,) = home.rglob("*.log")
    assert "the command spoke" in log.read_text()


def test_a_command_that_fails_is_a_line_and_no_exit_code(tui_train: Run, home: Path) -> None:
    done = tui_train("--no-ui", "digits", "--epochs", 1, "--max_steps", 1, "--quiet", "--on-end", "exit 7")
    assert done.code == 0
    assert done.err == "warning: --on-end: exit 7: it ended with exit code 7; its output is in console.log\n"


def test_a_command_that_takes_long_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tui_trainer.engine.on_end import run_on_end
    from tui_trainer.runs.layout import RunLayout

    fifo = tmp_path / "fifo"
    subprocess.run(["mkfifo", fifo], check=True)
    run_on_end(f'read word < "{fifo}"; echo "$word"', RunLayout(tmp_path), {}, patience_s=0.1)
    assert "it goes on without" in capsys.readouterr().err
    fifo.write_text("later\n")
    wait_for(lambda: "later" in (tmp_path / "console.log").read_text(), "the command's output")
