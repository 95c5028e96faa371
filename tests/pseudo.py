"""A pseudo-terminal: a process on it, what it draws as bytes, keys for it. For what tmux would hide."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


class PseudoTerminal:
    """A terminal of 80×24 without anything on it.

    Args:
        answers: what it replies to what is written to it.
    """

    def __init__(self, answers: Mapping[bytes, bytes] | None = None) -> None:
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.modes = termios.tcgetattr(self.slave)
        self._answers = dict(answers or {})
        self._drawn = bytearray()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a Python command line that has this terminal as its own."""
        options.setdefault("env", {**os.environ, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1"})
        # The new session takes the terminal, as a login shell would.
        owning = (
            "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
            "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", owning, *argv],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            **options,
        )
        self._processes.append(process)
        return process

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    @property
    def text(self) -> str:
        """All that was drawn so far, with its escape sequences."""
        return self._drawn.decode(errors="replace")

    @property
    def restored(self) -> bool:
        """Whether its modes are those it began with."""
        return termios.tcgetattr(self.slave) == self.modes

    def see(self, text: str, seconds: float = 60.0) -> None:
        """Wait until a text was drawn."""
        wait_until(lambda: text in self.text, f"{text!r}", seconds, lambda: self.text)

    def hang_up(self) -> None:
        """Close it, as a lost connection does."""
        master, self._master = self._master, -1
        # As long as it reads, the kernel keeps the terminal.
        self._reader.join()
        os.close(self.slave)
        os.close(master)

    def close(self) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, 9)
            process.wait()
        if self._master >= 0:
            self.hang_up()

    def _read(self) -> None:
        master = self._master
        with suppress(OSError):
            while self._master >= 0:
                if not select.select([master], [], [], 0.02)[0]:
                    continue
                self._drawn += os.read(master, 65536)
                for question, answer in list(self._answers.items()):
                    if question in self._drawn:
                        del self._answers[question]
                        os.write(master, answer)


def wait_until(
    condition: Callable[[], Any], what: str, seconds: float = 60.0, shown: Callable[[], str] = str
) -> Any:
    """Poll until a condition holds, and return its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s for {what}\n{shown()}")


def process_state(pid: int) -> str:
    """The letter of a process's state on Linux; empty once it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
