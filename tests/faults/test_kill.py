"""kill −9 at any moment: the run goes on by itself, and is in the end the run that was never killed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.comparing import assert_same_run
from tests.faults.counting import Tried, repetitions
from tests.faults.lives import Lives
from tests.faults.mortal import EPOCHS, MortalRun, chosen

NAMES = {
    "": "by the clock",
    "call": "at any system call",
    "save": "in a save",
    "rotate": "at a deletion",
    "train": "in a step",
    "test": "in an evaluation",
}
"""Moments of `chosen`, in words."""


@pytest.mark.fault(
    1,
    "kill −9 at random moments: start, training, evaluation, save, deletion of old checkpoints",
    "the run resumes unaided; at most one interval and the save under way are lost; no file is left over",
)
def test_a_killed_run_resumes_unaided(lives: Lives, tmp_path: Path, tried: Tried) -> None:
    kills, dice, number, moments = repetitions(200, 8), Random(1), 0, Counter[str]()
    while tried.attempts < kills:
        number += 1
        run = MortalRun(lives, tmp_path / str(number) / "run", "--num_workers", 0)
        run.layout.root.parent.mkdir()
        while not run.finished:
            death = chosen(dice) if tried.attempts < kills else None
            if run.live(death).killed:
                tried.right()
                moments[NAMES[death.moment] if death else ""] += 1
    tried.tell(", ".join(f"{count} {moment}" for moment, count in moments.most_common()))


@pytest.mark.fault(
    2,
    "kill −9 at random moments, beside a run that is never killed; 0 and 2 loader workers",
    "each step's loss, the weights and all states are the same to the bit; each sample comes once an epoch",
)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_ends_as_one_that_never_was(
    lives: Lives, tmp_path: Path, tried: Tried, workers: int
) -> None:
    dice = Random(2 + workers)
    whole = MortalRun(lives, tmp_path / "whole" / "run", "--num_workers", workers)
    whole.layout.root.parent.mkdir()
    whole.live()
    for number in range(repetitions(20, 1)):
        with tried.attempt():
            run = MortalRun(lives, tmp_path / str(number) / "run", "--num_workers", workers)
            run.layout.root.parent.mkdir()
            while not run.finished:
                run.live(chosen(dice))
            assert_same_run(run.layout.root, whole.layout.root, str(EPOCHS))
            assert run.kept == whole.kept
    seen = [number for batch in whole.kept for number in batch]
    for epoch in range(EPOCHS):
        assert sorted(seen[60 * epoch : 60 * (epoch + 1)]) == list(range(60))
