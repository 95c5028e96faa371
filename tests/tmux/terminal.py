"""A real terminal: tmux on a private socket at a fixed size. Keys go in, the screen comes out."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TUI_TRAIN = [sys.executable, "-m", "tui_trainer"]


class Terminal:
    """One tmux session with a shell in it.

    Args:
        folder: the shell's working directory.
        width: columns.
        height: rows.
        environment: of the shell, beside a minimal one.
    """

    def __init__(
        self, folder: Path, width: int = 80, height: int = 24, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._socket = f"tui-{uuid.uuid4().hex[:8]}"
        settings = {
            "PS1": "$ ",
            "TERM": "tmux-256color",
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "TUI_TRAIN_RUNS": str(folder / "runs"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
            **(environment or {}),
        }
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV")}
        shell = ["env", "-i", *(f"{k}={v}" for k, v in {**kept, **settings}.items())]
        shell += ["bash", "--noprofile", "--norc"]
        self._tmux(
            "-f", os.devnull, "new-session", "-d", "-x", str(width), "-y", str(height),
            "-c", str(folder), shlex.join(shell),
        )  # fmt: skip
        self._tmux("set-option", "-g", "status", "off")
        self._tmux("set-option", "-s", "escape-time", "0")
        self.prompt()

    def close(self) -> None:
        """End the session and whatever runs in it."""
        self._tmux("kill-server", check=False)

    def _tmux(self, *words: str, check: bool = True) -> str:
        command = ["tmux", "-L", self._socket, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        if check and done.returncode:
            raise AssertionError(f"{shlex.join(command)}: {done.stderr}")
        return done.stdout

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._tmux("send-keys", "-l", "--", text)

    def keys(self, *names: str) -> None:
        """Press keys by tmux's names: Enter, Escape, C-q, F3, Up, or a character."""
        self._tmux("send-keys", "--", *names)

    def run(self, *words: str) -> None:
        """Type a `tui-train` command line and press enter."""
        self.type(shlex.join([*TUI_TRAIN, *words]))
        self.keys("Enter")

    def command(self, text: str) -> None:
        """Type a shell command and press enter."""
        self.type(text)
        self.keys("Enter")

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self) -> str:
        """The screen as text."""
        return self._tmux("capture-pane", "-p")

    def lines(self) -> list[str]:
        return self.screen().splitlines()

    def colours(self) -> str:
        """The screen with its escape sequences."""
        return self._tmux("capture-pane", "-p", "-e")

    def see(self, *texts: str, seconds: float = 60.0) -> str:
        """Wait until the screen shows all of these texts, and return it."""

        def all_there() -> str:
            screen = self.screen()
            return screen if all(text in screen for text in texts) else ""

        return str(self.wait(all_there, " and ".join(map(repr, texts)), seconds))

    def gone(self, text: str, seconds: float = 60.0) -> str:
        """Wait until the screen does not show a text any more, and return it."""
        return str(self.wait(lambda: (s := self.screen()) and text not in s and s, f"{text!r} gone", seconds))

    def prompt(self, seconds: float = 60.0) -> str:
        """Wait until the shell's prompt is back on the last line in use, and return the screen."""

        def back() -> str:
            screen = self.screen()
            return screen if screen.rstrip("\n ").splitlines()[-1:] == ["$"] else ""

        return str(self.wait(back, "the prompt", seconds))

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
        """Poll until a condition holds, and return its value."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds} s for {what}; the screen shows\n{self.screen()}")
