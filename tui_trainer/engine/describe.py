"""A value in a few words: its kind, dtype and shape, never its numbers. Loads nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

_MOST_PARTS = 6
_MOST_DEPTH = 3
_MOST_TEXT = 32


def describe(value: Any, depth: int = 0) -> str:
    """What a value of any nesting is.

    Args:
        value: a batch, a sample, an argument.
        depth: how deep in another value it lies.

    Returns:
        `float32 [32, 64]` for a tensor, with its device unless that is the CPU; `(float32 [32, 64], int64
        [32])` for a tuple of two; a number or a short text as it is, unless it lies in another value; a
        type's name for all else.
    """
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _array(value)
    if value is None or (isinstance(value, (bool, int, float)) and not depth):
        return repr(value)
    if isinstance(value, (str, bytes)) and not depth:
        return repr(value) if len(value) <= _MOST_TEXT else f"{repr(value[:_MOST_TEXT])[:-1]}…'"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if depth == _MOST_DEPTH:
        return type(value).__name__
    if isinstance(value, Mapping):
        return "{" + _parts([(f"{key}: ", part) for key, part in value.items()], depth) + "}"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        named = [(f"{name}=", part) for name, part in zip(value._fields, value, strict=True)]
        return f"{type(value).__name__}({_parts(named, depth)})"
    if isinstance(value, (tuple, list)):
        return _sequence(value, depth)
    if dataclasses.is_dataclass(value):
        named = [(f"{field.name}=", getattr(value, field.name)) for field in dataclasses.fields(value)]
        return f"{type(value).__name__}({_parts(named, depth)})"
    return type(value).__name__


def a(value: Any) -> str:
    """A value's type with its article: `a Tensor`, `an int`, `None`."""
    if value is None:
        return "None"
    name = f"class {value.__name__}" if isinstance(value, type) else type(value).__name__
    return f"{'the' if isinstance(value, type) else 'an' if name[0] in 'aeiouAEIO' else 'a'} {name}"


def _array(value: Any) -> str:
    dtype = str(value.dtype).removeprefix("torch.")
    kind = "" if hasattr(value, "device") and hasattr(value, "layout") else f"{type(value).__name__} "
    device = str(getattr(value, "device", "cpu")) if not kind else "cpu"
    where = "" if device == "cpu" else f" on {device}"
    return f"{kind}{dtype} {list(value.shape)}{where}"


def _sequence(value: Sequence[Any], depth: int) -> str:
    kinds = {type(part) for part in value}
    if len(value) > 2 and len(kinds) == 1 and (kind := kinds.pop()) in (str, int, float, bool, bytes):
        return f"{type(value).__name__} of {len(value)} {kind.__name__}"
    inside = _parts([("", part) for part in value], depth)
    return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"


def _parts(parts: Sequence[tuple[str, Any]], depth: int) -> str:
    told = [f"{name}{describe(part, depth + 1)}" for name, part in parts[:_MOST_PARTS]]
    if len(parts) > _MOST_PARTS:
        told.append(f"… {len(parts)} in all")
    return ", ".join(told)
