"""The task `digits`: the seed's own hparams, stratified splits, two networks."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from tui_trainer.config.hparams import Hparams
from tui_trainer.tasks.digits import Digits, DigitsHparams
from tui_trainer.tasks.registry import load_task

PRESETS = Path(__file__).parents[2] / "presets"

SEEDS_EXAMPLE = {
    "latent_dim": 128,
    "n_layers": 3,
    "lr": 0.001,
    "batch_size": 32,
    "epochs": 10,
    "optimizer": "Adam",
    "loss": "CrossEntropyLoss",
}


def test_the_seeds_hparams_are_the_defaults() -> None:
    assert DigitsHparams(**SEEDS_EXAMPLE) == DigitsHparams(loss="CrossEntropyLoss")


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_model_takes_the_data(network: str) -> None:
    hparams = DigitsHparams(network=network, latent_dim=8, n_layers=2)
    task = Digits()
    (x, y), (x_test, y_test) = task.datasets(hparams)
    assert (x.shape, y.dtype, len(x_test)) == ((1438, 1, 8, 8), torch.int64, 359)
    np.testing.assert_allclose(np.bincount(y_test), 0.2 * np.bincount(load_digits().target), atol=1)
    model = task.model(hparams)
    assert model(x[:7]).shape == (7, 10)
    name = next(key for key in model.state_dict() if key.endswith("mean") and "running" not in key)
    assert model.state_dict()[name].item() == pytest.approx(x.double().mean().item(), rel=1e-6)


def test_every_digit_once() -> None:
    parts = Digits().datasets(DigitsHparams(val_size=0.1, test_size=0.3))
    assert [len(part[1]) for part in parts] == [1078, 180, 539]
    ours = torch.cat([part[0] for part in parts]).flatten(1).double().numpy()
    theirs = load_digits().data
    assert np.array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_training_learns() -> None:
    hparams = DigitsHparams()
    task = Digits()
    (x, y), (x_test, y_test) = task.datasets(hparams)
    torch.manual_seed(0)
    model = task.model(hparams)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for rows in torch.randperm(len(y)).split(32) * 3:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    assert (model(x_test).argmax(1) == y_test).float().mean() > 0.93


@pytest.mark.parametrize("loss", ["MSELoss", "NLLLoss", "BCELoss"])
def test_losses_that_make_no_sense(loss: str) -> None:
    with pytest.raises(ValueError, match="does not suit classes"):
        DigitsHparams(loss=loss)


@pytest.mark.parametrize("name", ["digits", "digits-cnn", "tabular-breast-cancer", "tabular-diabetes"])
def test_preset(name: str) -> None:
    values = json.loads((PRESETS / f"{name}.json").read_text())
    description = values.pop("description")
    assert re.match(rf"tui-train --preset {name}: .*\d.* s on two CPU cores\.$", description)
    hparams_class = type(load_task(values["task"])).hparams_class
    hparams = hparams_class(**{**values, "epochs": 1})
    assert hparams.early_stopping_patience is None
    # A preset states what differs from the defaults and nothing else, but for the table that it is about.
    same = [key for key, value in values.items() if getattr(hparams_class(), key) == value and key != "table"]
    assert same == []
    assert issubclass(hparams_class, Hparams)
