"""Stopping is an object with a reason, polled at step boundaries.

Front ends and signal handlers only leave a wish here; the loop decides when it is safe to follow it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from tui_trainer.errors import Exit

WITHOUT_SAVING = "without saving"
"""Part of the reason of a run that was told twice to stop."""
TIME_LIMIT = "time limit"
"""What the reason of a run begins with that had to be over by a given time."""
_SAME_S = 0.5


def stopped_code(reason: str) -> Exit:
    """The exit code of a command whose run was stopped for this reason."""
    return Exit.SIGTERM if reason.startswith(("SIGTERM", TIME_LIMIT)) else Exit.SIGINT


@dataclass
class StopRequest:
    """A wish that the run ends at the next step boundary and saves.

    Attributes:
        reason: who asked, for example "SIGINT"; None while nobody has.
        saves: there is trained state worth saving, so a signal only leaves its wish. Set by the loop.
        shielded: the record is being made, and nothing may tear that: a stop waits until it is. Set by the
            launch.
        leaving: the loop is over and the record is being closed, so there is nothing left to interrupt.
        last_words: the reason of a run that is left at once; empty for one that comes to its end.
        saves_asked: who asked for a checkpoint at the next step boundary, and was not heard yet.
        announce: told what a signal will lead to, at once; it runs inside the signal handler.
        abandon: for a process that is about to be ended because its loop does not listen: ends what the run
            left behind and closes its record. Gives the exit code; None if the loop has come to its end by
            itself. Set by the launch; None before there is a record.
    """

    reason: str | None = None
    saves: bool = False
    shielded: bool = False
    leaving: bool = False
    last_words: str = ""
    saves_asked: deque[str] = field(default_factory=deque)
    announce: Callable[[str], None] = lambda text: None
    abandon: Callable[[], Exit | None] | None = None

    def request(self, reason: str) -> None:
        """Ask for the stop. The first reason stays."""
        if self.reason is None:
            self.reason = reason

    def request_save(self, who: str) -> None:
        """Ask for a checkpoint at the next step boundary."""
        self.saves_asked.append(who)

    def leave(self, who: str) -> str:
        """Ask for the end at once. Returns the reason that the run ends with.

        Only the first call counts: the end of the record must not be torn.
        """
        self.request(who)
        if not self.leaving:
            self.leaving = True
            self.last_words = f"{who}, {WITHOUT_SAVING}" if self.saves else who
        return self.last_words


class StopNow(BaseException):
    """Leave at once without saving: nothing is trained yet, or the signal came twice.

    Not an `Exception`, so that no handler in a user's code swallows it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Echoes:
    """Tells a signal that comes again from its own echo.

    `timeout`, `srun` and launchers send one to the process and then to its group, so it gets two.

    Args:
        clock: seconds that only ever grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._latest: dict[int, float] = {}

    def is_echo(self, number: int) -> bool:
        """Whether this signal came a moment ago, too."""
        now = self._clock()
        if now - self._latest.get(number, -_SAME_S) < _SAME_S:
            return True
        self._latest[number] = now
        return False


@contextmanager
def stop_on_signals(stop: StopRequest) -> Iterator[None]:
    """While inside, signals are wishes. Only the main thread can handle them; elsewhere this does nothing.

    SIGINT and SIGTERM stop the run: at a step boundary with a save, the second time at once; before the first
    step at once. SIGUSR1 asks for a checkpoint. SIGHUP (the terminal is gone, the link dropped) changes
    nothing: training needs no terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    trainer = os.getpid()
    echoes = Echoes()
    signalled = False

    def handle(number: int, _: FrameType | None) -> None:
        if os.getpid() != trainer:
            # A forked child inherits this handler. It is not its run to stop.
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        # Whoever presses Ctrl-C twice means it, however fast.
        if number == signal.SIGTERM and echoes.is_echo(number):
            return
        nonlocal signalled
        name = signal.Signals(number).name
        # Only signals count: whoever presses Ctrl-C may not know that a stop was asked for elsewhere.
        again, signalled = signalled, True
        stop.request(name)
        if stop.leaving or stop.shielded:
            return
        if again or not stop.saves:
            # Once is enough: an impatient third Ctrl-C must not tear the end of the record.
            raise StopNow(stop.leave(name))
        stop.announce("stopping after this step, then saving; once more stops at once, without saving")

    def save(_: int, __: FrameType | None) -> None:
        if os.getpid() == trainer:
            stop.request_save("SIGUSR1")

    wanted = {signal.SIGINT: handle, signal.SIGTERM: handle, signal.SIGUSR1: save, signal.SIGHUP: _go_on}
    # A disposition of "ignore" was set on purpose (nohup, a background job of a plain shell) and stays.
    numbers = [n for n in wanted if n == signal.SIGUSR1 or signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, wanted[number]) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def survive_save_requests() -> None:
    """Take SIGUSR1 for a wish that nobody can follow yet, or any more, instead of dying of it.

    Not "ignore": commands that a task starts would inherit that.
    """
    signal.signal(signal.SIGUSR1, _go_on)


def _go_on(_: int, __: FrameType | None) -> None:
    """Nothing comes of this signal."""
