"""Reading tracebacks: which frames are the user's, and what a loader process died of. Light to import."""

from __future__ import annotations

import inspect
import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple

_OURS = str(Path(__file__).resolve().parent.parent) + os.sep
_PYTHONS = str(Path(traceback.__file__).parent) + os.sep
_FRAME = re.compile(r'File "(.+?)", line (\d+)')
_HEAD = "Traceback (most recent call last):"
_MOST_SHOWN = 8
"""Frames of a traceback; of an endless recursion there are a thousand."""
_SHOWN_FIRST = 3


class Step(NamedTuple):
    """One frame of a traceback, with the lines at which it was left."""

    frame: FrameType
    summary: traceback.FrameSummary

    @property
    def users(self) -> bool:
        """Whether its code is the user's: neither ours nor a library's."""
        return not is_library(self.summary.filename)

    @property
    def ours(self) -> bool:
        return self.summary.filename.startswith(_OURS)


def locals_of(frame: FrameType) -> dict[str, Any]:
    """A frame's local variables, in a dict that nothing but the caller holds."""
    there = frame.f_locals
    values = dict(there)
    if isinstance(there, dict) and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        # Before Python 3.13 a frame keeps the dict that it gave away, even when it is cleared, and with it
        # tensors. A module's is no copy but the module itself.
        there.clear()
    return values


def steps(error: BaseException) -> Iterator[Step]:
    """The frames of an error's traceback, the outermost first."""
    trace: TracebackType | None = error.__traceback__
    for summary in traceback.extract_tb(trace):
        assert trace is not None
        yield Step(trace.tb_frame, summary)
        trace = trace.tb_next


def is_library(filename: str) -> bool:
    """Whether a file's code is not the user's: it is ours, Python's, or installed."""
    installed = "site-packages" in filename or "dist-packages" in filename
    return installed or filename.startswith((_OURS, _PYTHONS, "<"))


def user_frame(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost frame that is the user's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not is_library(frame.filename)]
    return frames[-1] if frames else None


def place(filename: str, line: int | str | None) -> str:
    """`my_task.py:31`, with the path as one would type it here."""
    try:
        # Neither can be said where the working directory is gone.
        path, here = Path(os.path.abspath(filename)), Path.cwd()
    except OSError:
        return f"{filename}:{line}"
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}:{line}"


def worker_traceback(error: BaseException) -> str | None:
    """The traceback of an exception that a loader process died of; None for any other exception."""
    text = str(error)
    head, found, listing = text.partition("Original Traceback (most recent call last):\n")
    return listing.rstrip() if found and head.startswith("Caught ") else None


def worker_place(listing: str) -> str | None:
    """Where the user's code was left, by the traceback of a loader process; None if it was in none."""
    frames = [(name, line) for name, line in _FRAME.findall(listing) if not is_library(name)]
    return place(*frames[-1]) if frames else None


def user_traceback(error: BaseException) -> str | None:
    """The traceback with the user's frames alone; None where no frame is the user's."""
    worker = worker_traceback(error)
    if worker is not None:
        return _users_part(worker)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not is_library(frame.filename)]
    if not frames:
        return None
    listing = traceback.format_list(frames)
    left_out = len(listing) - _MOST_SHOWN
    if left_out > 0:
        listing[_SHOWN_FIRST : _SHOWN_FIRST + left_out] = [f"  … {left_out:,} more frames …\n"]
    # The last part only: a chain of exceptions is told by --traceback.
    said = "".join(traceback.format_exception_only(error)).rstrip()
    return f"{_HEAD}\n{''.join(listing)}{said}"


def _users_part(listing: str) -> str:
    """A traceback that is text, with the user's frames alone; all of it where none is the user's."""
    head: list[str] = []
    frames: list[list[str]] = []
    tail: list[str] = []
    for line in listing.splitlines():
        if _FRAME.search(line):
            frames.append([line])
        elif line.startswith(" ") and frames and not tail:
            frames[-1].append(line)
        elif frames:
            tail.append(line)
        else:
            head.append(line)
    users = [frame for frame in frames if (found := _FRAME.search(frame[0])) and not is_library(found[1])]
    if not users:
        return listing
    return "\n".join([_HEAD, *(line for frame in users for line in frame), *tail])
