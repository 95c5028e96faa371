"""Runs that go on for very long: what they write where nobody looks, and what they hold on to."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import pytest

from tests.faults.counting import Tried, repetitions
from tests.faults.endurance import read_measured
from tests.faults.lives import Lives
from tui_trainer.runs.checkpoints import read_index
from tui_trainer.runs.layout import RunLayout

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""Every control character but the newline."""

MOST_LOG = 200_000
"""Bytes of output for 10,000 steps."""

MEGABYTE = 1 << 20


@pytest.mark.fault(
    18,
    "no terminal, 10,000 steps, stdout and stderr in a file; epochs of a few steps, and of 1,000",
    "at most 200 KB, no control characters",
)
@pytest.mark.parametrize("task", ["Numbered", "Long"])
def test_a_log_stays_small_and_plain(lives: Lives, tmp_path: Path, tried: Tried, task: str) -> None:
    steps = repetitions(10_000, 1000)
    words = (
        "--no-ui", f"tests.faults.tasks:{task}", "--run-dir", tmp_path / "run", "--num_workers", 0,
        # Epochs of six steps or, in the reduced form, of twenty: the first 300 epochs have a line each.
        "--batch_size", 8 if task == "Long" else repetitions(10, 3),
        "--epochs", 100_000, "--max_steps", steps, "--checkpoint_every", f"{steps // 10}steps",
    )  # fmt: skip
    with tried.attempt():
        life = lives.command(*words)
        assert life.code == 0
        assert f"{steps:,}" in life.output
        size = len(life.output.encode())
        assert size <= MOST_LOG * steps / 10_000
        assert CONTROL.findall(life.output) == []
    tried.tell(f"{size / 1000:.0f} KB")


@pytest.mark.fault(
    20,
    "a million steps, a checkpoint and the deletion of an old one every 100 steps",
    "memory, open files and threads stay as they are",
)
def test_a_long_run_holds_on_to_nothing(lives: Lives, tmp_path: Path, tried: Tried) -> None:
    steps = repetitions(1_000_000, 20_000)
    every = repetitions(100, 200)
    words = (
        "--no-ui", "tests.faults.tasks:Long", "--run-dir", tmp_path / "run", "--quiet", "--batch_size", 8,
        "--epochs", 100_000, "--max_steps", steps, "--eval_every", 0, "--lr", 1e-4,
        "--checkpoint_every", f"{every}steps", "--keep_checkpoints", 2,
    )  # fmt: skip
    file = tmp_path / "measured"
    life = lives.live(
        "tests.faults.endurance:train_and_measure",
        [str(word) for word in words],
        str(file),
        repetitions(1, 1) / 10,
    )
    assert life.code == 0, life.output
    measured = read_measured(file)
    layout = RunLayout(tmp_path / "run")
    assert read_index(layout)[-1]["step"] == steps
    assert len(list(layout.checkpoints.iterdir())) <= 1 + 4 * 3
    # The first quarter is for caches to fill.
    quarter = len(measured) // 4
    assert quarter >= 5
    second, last = measured[quarter : 2 * quarter], measured[-quarter:]
    grown = {name: median(last, name) - median(second, name) for name in ("memory", "files", "threads")}
    with tried.attempt():
        assert grown["files"] == 0
        assert grown["threads"] == 0
        assert grown["memory"] <= 4 * MEGABYTE
    tried.tell(
        f"{steps:,} steps, {life.reached['rotate'] // 4:,} deletions in {life.seconds / 60:.0f} min, "
        f"{grown['memory'] / MEGABYTE:+.1f} MiB between the second and the last quarter"
    )


def median(measured: list[dict[str, int]], name: str) -> float:
    return statistics.median(held[name] for held in measured)
