"""The dry run, and what errors say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from tests.helpers import Points, PointsHparams
from tui_trainer import train
from tui_trainer.engine import rng
from tui_trainer.engine.check import check
from tui_trainer.engine.device import check_precision, choose_device
from tui_trainer.engine.failure import explain, user_traceback
from tui_trainer.errors import TrainerError, UsageError


def test_a_dry_run_measures_one_step_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    phases: list[str] = []
    task = Points()
    report = check(task, PointsHparams(grad_accumulation=2), phases.append)
    assert task.trained_batches == 2
    assert set(report["metrics"]) == {f"{s}/{m}" for s in ("train", "test") for m in ("loss", "accuracy")}
    assert (report["train_samples"], report["test_samples"], report["steps_per_epoch"]) == (81, 20, 3)
    assert set(report["seconds"]) == set(phases)
    assert not os.listdir(tmp_path)


def test_a_dry_run_fails_as_the_run_would() -> None:
    class Wrong(Points):
        def model(self, hparams: Any) -> nn.Module:
            return nn.Linear(9, 3)

    with pytest.raises(RuntimeError) as caught:
        check(Wrong(), PointsHparams())
    error = explain(caught.value)
    assert "in the first test batch" in error.message
    assert "batch: (float32 [16, 8], int64 [16])" in error.message
    assert "takes 9 features and got 8" in error.hint


def _raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x8 and 9x3)"), "size"),
        (IndexError("Target 10 is out of bounds."), "a class must be smaller"),
        (RuntimeError("expected scalar type Long but found Float"), "targets.long()"),
        (RuntimeError("Expected all tensors to be on the same device"), "inputs.device"),
        (MemoryError(), "batch_size"),
    ],
)
def test_common_errors_come_with_a_hint_and_the_users_line(error: Exception, hint: str) -> None:
    explained = explain(_raised(error))
    assert hint in explained.hint
    if not isinstance(error, MemoryError):
        assert "test_check.py" in explained.message


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = UsageError("wrong hparams")
    assert explain(error) is error


def test_a_traceback_begins_with_the_users_frame() -> None:
    text = user_traceback(_raised(ValueError("odd")))
    assert text is not None
    assert "test_check.py" in text
    assert text.endswith("ValueError: odd")


def test_auto_takes_what_there_is_and_says_why() -> None:
    device = choose_device("auto")
    assert device.torch.type == ("cuda" if torch.cuda.is_available() else device.torch.type)
    assert device.reason
    assert choose_device("cpu").reason.endswith("as asked")
    for precision in ("float32", "bfloat16", "float16"):
        check_precision(precision, torch.device("cpu"))


def test_neighbouring_seeds_and_epochs_are_unrelated() -> None:
    seeds = {rng.mix(seed, epoch) for seed in range(50) for epoch in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    assert rng.mix(1, 2) != rng.mix(2, 1)


def test_random_states_come_back_through_a_file(tmp_path: Path) -> None:
    import random

    import numpy as np

    device = torch.device("cpu")
    rng.seed_everything(7)
    np.random.randn(1)
    torch.save(rng.state_dict(device), tmp_path / "state.pt")

    def draw() -> tuple[float, ...]:
        return random.random(), random.gauss(0, 1), float(np.random.randn()), float(torch.randn(()))

    first = draw()
    rng.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True), device)
    assert draw() == first
    with rng.preserved(device):
        inside = draw()
    assert draw() == inside


def test_an_exception_in_the_users_code_names_its_phase() -> None:
    class Broken(Points):
        def datasets(self, hparams: Any) -> Any:
            raise FileNotFoundError("no such file: data.csv")

    with pytest.raises(FileNotFoundError) as caught:
        check(Broken(), PointsHparams())
    error = explain(caught.value)
    assert isinstance(error, TrainerError)
    assert "while loading data" in error.message


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (3, 4, 5), (1, 4, 5)])
def test_the_hook_of_an_epoch_is_tried_out(tmp_path: Path, shape: tuple[int, ...]) -> None:
    class Hooked(Points):
        def on_epoch_end(self, context: Any) -> None:
            context.log_text("said", "a word")
            context.log_image("drawn", torch.rand(shape))
            context.metrics["test/own"] = 0.5

    report = check(Hooked(), Hooked.hparams_class(task="hooked"))
    assert (report["metrics"]["test/own"], report["alerts"]) == (0.5, [])
    # The same is drawn in a run.
    result = train(Hooked(), {"epochs": 1}, runs_dir=tmp_path)
    with Image.open(result.run_dir / "media" / "drawn_1.png") as image:
        assert image.size == (5, 4)


def test_a_hook_that_fails_is_told_before_an_epoch_is_spent() -> None:
    class Broken(Points):
        def on_epoch_end(self, context: Any) -> None:
            context.log_image("batch", torch.rand(2, 3, 4, 5))

    (alert,) = check(Broken(), Broken.hparams_class(task="broken"))["alerts"]
    assert alert["title"] == "on_epoch_end failed"
    assert "of a batch, take one" in alert["message"]
