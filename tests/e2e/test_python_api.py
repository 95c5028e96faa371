"""The names that `from tui_trainer import …` promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tui_trainer
from tui_trainer import TrainerError, load_run, train
from tui_trainer.tasks.digits import Digits


def test_every_public_name_can_be_imported() -> None:
    assert all(getattr(tui_trainer, name) is not None for name in tui_trainer.__all__)


def test_load_run_gives_record_and_the_model_that_made_the_reported_metrics(folder: Path) -> None:
    result = train(Digits(), {"epochs": 2, "n_layers": 1})
    run = load_run("last")
    assert run.state.status == "finished"
    assert run.state.metrics == pytest.approx(result.metrics)
    assert run.steps()["step"][-1] == result.steps
    assert [entry["tag"] for entry in run.checkpoints] == ["1", "2"]
    _, (inputs, targets) = Digits().datasets(Digits.hparams_class())
    model = run.model("last")
    assert not model.training
    with torch.no_grad():
        accuracy = (model(inputs).argmax(1) == targets).float().mean().item()
    assert accuracy == pytest.approx(result.metrics["test/accuracy"])


def test_train_tells_every_wrong_hparam_at_once(folder: Path) -> None:
    with pytest.raises(TrainerError) as caught:
        train(Digits(), {"lr": -1, "epoch": 3})
    assert caught.value.exit_code == 2
    assert "lr: expected a number > 0, got -1" in caught.value.message
    assert "epoch: unknown; did you mean epochs?" in caught.value.message
    assert not (folder / "runs").exists()


def test_hparams_rebuild_from_a_checkpoints_parameters(folder: Path) -> None:
    import json

    result = train(Digits(), {"epochs": 1, "betas": [0.9, 0.99]})
    parameters = json.loads((result.run_dir / "checkpoints/model_parameters_1.json").read_text())
    rebuilt = Digits.hparams_class(**parameters)
    assert rebuilt.betas == (0.9, 0.99)
    assert rebuilt.epochs == 1
