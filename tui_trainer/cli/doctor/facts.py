"""Small facts about the machine, for checks to judge. What can't be found out is empty or None."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_TOOL_TIMEOUT_S = 3.0


def read(path: str | Path) -> str:
    """A file's text; empty when it can't be read."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def has_module(name: str) -> bool:
    """Whether a module could be imported. It is not: some are slow, some are broken."""
    from importlib.util import find_spec

    return find_spec(name) is not None


def version_of(distribution: str) -> str | None:
    """The installed version of a package; None when it is missing."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> tuple[int, int]:
    """Bytes available and in total."""
    import psutil

    found = psutil.virtual_memory()
    return int(found.available), int(found.total)


def platform_folder(function: str) -> Path:
    """A folder of tui-train's outside of runs, by the name of platformdirs' function for it."""
    import platformdirs

    folder: Path = getattr(platformdirs, function)("tui-trainer", appauthor=False)
    return folder


def compiler(env: Mapping[str, str]) -> str | None:
    """The C++ compiler that $CXX or the path offers; None for none."""
    names = (env.get("CXX") or "", "g++", "c++", "clang++")
    return next((path for name in names if name and (path := shutil.which(name.split()[0]))), None)


def ask(command: Sequence[str], timeout_s: float = _TOOL_TIMEOUT_S) -> str | None:
    """What a tool prints; None when it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
