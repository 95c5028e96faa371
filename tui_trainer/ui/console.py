"""Keeping the terminal for the app alone: whatever else is written goes to a file."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from tui_trainer.headless.sink import write_all

_STREAMS = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
_MOST = 64 << 10


class FdStream(io.TextIOBase):
    """Text to a file descriptor, whatever that leads to at the time. Never raises: nobody could act on it.

    Args:
        fd: the descriptor.
        encoding: characters it lacks become question marks.
        buffered: hold text back until `flush`.
    """

    def __init__(self, fd: int, encoding: str = "utf-8", buffered: bool = False) -> None:
        self._fd = fd
        self._encoding = encoding
        self._buffered = buffered
        self._waiting: list[bytes] = []
        self._size = 0
        self._raw: IO[bytes] | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    @property
    def buffer(self) -> IO[bytes]:
        if self._raw is None:
            self._raw = cast("IO[bytes]", io.FileIO(self._fd, "w", closefd=False))
        return self._raw

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        data = text.encode(self._encoding, "replace")
        if self._buffered:
            self._waiting.append(data)
            self._size += len(data)
        if not self._buffered:
            self._put(data)
        elif self._size >= _MOST:
            self.flush()
        return len(text)

    def flush(self) -> None:
        waiting, self._waiting, self._size = self._waiting, [], 0
        if waiting:
            self._put(b"".join(waiting))

    def _put(self, data: bytes) -> None:
        # A terminal that has gone, a full disk: training goes on.
        with suppress(OSError, ValueError):
            write_all(self._fd, data)


class ConsoleRedirect:
    """While inside, only who asks for it by name reaches the terminal.

    Descriptors 1 and 2 lead to a file, so native code and child processes can't draw over the app, and 0 to
    nothing, so they can't take its keys. Textual finds the terminal in `sys.__stdin__`, `sys.__stdout__` and
    `sys.__stderr__`. All is put back on leaving, unless `let_go` was called.

    Attributes:
        screen: the way to the terminal.
    """

    def __enter__(self) -> ConsoleRedirect:
        self._stack = ExitStack()
        self._streams = {name: getattr(sys, name) for name in _STREAMS}
        self._flush()
        encoding = getattr(sys.__stderr__, "encoding", None) or "utf-8"
        self._saved = [os.dup(fd) for fd in (0, 1, 2)]
        self._log = self._stack.enter_context(tempfile.TemporaryFile())
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self._aim(self._log.fileno())
        keys = open(self._saved[0], closefd=False)
        self.screen = FdStream(self._saved[2], encoding, buffered=True)
        self._set(__stdin__=keys, __stdout__=self.screen, __stderr__=self.screen)
        self._claim()
        _open.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self.restore()
        self._close_terminal()
        self._stack.close()

    def restore(self) -> None:
        """Put everything back, unless the terminal was given up."""
        for fd, saved in enumerate(self._saved):
            os.dup2(saved, fd)
        if self._saved:
            self._set(**self._streams)

    @contextmanager
    def into(self, path: Path) -> Iterator[None]:
        """While inside, what is printed and written is appended to a file."""
        self._flush()
        with suppress(OSError), open(path, "ab", buffering=0) as file:
            self._aim(file.fileno())
        # The app has put its own in their place when it started.
        self._claim()
        try:
            yield
        finally:
            self._flush()
            self._aim(self._log.fileno())

    def say(self, text: str) -> None:
        """Write a line to the terminal, for when the app has left it."""
        self.send(f"{text}\n")

    def send(self, text: str) -> None:
        """Write to the terminal while the app does not draw. Nothing once it is given up."""
        if self._saved:
            self.screen.write(text)
            self.screen.flush()

    def let_go(self) -> None:
        """Give the terminal up for good: a run outlives it."""
        self._set(__stdin__=open(0, closefd=False), __stdout__=FdStream(1), __stderr__=FdStream(2))
        self._claim()
        self._close_terminal()

    def _claim(self) -> None:
        self._set(stdout=FdStream(1), stderr=FdStream(2))

    def _set(self, **streams: Any) -> None:
        for name, stream in streams.items():
            setattr(sys, name, stream)

    def _aim(self, fd: int) -> None:
        for target in (1, 2):
            os.dup2(fd, target)

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.flush()

    def _close_terminal(self) -> None:
        for fd in self._saved:
            os.close(fd)
        self._saved = []
        _open.discard(self)


_open: weakref.WeakSet[ConsoleRedirect] = weakref.WeakSet()


def _close_in_child() -> None:
    # A forked loader process may outlive the app; it must not hold on to a terminal that it never uses.
    for console in list(_open):
        console.let_go()


os.register_at_fork(after_in_child=_close_in_child)
