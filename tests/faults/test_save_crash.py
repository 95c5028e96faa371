"""A save that is cut off behind each of its system calls, by a kill and by a power cut."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.comparing import assert_equal, assert_same_run
from tests.faults.counting import Tried, repetitions
from tests.faults.lives import Death, Lives, read_trace
from tests.faults.mortal import EPOCHS, INTERVAL, MortalRun
from tests.faults.power_cut import Contents, Disk
from tests.faults.tracing import Operation
from tests.helpers import assert_same_weights, weights
from tui_trainer.engine import checkpoint
from tui_trainer.errors import TrainerError
from tui_trainer.runs.checkpoints import newest_good
from tui_trainer.runs.layout import RunLayout

BEFORE, AFTER = "1", "1+3"
"""Tags of checkpoints N − 1 and N."""


@dataclass
class Scene:
    """Where it happens.

    Attributes:
        whole: a run that was never interrupted, with every checkpoint.
        base: the same run, killed in the step after checkpoint N − 1.
        save: operations in the checkpoints folder that the next life makes for checkpoint N, the deletion of
            an older one included.
    """

    whole: Path
    base: Path
    save: int


@pytest.fixture(scope="module")
def scene(lives: Lives, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    whole = MortalRun(lives, tmp_path_factory.mktemp("whole") / "run", "--keep_checkpoints", "none")
    whole.live()
    base = MortalRun(lives, tmp_path_factory.mktemp("base") / "run")
    base.live(Death("train", 7), settled=True)
    counted = copy(base.layout.root, tmp_path_factory.mktemp("counted"))
    life = MortalRun(lives, counted, "--max_steps", 9).live()
    assert newest_good(RunLayout(counted))[0]["tag"] == AFTER
    return Scene(whole.layout.root, base.layout.root, life.reached["save"])


def copy(run_dir: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run_dir, folder / "run"))


def assert_loads(run_dir: Path, whole: Path) -> str:
    """What is there is checkpoint N or N − 1, whole, to the bit. Returns its tag."""
    layout = RunLayout(run_dir)
    entry, problems = newest_good(layout)
    assert problems == []
    assert entry is not None
    tag: str = entry["tag"]
    assert tag in (BEFORE, AFTER)
    assert_same_weights(weights(run_dir, tag), weights(whole, tag))
    found, expected = (
        checkpoint.load_trainer_state(RunLayout(root).trainer_state_file(tag)) for root in (run_dir, whole)
    )
    for part in ("optimizer", "schedule", "averaged", "monitor", "rng"):
        assert_equal(found[part], expected[part], part)
    return tag


def assert_goes_on(lives: Lives, run_dir: Path, whole: Path) -> None:
    MortalRun(lives, run_dir).live()
    assert_same_run(run_dir, whole, str(EPOCHS))


@pytest.mark.fault(
    4,
    "kill −9 behind each system call of a save",
    "the checkpoint before or the new one is there, whole, never a mixture; the run goes on from it",
)
def test_a_kill_behind_any_call_leaves_the_old_checkpoint_or_the_new(
    lives: Lives, scene: Scene, tmp_path: Path, tried: Tried
) -> None:
    found = []
    for call in range(1, scene.save + 1, repetitions(1, 6)):
        run_dir = copy(scene.base, tmp_path / str(call))
        with tried.attempt():
            assert MortalRun(lives, run_dir).live(Death("save", call), settled=True).killed
            found.append(assert_loads(run_dir, scene.whole))
            assert_goes_on(lives, run_dir, scene.whole)
    # First always the old one, from some call on always the new one.
    assert found == sorted(found, key=[BEFORE, AFTER].index)
    assert {*found} == {BEFORE, AFTER}


@pytest.mark.fault(
    4,
    "power cut behind each system call: what was not fsynced is lost, torn or zeros, names as before",
    "the checkpoint before or the new one is there, whole, never a mixture; the run goes on from it",
)
def test_a_power_cut_behind_any_call_leaves_the_old_checkpoint_or_the_new(
    lives: Lives, scene: Scene, tmp_path: Path, tried: Tried
) -> None:
    run_dir = copy(scene.base, tmp_path)
    disk, dice, seen = Disk(run_dir), Random(4), set()
    for number, operation in enumerate(operations_of_a_save(lives, run_dir)):
        disk.do(operation)
        if number % repetitions(1, 12):
            continue
        for state in disk.after_power_cut(dice):
            if (key := hash(frozenset(state.items()))) in seen:
                continue
            seen.add(key)
            left = lay_out(state, run_dir, tmp_path / "left")
            with tried.attempt():
                assert_loads(left, scene.whole)
                if tried.attempts % repetitions(3, 10) == 0:
                    assert_goes_on(lives, left, scene.whole)


def test_without_fsync_a_power_cut_would_do_harm(lives: Lives, scene: Scene, tmp_path: Path) -> None:
    run_dir = copy(scene.base, tmp_path)
    disk, harm = Disk(run_dir), 0
    for operation in operations_of_a_save(lives, run_dir):
        if operation.kind != "fsync":
            disk.do(operation)
    for state in disk.after_power_cut(Random(4)):
        try:
            assert_loads(lay_out(state, run_dir, tmp_path / "left"), scene.whole)
        except (AssertionError, TrainerError):
            harm += 1
    assert harm


def operations_of_a_save(lives: Lives, run_dir: Path) -> list[Operation]:
    """What a life does from its start until a step after its first save."""
    trace = run_dir.with_name("trace")
    MortalRun(lives, run_dir).live(Death("train", INTERVAL + 1), trace=trace, settled=True)
    return read_trace(trace)


def lay_out(state: Contents, run_dir: Path, folder: Path) -> Path:
    """Make a run directory of what a power cut left of one."""
    shutil.rmtree(folder, ignore_errors=True)
    left = folder / "run"
    for path, data in state.items():
        target = left / Path(path).relative_to(run_dir)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return left
