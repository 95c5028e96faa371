"""Samples to look at, in JSON: pictures as bytes, texts, and the first numbers of anything else."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tui_trainer.engine.data_report.facts import PartFacts
from tui_trainer.engine.data_report.parts import Part

LARGEST_SIDE = 64
"""Pixels of a picture's longer side, after it was made smaller."""

_LONGEST_TEXT = 600
_MOST_NUMBERS = 16
_LEAST_SIDE = 4
_CHANNELS = (1, 3, 4)


def example_of(
    index: int, parts: Sequence[Part], facts: Mapping[str, PartFacts], classes: Sequence[str]
) -> dict[str, Any]:
    """One sample.

    Args:
        index: in its split.
        parts: of it.
        facts: of all samples' parts, by name.
        classes: names of the classes.

    Returns:
        index and `parts`, each with name, target, and a `form`: "image" with height, width, channels (1 or 3)
        and `pixels` (base64 of bytes, row by row), "numbers" with shape and the first `values`, or "text".
    """
    shown = []
    for part in parts:
        whole = facts.get(part.name)
        shown.append({"name": part.name, "target": part.target, **_form(part, whole, classes)})
    return {"index": index, "parts": shown}


def _form(part: Part, whole: PartFacts | None, classes: Sequence[str]) -> dict[str, Any]:
    value = part.value
    if isinstance(value, np.ndarray):
        pixels = as_image(value)
        if pixels is not None:
            return _picture(pixels, whole)
        name = class_name(value.item(), classes) if part.target and value.ndim == 0 else None
        if name is not None:
            return {"form": "text", "text": name}
        first = [float(each) for each in value.ravel()[:_MOST_NUMBERS]]
        return {"form": "numbers", "shape": list(value.shape), "values": first}
    text = "" if value is None else value if isinstance(value, str) else repr(value)
    return {"form": "text", "text": text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"}


def class_name(value: Any, classes: Sequence[str]) -> str | None:
    """The name of a class index; None where it is none, or has no name."""
    # Targets may be NaN or infinite, which `int` does not take.
    return classes[int(value)] if value in range(len(classes)) else None


def as_image(array: NDArray[Any]) -> NDArray[Any] | None:
    """H×W×C or H×W of an array that is one, or C×H×W; None for what is no picture."""
    if array.ndim == 3 and array.shape[0] in _CHANNELS:
        array = array.transpose(1, 2, 0)
    if array.ndim not in (2, 3) or min(array.shape[:2]) < _LEAST_SIDE:
        return None
    return array if array.ndim == 2 or array.shape[2] in _CHANNELS else None


def _picture(pixels: NDArray[Any], whole: PartFacts | None) -> dict[str, Any]:
    height, width = pixels.shape[:2]
    shrink = min(1.0, LARGEST_SIDE / max(height, width))
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    summary = whole.summary if whole is not None else None
    low, high = 0.0, 255.0
    # Bytes that use their range are shown as they are; anything else is stretched over what occurs.
    if summary is not None and summary.min is not None and summary.max is not None:
        if pixels.dtype != np.uint8:
            low, high = summary.min, summary.max
        elif summary.max < 128:
            high = summary.max
    scaled = (np.nan_to_num(pixels.astype(np.float64)) - low) / max(high - low, 1e-12)
    planes = torch.from_numpy(np.clip(scaled, 0, 1).reshape(height, width, -1).transpose(2, 0, 1)[None])
    small = functional.interpolate(planes, size=size, mode="area")[0].numpy().transpose(1, 2, 0)
    if small.shape[2] == 4:
        small = small[:, :, :3] * small[:, :, 3:]
    data = (small * 255).round().astype(np.uint8)
    return {
        "form": "image",
        "height": size[0],
        "width": size[1],
        "channels": data.shape[2],
        "pixels": base64.b64encode(np.ascontiguousarray(data).tobytes()).decode(),
    }
