"""Two processes on one run: who holds it, who does not any more, and who only looks."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tests.faults.counting import Tried, repetitions
from tests.faults.lives import Death, Lives
from tests.faults.mortal import WORDS, MortalRun
from tests.pseudo import PseudoTerminal, process_state
from tui_trainer.files import FileLock, read_owner
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state


@pytest.fixture
def killed(lives: Lives, tmp_path: Path) -> MortalRun:
    """A run whose trainer was killed behind its first checkpoint; its lock file is still there."""
    run = MortalRun(lives, tmp_path / "runs" / "run")
    run.layout.root.parent.mkdir()
    assert run.live(Death("train", 5), settled=True).killed
    assert run.layout.lock.exists()
    return run


@pytest.mark.fault(
    15,
    "a second process on a run that is being trained",
    "refused with a sentence that names the process and its machine; the first one is not disturbed",
)
def test_a_second_writer_is_refused(lives: Lives, killed: MortalRun, tried: Tried) -> None:
    root, longest = killed.layout.root, 0.0
    with_resume = [*WORDS, "--run-dir", root]
    without = [word for word in with_resume if word not in ("--resume", "auto")]
    lock = FileLock(killed.layout.lock).acquire()
    before = contents(root)
    for number in range(repetitions(50, 2)):
        with tried.attempt():
            life = lives.command(*(with_resume, without)[number % 2])
            assert life.code == 2
            assert "run is in use" in life.output
            assert f"held by process {os.getpid()} on {socket.gethostname()}" in life.output
            assert "Traceback" not in life.output
            assert contents(root) == before
        longest = max(longest, life.seconds)
    tried.tell(f"the longest refusal took {longest:.2f} s")
    lock.release()


@pytest.mark.fault(15, "a lock file whose owner was killed", "the run is taken over and goes on")
def test_a_stale_lock_is_recovered(killed: MortalRun, tried: Tried) -> None:
    for _ in range(repetitions(20, 1)):
        with tried.attempt():
            owner = read_owner(killed.layout.lock)
            assert process_state(owner["pid"]) == ""
            assert killed.live(Death("train", 1)).killed
            assert read_owner(killed.layout.lock) != owner
    killed.live()


@pytest.mark.fault(
    15,
    "a lock file whose pid is another living process by now",
    "the run counts as crashed, is taken over and goes on",
)
def test_a_reused_pid_does_not_hold_a_run(killed: MortalRun, tried: Tried) -> None:
    for _ in range(repetitions(20, 1)):
        with tried.attempt():
            owner = {"host": socket.gethostname(), "pid": os.getppid(), "started": 0.0}
            killed.layout.lock.write_text(json.dumps(owner))
            assert read_state(RunReader(killed.layout.root)).status == "crashed"
            assert killed.live(Death("train", 1)).killed
    killed.live()


@pytest.mark.slow
@pytest.mark.fault(
    15,
    "readers of a run: attach and its screens, runs, show, checkpoints",
    "no file of the run is written, made or touched",
)
def test_whoever_looks_changes_nothing(lives: Lives, killed: MortalRun, tmp_path: Path, tried: Tried) -> None:
    runs, root = killed.layout.root.parent, killed.layout.root
    before = contents(runs)
    for words in (
        ("runs", "--json", "--runs-dir", runs),
        ("show", root, "--json"),
        ("checkpoints", "list", root, "--json"),
        ("checkpoints", "verify", root),
    ):
        with tried.attempt():
            assert lives.command(*words).code == 0
            assert contents(runs) == before
    homes = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_STATE_HOME": str(tmp_path / "state")}
    terminal = PseudoTerminal()
    environment = {**os.environ, "TERM": "xterm-256color", **homes}
    try:
        with tried.attempt():
            viewer = terminal.start(
                ["-m", "tui_trainer", "attach", str(root), "--runs-dir", str(runs)], env=environment
            )
            terminal.see("CRASHED")
            # What the key bars show once the lists of runs and of checkpoints are read.
            for key, shown in (("3", "Baseline"), ("4", "Verify")):
                terminal.press(key)
                terminal.see(shown)
            terminal.press("q")
            assert viewer.wait(60) == 0
            assert contents(runs) == before
    finally:
        terminal.close()


def contents(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of change of everything in a folder, and of itself."""
    paths = [folder, *folder.rglob("*")]
    facts = {str(path): path.stat() for path in paths}
    return {path: (fact.st_ino, fact.st_size, fact.st_mtime_ns) for path, fact in facts.items()}
