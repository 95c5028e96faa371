"""Stopping is an object with a reason, polled at step boundaries.

Front ends and signal handlers only leave a wish here; the loop decides when it is safe to follow it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

WITHOUT_SAVING = "without saving"
"""Part of the reason of a run that was told twice to stop."""


@dataclass
class StopRequest:
    """A wish that the run ends at the next step boundary and saves.

    Attributes:
        reason: who asked, for example "SIGINT"; None while nobody has.
        saves: there is trained state worth saving, so a signal only leaves its wish. Set by the loop.
        announce: told what a signal will lead to, at once; it runs inside the signal handler.
        leaving: the loop is over and the record is being closed, so there is nothing left to interrupt.
    """

    reason: str | None = None
    saves: bool = False
    leaving: bool = False
    announce: Callable[[str], None] = lambda text: None

    def request(self, reason: str) -> None:
        """Ask for the stop. The first reason stays."""
        if self.reason is None:
            self.reason = reason


class StopNow(BaseException):
    """Leave at once without saving: nothing is trained yet, or the signal came twice.

    Not an `Exception`, so that no handler in a user's code swallows it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def stop_on_signals(stop: StopRequest) -> Iterator[None]:
    """While inside, SIGINT and SIGTERM stop the run: at a step boundary with a save, the second time at once.

    SIGHUP (the terminal is gone, the link dropped) changes nothing: training needs no terminal. Only the main
    thread can handle signals; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    trainer = os.getpid()
    signalled = False

    def handle(number: int, _: FrameType | None) -> None:
        if os.getpid() != trainer:
            # A forked child inherits this handler. It is not its run to stop.
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        nonlocal signalled
        name = signal.Signals(number).name
        # Only signals count: whoever presses Ctrl-C may not know that a stop was asked for elsewhere.
        again, signalled = signalled, True
        stop.request(name)
        if stop.leaving:
            return
        if again or not stop.saves:
            # Once is enough: an impatient third Ctrl-C must not tear the end of the record.
            stop.leaving = True
            raise StopNow(f"{name}, {WITHOUT_SAVING}" if stop.saves else name)
        stop.announce("stopping after this step, then saving; once more stops at once, without saving")

    # A disposition of "ignore" was set on purpose (nohup, a background job of a plain shell) and stays.
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in numbers}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
