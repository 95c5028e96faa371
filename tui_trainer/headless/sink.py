"""Where the output goes: writes that block only their own thread and never raise."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import IO, Any

_ASCII = str.maketrans({"★": "*", "·": "-", "…": "...", "×": "x", "━": "#", "─": "-", "—": "-", "°": " "})


class Sink:
    """A text stream over a file descriptor.

    Bytes go to the descriptor itself, past Python's buffer: a thread that is stuck in a write then holds no
    lock that the interpreter needs to exit, and a broken pipe leaves nothing behind that is flushed at exit.

    Args:
        stream: where to write.
        fd: write to this descriptor instead of the stream's own.

    Attributes:
        error: why writing ended for good; None while it works. Later writes are dropped.
        encoding: of the text.
    """

    def __init__(self, stream: IO[str], fd: int | None = None) -> None:
        self.error: str | None = None
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"
        self._stream = stream
        self._tty = False
        self._fd = fd
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
            self._tty = stream.isatty()
        if fd is None:
            # A stream without a descriptor (StringIO) raises io.UnsupportedOperation, which is both of these.
            with suppress(OSError, ValueError, AttributeError):
                self._fd = stream.fileno()

    def write(self, text: str) -> int:
        """Write all of `text`, however long that takes. What the encoding lacks is replaced by ASCII."""
        if self.error is not None:
            return len(text)
        try:
            data = text.encode(self.encoding, "strict")
        except UnicodeEncodeError:
            data = text.translate(_ASCII).encode(self.encoding, "replace")
        self._put(data, text)
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Write UTF-8 bytes as they are."""
        if self.error is None:
            self._put(data, None)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return self._tty

    def fileno(self) -> int:
        if self._fd is None:
            raise OSError("no file descriptor")
        return self._fd

    def _put(self, data: bytes, text: str | None) -> None:
        try:
            if self._fd is None:
                self._stream.write(data.decode("utf-8", "replace") if text is None else text)
                self._stream.flush()
            else:
                write_all(self._fd, data)
        except (OSError, ValueError) as error:
            self.error = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._let_go()

    def _let_go(self) -> None:
        """Point the dead descriptor at nothing: no later write (a user's print, the exit) meets it."""
        with suppress(OSError):
            if self._fd is not None:
                point_at_nothing(self._fd)


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a descriptor; waits where another process made it non-blocking.

    Raises:
        OSError: it can't be written.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])


def point_at_nothing(fd: int) -> None:
    """Make a descriptor another name of /dev/null.

    Raises:
        OSError: there is none.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, fd, inheritable=fd <= 2)
    finally:
        os.close(null)


def encodes(encoding: str, text: str) -> bool:
    """Whether an encoding has all of these characters."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def descriptor(stream: IO[Any] | None) -> int | None:
    """A stream's file descriptor; None where it has none."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
