"""Files that survive a kill: atomic replacement, durable append, locks. Standard library only."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import socket
import stat
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

_TEMPORARY = re.compile(r"\..+\.[0-9]+-[0-9a-f]+\.tmp")
_LARGEST_NOTE = 4096


def _temporary_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{time.monotonic_ns():x}.tmp")


def remove_temporaries(folder: Path) -> list[str]:
    """Delete what a killed process left of its unfinished replacements.

    Only for a folder that no living process writes to.

    Returns:
        The names of the deleted files.
    """
    removed = []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)
                removed.append(path.name)
    return removed


def fsync_dir(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut. File systems that can't sync folders are let off."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` and rename it over `path` on success.

    A reader sees the old file or the new one, never a mixture; after an exception the old one stays.

    Args:
        path: the file to replace or create.
        durable: also fsync the file and its folder, so that it survives a power cut.
    """
    temporary = _temporary_beside(path)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        fsync_dir(path.parent)


def write_bytes(path: Path, data: bytes, durable: bool = True) -> None:
    """Replace `path` atomically by `data`."""
    with replacing(path, durable) as file:
        file.write(data)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Replace `path` atomically by `value` as indented JSON with a final newline."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # A lone surrogate (an undecodable file name) becomes \udcXX, which JSON reads back.
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable)


def open_plain(path: Path, follow: bool = True) -> BufferedReader:
    """Open a file that may be anything for reading: a pipe or a device is refused instead of waited for.

    Args:
        path: the file.
        follow: whether a link at its end leads on.

    Raises:
        OSError: it can't be read, or is no plain file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        fd = os.open(path, flags)
    except ValueError as error:
        # A NUL in its name.
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return open(fd, "rb")


def read_plain(path: Path, most: int, follow: bool = True) -> bytes:
    """The content of a small file that may be anything.

    Args:
        path: the file.
        most: bytes that it may have.
        follow: whether a link at its end leads on.

    Raises:
        OSError: it can't be read, is no plain file, or is larger.
    """
    with open_plain(path, follow) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
    return data


def os_failure(error: OSError, path: Path | str) -> str:
    """What the system refused, in words: `PATH: No space left on device`.

    Args:
        error: what it raised.
        path: named where the error names none.
    """
    return f"{error.filename or path}: {error.strerror or error}"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def create_only(path: Path, data: bytes) -> bool:
    """Create `path` holding all of `data`, or return False if it exists. Never a partly written file."""
    temporary = _temporary_beside(path)
    try:
        temporary.write_bytes(data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:
            # No hard links here (exFAT, some FUSE mounts): reserve the name, then replace it by the whole
            # file. A reader may meet the empty reservation for an instant.
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                return False
            os.replace(temporary, path)
        return True
    finally:
        temporary.unlink(missing_ok=True)


class LockHeld(Exception):
    """Another process (or another open of this one) holds the lock.

    Attributes:
        owner: what the holder wrote about itself: host, pid, started. Empty when unreadable.
    """

    def __init__(self, owner: dict[str, Any]) -> None:
        super().__init__(owner)
        self.owner = owner


class FileLock:
    """An exclusive `flock` on a file, held until `release` or the end of the process.

    The kernel drops it with the process, however that ends, so a lock that can be taken has no living
    owner on this machine; a pid in a file proves nothing in containers. A forked child does not inherit it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def acquire(self, patience_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> FileLock:
        """Take the lock and write down who holds it.

        Args:
            patience_s: how long to try. Viewers probe the lock for an instant, so one refusal proves nothing.
            clock: source of seconds.

        Raises:
            LockHeld: somebody else holds it.
            OSError: the file can't be opened, or its file system knows no locks.
        """
        # The lock outlives this call on purpose: it is the run's sign of life.
        file = open(self.path, "a+")
        try:
            self._wait(file, clock() + patience_s, clock)
            # On a full disk the lock matters more than the note about who holds it.
            with suppress(OSError):
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), json.dumps(_owner()).encode())
        except BaseException:
            file.close()
            raise
        self._file = file
        _held.add(self)
        return self

    def _wait(self, file: IO[str], deadline: float, clock: Callable[[], float]) -> None:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if clock() >= deadline:
                    raise LockHeld(read_owner(self.path)) from None
                time.sleep(0.02)
            else:
                return

    def touch(self) -> None:
        """Heartbeat: set the file's modification time to now."""
        if self._file is not None:
            with suppress(OSError):
                os.utime(self._file.fileno())

    def release(self) -> None:
        """Give the lock back. Harmless when it is not held."""
        if self._file is not None:
            # Closing alone would leave it held by a child that was spawned with this file open.
            with suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_UN)
            self._forget()

    def _forget(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        _held.discard(self)


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    # A forked loader worker shares its parent's open files; one that outlives a killed trainer would go on
    # holding the lock and make a dead run look alive.
    for lock in list(_held):
        lock._forget()


os.register_at_fork(after_in_child=_forget_in_child)


def _owner() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": time.time()}


def read_owner(path: Path) -> dict[str, Any]:
    """Who wrote itself into a lock file; empty when there is nothing readable."""
    try:
        owner = json.loads(read_plain(path, _LARGEST_NOTE))
    except (OSError, ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) else {}


def lock_is_held(path: Path) -> bool:
    """Whether a living process of this machine holds the lock on `path`. Takes it for an instant at most."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        fcntl.flock(fd, fcntl.LOCK_UN)
        return False
    finally:
        os.close(fd)
