"""What was asked of a run, and what came of it, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tui_trainer.headless.control_words import control_text
from tui_trainer.headless.words import one_line
from tui_trainer.runs.control import Request
from tui_trainer.runs.state import ACTIVE, RunState
from tui_trainer.ui.live_facts import Part

SLOW_S = 2.0
"""After this long a request that is still open is explained."""
SHOWN_S = 6.0
"""So long an outcome stays on the screen."""


class Asked:
    """Follows requests from the moment they are sent until the record has them.

    Args:
        clock: unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[str, tuple[Request, float]] = {}
        self._latest: Mapping[str, Any] | None = None
        self._known = False
        self._outcome: tuple[Part, float] | None = None

    def add(self, request: Request) -> None:
        """A request that was sent from here."""
        self._open[request.id] = (request, self._clock())
        # The record may have been read since the request was written, and hold what came of it.
        self._latest, self._known = None, False
        self._outcome = None

    def news(self, state: RunState, waiting: Sequence[Request], remote: bool) -> Part | None:
        """What is worth saying now.

        Args:
            state: of the run.
            waiting: the requests that its trainer has not taken yet, whoever sent them.
            remote: the trainer is on another machine.
        """
        now = self._clock()
        for event in self._new_events(state):
            self._open.pop(str(event.get("request")), None)
            self._outcome = (_outcome(event), now)
        if state.status not in ACTIVE:
            self._open.clear()
            self._outcome = None
            return None
        for request in waiting:
            self._open.setdefault(request.id, (request, now))
        if self._open:
            request, since = list(self._open.values())[-1]
            text = f"{request_text(request, state)} requested…"
            if now - since <= SLOW_S:
                return Part(text, 1, role="accent")
            why = "takes seconds over a network file system" if remote else "at the next step boundary"
            return Part(f"{text} {why}", 1, text, role="accent")
        if self._outcome is not None and now - self._outcome[1] <= SHOWN_S:
            return self._outcome[0]
        return None

    def pausing(self, state: RunState) -> bool:
        """Whether the run is paused, or will be once everything that was asked for is done."""
        wishes = [
            request.action for request, _ in self._open.values() if request.action in ("pause", "unpause")
        ]
        return wishes[-1] == "pause" if wishes else state.status == "paused"

    def _new_events(self, state: RunState) -> list[Mapping[str, Any]]:
        new: list[Mapping[str, Any]] = []
        for event in reversed(state.controls):
            if event is self._latest:
                break
            new.append(event)
        self._latest = state.controls[-1] if state.controls else None
        # What was recorded before somebody looked is no news, except what was asked from here.
        known, self._known = self._known, True
        new.reverse()
        return new if known else [event for event in new if str(event.get("request")) in self._open]


def request_text(request: Request, state: RunState) -> str:
    """What is asked for, in a word or some."""
    if request.action == "stop":
        return f"stop at the end of epoch {state.current_epoch}" if request.value == "epoch_end" else "stop"
    if request.action == "set":
        return f"lr {request.value['lr']:g}"
    return {"unpause": "going on", "rm": "deleting a checkpoint"}.get(
        request.action, one_line(request.action)
    )


def _outcome(event: Mapping[str, Any]) -> Part:
    return Part(control_text(event), 1, role="bad" if "error" in event else "good")
