"""Images to tensors: decoding, one size for all, mean and std, and a data set that decodes when asked."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
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

from tui_trainer.datasets.arrays import open_npy
from tui_trainer.datasets.arrow_images import ArrowImages, EncodedImage
from tui_trainer.datasets.formats import format_of
from tui_trainer.datasets.idx import read_idx
from tui_trainer.datasets.image_files import Labelled, images_at
from tui_trainer.datasets.inputs import inputs_of
from tui_trainer.datasets.pixels import Pixels
from tui_trainer.errors import FileError
from tui_trainer.files import open_plain

Channels = Literal["auto", "gray", "rgb"]

_GRAY_MODES = frozenset({"1", "L", "LA", "I", "F"})
_PROBED = 1000
_PROBE_SEED = 0
_PIECE = 256
_IN_MEMORY_FILES = 128 << 20
_IN_MEMORY_PIXELS = 512 << 20
_IN_MEMORY_ARRAY = 1 << 30
_PROGRAMS = frozenset({"EPS", "WMF"})
"""Formats of Pillow's that have other software run what a file holds."""
_LUMA = (0.299, 0.587, 0.114)


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
        _, depth, height, width = part.pixels.array.shape
        gray = channels == "gray" or (channels == "auto" and depth == 1)
        return Format((image_size, image_size) if image_size else (height, width), 1 if gray else 3)
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

    def __init__(self, path: str | EncodedImage) -> None:
        self._path = path
        self._image: Any = None
        self._file: Any = None

    def __enter__(self) -> Any:
        from PIL import Image

        file = self._path if isinstance(self._path, str) else self._path.opened()
        try:
            # Neither a pipe nor a device, which might never say anything.
            self._file = open_plain(Path(file)) if isinstance(file, str) else file
            self._image = Image.open(self._file)
            if self._image.format in _PROGRAMS:
                raise ValueError(f"{self._image.format} is drawn by a program inside of it")
        except Exception as error:
            self._close()
            raise _unreadable(self._path, error) from error
        return self._image

    def _close(self) -> None:
        for opened in (self._image, self._file):
            if opened is not None:
                opened.close()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._close()
        # Pillow raises nearly anything on damaged data: OSError, SyntaxError, ValueError, struct.error, …
        if isinstance(error, Exception) and not isinstance(error, (FileError, MemoryError)):
            raise _unreadable(self._path, error) from error


def _unreadable(path: str | EncodedImage, error: Exception) -> FileError:
    reason = "no image that Pillow knows" if type(error).__name__ == "UnidentifiedImageError" else str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    reason = reason or type(error).__name__
    return FileError(
        "image unreadable", f"{path}: {reason}", "replace the file or take it out of the data set"
    )


def decode(path: str | EncodedImage, form: Format) -> NDArray[np.uint8]:
    """One image as uint8 [channels, height, width]; scaled to cover the size, then cut to its centre.

    Raises:
        FileError: it can't be read; names the file.
    """
    from PIL import Image, ImageOps

    with _opened(path) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            image = Image.fromarray(_eight_bits(np.asarray(image)))
        return _brought_to(image, form)


def _brought_to(image: Any, form: Format) -> NDArray[np.uint8]:
    """Pillow's image as uint8 [channels, height, width]."""
    from PIL import Image, ImageOps

    height, width = form.size
    image = image.convert("L" if form.channels == 1 else "RGB")
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels = np.array(image, np.uint8)
    return pixels[None] if form.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_images(path: Path, form: Format) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Images without labels, one after the other.

    Args:
        path: an image, a folder of images, or a `.npy`, `.npz` or IDX file of them.
        form: what they are brought to.

    Yields:
        {"file": path below the folder} or {"row": number from 0}, and uint8 [channels, height, width].

    Raises:
        FileError: there is no image, or one can't be read.
    """
    pixels = _array_images(path)
    if pixels is not None:
        for start in range(0, len(pixels), _PIECE):
            for row, image in enumerate(resized(pixels[start : start + _PIECE], form), start):
                yield {"row": row}, image
        return
    folder = path if path.is_dir() else path.parent
    for file in images_at(path):
        try:
            image = decode(file, form)
        except FileError as error:
            if folder != path:
                error.hint = "give an image, a folder of them, or an array of them as .npy, .npz or IDX file"
            raise
        yield {"file": os.path.relpath(file, folder)}, torch.from_numpy(image)


def _array_images(path: Path) -> Pixels | None:
    """The images of a `.npy`, `.npz` or IDX file; None for any other."""
    if path.name.endswith(("-ubyte", "-ubyte.gz")):
        return Pixels.of(str(path), read_idx(path, dims=3))
    form = "folder" if path.is_dir() else format_of(path)
    if form == "arrays":
        return Pixels.of(*inputs_of(path))
    return Pixels.of(str(path), open_npy(path)) if form == "npy" else None


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit grays, which Pillow would clip at 255, and floats from 0 to 1. Other bytes stay."""
    most = values.max() if values.size else 0
    scale = 257.0 if most > 255 else 1 / 255 if values.dtype.kind == "f" and most <= 1 else 1.0
    values = np.nan_to_num(values.astype(np.float64))
    return np.clip(np.round(values / scale), 0, 255).astype(np.uint8)


def fits_in_memory(parts: Sequence[Labelled], form: Format) -> bool:
    """Whether having all images decoded is quick (128 MiB of files) and small (512 MiB of pixels).

    Of an array 1 GiB of pixels, since there is nothing to decode.
    """
    bytes_each = form.channels * form.size[0] * form.size[1]
    if any(part.pixels is not None for part in parts):
        return sum(len(part.pixels or ()) for part in parts) * bytes_each <= _IN_MEMORY_ARRAY
    if sum(len(part.paths) for part in parts) * bytes_each > _IN_MEMORY_PIXELS:
        return False
    total = 0
    for path in (path for part in parts for path in part.paths):
        try:
            total += os.path.getsize(path) if isinstance(path, str) else len(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        if total > _IN_MEMORY_FILES:
            return False
    return True


def decode_all(paths: Sequence[str] | ArrowImages, form: Format) -> Tensor:
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


def load(images: Pixels | ArrowImages | Sequence[str] | NDArray[np.uint8], form: Format) -> Tensor:
    """Images of any kind as uint8 [n, channels, height, width]."""
    if isinstance(images, Pixels):
        images = images[:]
    return resized(images, form) if isinstance(images, np.ndarray) else decode_all(images, form)


def resized(pixels: NDArray[np.uint8], form: Format) -> Tensor:
    """Images of an array [n, 1, 3 or 4, h, w] as uint8 [n, channels, height, width]."""
    images = torch.from_numpy(pixels)
    if images.shape[1] > form.channels:
        # Without the opacity; gray as Pillow has it, by the weights of ITU-R 601.
        images = images[:, :3]
        if form.channels == 1:
            weights = torch.tensor(_LUMA)[:, None, None]
            images = (images * weights).sum(1, keepdim=True).round().to(torch.uint8)
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


Batch = tuple[Tensor, Tensor]


class ImageDataset(Dataset[Batch]):
    """Images that are decoded, or changed at random, when they are asked for.

    A batch is made at once: `__getitems__` returns (uint8 [batch, channels, h, w], int64 [batch]), which
    `collate_fn` passes on.

    Args:
        images: uint8 [n, channels, h, w], or the files of `n` images, or an array of them.
        targets: class indices, int64 [n].
        form: what files are brought to.
        augment: random changes; None for a test set.
    """

    def __init__(
        self,
        images: Tensor | Pixels | ArrowImages | Sequence[str],
        targets: Tensor,
        form: Format,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        # Reference counts of a list's texts would have each worker copy the list's memory.
        self._images = np.array(images, np.str_) if isinstance(images, (tuple, list)) else images
        self.targets = targets
        self._form = form
        self._augment = augment

    def unaugmented(self) -> ImageDataset:
        """The same images, without random changes."""
        plain = copy.copy(self)
        plain._augment = None
        return plain

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
        elif isinstance(self._images, Pixels):
            images = resized(self._images[indices], self._form)
        else:
            files = (self._images[index] for index in indices)
            decoded = [
                decode(file if isinstance(file, EncodedImage) else str(file), self._form) for file in files
            ]
            images = torch.from_numpy(np.stack(decoded))
        return self._augment(images) if self._augment else images, self.targets[rows]

    @staticmethod
    def collate_fn(batch: Batch) -> Batch:
        """A batch of `__getitems__` as it is."""
        return batch
