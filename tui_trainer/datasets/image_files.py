"""Which images a data set holds: class folders, IDX files, arrays, or columns that pyarrow reads."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_trainer.datasets.arrays import Arrays, texts_of
from tui_trainer.datasets.arrow import ArrowData
from tui_trainer.datasets.arrow_images import ArrowImages, arrow_images
from tui_trainer.datasets.formats import format_of
from tui_trainer.datasets.idx import read_idx
from tui_trainer.datasets.labelled_arrays import HINT, Part, labelled_arrays
from tui_trainer.datasets.pixels import Pixels
from tui_trainer.datasets.splits import SPLIT_NAMES
from tui_trainer.errors import FileError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True)
class Labelled:
    """Images of one split, not decoded yet, or as an array.

    Attributes:
        classes: names of the classes, sorted; empty until `number_classes`.
        targets: int64 [n], indices into `classes`; before `number_classes` labels of any kind.
        paths: files of the images, empty for arrays.
        pixels: images of an array, None for files.
    """

    classes: tuple[str, ...]
    targets: NDArray[Any]
    paths: tuple[str, ...] | ArrowImages = ()
    pixels: Pixels | None = None

    def select(self, rows: NDArray[np.int64]) -> Labelled:
        """Those at these positions."""
        if isinstance(self.paths, tuple):
            paths: tuple[str, ...] | ArrowImages = (
                tuple(self.paths[row] for row in rows) if self.paths else ()
            )
        else:
            paths = self.paths.select(rows)
        pixels = None if self.pixels is None else self.pixels.select(rows)
        return Labelled(self.classes, self.targets[rows], paths, pixels)


@dataclass(frozen=True)
class Found:
    """What a data folder holds. `val` and `test` are None where the folder has no such part."""

    train: Labelled
    val: Labelled | None
    test: Labelled | None


def find_images(path: Path, label: str | None = None) -> Found:
    """Look at a data set: MNIST's files, or train/ (with val/, test/) of class folders, or class folders;
    `.npz` or a folder of `.npy`; Parquet, Arrow, or what Hugging Face's `datasets` saved.

    A val/ without a test/ is the test set.

    Args:
        path: a folder or file.
        label: the column of the labels; None: the one that is plainly meant.

    Raises:
        FileError: nothing of the kind is there, or what is there is not usable; names the file or folder.
    """
    kind = format_of(path)
    if kind in ("npy", "json", "text"):
        what = "is no folder of images" if os.path.exists(path) else "does not exist"
        hint = "dataset_path names a folder of images, a .npz of images and labels, or a saved data set"
        raise FileError("images not found", f"{path} {what}", hint)
    # An array or a table beside folders of classes is something else.
    classes = kind != "saved" and os.path.isdir(path) and any(os.path.isdir(each) for each in _visible(path))
    if kind == "arrays" and not classes:
        return _of_arrays(path)
    if kind in ("parquet", "arrow", "saved") and not classes:
        return _of_arrow(path, label)
    return _of_folder(path)


def _of_arrays(path: Path) -> Found:
    found = labelled_arrays(Arrays(path))
    if found is None:
        raise FileError("no images", f"{path} holds {', '.join(Arrays(path))}", HINT)

    def made(part: Part | None) -> Labelled | None:
        return None if part is None else Labelled((), _labels(part), (), Pixels.of(part.where, part.inputs))

    train = made(found.train)
    assert train is not None
    return Found(train, made(found.val), made(found.test))


def _labels(part: Part) -> NDArray[Any]:
    labels = part.targets
    if labels.dtype.kind in "US":
        try:
            return np.array(texts_of(labels))
        except ValueError as error:
            message = f"{part.where}: its labels are {error}"
            raise FileError("labels are no classes", message, "save them again") from error
    if labels.dtype.kind == "f" and (np.isfinite(labels) & (np.floor(labels) == labels)).all():
        return labels.astype(np.int64)
    if labels.dtype.kind not in "biu":
        message = f"{part.where}: its labels are {labels.dtype}, not whole numbers or texts"
        raise FileError("labels are no classes", message, "give a whole number or a text for each image")
    return np.asarray(labels)


def _of_arrow(path: Path, label: str | None) -> Found:
    train, val, test = (
        None if part is None else Labelled((), part[1], part[0])
        for part in arrow_images(ArrowData.open(path), label)
    )
    assert train is not None
    return Found(train, val, test)


def _of_folder(folder: Path) -> Found:
    pair = _read_idx_pair(folder, "train")
    if pair is not None:
        return Found(pair, None, _read_idx_pair(folder, "t10k") or _read_idx_pair(folder, "test"))
    train = _part(folder, "train")
    if train is None:
        return Found(_class_folders(folder), None, None)
    found = _class_folders(train)
    val, test = (
        None if part is None else _class_folders(part, found.classes)
        for part in (_part(folder, "val"), _part(folder, "test"))
    )
    # As in ImageNet, whose val/ is what results are reported on.
    return Found(found, val, test) if test is not None else Found(found, None, val)


def _part(folder: Path, split: str) -> Path | None:
    return next((folder / name for name in SPLIT_NAMES[split] if (folder / name).is_dir()), None)


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise FileError(
            "folder unreadable", f"{folder}: {error.strerror}", "check its permissions"
        ) from error


def _class_folders(folder: Path, known: tuple[str, ...] | None = None) -> Labelled:
    """Every folder inside `folder` is a class; its images may lie in folders of their own."""
    folders = [path for path in _visible(folder) if os.path.isdir(path)]
    if not folders:
        raise FileError(
            "no classes",
            f"{folder} holds neither a folder for each class nor IDX files such as train-images-idx3-ubyte",
            "put the images of each class into a folder that is named after it",
        )
    classes = tuple(path.name for path in folders)
    if known is None and len(classes) == 1:
        raise FileError(
            "a single class", f"{folder} holds one class folder only, {classes[0]}", "two are the least"
        )
    strange = sorted(set(classes) - set(known or classes))
    if strange:
        raise FileError(
            "unknown class",
            f"{folder} has {', '.join(strange)}, which the training set has not",
            "rename or remove it",
        )
    paths: list[str] = []
    targets: list[int] = []
    for path in folders:
        images = _images_below(path)
        if not images:
            raise FileError(
                "empty class folder",
                f"{path} holds no image",
                f"images are known by their endings: {' '.join(sorted(SUFFIXES))}",
            )
        paths += images
        targets += [(known or classes).index(path.name)] * len(images)
    return Labelled(known or classes, np.array(targets, np.int64), tuple(paths))


def _images_below(folder: Path) -> list[str]:
    found: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        named = (name for name in files if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."))
        found += sorted(os.path.join(place, name) for name in named)
    return found


def _idx(folder: Path, part: str, what: str, dims: int) -> Path | None:
    """`train-images-idx3-ubyte`, also with a dot, gzipped, or with a prefix as in EMNIST."""
    found = sorted(path for sep in ".-" for path in folder.glob(f"*{part}-{what}{sep}idx{dims}-ubyte*"))
    found = [path for path in found if path.name.endswith(("-ubyte", "-ubyte.gz"))]
    plain = {path.name.removesuffix(".gz"): path for path in reversed(found)}
    if len(plain) > 1:
        raise FileError(
            "several data sets", f"{folder} holds {', '.join(sorted(plain))}", "keep one in the folder"
        )
    return next(iter(plain.values()), None)


def _read_idx_pair(folder: Path, part: str) -> Labelled | None:
    images = _idx(folder, part, "images", 3)
    if images is None:
        return None
    labels = _idx(folder, part, "labels", 1)
    if labels is None:
        raise FileError(
            "labels not found", f"{folder} holds {images.name} but no {part}-labels-idx1-ubyte", "add it"
        )
    pixels, targets = read_idx(images, dims=3), read_idx(labels, dims=1)
    if pixels.dtype != np.uint8:
        raise FileError(
            "malformed IDX file", f"{images} holds {pixels.dtype}, not bytes", "images are unsigned bytes"
        )
    if len(pixels) != len(targets):
        raise FileError(
            "labels do not match",
            f"{images} holds {len(pixels):,} images, {labels} {len(targets):,} labels",
            "take both files from the same data set",
        )
    if pixels.size == 0:
        raise FileError("no images", f"{images} holds no image", "give it images")
    if targets.dtype.kind == "f":
        raise FileError(
            "malformed IDX file", f"{labels} holds {targets.dtype}, not whole numbers", "check the file"
        )
    return Labelled((), targets.astype(np.int64), (), Pixels.of(str(images), pixels))


def is_images(path: Path) -> bool:
    """Whether a path is taken for images by its name: a folder, or a file that ends as one."""
    return path.is_dir() or path.suffix.lower() in SUFFIXES


def images_at(path: Path) -> list[str]:
    """The files of an image, or of all images below a folder in the order of their paths.

    Raises:
        FileError: there is none.
    """
    if not path.is_dir():
        return [str(path)]
    found = _images_below(path)
    if not found:
        hint = f"images are known by their endings: {' '.join(sorted(SUFFIXES))}"
        raise FileError("no images", f"{path} holds no image", hint)
    return found


def numbered_as(found: Found, classes: tuple[str, ...]) -> Found:
    """The same images, whose classes get the numbers that they have among `classes`.

    Raises:
        FileError: a class that is not among them.
    """
    strange = sorted(set(found.train.classes) - set(classes))
    if strange:
        message = f"{', '.join(strange[:5])}, which the model does not know"
        raise FileError("unknown class", message, f"it knows {', '.join(classes[:20])}")
    numbers = np.array([classes.index(name) for name in found.train.classes], np.int64)

    def numbered(part: Labelled | None) -> Labelled | None:
        return None if part is None else replace(part, classes=classes, targets=numbers[part.targets])

    train = numbered(found.train)
    assert train is not None
    return Found(train, numbered(found.val), numbered(found.test))


def number_classes(found: Found) -> Found:
    """Turn labels (texts; numbers that may begin at 1, or leave some out) into indices of classes.

    Raises:
        FileError: a single class, or a test label that training lacks.
    """
    if found.train.classes:
        return found
    names = np.unique(found.train.targets)
    if len(names) == 1:
        raise FileError("a single class", f"all labels are {names[0]}", "give images of at least two classes")
    classes = tuple(str(name) for name in names)

    def numbered(part: Labelled | None) -> Labelled | None:
        if part is None:
            return None
        strange = np.setdiff1d(part.targets, names)
        if len(strange):
            raise FileError("unknown class", f"the test labels hold {strange[0]}, the training labels do not")
        return replace(part, classes=classes, targets=np.searchsorted(names, part.targets))

    train = numbered(found.train)
    assert train is not None
    return Found(train, numbered(found.val), numbered(found.test))
