"""A trainer state that no trainer saved is refused with a sentence, before it can do harm."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import Points, assert_same_weights, resume, tags, weights
from tui_trainer import train
from tui_trainer.engine.progress import Progress
from tui_trainer.engine.trainer_state import load_trainer_state
from tui_trainer.errors import Exit, FileError
from tui_trainer.files import sha256_file, write_json
from tui_trainer.runs.checkpoints import read_index
from tui_trainer.runs.layout import RunLayout

VALUES = {
    "epochs": 2,
    "checkpoint_every": "4steps",
    "max_steps": 4,
    "scheduler": "cosine",
    "ema_decay": 0.9,
    "precision": "float16",
    "lr": 0.01,
}
LONGER = {**VALUES, "max_steps": 6}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was left inside its first epoch."""
    root = train(Points(), VALUES, runs_dir=tmp_path_factory.mktemp("runs")).run_dir
    assert tags(root) == ["0+4"]
    return root


def forged(run: Path, folder: Path, change: Callable[[Any], Any], name: str = "trainer_state") -> Path:
    """A copy of the run whose state is another one, with an index that agrees."""
    root = folder / "forged"
    shutil.copytree(run, root)
    layout = RunLayout(root)
    path = layout.checkpoints / f"{name}_0+4.pt"
    state = torch.load(path, weights_only=True)
    changed = change(state)
    torch.save(state if changed is None else changed, path)
    (entry,) = read_index(layout)
    entry["files"][f"checkpoints/{path.name}"] = {"size": path.stat().st_size, "sha256": sha256_file(path)}
    write_json(layout.checkpoints_index, {"schema": 1, "checkpoints": [entry]})
    return root


def put(*place: Any) -> Callable[[Any], None]:
    """Set the last word at the place that the others lead to."""
    *path, key, value = place

    def change(state: Any) -> None:
        for part in path:
            state = state[part]
        state[key] = value

    return change


def drop(*path: Any) -> Callable[[Any], None]:
    *path_, key = path

    def change(state: Any) -> None:
        for part in path_:
            state = state[part]
        del state[key]

    return change


MOMENT = ("optimizer", "state", 0)
GROUP = ("optimizer", "param_groups", 0)
STATES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a list": (lambda state: [1, 2], "list"),
    "a tensor": (lambda state: torch.ones(3), "Tensor"),
    "nothing": (lambda state: {}, "optimizer: field required"),
    "no optimizer": (drop("optimizer"), "optimizer: field required"),
    "no groups": (drop("optimizer", "param_groups"), "optimizer.param_groups"),
    "two groups": (put("optimizer", "param_groups", [{"params": []}, {}]), "2 parameter groups"),
    "fewer parameters": (put(*GROUP, "params", [0, 1]), "params"),
    "unhashable parameters": (put(*GROUP, "params", [[0], 1, 2, 3]), "params"),
    "a rate in words": (put(*GROUP, "lr", "fast"), "lr is a str"),
    "betas of three": (put(*GROUP, "betas", (0.9, 0.9, 0.9)), "betas"),
    "fused by a number": (put(*GROUP, "fused", 2), "fused"),
    "a moment of another shape": (put(*MOMENT, "exp_avg", torch.zeros(3)), "exp_avg is of shape (3,)"),
    "a moment of one value": (put(*MOMENT, "exp_avg_sq", torch.zeros(())), "exp_avg_sq"),
    "a moment in words": (put(*MOMENT, "exp_avg", "x"), "exp_avg is a str"),
    "many steps": (put(*MOMENT, "step", torch.zeros(9)), "step"),
    "a state that is no dict": (put("optimizer", "state", 0, 5), ""),
    "a schedule that is no dict": (put("schedule", 3), "schedule"),
    "a schedule in words": (put("schedule", "scheduler", "last_epoch", "x"), "last_epoch is a str"),
    "a length in words": (put("schedule", "length", "x"), "length"),
    "no schedule": (put("schedule", {"x": 1}), ""),
    "a scaler of words": (put("scaler", {"scale": "x"}), ""),
    "no raw weights": (drop("averaged", "raw"), "averaged.raw"),
    "raw weights of another network": (put("averaged", "raw", {"x": torch.ones(1)}), "does not fit"),
    "updates of another shape": (put("averaged", "updates", torch.ones(3)), ""),
    "a monitor without a value": (drop("monitor", "value"), "monitor.value"),
    "no random streams": (put("rng", {}), "rng.python"),
    "a short stream": (put("rng", "python", (3, (1, 2, 3), None)), "rng.python"),
    "a stream out of range": (put("rng", "python", (3, (2**40,) * 625, None)), "rng.python"),
    "a position far away": (put("rng", "numpy", 2, 10**6), "position"),
    "few words": (put("rng", "numpy", 1, torch.zeros(3, dtype=torch.int64)), "twister"),
    "another generator": (put("rng", "numpy", 0, "PCG64"), "twister"),
    "a stream of another size": (put("rng", "torch", torch.zeros(3, dtype=torch.uint8)), ""),
    "a stream of floats": (put("rng", "torch", torch.zeros(5056)), ""),
    "no place": (put("progress", {}), "progress.epoch"),
    "a negative place": (put("progress", "step", -1), "progress.step"),
    "a place in words": (put("progress", "batch", "x"), "progress.batch"),
    "another checkpoint's place": (put("progress", "batch", 5), "state after epoch 0, batch 5"),
    "sums of words": (put("meter", "totals", {"loss": ["x"]}), "meter.totals"),
    "sums without means": (put("meter", "means", {}), "meter.means"),
    "sums that are none": (put("meter", 5), "meter"),
    "metrics that are none": (put("metrics", [1]), "metrics"),
    "a record without length": (put("record", {}), "record.rows"),
    "a record of negative length": (put("record", "rows", -5), "record.rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_a_forged_state_is_refused_with_a_sentence(name: str, run: Path, tmp_path: Path) -> None:
    change, says = STATES[name]
    root = forged(run, tmp_path, change)
    with pytest.raises(FileError) as error:
        resume(Points(), root, LONGER)
    assert error.value.exit_code == Exit.FILE
    assert "trainer_state_0+4.pt" in error.value.message or "model_0+4.pt" in error.value.message
    assert says in str(error.value)
    assert tags(root) == ["0+4"]


def test_a_newer_state_is_refused_and_an_older_one_read(run: Path, tmp_path: Path) -> None:
    root = forged(run, tmp_path / "newer", put("schema", 2))
    with pytest.raises(FileError, match="newer version"):
        resume(Points(), root, LONGER)
    path = forged(run, tmp_path / "older", drop("schema")) / "checkpoints/trainer_state_0+4.pt"
    assert load_trainer_state(path)["progress"]["step"] == 4


def test_what_another_version_adds_or_lacks_does_no_harm(run: Path, tmp_path: Path) -> None:
    def other(state: Any) -> None:
        state["new"] = {"x": 1}
        state["progress"]["new"] = 3
        state["schedule"]["scheduler"] |= {"new": 3, "optimizer": 3, "step": 3}
        state["optimizer"]["param_groups"][0]["new"] = True
        del state["progress"]["evaluation_due"]

    ours, theirs = forged(run, tmp_path / "ours", lambda state: None), forged(run, tmp_path, other)
    for root in (ours, theirs):
        assert resume(Points(), root, LONGER).steps == 6
    assert_same_weights(weights(theirs, 1), weights(ours, 1))


def test_progress_of_another_version_has_defaults() -> None:
    place = Progress.of({"epoch": 3, "later": 1})
    assert (place.epoch, place.batch, place.evaluation_due) == (3, 0, False)
