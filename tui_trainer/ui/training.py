"""One run in a thread of this process."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from tui_trainer.engine.closing import Result
from tui_trainer.engine.failure import device_is_lost, explain
from tui_trainer.engine.interrupt import StopNow, StopRequest, stopped_code
from tui_trainer.engine.launch import Watch
from tui_trainer.errors import TrainerError
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.writer import RunWriter


class PlanLike(Protocol):
    """A command line that was read and found right."""

    @property
    def warnings(self) -> Sequence[str]:
        """What somebody should know before it starts."""

    def run(self, *, watch: Watch | None = None, stop: StopRequest | None = None) -> Result:
        """Train in the calling thread."""


class Killed(StopNow):
    """Leave at once, because somebody asked the app for it."""

    def __init__(self) -> None:
        super().__init__("killed")


class Training:
    """A run in a thread of this process, from the words of its command line to its end.

    Nothing that happens in the thread is lost: whatever it ends with is in `result` or `error`.

    Args:
        words: of a command line, without options of the app.
        make_plan: turns them into what runs them; called in the thread.
        on_change: called in the thread when the run's directory is known and at the end.

    Attributes:
        words: as given.
        run_dir: the run's directory, as soon as its record exists.
        stop: asks the run to stop.
        warnings: of the plan.
        result: how it ended; None before that, and where it failed.
        error: what it failed of.
        device_lost: it left a CUDA context in which nothing can be trained any more.
    """

    def __init__(
        self,
        words: list[str],
        make_plan: Callable[[list[str]], PlanLike],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.words = words
        self.run_dir: Path | None = None
        self.stop = StopRequest()
        self.warnings: tuple[str, ...] = ()
        self.result: Result | None = None
        self.error: TrainerError | None = None
        self.device_lost = False
        self._make_plan = make_plan
        self._on_change = on_change
        self._ended = threading.Event()
        self._writer: RunWriter | None = None
        # A daemon: a loop that does not listen must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)

    def start(self) -> None:
        """Begin. Returns at once."""
        self._thread.start()

    @property
    def live(self) -> bool:
        """Whether it has begun and not ended."""
        return self._thread.ident is not None and not self._ended.is_set()

    @property
    def trouble(self) -> str | None:
        """Why the run directory can't be written, which its record then can't tell; None when it can."""
        writer = self._writer
        return writer.trouble if writer is not None else None

    @property
    def log(self) -> Path | None:
        """Where its log is."""
        if self.error is not None and self.error.log is not None:
            return self.error.log
        path = RunLayout(self.run_dir).console_log if self.run_dir is not None else None
        return path if path is not None and os.path.isfile(path) else None

    @property
    def exit_code(self) -> int:
        """The exit code of a command that trained this."""
        if self.error is not None:
            return self.error.exit_code
        if self.result is not None:
            return self.result.exit_code
        return stopped_code(self.stop.reason or "")

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end. Returns whether it has come."""
        return self._ended.wait(timeout)

    def kill(self, who: str = "killed") -> None:
        """Leave the loop at once, without saving; the record is still closed. Only the first call counts.

        It takes effect at the thread's next step in Python: a call into native code ends first. See
        `abandon`.

        Args:
            who: asked for it.
        """
        if not self.live or self.stop.leaving:
            return
        self.stop.leave(who)
        if self.stop.shielded:
            # The record is just being made; the start looks at the wish when it stands.
            return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(Killed)
        )

    def abandon(self) -> int | None:
        """Close the record of a run that does not listen, before the process is ended.

        Returns:
            The exit code; None if the run has come to its end by itself.
        """
        if self.stop.abandon is None:
            return None if not self.live else self.exit_code
        return self.stop.abandon()

    def _run(self) -> None:
        try:
            plan = self._make_plan(self.words)
            self.warnings = tuple(plan.warnings)
            self.result = plan.run(watch=self._watch, stop=self.stop)
        except StopNow:
            # Before the record was open, or just after it was closed.
            pass
        except BaseException as error:
            self.device_lost = device_is_lost(error)
            self.error = _lasting(error)
        finally:
            self._close()

    @contextmanager
    def _watch(self, run_dir: Path, writer: RunWriter) -> Iterator[None]:
        self._writer = writer
        self.run_dir = run_dir
        self._on_change()
        yield

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                # Harmless where the run has closed its record; a kill may have hit it in the middle of that.
                with suppress(Exception):
                    writer.close()
            _free_memory()
        except Killed:
            # It came when there was nothing left to leave.
            pass
        finally:
            self._ended.set()
            self._on_change()


def _lasting(error: BaseException) -> TrainerError:
    """The error without the frames of the loop: they hold the model, the optimizer and the data."""
    explained = explain(error)
    if explained is not error and explained.__cause__ is None:
        explained.__cause__ = error
    seen: BaseException | None = explained
    while seen is not None:
        if seen.__traceback__ is not None:
            traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
    return explained


def _free_memory() -> None:
    """Give back what the run held, on the device too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        with suppress(Exception):
            torch.cuda.empty_cache()
