"""Python values as strict JSON: non-finite numbers become strings, and nothing is refused.

JSON has no NaN, and a metric becomes NaN just when the record matters most. So the three non-finite
numbers are written as "NaN", "Infinity" and "-Infinity", which `as_number` turns back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui_trainer.files import read_plain, write_json

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_DEEPEST = 60
LARGEST = 64 << 20
"""Bytes of a JSON file: no record of ours comes near, and a larger one is not worth the memory."""


def number_text(value: float) -> str:
    """How a non-finite float is written."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def scalar(value: Any) -> Any:
    """A foreign object as something `json` knows: NumPy and torch scalars by `.item()`, the rest as text."""
    item = getattr(value, "item", None)
    if callable(item):
        try:
            found = item()
        except (TypeError, ValueError, RuntimeError):
            return str(value)
        return found if isinstance(found, (bool, int, float, str)) else str(found)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return str(value)


def plain(value: Any, depth: int = 0) -> Any:
    """A copy of `value` that strict JSON can hold, at any depth. Never raises.

    Nesting beyond 60 levels (a structure that contains itself) is cut off as text.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else number_text(value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): plain(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry, depth + 1) for entry in value]
    return plain(scalar(value), depth + 1)


def as_number(value: Any) -> float:
    """A recorded number as a float; "NaN", "Infinity" and "-Infinity" included. Anything else is NaN."""
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return NON_FINITE.get(value, math.nan) if isinstance(value, str) else math.nan


def loads(data: bytes | str) -> Any:
    """The JSON value of a text that may be anything.

    Raises:
        ValueError: it is no JSON, or nested beyond 60 levels, which would overflow whoever walks through it.
    """
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    text = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    if text.count(b"[") + text.count(b"{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise ValueError("nested too deeply")
    return value


def _depth(value: Any) -> int:
    """Containers inside each other, counted no further than is of interest."""
    depth, level = 0, [value]
    while level and depth <= _DEEPEST:
        inside = (part.values() if isinstance(part, dict) else part for part in level if _holds(part))
        level = [part for parts in inside for part in parts if _holds(part)]
        depth += 1
    return depth


def _holds(value: Any) -> bool:
    return isinstance(value, (dict, list))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when the file is missing, unreadable, or holds something else."""
    try:
        value = loads(read_plain(path, LARGEST))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_object(path: Path, value: Mapping[str, Any], durable: bool = True) -> None:
    """Replace `path` atomically by `value` as strict JSON.

    Raises:
        OSError: the file can't be written; the old one is untouched.
    """
    write_json(path, plain(value), durable)
