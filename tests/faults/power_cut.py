"""What a disk may hold after a power cut: a model of what was made last, and of what was not.

What was written to a file since its last fsync may be there, torn, or zeros; names that came, went or changed
since the last fsync of their folder may be as before, in any combination.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults.tracing import Operation

Contents = dict[str, bytes]
"""A folder's files by path."""


@dataclass(eq=False)
class _File:
    data: bytes = b""
    synced: bytes = b""

    def write(self, data: bytes, offset: int) -> None:
        offset = len(self.data) if offset < 0 else offset
        self.data = self.data[:offset].ljust(offset, b"\0") + data + self.data[offset + len(data) :]

    def torn(self) -> bytes:
        """Half of what was not synced."""
        return self.data[: (len(self.synced) + len(self.data)) // 2]

    def zeroed(self) -> bytes:
        """The right length, but blocks that were never written."""
        return self.synced[: len(self.data)].ljust(len(self.data), b"\0")


@dataclass
class _Folder:
    names: dict[str, _File] = field(default_factory=dict)
    synced: dict[str, _File] = field(default_factory=dict)
    changes: list[tuple[str, _File | None]] = field(default_factory=list)

    def set(self, path: str, file: _File | None) -> None:
        self.changes.append((path, file))
        _change(self.names, path, file)

    def sync(self) -> None:
        self.synced, self.changes = dict(self.names), []


class Disk:
    """A folder and those in it, with everything in them on the disk for good.

    Args:
        root: what is there at first.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, _Folder] = {}
        for path in root.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                self._folder(str(path)).names[str(path)] = _File(data, data)
        for folder in self._folders.values():
            folder.sync()

    def do(self, operation: Operation) -> None:
        """Follow one operation; those outside of the folder are none of this disk's."""
        if not Path(operation.path).is_relative_to(self._root):
            return
        path, folder = operation.path, self._folder(operation.path)
        file = folder.names.get(path)
        match operation.kind:
            case "create":
                folder.set(path, _File())
            case "truncate" if file is not None:
                file.data = b""
            case "write" if file is not None:
                file.write(operation.data, operation.offset)
            case "fsync" if file is not None:
                file.synced = file.data
            case "fsync" if path in self._folders:
                self._folders[path].sync()
            case "unlink":
                folder.set(path, None)
            case "rename" | "link":
                self._folder(operation.target).set(operation.target, file)
                if operation.kind == "rename":
                    folder.set(path, None)

    def after_power_cut(self, dice: Random) -> Iterator[Contents]:
        """Some of the states that a power cut at this moment may leave, the extreme ones among them."""
        contents: tuple[Callable[[_File], bytes], ...] = (
            lambda file: file.synced,
            _File.torn,
            _File.zeroed,
            lambda file: file.data,
        )
        names: tuple[Callable[[], bool], ...] = (
            lambda: False,
            lambda: True,
            lambda: dice.random() < 0.5,
        )
        for happened in names:
            for content in contents:
                yield self._state(happened, content)

    def _state(self, happened: Callable[[], bool], content: Callable[[_File], bytes]) -> Contents:
        state: Contents = {}
        for folder in self._folders.values():
            files = dict(folder.synced)
            for path, file in folder.changes:
                if happened():
                    _change(files, path, file)
            state |= {path: content(file) for path, file in files.items()}
        return state

    def _folder(self, path: str) -> _Folder:
        return self._folders.setdefault(str(Path(path).parent), _Folder())


def _change(names: dict[str, _File], path: str, file: _File | None) -> None:
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file
