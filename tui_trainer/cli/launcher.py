"""The small parent of an app: it waits, passes signals on, and leaves a usable terminal behind.

Forked before anything heavy is loaded. A training process can so outlive the command that a shell waits for,
and no crash, not even of the interpreter, leaves a terminal in raw mode. Standard library only.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tui_trainer.cli.commands import COMMANDS

Report = Callable[[str], None]
"""Tells the launcher that the child goes on without a terminal, and what to print before it leaves."""

HEADLESS = frozenset({"no-ui", "json", "quiet", "check", "detach", "help", "version"})
"""Options that never open the app."""

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
_REPORTED = signal.SIGUSR2
"""From the child: there is a report to read. SIGUSR1 is a person's, who asks for a checkpoint."""
_WAITED = {*_FORWARDED, _REPORTED, signal.SIGCHLD, signal.SIGALRM}
_PATIENCE_S = 10
_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_LEAVE_SCREEN = "".join(
    (
        "\x1b[?2026l",  # a frame that was never finished
        "\x1b[<u",  # kitty's keyboard; its stack belongs to the screen, so before leaving that
        "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l",  # mouse
        "\x1b[?2004l\x1b[?1004l\x1b[?2048l",  # bracketed paste, focus, resize in band
        "\x1b[?7h\x1b[?1049l\x1b[?25h\x1b[0m",  # wrap, screen, cursor, colours
    )
)


def opens_app(argv: Sequence[str]) -> bool:
    """Whether a command line wants the app, judged without parsing it. No value starts with two dashes."""
    first = argv[0] if argv else ""
    if first in COMMANDS and first != "attach":
        return False
    spelled = {word[2:].partition("=")[0].replace("_", "-") for word in argv if word.startswith("--")}
    return not spelled & HEADLESS and not {"-h", "-V"} & set(argv)


def supervise(child: Callable[[Report], int]) -> int:
    """Run `child` in a process of its own, in this process's group, and wait for it.

    Args:
        child: what to run; its result is the exit code. It never returns from here.

    Returns:
        The child's exit code, 128 + n if signal n ended it, 0 once it reported that it goes on alone.
    """
    terminal = _Terminal()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    launcher = os.getpid()
    # Without a handler some systems drop a blocked SIGCHLD.
    on_child = signal.signal(signal.SIGCHLD, lambda *_: None)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED)
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        signal.signal(signal.SIGCHLD, on_child)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        sys.exit(child(_reporter(writing, launcher)))
    os.close(writing)
    try:
        return _wait(pid, reading, terminal)
    finally:
        os.close(reading)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _reporter(fd: int, launcher: int) -> Report:
    def report(text: str) -> None:
        with suppress(OSError):
            os.write(fd, text.encode(errors="replace") + b"\n")
            os.close(fd)
            if os.getppid() == launcher:
                os.kill(launcher, _REPORTED)

    return report


def _wait(pid: int, reading: int, terminal: _Terminal) -> int:
    hung_up = False
    while True:
        number, from_terminal = _next_signal()
        if number == signal.SIGALRM:
            return 128 + signal.SIGHUP
        if number in _FORWARDED:
            # A terminal signals its whole group, but a hang-up only the leader of the session.
            if not from_terminal or number == signal.SIGHUP:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if number == signal.SIGHUP and not hung_up:
                hung_up = True
                signal.alarm(_PATIENCE_S)
            continue
        text = _read(reading)
        if text is not None:
            if text.strip():
                print(text.strip(), flush=True)
            return 128 + signal.SIGHUP if hung_up else 0
        done, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if done == 0:
            continue
        if os.WIFSTOPPED(status):
            # The shell's next word goes to the whole group, so the child needs no second one from here.
            os.kill(os.getpid(), signal.SIGSTOP)
            continue
        return _ended(status, terminal)


def _next_signal() -> tuple[int, bool]:
    """The next signal, and whether it came from the kernel: then the child has got it too."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(_WAITED)
        return info.si_signo, info.si_code > 0
    return signal.sigwait(_WAITED), False


def _read(fd: int) -> str | None:
    try:
        return os.read(fd, 4096).decode() or None
    except OSError:
        return None


def _ended(status: int, terminal: _Terminal) -> int:
    if not os.WIFSIGNALED(status):
        terminal.restore()
        return os.waitstatus_to_exitcode(status)
    number = os.WTERMSIG(status)
    terminal.restore()
    if number not in _HANDLED:
        print(_last_words(number), file=sys.stderr, flush=True)
    return 128 + number


def _last_words(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    reasons: dict[int, str] = {
        signal.SIGKILL: "often the kernel's way when memory runs out: dmesg tells",
        signal.SIGSEGV: "a crash in native code; the run's console.log may tell where",
        signal.SIGABRT: "native code gave up; the run's console.log may tell why",
        signal.SIGBUS: "a file that was cut short, or a full /dev/shm",
        signal.SIGILL: "native code built for another processor",
    }
    why = reasons.get(number)
    return (
        f"error: tui-train was ended by {name}{f': {why}' if why else ''}\n"
        "hint: tui-train runs lists what it trained as CRASHED; tui-train --resume RUN goes on with it"
    )


class _Terminal:
    """The terminal as it was before the app."""

    def __init__(self) -> None:
        self._modes = self._look()

    def restore(self) -> None:
        """Put everything back, if the app has not done so itself."""
        if self._modes is None or self._look() in (None, self._modes):
            return
        # Setting modes from the background would stop this process.
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with suppress(OSError, termios.error):
            os.write(2, _LEAVE_SCREEN.encode())
            termios.tcsetattr(2, termios.TCSAFLUSH, self._modes)
        signal.signal(signal.SIGTTOU, before)

    @staticmethod
    def _look() -> list[Any] | None:
        with suppress(OSError, termios.error):
            return termios.tcgetattr(2)
        return None
