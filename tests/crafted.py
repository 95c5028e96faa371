"""Files that no trainer wrote: archives around any pickle, tensors that claim what is not stored."""

from __future__ import annotations

import io
import os
import pickle
import resource
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass
class Stored:
    """A tensor's memory: record `data/{key}` of the archive, said to hold `numel` values."""

    key: str = "0"
    numel: int = 4
    kind: Any = torch.FloatStorage


class Call:
    """Is unpickled by calling a function."""

    def __init__(self, function: Callable[..., Any], *args: Any, state: Any = None) -> None:
        self._call = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self._call


def tensor(stored: Stored, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> Call:
    """A tensor as torch pickles it, with whatever is claimed of it."""
    rebuild = torch._utils._rebuild_tensor_v2
    return Call(rebuild, stored, offset, size, stride, False, OrderedDict())


class Runs:
    """Makes a folder when it is unpickled the usual way: the sign of code that ran."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self._marker),))


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, Stored):
            return ("storage", value.kind, value.key, "cpu", value.numel)
        return None


def pickled(value: Any, protocol: int = 2) -> bytes:
    data = io.BytesIO()
    _Pickler(data, protocol).dump(value)
    return data.getvalue()


def archive(
    path: Path, value: Any, records: Mapping[str, bytes] = {"0": bytes(16)}, protocol: int = 2
) -> Path:
    """Write an archive as torch lays it out, around a pickle of `value` or around these bytes."""
    data = value if isinstance(value, bytes) else pickled(value, protocol)
    writer = torch._C.PyTorchFileWriter(str(path))
    writer.write_record("data.pkl", data, len(data))
    writer.write_record("byteorder", b"little", 6)
    for key, content in records.items():
        writer.write_record(f"data/{key}", content, len(content))
    writer.write_end_of_file()
    return path


@contextmanager
def little_memory(more: int = 4 << 30) -> Iterator[None]:
    """What would fill the machine fails here, at so many bytes beyond what is in use."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
