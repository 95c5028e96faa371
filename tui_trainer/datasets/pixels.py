"""Images that lie in an array: N × height × width, with channels last or first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_trainer.datasets.scratch import Scratch
from tui_trainer.errors import FileError

CHANNELS = (1, 3, 4)

_PIECE_BYTES = 16 << 20
_HINT = "images are numbers from 0 to 255, or from 0 to 1, of shape (samples, height, width, channels)"


@dataclass(frozen=True)
class Pixels:
    """Some of an array's images, which stay where they are.

    Attributes:
        array: uint8 [n, channels, height, width]; 1, 3 or 4 channels.
        rows: int64, which of them.
    """

    array: NDArray[np.uint8]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Images by position: uint8 [len(index), channels, height, width]."""
        chosen: NDArray[np.uint8] = self.array[self.rows[index]]
        return chosen

    def select(self, rows: NDArray[np.int64]) -> Pixels:
        """Those at these positions."""
        return Pixels(self.array, self.rows[rows])

    @classmethod
    def of(cls, where: str, array: NDArray[Any]) -> Pixels:
        """All images of an array.

        Args:
            where: its place, for messages.
            array: [n, h, w], [n, h, w, channels] or [n, channels, h, w]; uint8, or other numbers that mean
                0 to 255, 0 to 1, or 0 to 65,535.

        Raises:
            FileError: another shape, or numbers that are no pixels.
        """
        array = _channels_first(where, array)
        if array.size == 0:
            raise FileError("no images", f"{where} has the shape {array.shape}", "give it images")
        if array.dtype != np.uint8:
            array = _bytes(where, array)
        return cls(array, np.arange(len(array)))


def _channels_first(where: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim == 3:
        return array[:, None]
    last = array.ndim == 4 and array.shape[3] in CHANNELS
    first = array.ndim == 4 and array.shape[1] in CHANNELS
    if last and first and array.shape[1] != array.shape[3]:
        message = f"{where} has the shape {array.shape}; its channels may come first or last"
        raise FileError(
            "which are the channels?", message, "put the channels last: (samples, height, width, 3)"
        )
    if last:
        return np.moveaxis(array, 3, 1)
    if first:
        return array
    raise FileError("no images", f"{where} has the shape {array.shape}", _HINT)


def _bytes(where: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    """Numbers as bytes, by the range that all of them have."""
    if array.dtype.kind not in "biuf":
        raise FileError("no images", f"{where} holds {array.dtype}", _HINT)
    piece = _PIECE_BYTES // (array[0].size * 8) + 1
    pieces = [slice(start, start + piece) for start in range(0, len(array), piece)]
    least = min(float(array[each].min()) for each in pieces)
    most = max(float(array[each].max()) for each in pieces)
    if not (least >= 0 and most <= 65_535):
        message = f"{where} holds numbers from {least:g} to {most:g}"
        raise FileError("no pixels", message, _HINT)
    scale = 1.0 if most <= 255 else 255 / 65_535
    if most <= 1 and array.dtype.kind in "bf":
        scale = 255.0
    store = Scratch(1, array.size, np.uint8, array.size)
    for each in pieces:
        store.append(0, np.round(array[each] * scale).astype(np.uint8))
    return store.array(0).reshape(array.shape)
