"""Negative controls: a restore that leaves anything out does not pass for an exact one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.comparing import assert_same_run
from tests.faults.counting import Tried
from tests.helpers import Points, resume
from tui_trainer import TrainerError, train
from tui_trainer.engine import checkpoint, rng

State = dict[str, Any]

# Where each part of the state decides what comes: the scale has fallen, the rate is on its way, and so on.
HPARAMS = {
    "epochs": 3,
    "log_rate": 0.0,
    "checkpoint_every": "4steps",
    "precision": "float16",
    "optimizer": "SGD",
    "momentum": 0.9,
    "lr": 1e-3,
    "scheduler": "cosine",
    "ema_decay": 0.8,
    "dropout": 0.2,
}


class Loud(Points):
    """Gradients that float16 can't hold at the scaler's first scale. It fails where it is told to."""

    def criterion(self, hparams: Any) -> Any:
        return lambda outputs, targets: 10 * nn.functional.cross_entropy(outputs, targets)


def no_random_states(state: State) -> None:
    state["rng"] = rng.state_dict(torch.device("cpu"))


def no_position(state: State) -> None:
    state["progress"] |= {"batch": 0, "samples": 0}


def no_optimizer(state: State) -> None:
    assert state["optimizer"]["state"]
    state["optimizer"]["state"] = {}


def no_schedule(state: State) -> None:
    assert state["schedule"]["scheduler"]["last_epoch"] > 0
    state["schedule"]["scheduler"] |= {"last_epoch": 0, "_step_count": 1}


def no_scale(state: State) -> None:
    assert state["scaler"]["scale"] < 65536.0
    state["scaler"] = None


def no_average(state: State) -> None:
    state["averaged"]["updates"] = 0


def no_sums(state: State) -> None:
    state["meter"] = None


def nothing(state: State) -> None:
    pass


LEFT_OUT = (no_random_states, no_position, no_optimizer, no_schedule, no_scale, no_average, no_sums)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was never interrupted."""
    return train(Loud(), HPARAMS, runs_dir=tmp_path_factory.mktemp("whole")).run_dir


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, broken off in its second epoch behind a checkpoint inside it."""

    def crash(number: int) -> None:
        if number == 11:
            raise RuntimeError("power cut")

    runs = tmp_path_factory.mktemp("crashed")
    with pytest.raises(TrainerError, match="power cut"):
        train(Loud(on_batch=crash), HPARAMS, runs_dir=runs)
    (run_dir,) = runs.iterdir()
    return run_dir


def go_on(crashed: Path, folder: Path, leave_out: Callable[[State], None]) -> Path:
    """A copy of the broken run, resumed by a restore that lacks something."""
    run_dir = Path(shutil.copytree(crashed, folder / crashed.name))
    load = checkpoint.load_trainer_state

    def load_less(path: Path) -> State:
        state = load(path)
        leave_out(state)
        return state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "load_trainer_state", load_less)
        assert resume(Loud(), run_dir, HPARAMS).status == "finished"
    return run_dir


def test_the_whole_restore_is_exact(whole: Path, crashed: Path, tmp_path: Path) -> None:
    assert_same_run(go_on(crashed, tmp_path, nothing), whole)


@pytest.mark.fault(
    3,
    "negative controls: random states, position, optimizer, schedule, scaler, average or sums left out",
    "the comparison of row 2 fails each time",
)
def test_a_restore_that_lacks_something_is_found_out(
    whole: Path, crashed: Path, tmp_path: Path, tried: Tried
) -> None:
    for leave_out in LEFT_OUT:
        resumed = go_on(crashed, tmp_path / leave_out.__name__, leave_out)
        with tried.attempt(), pytest.raises(AssertionError):
            assert_same_run(resumed, whole)
