"""The schema itself: names of torch, overrides, round trips."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from typing import Any

import pydantic
import pytest

from tui_trainer.config.hparams import Field, Hparams
from tui_trainer.config.names import LOSSES, OPTIMIZER_OPTIONS, OPTIMIZERS, OPTION_NAMES, UNUSABLE_LOSSES


def test_optimizers_are_those_of_torch() -> None:
    optim = pytest.importorskip("torch.optim")
    ours = {
        name: value
        for name, value in vars(optim).items()
        if inspect.isclass(value) and issubclass(value, optim.Optimizer) and value is not optim.Optimizer
    }
    assert set(OPTIMIZERS) == set(ours)
    assert OPTIMIZER_OPTIONS.keys() == set(OPTIMIZERS)
    for name, optimizer in ours.items():
        parameters = inspect.signature(optimizer).parameters
        takes = {option for option in OPTION_NAMES if option in parameters}
        # A pair, where our hparam is one number.
        takes -= {"eps"} if isinstance(parameters.get("eps") and parameters["eps"].default, tuple) else set()
        assert OPTIMIZER_OPTIONS[name] == takes, name


def test_losses_are_those_of_torch() -> None:
    nn = pytest.importorskip("torch.nn")
    of_torch = {
        name
        for name, value in vars(nn).items()
        if inspect.isclass(value)
        and issubclass(value, nn.Module)
        and name.endswith(("Loss", "Loss2d", "WithLoss"))
    }
    newer_than_the_floor = {"LinearCrossEntropyLoss"}
    assert of_torch <= {*LOSSES, *UNUSABLE_LOSSES}
    assert {*LOSSES, *UNUSABLE_LOSSES} - of_torch <= {"auto", *newer_than_the_floor}
    for name in set(LOSSES) - {"auto"}:
        required = [
            parameter
            for parameter in inspect.signature(getattr(nn, name).forward).parameters.values()
            if parameter.default is parameter.empty and parameter.name != "self"
        ]
        assert len(required) == 2, name


def test_redeclaring_with_a_bare_default_keeps_the_rest() -> None:
    class Longer(Hparams):
        epochs: int = 20

    class Longest(Longer):
        epochs: int = 40
        latent_dim: int = Field(8, gt=0, description="Width.")

    assert (Hparams().epochs, Longer().epochs, Longest().epochs) == (10, 20, 40)
    spec, base = Longest.specs()["epochs"], Hparams.specs()["epochs"]
    assert (spec.default, spec.bounds, spec.description, spec.group) == (
        40,
        base.bounds,
        base.description,
        base.group,
    )
    with pytest.raises(pydantic.ValidationError):
        Longest(epochs=0)
    assert Longest(latent_dim=4).latent_dim == 4


def test_frozen() -> None:
    with pytest.raises(pydantic.ValidationError):
        Hparams().lr = 1.0  # type: ignore[misc]


def test_model_parameters_round_trip() -> None:
    class Net(Hparams):
        widths: tuple[int, ...] = Field((1, 2), description="Widths.")

    hparams = Net(betas=(0.9, 0.95), eval_every="200steps", num_workers=3, widths=(4, 5), task="digits")
    text = json.dumps(hparams.model_dump(mode="json"))
    assert Net(**json.loads(text)) == hparams


def test_numpy_scalars_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    values: dict[str, Any] = {
        "lr": numpy.float32(0.5),
        "epochs": numpy.int64(3),
        "compile": numpy.bool_(True),
    }
    hparams = Hparams(**values)
    assert (hparams.lr, hparams.epochs, hparams.compile) == (0.5, 3, True)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, tui_trainer.cli.presets, tui_trainer.config.schema\n"
        "print([m for m in ('torch', 'textual', 'sklearn', 'numpy', 'rich') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
