"""File system operations as they happen, so that each can be told of, or be a process's last."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch


@dataclass(frozen=True)
class Operation:
    """One change of the file system, or the order to make one last.

    Attributes:
        kind: create, truncate, write, fsync, rename, link, unlink or mkdir; fsync of a folder too.
        path: what it was done to; of a rename and a link, the old name.
        target: the new name of a rename or a link.
        data: what was written.
        offset: where, in bytes.
    """

    kind: str
    path: str
    target: str = ""
    data: bytes = b""
    offset: int = 0


Tell = Callable[[Operation], None]


class _Raw(io.FileIO):
    """A file whose writes are told of."""

    def __init__(self, path: str, mode: str, tell: Tell) -> None:
        new = not os.path.exists(path)
        super().__init__(path, mode)
        self._tell, self._path = tell, os.fspath(path)
        if new:
            tell(Operation("create", self._path))
        elif "w" in mode:
            tell(Operation("truncate", self._path))

    def write(self, data: Any) -> int:
        before = self.tell()
        count = super().write(data)
        self._tell(Operation("write", self._path, data=bytes(data)[:count], offset=before))
        return count


@contextmanager
def traced(tell: Tell) -> Iterator[None]:
    """Tell of every operation of this process, after it was done, in the thread that did it."""
    system = {name: getattr(os, name) for name in ("open", "write", "pwrite", "fsync")}
    opening = io.open

    def name_of(fd: int) -> str:
        return os.readlink(f"/proc/self/fd/{fd}")

    def open_file(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **options: Any) -> Any:
        if not set(mode) & set("wxa+") or isinstance(file, int):
            return opening(file, mode, buffering, *args, **options)
        raw = _Raw(file, mode.replace("b", "").replace("t", ""), tell)
        buffered: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *args, **options)

    def open_fd(path: Any, flags: int, *args: Any, **options: Any) -> int:
        new = bool(flags & os.O_CREAT) and not os.path.exists(path)
        fd: int = system["open"](path, flags, *args, **options)
        if new:
            tell(Operation("create", os.fspath(path)))
        return fd

    def write(fd: int, data: Any) -> int:
        count: int = system["write"](fd, data)
        tell(Operation("write", name_of(fd), data=bytes(data)[:count], offset=-1))
        return count

    def pwrite(fd: int, data: Any, offset: int) -> int:
        count: int = system["pwrite"](fd, data, offset)
        tell(Operation("write", name_of(fd), data=bytes(data)[:count], offset=offset))
        return count

    def fsync(fd: int) -> None:
        system["fsync"](fd)
        tell(Operation("fsync", name_of(fd)))

    def moving(kind: str, call: Callable[..., None]) -> Callable[..., None]:
        def move(source: Any, target: Any, **options: Any) -> None:
            call(source, target, **options)
            tell(Operation(kind, os.fspath(source), os.fspath(target)))

        return move

    def changing(kind: str, call: Callable[..., None]) -> Callable[..., None]:
        def change(path: Any, *args: Any, **options: Any) -> None:
            call(path, *args, **options)
            tell(Operation(kind, os.fspath(path)))

        return change

    with ExitStack() as patches:
        for module in (builtins, io):
            patches.enter_context(patch.object(module, "open", open_file))
        for function in (write, pwrite, fsync):
            patches.enter_context(patch.object(os, function.__name__, function))
        patches.enter_context(patch.object(os, "open", open_fd))
        for kind, name in (("rename", "replace"), ("rename", "rename"), ("link", "link")):
            patches.enter_context(patch.object(os, name, moving(kind, getattr(os, name))))
        for kind, name in (("unlink", "unlink"), ("unlink", "remove"), ("mkdir", "mkdir")):
            patches.enter_context(patch.object(os, name, changing(kind, getattr(os, name))))
        yield
