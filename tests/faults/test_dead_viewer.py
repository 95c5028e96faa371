"""A viewer that hangs or dies: the training beside it does not notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.faults.counting import Tried, repetitions
from tests.helpers import events, rows
from tests.pseudo import PseudoTerminal, process_state, wait_until
from tui_trainer.files import lock_is_held, read_owner
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state

SPAN = repetitions(200, 10)
"""Rows of the record, at most 20 a second, that are looked at while a viewer is in each state."""


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    """A run that trains in the background until it is told to stop."""
    root = tmp_path / "run"
    words = ["digits", "--epochs", "100000", "--eval_every", "0", "--checkpoint_every", "0", "--detach"]
    subprocess.run(
        [sys.executable, "-m", "tui_trainer", *words, "--run-dir", str(root)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
    yield root
    with suppress(ProcessLookupError, KeyError):
        if lock_is_held(root / "run.lock"):
            os.kill(read_owner(root / "run.lock")["pid"], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.fault(
    17,
    "the viewer of a run is frozen (SIGSTOP), then killed",
    "training goes on at its own pace and ends as it should",
)
def test_training_does_not_notice_a_frozen_or_killed_viewer(
    run_dir: Path, tmp_path: Path, tried: Tried
) -> None:
    terminal, paces = PseudoTerminal(), []
    homes = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_STATE_HOME": str(tmp_path / "state")}
    environment = {**os.environ, "TERM": "xterm-256color", **homes}
    try:
        for _ in range(repetitions(5, 1)):
            with tried.attempt():
                alone = speed(run_dir)
                viewer = terminal.start(["-m", "tui_trainer", "attach", str(run_dir)], env=environment)
                drawn = len(terminal.text)
                wait_until(lambda drawn=drawn: "RUNNING" in terminal.text[drawn:], "the run's state")
                os.killpg(viewer.pid, signal.SIGSTOP)
                wait_until(
                    lambda viewer=viewer: process_state(viewer.pid) == "T", "the viewer to stand still"
                )
                frozen = speed(run_dir)
                os.killpg(viewer.pid, signal.SIGKILL)
                viewer.wait()
                killed = speed(run_dir)
                assert min(frozen, killed) > 0
            paces.append((frozen / alone, killed / alone))
    finally:
        terminal.close()
    stop = [sys.executable, "-m", "tui_trainer", "stop", str(run_dir), "--epoch-end"]
    subprocess.run(stop, stdout=subprocess.DEVNULL, check=True, timeout=120)
    wait_until(lambda: not lock_is_held(run_dir / "run.lock"), "the run's end")
    assert read_state(RunReader(run_dir)).status == "stopped"
    assert "error" not in {alert["level"] for alert in events(run_dir, "alert")}
    assert rows(run_dir)["step"][-1] == events(run_dir, "run_end")[0]["steps"]
    frozen, killed = np.median(paces, axis=0)
    tried.tell(f"median pace {frozen:.2f} (frozen) and {killed:.2f} (killed) of that without a viewer")


def speed(run_dir: Path) -> float:
    """Samples a second: the median of the rows that come from now on."""
    reader, begin = RunReader(run_dir), time.time()

    def since() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
        series = dict(zip(reader.columns(), reader.steps().T, strict=True))
        if not series:
            return None
        paces = series["samples_per_s"][series["time"] > begin]
        return paces if len(paces) >= SPAN else None

    return float(np.median(wait_until(lambda: (paces := since()) is not None and (paces,), "rows")[0]))
