"""Every built-in task, killed inside an epoch and just after one: the same run in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.comparing import assert_same_run
from tests.faults.counting import Tried, repetitions
from tests.faults.lives import Death, Life, Lives
from tui_trainer.runs.checkpoints import newest_good
from tui_trainer.runs.layout import RunLayout

EPOCHS = 2
COMMON = {"epochs": EPOCHS, "checkpoint_every": "3steps", "log_rate": 0.0}


def no_data(folder: Path) -> Path | None:
    return None


def table(folder: Path) -> Path:
    dice = Random(0)
    lines = [f"{dice.gauss(0, 1)},{dice.choice('abc')},{dice.choice(['yes', 'no'])}" for _ in range(60)]
    path = folder / "table.csv"
    path.write_text("\n".join(["size,kind,answer", *lines]) + "\n")
    return path


def pictures(folder: Path) -> Path:
    draw = np.random.default_rng(0)
    for number in range(60):
        path = folder / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    return folder / "pictures"


def text(folder: Path) -> Path:
    path = folder / "text.txt"
    path.write_text("".join(Random(0).choices("abcd \n", k=1000)))
    return path


def pairs(folder: Path) -> Path:
    words = ["".join(Random(number).choices("abcd", k=4)) for number in range(60)]
    (folder / "pairs.json").write_text(json.dumps([{"input": word, "target": word[::-1]} for word in words]))
    return folder


# Each trains epochs of five steps, with all that it draws random numbers for.
TASKS: dict[str, tuple[Callable[[Path], Path | None], dict[str, Any]]] = {
    "digits": (no_data, {"batch_size": 300, "latent_dim": 8, "dropout": 0.2}),
    "tabular": (table, {"batch_size": 10, "latent_dim": 8, "target": "answer"}),
    "images": (
        pictures,
        {
            "batch_size": 10,
            "latent_dim": 2,
            "n_layers": 1,
            "dropout": 0.2,
            "flip": True,
            "crop": 1,
            "rotate": 9,
        },
    ),
    "char_lm": (
        text,
        {
            "batch_size": 12,
            "context": 16,
            "d_model": 8,
            "n_layers": 1,
            "n_heads": 2,
            "dropout": 0.2,
            "sample_chars": 5,
        },
    ),
    "seq2seq": (pairs, {"batch_size": 10, "d_model_enc": 4, "d_model_dec": 8, "dropout": 0.2}),
}


@pytest.mark.fault(
    2,
    "kill −9 inside an epoch and just after one, each built-in task",
    "each step's loss, the weights and all states are those of a run that was never killed, to the bit",
)
@pytest.mark.parametrize("task", TASKS)
def test_a_built_in_task_goes_on_to_the_same_bits(
    lives: Lives, tmp_path: Path, tried: Tried, task: str
) -> None:
    make_data, hparams = TASKS[task]
    data = make_data(tmp_path)
    preset = tmp_path / "preset.json"
    own = {"dataset_path": str(data)} if data is not None else {}
    preset.write_text(json.dumps({**COMMON, "task": task, **hparams, **own}))

    def live(run: Path, death: Death | None = None) -> Life:
        words = ("--no-ui", "--preset", preset, "--resume", "auto", "--run-dir", run, "--quiet")
        return lives.command(*words, death=death, settled=True)

    whole = tmp_path / "whole"
    assert live(whole).code == 0
    for number in range(repetitions(4, 1)):
        run = tmp_path / f"killed {number}"
        places = []
        # In the step after the save inside an epoch, and in the first one after an epoch's end.
        for step in (4, 3) if number % 2 == 0 else (5, 3):
            assert live(run, Death("train", step)).killed
            entry, _ = newest_good(RunLayout(run))
            places.append(entry["tag"] if entry is not None else None)
        assert places == ["0+3", "1"]
        with tried.attempt():
            assert live(run).code == 0
            assert_same_run(run, whole, str(EPOCHS))
