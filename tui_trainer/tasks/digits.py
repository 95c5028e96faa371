"""The built-in task `digits`: the smallest real data set, on every machine without a download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tui_trainer.config.hparams import Field, Hparams
from tui_trainer.tasks.base import Task

if TYPE_CHECKING:
    from torch import nn

LOSSES = ("auto", "CrossEntropyLoss", "MultiMarginLoss")
"""Losses that take scores of classes and class indices."""


class DigitsHparams(Hparams):
    """Hyper-parameters of `Digits`."""

    network: Literal["mlp", "cnn"] = Field(
        "mlp", on_resume="refused", description="Fully connected (mlp) or convolutional (cnn)."
    )
    latent_dim: int = Field(
        128,
        ge=1,
        le=65_536,
        unit="units",
        log=True,
        on_resume="refused",
        description="Width of each hidden layer; of a cnn, channels of the first stage.",
    )
    n_layers: int = Field(
        3,
        ge=1,
        le=256,
        unit="layers",
        on_resume="refused",
        description="Hidden layers; of a cnn, stages of two convolutions.",
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        unit="fraction",
        on_resume="warned",
        description="Part of each hidden layer's units set to 0 in training.",
    )

    def cross_checks(self) -> Iterator[tuple[str, str]]:
        """Losses that make no sense for classes are refused."""
        yield from super().cross_checks()
        if self.loss not in LOSSES:
            yield "loss", f"{self.loss} does not suit classes; expected one of {', '.join(LOSSES)}"


class Digits(Task):
    """Classify scikit-learn's 1,797 handwritten digits of 8 × 8 pixels; no download."""

    hparams_class = DigitsHparams
    metric_names: ClassVar = ("accuracy",)
    normalizes: ClassVar = True

    def __init__(self) -> None:
        self._mean = 0.0
        self._std = 1.0

    def datasets(self, hparams: DigitsHparams) -> tuple[Any, ...]:
        """uint8 [n, 1, 8, 8] from 0 to 16, and int64 [n]; splits are stratified by digit."""
        import torch
        from sklearn.datasets import load_digits

        from tui_trainer.datasets.splits import split_indices

        digits: Any = load_digits()
        splits = split_indices(
            len(digits.target), hparams.test_size, hparams.val_size, hparams.seed, digits.target
        )
        pixels = digits.images[splits.train]
        self._mean, self._std = float(pixels.mean()), float(pixels.std())
        images = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)
        targets = torch.from_numpy(digits.target).long()
        return splits.datasets(lambda rows: (images[rows], targets[rows]))

    def model(self, hparams: DigitsHparams) -> nn.Module:
        """Pixels are standardised by one mean and std, which the model holds."""
        from tui_trainer.models.cnn import CNN
        from tui_trainer.models.layers import Standardize
        from tui_trainer.models.mlp import MLP

        first = Standardize(self._mean, self._std)
        if hparams.network == "mlp":
            return MLP(64, hparams.latent_dim, hparams.n_layers, 10, hparams.dropout, first)
        return CNN(1, (8, 8), hparams.latent_dim, hparams.n_layers, 10, hparams.dropout, first)
