"""How a run ends: its last event, the command after it, a start that is taken back. Light to import."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.engine.children import end_children
from tui_trainer.engine.interrupt import StopRequest, stop_on_signals, stopped_code
from tui_trainer.engine.on_end import run_on_end
from tui_trainer.errors import Exit, TrainerError
from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    from tui_trainer.engine.experiment import Experiment

PATIENCE_S = 5.0
"""How long the record of an abandoned run, and then its output, may take to be closed."""


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        run_id: the run's id.
        run_dir: its directory.
        status: finished or stopped.
        epochs: finished epochs.
        steps: optimizer steps done.
        metrics: the latest value of each metric.
        best: {metric, value, epoch} of the best evaluation; None without one.
        reason: why it ended.
    """

    run_id: str
    run_dir: Path
    status: str
    epochs: int
    steps: int
    metrics: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    reason: str = ""

    @property
    def exit_code(self) -> Exit:
        """The exit code of a command that ran it."""
        return stopped_code(self.reason) if self.status == "stopped" else Exit.OK


class Closing:
    """Ends a run, once: the loop does it, or for a loop that does not listen another thread.

    Args:
        writer: the record.
        stop: of the run.
        task: its name.
        showing: left when the record is complete.
        on_end: a shell command that is run when the record is closed.
        lasts: the run stays, even if nothing was trained: it was resumed, or the folder is somebody's choice.

    Attributes:
        experiment: tells how far the run has come; None before there is one.
    """

    def __init__(
        self,
        writer: RunWriter,
        stop: StopRequest,
        task: str,
        showing: ExitStack,
        on_end: str | None,
        lasts: bool,
    ) -> None:
        self.experiment: Experiment | None = None
        self._writer = writer
        self._stop = stop
        self._task = task
        self._showing = showing
        self._on_end = on_end
        self._lasts = lasts
        self._claim = threading.Lock()

    def claim(self) -> None:
        """The loop is over. Does not return if the run was abandoned before: the process is being ended."""
        if not self._claim.acquire(blocking=False):
            threading.Event().wait()

    def record(self, status: str, reason: str) -> Result:
        """Write the end of the record and let go of it."""
        writer, experiment = self._writer, self.experiment
        epochs = steps = 0
        metrics, best, spent = {}, None, {}
        if experiment is not None:
            epochs, steps = experiment.progress.epoch, experiment.progress.step
            metrics, best = experiment.latest, experiment.best
            # A start that failed says nothing about the time that training took before.
            spent = {"elapsed": experiment.seconds} if experiment.seconds else {}
        facts = {"epochs": epochs, "steps": steps, "best": best, "metrics": metrics}
        writer.event("run_end", status=status, reason=reason, **facts, **spent)
        writer.sync()
        writer.close(status=status, reason=reason)
        return Result(writer.run_id, writer.layout.root, status, epochs, steps, metrics, best, reason)

    def finish(self, outcome: Result | TrainerError) -> Path | None:
        """What follows a record that is closed: the command at the end, and a start that is taken back.

        Returns:
            The log of a start that failed; None for any other.
        """
        if self._on_end:
            run_on_end(self._on_end, self._writer.layout, self._told(outcome))
        if self._stop.saves or self._lasts:
            return None
        # Nothing is interrupted any more: a start is not taken back by half.
        with stop_on_signals(self._stop):
            return _take_back(self._writer, outcome)

    def abandon(self) -> Exit | None:
        """End the run from outside of its loop, which does not listen, before the process is ended.

        Returns:
            The exit code; None if the loop has come to its end by itself.
        """
        if not self._claim.acquire(blocking=False):
            return None
        stop = self._stop
        reason = stop.last_words or stop.reason or "killed"
        stop.announce("the run does not listen: leaving at once, without saving")
        end_children()
        if self.experiment is not None:
            with suppress(Exception):
                self.experiment.seconds = self.experiment.elapsed()
        results: list[Result] = []
        # The stuck thread may hold a lock of the record, and a blocked reader the output.
        if _within(PATIENCE_S, lambda: results.append(self.record("stopped", reason))):
            _within(PATIENCE_S, self._showing.close)
            with suppress(Exception):
                self.finish(results[0])
        return stopped_code(reason)

    def _told(self, outcome: Result | TrainerError) -> dict[str, str]:
        """What the command at the end is told, by name."""
        status, reason = (
            (outcome.status, outcome.reason) if isinstance(outcome, Result) else ("failed", str(outcome))
        )
        named = {"RUN_ID": self._writer.run_id, "TASK": self._task, "STATUS": status, "REASON": reason}
        return {**named, "EXIT_CODE": str(int(outcome.exit_code))}


def _within(seconds: float, work: Callable[[], object]) -> bool:
    """Do something in another thread. Returns whether it was done in time."""
    done = threading.Event()

    def run() -> None:
        with suppress(Exception):
            work()
            done.set()

    thread = threading.Thread(target=run, name="closing", daemon=True)
    thread.start()
    thread.join(seconds)
    return done.is_set()


def _take_back(writer: RunWriter, outcome: Result | TrainerError) -> Path | None:
    """Clear away a start that never trained. Returns where the log of one that failed went."""
    from platformdirs import user_log_path

    text = "stopped before the first step"
    if isinstance(outcome, TrainerError):
        cause = outcome.__cause__ or outcome
        text = f"{outcome.lines()}\n\n{''.join(traceback.format_exception(cause))}"
    log = writer.discard(user_log_path("tui-trainer", appauthor=False), text)
    return log if isinstance(outcome, TrainerError) else None
