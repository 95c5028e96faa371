"""A file that only grows, written so that no error reaches the caller and no byte is lost or doubled."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Write = Callable[[int, bytes, int], int]
"""`os.pwrite`: (file descriptor, data, offset) -> bytes written."""

# A long backlog is not copied whole for every attempt.
_CHUNK = 1 << 18


class AppendFile:
    """Records are added to a buffer and drained to the file at an explicit offset.

    Writing at an offset makes a retry harmless: after a short or failed write the same bytes go to the same
    place. While the file can't be written, records wait in memory; when `limit` bytes wait, new ones are
    dropped and counted.

    Args:
        path: the file, created if it is missing.
        limit: most bytes that may wait.
        write: the system call, a parameter for fault tests.

    Attributes:
        error: why the last attempt to write failed; None when it did not.
        dropped: records lost because too much was waiting.

    Raises:
        OSError: the file can't be opened.
    """

    def __init__(self, path: Path, limit: int = 16 << 20, write: Write = os.pwrite) -> None:
        self.name = path.name
        self.limit = limit
        self.error: str | None = None
        self.dropped = 0
        self._write = write
        self._pending = bytearray()
        self._draining = False
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        self._written = os.fstat(self._fd).st_size

    @property
    def end(self) -> int:
        """Bytes of the file once everything that waits is written."""
        return self._written + len(self._pending)

    @property
    def waiting(self) -> int:
        """Bytes in memory."""
        return len(self._pending)

    def add(self, record: bytes) -> None:
        """Put a whole record in line. After `close` it is dropped."""
        if self._fd < 0 or len(self._pending) + len(record) > self.limit:
            self.dropped += 1
            return
        self._pending += record

    def drain(self) -> None:
        """Write what waits, with one system call where the file takes it all. Sets `error`, never raises."""
        # A signal handler may come in here while this very thread is writing: it leaves its record in line.
        if self._draining or self._fd < 0:
            return
        self._draining = True
        try:
            while self._pending:
                count = self._write(self._fd, bytes(self._pending[:_CHUNK]), self._written)
                if count <= 0:
                    self.error = "nothing was written"
                    return
                self._written += count
                del self._pending[:count]
            self.error = None
        except OSError as error:
            self.error = error.strerror or str(error)
        finally:
            self._draining = False

    def sync(self) -> None:
        """fsync; an error is kept in `error`."""
        if self._fd < 0:
            return
        try:
            os.fsync(self._fd)
        except OSError as error:
            self.error = error.strerror or str(error)

    def close(self) -> None:
        """Close the file; what still waits is lost. Harmless twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
