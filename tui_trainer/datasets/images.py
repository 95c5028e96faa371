"""Images on disk: a folder of images for each class, or IDX files; and random changes of training images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from tui_trainer.datasets.idx import read_idx
from tui_trainer.errors import FileError

Channels = Literal["auto", "gray", "rgb"]

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
TRAIN_FOLDERS, VAL_FOLDERS, TEST_FOLDERS = (
    ("train", "training"),
    ("val", "valid", "validation"),
    ("test", "testing"),
)

_GRAY_MODES = frozenset({"1", "L", "LA", "I", "F"})
_PROBED = 1000
_PROBE_SEED = 0
_IN_MEMORY_FILES = 128 << 20
_IN_MEMORY_PIXELS = 512 << 20


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
    if _idx(folder, "train", "images", 3) is not None:
        return Found(_read_idx_pair(folder, "train"), None, _read_idx_pair(folder, "t10k", _idx_name(folder)))
    train = _part(folder, TRAIN_FOLDERS)
    if train is None:
        return Found(_class_folders(folder), None, None)
    found = _class_folders(train)
    val, test = (
        None if part is None else _class_folders(part, found.classes)
        for part in (_part(folder, VAL_FOLDERS), _part(folder, TEST_FOLDERS))
    )
    # As in ImageNet, whose val/ is what results are reported on.
    return Found(found, val, test) if test is not None else Found(found, None, val)


def _part(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


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


def _idx_name(folder: Path) -> str:
    return "t10k" if _idx(folder, "t10k", "images", 3) is not None else "test"


def _read_idx_pair(folder: Path, part: str, name: str | None = None) -> Any:
    part = name or part
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


@dataclass(frozen=True)
class Format:
    """What images are brought to.

    Attributes:
        size: height and width, in pixels.
        channels: 1 gray, 3 RGB.
    """

    size: tuple[int, int]
    channels: int


def choose_format(part: Labelled, image_size: int | None, channels: Channels) -> Format:
    """The format of a data set's images, by looking at the headers of at most 1,000 of them.

    Without `image_size`: the images' own size where all are alike and at most 224 pixels, else 64 × 64.
    `auto` channels: gray where every image is.

    Raises:
        FileError: one of those images can't be read.
    """
    if part.pixels is not None:
        own = (int(part.pixels.shape[1]), int(part.pixels.shape[2]))
        return Format((image_size, image_size) if image_size else own, 3 if channels == "rgb" else 1)
    probed = np.random.PCG64(_PROBE_SEED).random_raw(len(part.paths)).argsort(kind="stable")[:_PROBED]
    sizes, modes = set(), set()
    for index in probed:
        with _opened(part.paths[index]) as image:
            sizes.add((image.height, image.width))
            modes.add(image.mode.split(";")[0])
    size = (image_size, image_size) if image_size else (64, 64)
    if image_size is None and len(sizes) == 1 and max(own := next(iter(sizes))) <= 224:
        size = own
    gray = channels == "gray" or (channels == "auto" and modes <= _GRAY_MODES)
    return Format(size, 1 if gray else 3)


class _opened:
    """An image file opened by Pillow; what Pillow raises becomes a `FileError` that names the file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._image: Any = None

    def __enter__(self) -> Any:
        from PIL import Image

        try:
            self._image = Image.open(self._path)
        except Exception as error:
            raise _unreadable(self._path, error) from error
        return self._image

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._image.close()
        # Pillow raises nearly anything on damaged data: OSError, SyntaxError, ValueError, struct.error, …
        if isinstance(error, Exception) and not isinstance(error, (FileError, MemoryError)):
            raise _unreadable(self._path, error) from error


def _unreadable(path: str, error: Exception) -> FileError:
    reason = "no image that Pillow knows" if type(error).__name__ == "UnidentifiedImageError" else str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    reason = reason or type(error).__name__
    return FileError(
        "image unreadable", f"{path}: {reason}", "replace the file or take it out of the data set"
    )


def decode(path: str, form: Format) -> NDArray[np.uint8]:
    """One image as uint8 [channels, height, width]; scaled to cover the size, then cut to its centre.

    Raises:
        FileError: it can't be read; names the file.
    """
    from PIL import Image, ImageOps

    height, width = form.size
    with _opened(path) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            image = Image.fromarray(_eight_bits(np.asarray(image)))
        image = image.convert("L" if form.channels == 1 else "RGB")
        if image.size != (width, height):
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        pixels = np.array(image, np.uint8)
    return pixels[None] if form.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit grays, which Pillow would clip at 255. Numbers that fit into a byte stay."""
    values = values.astype(np.float64)
    scale = 257.0 if values.size and values.max() > 255 else 1.0
    return np.clip(np.round(values / scale), 0, 255).astype(np.uint8)


def fits_in_memory(parts: Sequence[Labelled], form: Format) -> bool:
    """Whether decoding all images at once is quick (128 MiB of files) and small (512 MiB of pixels)."""
    paths = [path for part in parts for path in part.paths]
    if len(paths) * form.channels * form.size[0] * form.size[1] > _IN_MEMORY_PIXELS:
        return False
    total = 0
    for path in paths:
        try:
            total += os.path.getsize(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        if total > _IN_MEMORY_FILES:
            return False
    return True


def decode_all(paths: Sequence[str], form: Format) -> Tensor:
    """Images as uint8 [n, channels, height, width]. Threads: Pillow decodes outside of Python's lock."""
    pixels = torch.empty((len(paths), form.channels, *form.size), dtype=torch.uint8)
    array = pixels.numpy()

    def fill(index: int) -> None:
        array[index] = decode(paths[index], form)

    workers = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        for _ in workers.map(fill, range(len(paths))):
            pass
    finally:
        workers.shutdown(cancel_futures=True)
    return pixels


def resized(pixels: NDArray[np.uint8], form: Format) -> Tensor:
    """Gray images of an IDX file [n, h, w] as uint8 [n, channels, height, width]."""
    images = torch.from_numpy(pixels).unsqueeze(1)
    if tuple(images.shape[2:]) != form.size:
        pieces = [
            functional.interpolate(piece.float(), form.size, mode="bilinear", antialias=True)
            for piece in torch.split(images, 1024)
        ]
        images = torch.cat([piece.round().clamp(0, 255).to(torch.uint8) for piece in pieces])
    return images.expand(-1, form.channels, -1, -1).contiguous()


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and std of each channel over uint8 [n, channels, h, w], as float32 [channels, 1, 1]."""
    total = torch.zeros(images.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(total)
    for piece in torch.split(images, 1024):
        values = piece.double()
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    n = images.numel() / images.shape[1]
    mean = total / n
    std = (squares / n - mean.square()).clamp(min=0).sqrt()
    return mean.float()[:, None, None], std.float()[:, None, None]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a batch of images, drawn anew each time from torch's global random state.

    Attributes:
        flip: mirror left and right, each image with probability ½.
        crop: shift by up to this many pixels each way; the border is filled with the edge's own values.
        rotate: turn by up to this many degrees either way.
    """

    flip: bool = False
    crop: int = 0
    rotate: float = 0.0

    def __bool__(self) -> bool:
        return self.flip or self.crop > 0 or self.rotate > 0

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [batch, channels, height, width] -> the same."""
        n, _, height, width = images.shape
        if self.flip:
            mirrored = torch.rand(n) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        if self.crop:
            down = torch.randint(-self.crop, self.crop + 1, (n, 1))
            right = torch.randint(-self.crop, self.crop + 1, (n, 1))
            rows = (torch.arange(height) + down).clamp(0, height - 1)
            columns = (torch.arange(width) + right).clamp(0, width - 1)
            each = torch.arange(n)[:, None, None]
            images = images[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        if self.rotate:
            images = _turned(images, (torch.rand(n) * 2 - 1) * self.rotate)
        return images.contiguous()


def _turned(images: Tensor, degrees: Tensor) -> Tensor:
    height, width = images.shape[2:]
    angle = torch.deg2rad(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # affine_grid measures both sides from −1 to 1, so an image that is not square needs its ratio.
    matrix = torch.stack([cos, -sin * height / width, zero, sin * width / height, cos, zero], 1).view(
        -1, 2, 3
    )
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    turned = functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return turned.round().clamp(0, 255).to(torch.uint8)


Batch = tuple[Tensor, Tensor]


class ImageDataset(Dataset[Batch]):
    """Images that are decoded, or changed at random, when they are asked for.

    A batch is made at once: `__getitems__` returns (uint8 [batch, channels, h, w], int64 [batch]), which
    `collate_fn` passes on.

    Args:
        images: uint8 [n, channels, h, w], or the files of `n` images.
        targets: class indices, int64 [n].
        form: what files are brought to.
        augment: random changes; None for a test set.
    """

    def __init__(
        self,
        images: Tensor | Sequence[str],
        targets: Tensor,
        form: Format,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        # Reference counts of a list's texts would have each worker copy the list's memory.
        self._images = images if isinstance(images, Tensor) else np.array(images, np.str_)
        self.targets = targets
        self._form = form
        self._augment = augment

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Batch:
        images, targets = self.__getitems__([index])
        return images[0], targets[0]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The batch of these samples.

        Raises:
            FileError: an image that can't be read; names the file.
        """
        rows = torch.as_tensor(indices, dtype=torch.int64)
        if isinstance(self._images, Tensor):
            images = self._images[rows]
        else:
            decoded = [decode(str(self._images[index]), self._form) for index in indices]
            images = torch.from_numpy(np.stack(decoded))
        return self._augment(images) if self._augment else images, self.targets[rows]

    @staticmethod
    def collate_fn(batch: Batch) -> Batch:
        """A batch of `__getitems__` as it is."""
        return batch
