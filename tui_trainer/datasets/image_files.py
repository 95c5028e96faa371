"""Which images a data folder holds: a folder of images for each class, or IDX files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tui_trainer.datasets.idx import read_idx
from tui_trainer.datasets.splits import SPLIT_NAMES
from tui_trainer.errors import FileError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True)
class Labelled:
    """Images of one split, not decoded yet, or as an array.

    Attributes:
        classes: names of the classes, sorted.
        targets: int64 [n], indices into `classes`.
        paths: files of the images, empty for IDX.
        pixels: uint8 [n, height, width] of IDX, None for files.
    """

    classes: tuple[str, ...]
    targets: NDArray[np.int64]
    paths: tuple[str, ...] = ()
    pixels: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Found:
    """What a data folder holds. `val` and `test` are None where the folder has no such part."""

    train: Labelled
    val: Labelled | None
    test: Labelled | None


def find_images(folder: Path) -> Found:
    """Look at a data folder: MNIST's files, or train/ (with val/, test/) of class folders, or class folders.

    A val/ without a test/ is the test set.

    Raises:
        FileError: nothing of the kind is there, or what is there is not usable; names the file or folder.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise FileError("images not found", f"{folder} {what}", "dataset_path must name a folder of images")
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
    folders = [path for path in _visible(folder) if path.is_dir()]
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
    return Labelled((), targets.astype(np.int64), (), pixels)


def number_classes(found: Found) -> Found:
    """Turn the labels of IDX files (which may begin at 1, or leave some out) into indices of classes.

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
        return Labelled(classes, np.searchsorted(names, part.targets), (), part.pixels)

    train = numbered(found.train)
    assert train is not None
    return Found(train, numbered(found.val), numbered(found.test))
