"""What front ends ask of a live run, carried out at step boundaries. Light to import."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from tui_trainer.engine.clock import TrainingClock
from tui_trainer.engine.inbox import POLL_S, Inbox, by_request
from tui_trainer.engine.interrupt import TIME_LIMIT, StopNow, StopRequest
from tui_trainer.errors import FileError, TrainerError, UsageError
from tui_trainer.files import os_failure
from tui_trainer.runs.checkpoints import read_index, remove_entries, set_pinned
from tui_trainer.runs.control import Request
from tui_trainer.runs.writer import RunWriter

_ANYWHERE = ("pause", "unpause", "stop")
"""Actions that are carried out between two batches of an evaluation, too."""


class Controlled(Protocol):
    """What is controlled: the experiment."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""

    @property
    def epoch_in_training(self) -> int:
        """From 1; between two epochs the one that is over."""

    def elapsed(self) -> float:
        """Seconds of training."""

    def save_here(self) -> str:
        """Save a checkpoint of this place, unless there is one. Returns its path.

        Raises:
            FileError: it can't be written.
            TrainerError: the weights are poisoned, and must not take a good checkpoint's place.
        """

    def saving_stands(self) -> AbstractContextManager[None]:
        """While inside, no checkpoint is written: the index is the caller's to change."""

    def set_lr(self, lr: float) -> float:
        """Train on with this rate. Returns the one that the next step would have used."""


class Controls:
    """Carries out requests and records each as a `control` event.

    Args:
        writer: the record.
        stop: followed while paused, and asked whether a request to stop is still to be followed.
        inbox: where requests come from.
        clock: stands still while paused.

    Attributes:
        inbox: where requests come from; while its `requests` are empty there is nothing to do.
        stop_reason: why the run is to end with the epoch in training; None as long as nobody asked for that.
    """

    def __init__(self, writer: RunWriter, stop: StopRequest, inbox: Inbox, clock: TrainingClock) -> None:
        self.inbox = inbox
        self.clock = clock
        self.stop_reason: str | None = None
        self._writer = writer
        self._stop = stop
        self._paused = False

    def check_start(self, step: int = 0) -> None:
        """Leave if a stop was asked for while there is nothing to save. For the time before the first step.

        Raises:
            StopNow: the run is over.
            UsageError: the time that it was given is.
        """
        reason = self._stop.reason
        if reason is None or self._stop.saves:
            return
        self.settle(step)
        if reason.startswith(TIME_LIMIT):
            raise UsageError(
                "no time to train", f"{reason} comes before the first step", "give the job more time"
            )
        raise StopNow(reason)

    def settle(self, step: int) -> None:
        """The run is stopping: record the requests to stop that came since the last step boundary."""
        requests = self.inbox.requests
        while requests:
            request = requests.popleft()
            if request.action == "stop":
                self._record(request, step)

    def attend(self, run: Controlled, evaluating: bool = False) -> None:
        """Carry out what was asked for. While the run is paused this waits for more.

        Args:
            run: what is controlled.
            evaluating: it is in the middle of an evaluation: what needs a step boundary waits for one.
        """
        self._carry_out(run, evaluating)
        if self._paused and self._stop.reason is None:
            with self.clock.standing():
                while self._paused and self._stop.reason is None:
                    self.inbox.arrived.wait(POLL_S)
                    self.inbox.arrived.clear()
                    self._carry_out(run, evaluating)

    def _carry_out(self, run: Controlled, evaluating: bool) -> None:
        requests = self.inbox.requests
        kept = []
        while requests:
            request = requests.popleft()
            if evaluating and request.action not in _ANYWHERE:
                kept.append(request)
                continue
            facts: dict[str, Any] = {}
            try:
                facts = self._act(request, run)
            except TrainerError as error:
                # Only the request is refused: what is wrong with the run itself, training finds out.
                facts["error"] = str(error)
            except OSError as error:
                facts["error"] = os_failure(error, self._writer.layout.root)
            self._record(request, run.step, **facts)
        requests.extendleft(reversed(kept))

    def _record(self, request: Request, step: int, **facts: Any) -> None:
        asked = {"action": request.action, "value": request.value, "requested_by": request.requested_by}
        self._writer.event("control", **asked, request=request.id, step=step, **facts)

    def _act(self, request: Request, run: Controlled) -> dict[str, Any]:
        """Do it. Returns what the event tells beside the request."""
        action, value = request.action, request.value
        layout = self._writer.layout
        if action in ("pause", "unpause"):
            self._paused = action == "pause"
            return {"elapsed": run.elapsed()}
        if action == "stop":
            if value == "epoch_end":
                # The epoch has to come to its end.
                self._paused = False
                self.stop_reason = f"{by_request(request)}, at the end of epoch {run.epoch_in_training}"
            # To stop at once was heard when the request arrived.
            return {}
        if action == "save":
            return {"path": run.save_here()}
        if action == "set":
            return {"old": {"lr": run.set_lr(value["lr"])}}
        with run.saving_stands():
            if action == "rm":
                self._refuse_protected(value)
                remove_entries(layout, [value])
            elif value is None:
                self._writer.update(pinned=action == "pin")
            else:
                set_pinned(layout, value, action == "pin")
        return {}

    def _refuse_protected(self, tag: str) -> None:
        layout = self._writer.layout
        entry = next((entry for entry in read_index(layout) if entry["tag"] == tag), None)
        if entry is None:
            raise FileError("no such checkpoint", f"{layout.root} has no checkpoint {tag}")
        marks = [mark for mark in ("pinned", "best", "last") if entry.get(mark)]
        if marks:
            raise FileError(
                "checkpoint is protected", f"{layout.model_file(tag).name} is {' and '.join(marks)}"
            )
