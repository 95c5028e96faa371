"""The link drops: the run goes on, is found again with its whole history, and its record has no seam."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults.counting import Tried
from tests.helpers import events, rows
from tests.tmux.conftest import terminal as terminal
from tests.tmux.terminal import TUI_TRAIN, Terminal
from tui_trainer.files import lock_is_held
from tui_trainer.runs.control import send
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state

RUN = ("digits", "--epochs", "12", "--batch_size", "4", "--log_rate", "0", "--run-dir")


def epochs(root: Path) -> list[int]:
    return [event["epoch"] for event in events(root, "epoch_end")]


def command(folder: Path, *words: str) -> int:
    environment = {**os.environ, "TUI_TRAIN_RUNS": str(folder / "runs")}
    done = subprocess.run(
        [*TUI_TRAIN, *words], env=environment, cwd=folder, capture_output=True, check=False, timeout=120
    )
    return done.returncode


@pytest.mark.tmux
@pytest.mark.slow
@pytest.mark.fault(
    9,
    "the terminal of the app is closed; attach from another, stop, resume",
    "the run goes on; attaching shows all of it; the curve has no seam, to the bit",
)
def test_a_run_whose_terminal_is_gone_goes_on_without_a_seam(
    terminal: Callable[..., Terminal], tmp_path: Path, tried: Tried
) -> None:
    root, whole = tmp_path / "runs" / "it", tmp_path / "whole"
    with tried.attempt():
        first = terminal(100, 30)
        first.run(*RUN, str(root), "--start")
        first.wait(lambda: epochs(root), "an epoch")
        first.close()
        known = len(epochs(root))
        first.wait(lambda: len(epochs(root)) > known, "an epoch after the terminal was closed")
        # So that it does not end before everybody has looked.
        send(root, "pause")
        first.wait(lambda: read_state(RunReader(root)).status == "paused", "the pause")
        second = terminal(100, 30)
        begin = time.monotonic()
        second.run("attach", str(root))
        epoch, step = epochs(root)[-1], RunReader(root).last_row()["step"]
        second.see("PAUSED", f"epoch {epoch + 1}/12", f"step {step:,.0f}")
        tried.tell(f"attached after {time.monotonic() - begin:.1f} s, start of the app included")
        assert command(tmp_path, "stop", str(root)) == 0
        second.wait(lambda: RunReader(root).run()["status"] == "stopped", "the end")
        assert not lock_is_held(RunLayout(root).lock)
        assert command(tmp_path, "--no-ui", "--quiet", "--resume", str(root)) == 0
        assert command(tmp_path, "--no-ui", "--quiet", *RUN, str(whole)) == 0
        assert epochs(root) == epochs(whole) == list(range(1, 13))
        one, other = rows(root), rows(whole)
        for name in ("step", "lr", "train/loss"):
            np.testing.assert_array_equal(one[name], other[name])
        # What the first terminal's app wrote is what a reader of the files finds.
        assert json.loads((root / "run.json").read_text())["status"] == "finished"
