"""Whole sessions as a person has them: keys go in, the screen and the run directory tell what happened."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import events, rows
from tests.tmux.terminal import Terminal
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state

Open = Callable[..., Terminal]

LONG = ("--epochs", "2000", "--batch_size", "8", "--scheduler", "constant")
"""A run that trains until it is told to stop, in epochs of a few tenths of a second."""
SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])


def run_dir(folder: Path, number: int = 1) -> Path | None:
    """The run that was started as the `number`th."""
    found = sorted(
        (folder / "runs").glob("*/run.json"), key=lambda path: json.loads(path.read_text())["created"]
    )
    return found[number - 1].parent if len(found) >= number else None


def shown_step(screen: str) -> int:
    """The step that the status line shows."""
    match = re.search(r"step ([0-9,]+)", screen)
    return int(match[1].replace(",", "")) if match else -1


def recorded(root: Path, name: str, **wanted: Any) -> list[dict[str, Any]]:
    return [event for event in events(root, name) if all(event.get(k) == v for k, v in wanted.items())]


def chart(screen: str) -> list[str]:
    """The braille cells of each line."""
    return ["".join(c for c in line if "\u2801" <= c <= "\u28ff") for line in screen.splitlines()]


def field(terminal: Terminal) -> str:
    """The field that the help line below the form is about; empty outside of the form."""
    match = re.search(r"^ ([a-z_0-9]+): ", terminal.screen(), re.MULTILINE)
    return match[1] if match else ""


def go_to_field(terminal: Terminal, name: str) -> None:
    """Into the form, if the list of presets has the focus, and down to a field."""
    if not field(terminal):
        terminal.see("▾ Data")
        terminal.keys("Tab")
    terminal.wait(lambda: field(terminal), "the form to have the focus")
    while (here := field(terminal)) != name:
        terminal.keys("Down")
        # The headings of groups have no help line, and two of them may follow each other.
        with suppress(AssertionError):
            terminal.wait(lambda here=here: field(terminal) != here, f"the row after {here}", seconds=2)


def start(terminal: Terminal, *words: str) -> Path:
    """Start a run from the command line and wait until it trains."""
    terminal.run("--preset", "digits", *LONG, *words, "--start")
    terminal.see("RUNNING", seconds=90)
    root = run_dir(terminal.folder)
    assert root is not None
    terminal.wait(lambda: rows(root) and len(rows(root)["step"]) > 2, "some rows")
    return root


def leave(terminal: Terminal) -> str:
    """Quit an app in which nothing trains any more."""
    terminal.keys("q")
    return terminal.prompt()


@SIZES
def test_a_session_from_the_preset_to_the_prompt(
    terminal: Open, tmp_path: Path, size: tuple[int, int]
) -> None:
    one = terminal(*size)
    one.run("--preset", "digits-cnn")
    one.see("▾ Data", "--preset digits-cnn", "parameters")

    # Load another preset, change some of its hparams, start.
    one.keys("Down", "Enter")
    one.gone("--preset digits-cnn")
    one.see("--preset digits")
    go_to_field(one, "batch_size")
    one.type("8")
    go_to_field(one, "lr")
    one.type("abc")
    one.see("expected a number")
    one.keys("C-u")
    one.type("2e-3")
    one.see("--lr 2e-3")
    one.gone("expected a number")
    go_to_field(one, "epochs")
    one.type("2000")
    one.see("--epochs 2000")
    one.keys("C-r")
    one.see("RUNNING", seconds=90)
    root = run_dir(tmp_path)
    assert root is not None
    assert json.loads((root / "hparams.json").read_text())["lr"] == 2e-3

    # It moves: steps, epochs, the loss, the curve.
    first = one.screen()
    one.wait(lambda: shown_step(one.screen()) > shown_step(first) + 50, "steps to grow")
    one.wait(lambda: any(chart(one.screen())), "a curve")
    before = chart(one.screen())
    one.wait(lambda: any(chart(s := one.screen())) and chart(s) != before, "the curve to change")
    one.wait(lambda: len(recorded(root, "epoch_end")) >= 3, "three epochs")
    losses = [event["metrics"]["train/loss"] for event in recorded(root, "epoch_end")]
    assert min(losses[1:]) < losses[0]

    # Pause: two seconds of the run's own clock pass without a step.
    one.keys("Space")
    one.see("PAUSED")
    [paused] = recorded(root, "control", action="pause")
    systems = len(recorded(root, "system"))
    one.wait(lambda: len(recorded(root, "system")) >= systems + 3, "the clock to go on")
    assert rows(root)["step"][-1] == paused["step"]
    assert shown_step(one.screen()) == paused["step"]
    one.keys("Space")
    one.see("RUNNING")
    one.wait(lambda: rows(root)["step"][-1] > paused["step"], "the run to go on")

    # A new learning rate: in the next epoch's record, and named with its step.
    one.keys("L")
    one.see("Learning rate")
    one.keys("C-u")
    one.type("5e-4")
    one.keys("Enter")
    [changed] = one.wait(lambda: recorded(root, "control", action="set"), "the event")
    assert changed["value"] == {"lr": 5e-4}
    later = one.wait(
        lambda: [event for event in recorded(root, "epoch_end") if event["step"] > changed["step"]],
        "an epoch",
    )
    # The preset's cosine goes on from there.
    assert math.isclose(later[0]["lr"], 5e-4, rel_tol=1e-2)

    # Save now: a checkpoint inside an epoch, or at its end if that is where it fell.
    one.keys("w")
    [saved] = one.wait(lambda: recorded(root, "control", action="save"), "the save")
    tags = {entry["step"]: entry["tag"] for entry in RunReader(root).checkpoints()}
    assert saved["step"] in tags

    # Stop at the end of an epoch.
    one.keys("E")
    one.see("STOPPED")
    state = read_state(RunReader(root))
    assert state.status == "stopped"
    assert state.step % state.steps_per_epoch == 0

    # The browser shows what checkpoints.json holds.
    one.keys("C")
    index = RunReader(root).checkpoints()
    newest = index[-1]["tag"]
    one.see(f"model_{newest}.pt", "v Verify")
    names = re.findall(r"model_[0-9+]+\.pt", one.screen())
    assert set(names) <= {f"model_{entry['tag']}.pt" for entry in index}
    assert len(set(names)) >= 3

    # Resume from the newest one: the next epoch follows.
    before_resume = state.epoch
    one.keys("Home")
    row = one.wait(lambda: _select(one, f"model_{newest}.pt"), "the newest row")
    assert row
    one.keys("R")
    one.see("RUNNING", seconds=90)
    one.wait(lambda: recorded(root, "run_resume"), "run_resume")
    one.wait(lambda: recorded(root, "epoch_end")[-1]["epoch"] > before_resume, "the next epoch")
    numbers = [event["epoch"] for event in recorded(root, "epoch_end")]
    assert numbers == list(range(1, len(numbers) + 1))
    one.keys("S")
    one.see("STOPPED")

    # A second run, and both beside each other.
    one.keys("1")
    one.see("--epochs 2000")
    one.keys("C-r")
    one.wait(lambda: run_dir(tmp_path, 2), "the second run")
    one.see("RUNNING", seconds=90)
    one.wait(lambda: len(recorded(run_dir(tmp_path, 2), "epoch_end")) >= 2, "two epochs")  # type: ignore[arg-type]
    one.keys("S")
    one.see("STOPPED")
    one.keys("3")
    one.see("2 runs")
    one.keys("Home", "Space", "Space", "c")
    one.see("esc Back")
    one.see(root.name[-4:], run_dir(tmp_path, 2).name[-4:])  # type: ignore[union-attr]
    one.keys("Escape")
    one.see("2 runs", "s Sort")

    screen = leave(one)
    assert "test/loss" in screen
    assert "resume" in screen
    assert "\x1b" not in screen
    assert "RUNNING" not in screen


def _select(terminal: Terminal, text: str) -> bool:
    """Move the cursor down until it is on the row with a text."""
    if any(text in line and "▸" in line for line in terminal.lines()):
        return True
    terminal.keys("Down")
    return False


def test_detach_attach_and_stop_from_three_terminals(terminal: Open) -> None:
    first = terminal()
    root = start(first)
    first.keys("q")
    first.see("detach")
    first.keys("d")
    assert "tui-train attach" in first.prompt()
    step = rows(root)["step"][-1]
    first.wait(lambda: rows(root)["step"][-1] > step + 100, "the run to go on without a terminal")

    second = terminal(120, 40)
    second.run("attach")
    second.see("RUNNING", root.name[-4:])
    shown = shown_step(second.screen())
    second.wait(lambda: shown_step(second.screen()) > shown, "the viewer to follow")

    third = terminal()
    third.run("stop", root.name[-4:])
    assert "stop" in third.prompt()
    second.see("STOPPED")
    assert read_state(RunReader(root)).status == "stopped"
    assert leave(second)


def test_ascii_draws_no_braille_and_the_curve_still_grows(terminal: Open) -> None:
    one = terminal()
    start(one, "--ascii")
    screen = one.wait(lambda: "loss" in (s := one.screen()) and "train 0" in s and s, "a loss")
    assert str(screen).isascii(), screen
    one.keys("S")
    one.see("STOPPED")
    leave(one)


def test_quitting_with_a_live_run_asks_and_escape_stays(terminal: Open) -> None:
    one = terminal()
    root = start(one)
    for key in ("C-q", "C-c", "q"):
        one.keys(key)
        one.see("A run is training", "esc")
        one.keys("Escape")
        one.gone("A run is training")
    one.keys("q")
    one.see("A run is training")
    one.keys("s")
    screen = one.prompt()
    assert "stopped" in screen
    assert read_state(RunReader(root)).status == "stopped"


def test_a_killed_run_leaves_at_once_and_keeps_what_was_saved(terminal: Open) -> None:
    one = terminal()
    root = start(one)
    one.wait(lambda: RunReader(root).checkpoints(), "a checkpoint")
    one.keys("q")
    one.see("kill")
    one.keys("k")
    one.prompt()
    assert read_state(RunReader(root)).status == "stopped"
    assert RunReader(root).checkpoints()


def test_a_terminal_that_goes_away_leaves_the_run_alone(terminal: Open) -> None:
    one = terminal()
    root = start(one)
    step = rows(root)["step"][-1]
    one.close()
    other = terminal()
    other.wait(lambda: rows(root)["step"][-1] > step + 200, "the run to go on")
    other.run("attach")
    other.see("RUNNING")
    other.keys("S")
    other.see("STOPPED")
    leave(other)


def test_resizing_while_it_trains_breaks_nothing(terminal: Open) -> None:
    one = terminal(100, 30)
    root = start(one)
    for width, height in ((160, 48), (40, 12), (80, 24)):
        one.resize(width, height)
        one.see("RUNNING")
        assert all(len(line) <= width for line in one.lines())
    one.keys("S")
    one.see("STOPPED")
    leave(one)
    assert read_state(RunReader(root)).status == "stopped"


def test_a_dead_process_is_shown_as_crashed_and_can_be_resumed(terminal: Open) -> None:
    one = terminal()
    one.run("--preset", "digits", *LONG, "--detach")
    root = one.wait(lambda: run_dir(one.folder), "the run")
    one.prompt()
    one.wait(lambda: RunReader(root).checkpoints(), "a checkpoint")
    one.command(f"kill -9 {json.loads((root / 'run.json').read_text())['pid']}")
    one.run("attach", root.name[-4:])
    one.see("CRASHED")
    one.keys("R")
    one.see("RUNNING", seconds=90)
    one.keys("S")
    one.see("STOPPED")
    leave(one)


def test_a_run_that_fails_shows_why_and_the_app_goes_on(terminal: Open, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "from tui_trainer import Task\n"
        "class Bad(Task):\n"
        "    def datasets(self, hparams): return torch.rand(64, 8), torch.rand(64, 1)\n"
        "    def model(self, hparams): return nn.Linear(9, 1)\n"
    )
    one = terminal()
    one.run("bad.py")
    one.see("▾ Data", "tui-train bad.py")
    one.keys("r")
    one.see("training failed", "mat1 and mat2", "hint:", "log:", "esc close", seconds=90)
    one.keys("Escape")
    one.gone("esc close")
    one.keys("3")
    one.see("s Sort")
    one.keys("1")
    one.see("Presets")
    leave(one)


def test_letters_in_a_field_are_text(terminal: Open) -> None:
    one = terminal()
    one.run("--preset", "digits")
    one.see("--preset digits")
    go_to_field(one, "dataset_path")
    one.type("rq2")
    one.see("--dataset_path rq2")
    assert run_dir(one.folder) is None
    one.keys("C-q")
    one.prompt()


def test_a_stray_reply_of_the_terminal_starts_nothing(terminal: Open) -> None:
    one = terminal()
    one.run("--preset", "digits")
    one.see("▾ Data")
    one.type("\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\")
    one.keys("3")
    one.see("no runs")
    assert run_dir(one.folder) is None
    leave(one)


def test_without_a_usable_terminal_it_trains_and_says_so(terminal: Open) -> None:
    one = terminal()
    one.command("export TERM=dumb")
    one.run("--preset", "digits", "--epochs", "2")
    screen = one.see("no usable terminal", "resume", seconds=90)
    assert screen.count("no usable terminal") == 1
