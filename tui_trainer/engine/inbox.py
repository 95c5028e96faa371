"""Requests on their way to the loop: a thread takes them out of the run's control folder. Light to import."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from tui_trainer.engine.clock import Periodic
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.runs import control
from tui_trainer.runs.control import Request
from tui_trainer.runs.layout import RunLayout

POLL_S = 0.1
BACKOFF_S = 1.0
_REPORTS = 20


class Inbox:
    """Polls the control folder beside the loop, which only looks at `requests`.

    A wish to stop at once reaches the `StopRequest` from here, so that an evaluation or a phase before the
    first step notices it too; a wish for a save that was left there becomes a request.

    Args:
        layout: the run's paths.
        stop: told of a wish to stop at once.
        report: told about a file that was no request, in a sentence.

    Attributes:
        requests: what the loop has not carried out yet, oldest first.
        arrived: set when there may be something new in `requests`, or a stop.
    """

    def __init__(self, layout: RunLayout, stop: StopRequest, report: Callable[[str], None]) -> None:
        self.requests: deque[Request] = deque()
        self.arrived = threading.Event()
        self._layout = layout
        self._stop = stop
        self._report = report
        self._reported: set[str] = set()
        self._resting = 0
        self._looking = Periodic(self._look, POLL_S, "control-inbox")

    def start(self) -> None:
        """Begin to watch."""
        self._looking.start()

    def stop(self) -> None:
        """End the thread."""
        self._looking.stop()

    def _look(self) -> None:
        while self._stop.saves_asked:
            self._hear(control.new_request("save", None, self._stop.saves_asked.popleft()))
        if self._resting:
            self._resting -= 1
            return
        try:
            for request in control.take(self._layout, self._refuse):
                self._hear(request)
        except Exception:
            # The folder is gone or can't be read: training is worth more than being told about it.
            self._resting = round(BACKOFF_S / POLL_S)

    def _hear(self, request: Request) -> None:
        self.requests.append(request)
        if (request.action, request.value) == ("stop", "now"):
            self._stop.request(by_request(request))
        self.arrived.set()

    def _refuse(self, name: str, why: str) -> None:
        if name not in self._reported and len(self._reported) < _REPORTS:
            self._reported.add(name)
            self._report(f"control/{name}: {why}")


def by_request(request: Request) -> str:
    """The reason of a run that ends because somebody asked for it."""
    return f"by request ({request.requested_by})"
