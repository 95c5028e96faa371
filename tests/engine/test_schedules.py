"""The learning rate of every step, against the formulas."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers import Points, PointsHparams, events, rows
from tui_trainer import train
from tui_trainer.engine.schedule import build_schedule
from tui_trainer.errors import UsageError


def rates(tmp_path: Path, **values: Any) -> np.ndarray[Any, Any]:
    """The rate that each step used, from the record."""
    common = {"epochs": 3, "batch_size": 16, "lr": 0.01, "log_rate": 0.0, "test_size": 0.0}
    result = train(Points(96), {**common, **values}, runs_dir=tmp_path)
    series = rows(result.run_dir)
    assert series["step"].tolist() == list(range(1, result.steps + 1))
    return series["lr"]


def test_a_constant_rate_stays(tmp_path: Path) -> None:
    assert rates(tmp_path).tolist() == [0.01] * 18


def test_a_warm_up_rises_linearly_to_a_constant_rate(tmp_path: Path) -> None:
    expected = [0.01 * min(1.0, (step + 1) / 9) for step in range(18)]
    np.testing.assert_allclose(rates(tmp_path, warmup=0.5), expected, rtol=1e-12)


@pytest.mark.parametrize("warmup", [0.0, 0.25, 1.0])
def test_cosine_falls_to_zero_after_its_warm_up(tmp_path: Path, warmup: float) -> None:
    warm, total = round(18 * warmup), 18
    expected = [
        0.01
        * ((step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2)
        for step in range(total)
    ]
    np.testing.assert_allclose(
        rates(tmp_path, scheduler="cosine", warmup=warmup), expected, rtol=1e-9, atol=1e-18
    )


def test_steps_fall_at_epochs(tmp_path: Path) -> None:
    found = rates(tmp_path, scheduler="step", lr_decay=0.5, lr_decay_every=2, epochs=5)
    expected = [0.01 * 0.5 ** (epoch // 2) for epoch in range(5) for _ in range(6)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "RMSprop", "Adagrad"])
def test_one_cycle_is_torchs(tmp_path: Path, optimizer: str) -> None:
    found = rates(tmp_path, scheduler="one_cycle", warmup=0.4, optimizer=optimizer)
    probe = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.01, momentum=0.9)
    reference = torch.optim.lr_scheduler.OneCycleLR(probe, max_lr=0.01, total_steps=18, pct_start=0.4)
    expected = []
    for _ in range(18):
        expected.append(probe.param_groups[0]["lr"])
        probe.step()
        reference.step()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found.argmax() == round(0.4 * 18) - 1


@pytest.mark.parametrize("warmup", [0.0, 1e-3, 1 / 18, 0.5, 1.0])
@pytest.mark.parametrize("max_steps", [1, 2, 3, 18, None])
def test_one_cycle_takes_every_warm_up_and_every_length(
    tmp_path: Path, warmup: float, max_steps: int | None
) -> None:
    found = rates(tmp_path, scheduler="one_cycle", warmup=warmup, max_steps=max_steps)
    assert len(found) == (max_steps or 18)
    assert ((found >= 0) & (found <= 0.01 + 1e-12)).all()


def test_plateau_falls_when_evaluations_stop_improving(tmp_path: Path) -> None:
    class Stuck(Points):
        def criterion(self, hparams: Any) -> Any:
            return lambda outputs, targets: outputs.sum() * 0 + 1.0

    values = {"scheduler": "plateau", "lr_patience": 1, "lr_decay": 0.1, "epochs": 7, "lr": 0.01}
    result = train(Stuck(), values, runs_dir=tmp_path)
    # The first evaluation is the best; the third is the second without improvement.
    found = [event["lr"] for event in events(result.run_dir, "epoch_end")]
    np.testing.assert_allclose(found, [0.01] * 3 + [0.001] * 2 + [0.0001] * 2, rtol=1e-9)


def test_max_steps_shortens_the_schedule(tmp_path: Path) -> None:
    found = rates(tmp_path, scheduler="cosine", max_steps=8)
    expected = [0.01 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_accumulation_counts_optimizer_steps(tmp_path: Path) -> None:
    found = rates(tmp_path, scheduler="cosine", grad_accumulation=4, epochs=2)
    expected = [0.01 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_scheduler_of_ones_own_moves_by_steps(tmp_path: Path) -> None:
    class Own(Points):
        def scheduler(self, hparams: Any, optimizer: Any, total_steps: int | None) -> Any:
            return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=total_steps or 1)

    result = train(Own(80), {"epochs": 2, "test_size": 0.0, "log_rate": 0.0}, runs_dir=tmp_path)
    np.testing.assert_allclose(
        rows(result.run_dir)["lr"], 1e-3 * (1 - np.arange(10) / 10), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("values", [{"scheduler": "cosine"}, {"scheduler": "one_cycle"}, {"warmup": 0.1}])
def test_a_schedule_that_needs_a_length_is_refused_without_one(values: dict[str, Any]) -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    with pytest.raises(UsageError, match="length"):
        build_schedule(Points(), PointsHparams(**values), optimizer, None, None, "min")


def test_one_cycle_keeps_its_end_when_a_loader_yields_more_than_it_told() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1, momentum=0.9)
    schedule = build_schedule(Points(), PointsHparams(scheduler="one_cycle"), optimizer, 10, 5, "min")
    for _ in range(15):
        optimizer.step()
        schedule.after_step()
    assert optimizer.param_groups[0]["lr"] < 0.01
