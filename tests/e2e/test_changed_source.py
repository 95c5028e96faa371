"""Whoever goes on with a run is told when its task is another one by now."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Done, events
from tui_trainer.cli.serve import Interpreter

SAID = (
    r"theirs\.py has changed since run begun began \(1 line differs\); "
    r"the run's copy is \S*begun/task/theirs\.py"
)


@pytest.fixture
def begun(tui_train: Callable[..., Done], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two epochs of `theirs.py`, which then has a line more."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    tui_train("tasks", "new", "theirs.py", "--template", "minimal")
    done = tui_train("--no-ui", "theirs.py", "--epochs", 1, "--run-dir", "begun", "--quiet")
    assert done.code == 0, done.err
    unchanged = tui_train("--no-ui", "--resume", "begun", "--epochs", 2, "--quiet")
    assert (unchanged.code, unchanged.err) == (0, "")
    with open("theirs.py", "a") as file:
        file.write("# One more line.\n")
    return folder / "begun"


def test_resume_and_fork_say_so_on_stderr_and_in_the_record(
    tui_train: Callable[..., Done], folder: Path, begun: Path
) -> None:
    for words, run in (
        (("--resume", "begun", "--epochs", 3), begun),
        (("--fork", "begun@1", "--epochs", 2, "--run-dir", "forked"), folder / "forked"),
    ):
        done = tui_train("--no-ui", *words, "--json")
        assert done.code == 0, done.err
        assert re.search(f"^warning: {SAID}$", done.err, flags=re.M)
        alerts = [event for event in events(run) if event["event"] == "alert"]
        (told,) = (alert for alert in alerts if alert["title"] == "task file has changed")
        assert re.fullmatch(SAID, told["message"])
        assert told["level"] == "warning"
    # On lines for people it stands once, before the start.
    lines = tui_train("--no-ui", "--resume", "begun", "--epochs", 4)
    assert "has changed" in lines.err
    assert "has changed" not in lines.out


def test_the_form_of_a_run_that_goes_on_says_so(begun: Path) -> None:
    (said,) = Interpreter().meaning(["--resume", "begun", "--epochs", "9"]).warnings[-1:]
    assert re.fullmatch(SAID, said)
    assert not any("changed since" in text for text in Interpreter().meaning(["theirs.py"]).warnings)


def test_where_the_file_is_gone_the_copy_trains_and_nothing_has_changed(
    tui_train: Callable[..., Done], begun: Path
) -> None:
    Path("theirs.py").unlink()
    done = tui_train("--no-ui", "--resume", "begun", "--epochs", 3, "--quiet")
    assert (done.code, done.err) == (0, "")
