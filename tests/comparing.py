"""Whether two runs are one and the same: each loss, each weight and each state, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.helpers import assert_same_weights, events, rows, weights
from tui_trainer.engine import checkpoint
from tui_trainer.runs.layout import RunLayout

TIMES = ("time", "samples_per_s", "data_wait")


def told(run_dir: Path) -> list[Any]:
    """What a run's events say of its training, without times."""
    lines = []
    for event in events(run_dir):
        match event["event"]:
            case "epoch_end" | "evaluation":
                facts = [event[key] for key in ("metrics", "best", "improved")]
                lines.append((event["event"], event["epoch"], event["step"], event.get("lr"), *facts))
    return lines


def assert_same_run(resumed: Path, whole: Path, tag: str = "3") -> None:
    assert_same_weights(weights(resumed, tag), weights(whole, tag))
    one, other = rows(resumed), rows(whole)
    assert one.keys() == other.keys()
    for name, values in other.items():
        if name not in TIMES:
            np.testing.assert_array_equal(one[name], values, err_msg=name)
    assert told(resumed) == told(whole)
    state, expected = (
        checkpoint.load_trainer_state(RunLayout(run).trainer_state_file(tag)) for run in (resumed, whole)
    )
    for part in ("optimizer", "schedule", "scaler", "averaged", "rng", "monitor"):
        assert_equal(state[part], expected[part], part)


def assert_equal(one: Any, other: Any, where: str) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{where}.{number}")
    else:
        assert one == other or (one != one and other != other), where
