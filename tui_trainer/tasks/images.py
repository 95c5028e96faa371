"""The built-in task `images`: classify images in folders, IDX files, arrays or saved data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tui_trainer.config.hparams import Field, Hparams
from tui_trainer.errors import UsageError
from tui_trainer.tasks.base import Task
from tui_trainer.tasks.digits import LOSSES

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from tui_trainer.datasets.image_files import Found, Labelled
    from tui_trainer.datasets.images import Format

_STATISTICS_OF = 2000
"""Mean and std of images that stay on disk are taken from this many, spread evenly over the training set."""


class ImagesHparams(Hparams):
    """Hyper-parameters of `Images`."""

    image_size: int | None = Field(
        None,
        ge=4,
        le=2048,
        group="Data",
        unit="pixels",
        on_resume="refused",
        description="Height and width that images are scaled to; none: their own if all are alike, else 64.",
    )
    channels: Literal["auto", "gray", "rgb"] = Field(
        "auto",
        group="Data",
        on_resume="refused",
        description="Colours of the input; auto: gray where every image is.",
    )
    label_column: str | None = Field(
        None,
        group="Data",
        max_length=1000,
        on_resume="refused",
        description="Column of the labels in Parquet or a saved data set; none: the one of classes.",
    )
    flip: bool = Field(
        False,
        group="Data",
        on_resume="warned",
        description="Mirror training images left and right at random.",
    )
    crop: int = Field(
        0,
        ge=0,
        le=512,
        group="Data",
        unit="pixels",
        on_resume="warned",
        description="Shift training images at random by up to this much.",
    )
    rotate: float = Field(
        0.0,
        ge=0,
        le=180,
        group="Data",
        unit="degrees",
        on_resume="warned",
        description="Turn training images at random by up to this much.",
    )
    network: Literal["cnn", "resnet"] = Field(
        "cnn", on_resume="refused", description="Convolutional (cnn) or residual (resnet)."
    )
    latent_dim: int = Field(
        16,
        ge=1,
        le=4096,
        unit="channels",
        log=True,
        on_resume="refused",
        description="Channels of the first stage; later ones double.",
    )
    n_layers: int = Field(
        3,
        ge=1,
        le=64,
        unit="stages",
        on_resume="refused",
        description="Stages of a cnn, or residual blocks of each of a resnet's three stages.",
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        unit="fraction",
        on_resume="warned",
        description="Part of the last features set to 0 in training.",
    )

    def cross_checks(self) -> Iterator[tuple[str, str]]:
        """Losses that make no sense for classes are refused."""
        yield from super().cross_checks()
        if self.loss not in LOSSES:
            yield "loss", f"{self.loss} does not suit classes; expected one of {', '.join(LOSSES)}"


class Images(Task):
    """Classify images: a folder for each class, train/ and test/ of such folders, MNIST's files, arrays.

    Arrays are a `.npz` or a folder of `.npy`. What Hugging Face's `datasets` saved and Parquet are read, too.

    A test set of the data's own is used as it is, and `test_size` only where there is none. Small sets are
    kept in memory; others are decoded when needed.
    """

    hparams_class = ImagesHparams
    metric_names: ClassVar = ("accuracy",)
    normalizes: ClassVar = True

    def __init__(self) -> None:
        self._form: Format | None = None
        self.classes: tuple[str, ...] = ()
        self._statistics: tuple[Tensor, Tensor] | None = None
        self._fitted = False

    def datasets(self, hparams: ImagesHparams) -> tuple[Any, ...]:
        """uint8 images [n, channels, h, w] and int64 targets: tensors in memory, or an `ImageDataset`.

        Raises:
            UsageError: no `dataset_path`, or a split without samples.
            FileError: data that can't be read; names the file or folder.
        """
        from tui_trainer.datasets import images as disk
        from tui_trainer.datasets.augment import Augmentation
        from tui_trainer.datasets.image_files import find_images, number_classes, numbered_as

        if hparams.dataset_path is None:
            raise UsageError(
                "no data set",
                "images needs the folder or file of the images",
                "--dataset_path FOLDER with a folder for each class, or with MNIST's files, or a .npz",
            )
        path = Path(hparams.dataset_path).expanduser()
        found = _divided(number_classes(find_images(path, hparams.label_column)), hparams)
        if self._fitted:
            found = numbered_as(found, self.classes)
        else:
            self._form = disk.choose_format(found.train, hparams.image_size, hparams.channels)
            self.classes = found.train.classes
        parts, form = (found.train, found.val, found.test), self._form
        assert form is not None
        in_memory = disk.fits_in_memory([part for part in parts if part is not None], form)
        augment = Augmentation(hparams.flip, hparams.crop, hparams.rotate)
        made = [self._made(part, in_memory, augment if part is found.train else None) for part in parts]
        train, val, test = made
        return (train, test) if val is None else (train, val, test)

    def _made(self, part: Labelled | None, in_memory: bool, augment: Any) -> Any:
        """A split's data set; the training split, the only one with an `augment`, also gives mean and std."""
        import torch

        from tui_trainer.datasets import images as disk

        assert self._form is not None
        if part is None:
            return None
        targets = torch.from_numpy(part.targets)
        images: Any = part.paths if part.pixels is None else part.pixels
        if in_memory:
            images = disk.load(images, self._form)
        if augment is not None and not self._fitted:
            step = 1 if in_memory else -(-len(images) // _STATISTICS_OF)
            some = images if in_memory else disk.load(images[::step], self._form)
            self._statistics = disk.channel_statistics(some)
        if isinstance(images, torch.Tensor) and not augment:
            return images, targets
        return disk.ImageDataset(images, targets, self._form, augment or None)

    def model(self, hparams: ImagesHparams) -> nn.Module:
        """A CNN or ResNet that holds each channel's mean and std and, as JSON bytes, the classes' names."""
        from tui_trainer.models.cnn import CNN
        from tui_trainer.models.layers import Standardize, json_tensor
        from tui_trainer.models.resnet import ResNet

        assert self._form is not None
        assert self._statistics is not None
        network = CNN if hparams.network == "cnn" else ResNet
        model = network(
            self._form.channels,
            self._form.size,
            hparams.latent_dim,
            hparams.n_layers,
            len(self.classes),
            hparams.dropout,
            Standardize(*self._statistics),
        )
        model.register_buffer("classes", json_tensor(list(self.classes)))
        return model

    def data_facts(self) -> dict[str, Any]:
        """Names of the classes, what images are brought to, and each channel's mean and std."""
        assert self._form is not None
        assert self._statistics is not None
        mean, std = (values.flatten().tolist() for values in self._statistics)
        size = {"size": list(self._form.size), "channels": self._form.channels}
        return {"classes": list(self.classes), **size, "mean": mean, "std": std}

    def use_data_facts(self, facts: Mapping[str, Any]) -> None:
        """Take all of it; images that are read later are taken likewise."""
        import torch

        from tui_trainer.datasets.images import Format

        height, width = facts["size"]
        self._form = Format((int(height), int(width)), int(facts["channels"]))
        self.classes = tuple(str(name) for name in facts["classes"])
        mean, std = (
            torch.tensor(facts[name], dtype=torch.float32)[:, None, None] for name in ("mean", "std")
        )
        self._statistics, self._fitted = (mean, std), True

    def read_inputs(self, hparams: ImagesHparams, path: Path) -> Iterator[tuple[dict[str, Any], Tensor]]:
        """An image file, every image below a folder, or images in a `.npy`, `.npz` or IDX file.

        Raises:
            FileError: there is no image, or one can't be read.
        """
        from tui_trainer.datasets.images import read_images

        assert self._form is not None
        return read_images(path, self._form)


def _divided(found: Found, hparams: ImagesHparams) -> Found:
    """Split off what the data do not bring along."""
    import dataclasses

    from tui_trainer.datasets.splits import split_indices

    train = found.train
    test_size = hparams.test_size if found.test is None else 0.0
    val_size = hparams.val_size if found.val is None else 0.0
    splits = split_indices(len(train.targets), test_size, val_size, hparams.seed, train.targets)

    def taken(rows: np.ndarray[Any, Any], given: Labelled | None) -> Labelled | None:
        return train.select(rows) if len(rows) else given

    return dataclasses.replace(
        found,
        train=train.select(splits.train),
        val=taken(splits.val, found.val),
        test=taken(splits.test, found.test),
    )
