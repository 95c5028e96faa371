"""A sample of any nesting, taken apart into named numbers and texts."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST_PARTS = 1000
"""Parts of a sample; what is beyond is left out."""

TARGETS = frozenset({"target", "targets", "label", "labels", "y", "class", "classes"})
"""Names under which a sample of named parts holds what the model is to give."""

_DEEPEST = 8
_NUMBERS = (bool, int, float, np.bool_, np.number)


@dataclass(frozen=True)
class Part:
    """One part of a sample.

    Attributes:
        name: `inputs`, `targets`, or its key.
        target: the model is to give it, as far as one can tell.
        value: a NumPy array of numbers, a text, None, or something else.
        dtype: as a person would write it.
    """

    name: str
    target: bool
    value: Any
    dtype: str


def parts_of(sample: Any) -> list[Part]:
    """The parts of a sample.

    Of a tuple or list, the last is the target, as for `Task.compute_loss`; of named parts, the one that is
    called so.
    """
    found = list(_parts(sample))
    return found[:MOST_PARTS]


def _parts(sample: Any) -> Iterator[Part]:
    named = _named(sample)
    if named is not None:
        for name, value in named.items():
            yield from _leaves(name, name.lower() in TARGETS, value, 1)
    elif _is_sequence(sample) and len(sample) > 0:
        *inputs, last = sample if len(sample) > 1 else (*sample, None)
        for number, value in enumerate(inputs):
            name = "inputs" if len(inputs) == 1 else f"inputs[{number}]"
            # Columns of a table need no word before their own.
            yield from _leaves(
                "" if _named(value) is not None and len(inputs) == 1 else name, False, value, 1
            )
        if len(sample) > 1:
            yield from _leaves("" if _named(last) is not None else "targets", True, last, 1)
    else:
        yield from _leaves("inputs", False, sample, 1)


def _named(value: Any) -> dict[str, Any] | None:
    """The parts of something that gives them names; None for anything else."""
    if isinstance(value, Mapping):
        return {str(key): part for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _is_sequence(value: Any) -> bool:
    """A list or tuple of parts, as opposed to one of plain numbers, which is a part."""
    return isinstance(value, (list, tuple)) and not _is_numbers(value)


def _is_numbers(value: Any) -> bool:
    # A tuple of two numbers is (input, target); a list of them is a row.
    return isinstance(value, list) and len(value) > 0 and all(isinstance(each, _NUMBERS) for each in value)


def _leaves(name: str, target: bool, value: Any, depth: int) -> Iterator[Part]:
    named = _named(value) if depth < _DEEPEST else None
    if named is not None:
        for key, part in named.items():
            yield from _leaves(f"{name}.{key}" if name else key, target, part, depth + 1)
    elif _is_sequence(value) and depth < _DEEPEST:
        for number, part in enumerate(value):
            yield from _leaves(f"{name}[{number}]", target, part, depth + 1)
    else:
        plain, dtype = _plain(value)
        yield Part(name or "inputs", target, plain, dtype)


def _plain(value: Any) -> tuple[Any, str]:
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        try:
            value = value.detach().cpu()
            value = value.to_dense() if value.layout != torch.strided else value
            return (value.float() if value.dtype == torch.bfloat16 else value).numpy(), dtype
        except (RuntimeError, TypeError, NotImplementedError):
            return value, dtype
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "biuf" else list(value.ravel()[:8]), str(value.dtype)
    if isinstance(value, _NUMBERS):
        return np.asarray(value), str(value.dtype) if hasattr(value, "dtype") else type(value).__name__
    if _is_numbers(value):
        return np.asarray(value), f"list of {type(value[0]).__name__}"
    if value is None or isinstance(value, str):
        return value, "text"
    if isinstance(value, bytes):
        return value.decode(errors="replace"), "bytes"
    if hasattr(value, "getbands") and hasattr(value, "convert"):
        # A picture of Pillow's, which torch can't make batches of.
        return np.asarray(value), f"PIL {value.mode}"
    return value, type(value).__name__


def digest(parts: list[Part]) -> bytes | None:
    """16 bytes that tell whether two samples have the same parts; None where that can't be known."""
    hashed = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part.value, np.ndarray):
            hashed.update(f"{part.name}{part.value.dtype}{part.value.shape}".encode())
            hashed.update(np.ascontiguousarray(part.value).data)
        elif part.value is None or isinstance(part.value, str):
            hashed.update(f"{part.name}{part.value!r}".encode(errors="replace"))
        else:
            return None
    return hashed.digest()
