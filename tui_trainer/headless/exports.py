"""The formats of an export."""

from __future__ import annotations

from pathlib import Path

FORMATS = {
    "safetensors": (".safetensors", "weights, for other libraries"),
    "torch-export": (".pt2", "a graph that torch runs without your code"),
    "onnx": (".onnx", "a graph for ONNX runtimes"),
    "state-dict": (".pt", "a copy of the plain state_dict"),
}
"""Each with the ending of its files, and what it is good for."""


def other_format(path: Path, form: str) -> str | None:
    """The format that a file's ending promises where it is another one."""
    ending = path.suffix.lower()
    promised = next((name for name, (own, _) in FORMATS.items() if own == ending), None)
    return promised if promised != form else None
