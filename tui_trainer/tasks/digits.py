"""The built-in task `digits`: the smallest real data set, on every machine without a download."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tui_trainer.config.hparams import Field, Hparams
from tui_trainer.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

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
    classes: ClassVar = tuple("0123456789")

    def __init__(self) -> None:
        self._mean = 0.0
        self._std = 1.0
        self._fitted = False

    def datasets(self, hparams: DigitsHparams) -> tuple[Any, ...]:
        """uint8 [n, 1, 8, 8] from 0 to 16, and int64 [n]; splits are stratified by digit."""
        import torch
        from sklearn.datasets import load_digits

        from tui_trainer.datasets.splits import split_indices

        digits: Any = load_digits()
        splits = split_indices(
            len(digits.target), hparams.test_size, hparams.val_size, hparams.seed, digits.target
        )
        if not self._fitted:
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

    def data_facts(self) -> dict[str, Any]:
        """Names of the digits, and the pixels' mean and std."""
        return {"classes": list(self.classes), "mean": self._mean, "std": self._std}

    def use_data_facts(self, facts: Mapping[str, Any]) -> None:
        """Take mean and std; data that are read later are taken with them."""
        self._mean, self._std, self._fitted = float(facts["mean"]), float(facts["std"]), True

    def read_inputs(self, hparams: DigitsHparams, path: Path) -> Iterator[tuple[dict[str, Any], Tensor]]:
        """Images with light digits on a dark ground, or rows of 64 numbers from 0 to 16, as [1, 8, 8].

        Raises:
            FileError: what is there is neither.
        """
        from tui_trainer.datasets.image_files import is_images
        from tui_trainer.datasets.images import Format, read_images
        from tui_trainer.errors import FileError

        if is_images(path):
            for known, image in read_images(path, Format((8, 8), 1)):
                yield known, image / 255 * 16
            return
        from tui_trainer.datasets.inputs import read_rows

        for known, row in read_rows(path):
            if row.numel() != 64:
                message = (
                    f"{path}: {', '.join(f'{k} {v}' for k, v in known.items())} has {row.numel()} numbers"
                )
                raise FileError("not a digit of 8 × 8", message, "give 64 numbers from 0 to 16 a sample")
            yield known, row.reshape(1, 8, 8)
