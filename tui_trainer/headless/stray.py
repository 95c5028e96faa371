"""What a task prints itself while its run is shown: put in its place, never in the way."""

from __future__ import annotations

import io
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import IO, Any, cast

from tui_trainer.headless.sink import descriptor

_MOST = 10_000


class StrayOutput:
    """Text printed by other threads, kept until the printing thread shows it as whole lines.

    Without a lock: a loader process that is forked in mid-print must be able to print. Such a child writes to
    the stream itself.
    """

    def __init__(self) -> None:
        self._texts: deque[str] = deque(maxlen=_MOST)
        self._rest = ""
        self._pid = os.getpid()
        self.open = True

    def add(self, text: str) -> bool:
        """Keep a text. False if it should go to the stream itself."""
        if not self.open or os.getpid() != self._pid:
            return False
        self._texts.append(text)
        return True

    def take(self, final: bool = False) -> list[str]:
        """The lines completed since the last call.

        Args:
            final: give an unfinished last line too.
        """
        text = self._rest
        while self._texts:
            text += self._texts.popleft()
        *lines, self._rest = text.split("\n")
        if final and self._rest:
            lines.append(self._rest)
            self._rest = ""
        # Of a line that redraws itself (another progress bar) the last form counts.
        return [line.rstrip("\r").rpartition("\r")[2] for line in lines]


class _Stand(io.TextIOBase):
    """Stands in for sys.stdout or sys.stderr."""

    def __init__(self, stream: IO[str], stray: StrayOutput) -> None:
        self._stream = stream
        self._stray = stray

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def buffer(self) -> Any:
        return cast(Any, self._stream).buffer

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        if not self._stray.add(text):
            # A dead terminal is no reason for a training run to end.
            with suppress(OSError, ValueError):
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


@contextmanager
def held(stray: StrayOutput, names: tuple[str, ...]) -> Iterator[None]:
    """Let `stray` have what is printed to these streams of `sys` ("stdout", "stderr")."""
    before = {name: getattr(sys, name) for name in names}
    stands = {name: _Stand(stream, stray) for name, stream in before.items() if stream is not None}
    for name, stand in stands.items():
        setattr(sys, name, stand)
    try:
        yield
    finally:
        stray.open = False
        for name, stand in stands.items():
            # Somebody else may have put their own stream here since.
            if getattr(sys, name) is stand:
                setattr(sys, name, before[name])
        # What came after the last look.
        for line in stray.take(final=True):
            with suppress(OSError, ValueError):
                print(line, file=before.get(names[0]), flush=True)


@contextmanager
def stdout_kept_clean(out: IO[str], err: IO[str]) -> Iterator[int | None]:
    """Send everything that others write to stdout to stderr, C libraries and child processes included.

    Yields:
        A descriptor that still leads to the real stdout; None where it has none.
    """
    fd, err_fd = descriptor(out), descriptor(err)
    if fd is None or err_fd is None:
        with redirect_stdout(err):
            yield None
        return
    with suppress(OSError, ValueError):
        out.flush()
    saved = os.dup(fd)
    os.dup2(err_fd, fd, inheritable=True)
    try:
        yield saved
    finally:
        with suppress(OSError, ValueError):
            out.flush()
        os.dup2(saved, fd, inheritable=True)
        os.close(saved)
