"""The terminal itself: whether it can carry the app, its colours, what it is told, signals that come with it.

Light to import: the command line asks `why_unusable` before anything heavy is loaded.
"""

from __future__ import annotations

import os
import re
import select
import signal
import termios
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import IO, Any, Literal, Protocol

from tui_trainer.engine.interrupt import Echoes

_HOPELESS = ("", "dumb", "unknown")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_COLOUR = re.compile(rb"\x1b\]11;rgba?:([0-9a-fA-F]+)/([0-9a-fA-F]+)/([0-9a-fA-F]+)")
_ATTRIBUTES = re.compile(rb"\x1b\[\?[0-9;]*c")
_LONGEST = 200


def why_unusable(env: Mapping[str, str], stdin: IO[Any] | None, stderr: IO[Any] | None) -> str | None:
    """Why the app can't be shown here; None where it can.

    Args:
        env: the environment, for TERM.
        stdin: where keys come from.
        stderr: where the app is drawn.
    """
    for stream, name in ((stdin, "stdin"), (stderr, "stderr")):
        if not _is_terminal(stream):
            return f"{name} is no terminal"
    term = env.get("TERM", "")
    if term in _HOPELESS:
        return f"TERM={term}" if term else "TERM is not set"
    assert stdin is not None
    with suppress(OSError):
        # Drawing from the background would stop the process.
        if os.tcgetpgrp(stdin.fileno()) != os.getpgrp():
            return "in the background"
    return None


def _is_terminal(stream: IO[Any] | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (ValueError, OSError, AttributeError):
        return False


def background(
    timeout: float = 0.1,
    meanwhile: Callable[[], object] = lambda: None,
    env: Mapping[str, str] | None = None,
    stdin: int = 0,
    stdout: int = 2,
) -> Literal["dark", "light"] | None:
    """Ask the terminal for its background, before an app reads keys.

    A reply that came later would arrive as key presses. So a second question follows that every terminal
    answers: once that reply is there, no other can come. Multiplexers are not asked.

    Args:
        timeout: seconds to wait for the reply.
        meanwhile: done between question and answer, so that a slow link costs no waiting.
        env: the environment.
        stdin: where the reply comes from.
        stdout: where to ask.

    Returns:
        None where the terminal was not asked or did not answer.
    """
    env = os.environ if env is None else env
    term = env.get("TERM", "")
    silent = env.get("TMUX") or env.get("STY") or term in (*_HOPELESS, "linux")
    try:
        before = None if silent or term.startswith(("screen", "tmux")) else termios.tcgetattr(stdin)
    except termios.error:
        before = None
    if before is None:
        meanwhile()
        return None
    quiet = list(before)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    try:
        termios.tcsetattr(stdin, termios.TCSADRAIN, quiet)
        os.write(stdout, b"\x1b]11;?\x1b\\\x1b[c")
        meanwhile()
        reply = _read_reply(stdin, timeout)
    finally:
        # Discards what has come since.
        termios.tcsetattr(stdin, termios.TCSAFLUSH, before)
    return _brightness(reply)


def _read_reply(fd: int, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    reply = b""
    while not _ATTRIBUTES.search(reply):
        left = deadline - time.monotonic()
        # What has arrived already is read even when the time is over.
        if not select.select([fd], [], [], max(0.0, left))[0]:
            break
        data = os.read(fd, 1024)
        if not data:
            break
        reply += data
    return reply


def _brightness(reply: bytes) -> Literal["dark", "light"] | None:
    match = _COLOUR.search(reply)
    if match is None:
        return None
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in match.groups())
    return "light" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 else "dark"


def title(text: str) -> str:
    """The sequence that names the terminal's window or tab."""
    return f"\x1b]2;{_plain(text)}\x07"


PUSH_TITLE, POP_TITLE = "\x1b[22;2t", "\x1b[23;2t"
"""Let the terminal remember its title, and take it back. Terminals that can't do that ignore both."""


def bell() -> str:
    """The sequence that rings."""
    return "\a"


def notification(text: str, passthrough: Callable[[], bool] | None = None) -> str:
    """The sequence (OSC 9) that shows a notification on the desktop, where the terminal knows it.

    Args:
        text: what it says.
        passthrough: whether tmux lets wrapped sequences through; by default it is asked.
    """
    sequence = f"\x1b]9;{_plain(text)}\x07"
    if os.environ.get("TMUX") and (passthrough or _tmux_passes)():
        return f"\x1bPtmux;{sequence.replace(chr(27), chr(27) * 2)}\x1b\\"
    return sequence


def _tmux_passes() -> bool:
    import subprocess

    command = ["tmux", "display-message", "-p", "#{allow-passthrough}"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=0.5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() in ("1", "2", "on", "all")


def _plain(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()[:_LONGEST]


class Listener(Protocol):
    """An app that wants to hear of signals."""

    def on_signal(self, name: str) -> None:
        """SIGTERM, SIGINT, SIGHUP or SIGUSR1 came from outside."""


def listen_to_signals(app: Listener) -> None:
    """Call the app's `on_signal` in its loop, from which this is called. Does nothing for a headless app.

    Python's own handlers instead of the loop's: those write to a descriptor that forked processes inherit, so
    that a signal to a child would be taken for one to the app.
    """
    if getattr(app, "is_headless", False):
        return
    import asyncio
    import contextvars

    loop = asyncio.get_running_loop()
    # The app's, in which its timers and dialogs work.
    context = contextvars.copy_context()
    owner = os.getpid()
    echoes = Echoes()

    def handle(number: int, _: FrameType | None) -> None:
        if os.getpid() != owner or echoes.is_echo(number):
            return
        # Raised by a loop that is closed: the app is leaving, and what comes after it listens in a moment.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(app.on_signal, signal.Signals(number).name, context=context)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, handle)


def forget_handlers_in_children() -> None:
    """Give forked processes the usual answers to signals. An app's answers are not theirs."""

    def forget() -> None:
        with suppress(ValueError):
            signal.set_wakeup_fd(-1)
        for name in ("SIGTERM", "SIGHUP", "SIGWINCH", "SIGTSTP", "SIGCONT"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    os.register_at_fork(after_in_child=forget)
