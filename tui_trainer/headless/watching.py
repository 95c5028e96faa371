"""Following a live run from a thread beside the training loop, and printing what it says."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from tui_trainer.headless.json_lines import JsonPrinter
from tui_trainer.headless.modes import Mode, is_terminal
from tui_trainer.headless.sink import Sink
from tui_trainer.headless.stray import StrayOutput, held, stdout_kept_clean
from tui_trainer.headless.tail import EventTail
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.writer import RunWriter

Clock = Callable[[], float]
Watch = Callable[[Path, RunWriter], AbstractContextManager[Any]]
"""What `engine.launch.launch(watch=…)` takes."""

_INTERVALS = {"rich": 0.25, "plain": 0.5, "json": 0.2, "quiet": 1.0}
_SHARE = 0.02
_SLOWEST_S = 2.0
PLAIN_WIDTH = 320
"""Lines off a terminal have one form, whatever their length: people grep them."""


class Printer(Protocol):
    """A form of output. Used by one thread."""

    def show(self, lines: list[bytes]) -> None:
        """Show new lines of events.jsonl (often none), and what changes with time."""

    def close(self) -> None:
        """The record is complete: say the last words."""

    def abandon(self) -> None:
        """Leave the terminal usable after an error."""


def watch(
    mode: Mode,
    *,
    out: IO[str] | None = None,
    err: IO[str] | None = None,
    interval: float | None = None,
    width: int | None = None,
    clock: Clock = time.time,
) -> Watch:
    """Show a run while it trains in this process.

    Args:
        mode: "rich" (bars, for a terminal), "plain" (lines), "json" (the events), "quiet" (nothing).
        out: where it is printed; sys.stdout by default.
        err: where a task's own prints go in json mode; sys.stderr by default.
        interval: seconds between two looks at the record.
        width: columns; by default the terminal's, and 160 in plain mode.
        clock: unix seconds.

    Returns:
        Called with the run directory and its writer it gives a context; leaving it prints what is still due.
        Nothing that goes wrong with the output reaches the caller: it becomes one alert in the record.
    """

    def start(run_dir: Path, writer: RunWriter) -> AbstractContextManager[Any]:
        pause = _INTERVALS[mode] if interval is None else interval
        return _Watching(mode, run_dir, writer, out or sys.stdout, err or sys.stderr, pause, width, clock)

    return start


class _Watching(AbstractContextManager[None]):
    def __init__(
        self,
        mode: Mode,
        run_dir: Path,
        writer: RunWriter,
        out: IO[str],
        err: IO[str],
        interval: float,
        width: int | None,
        clock: Clock,
    ) -> None:
        self._mode = mode
        self._reader = RunReader(run_dir)
        self._writer = writer
        self._out, self._err = out, err
        self._interval = interval
        self._width = width
        self._clock = clock
        self._leaving = threading.Event()
        self._trouble: str | None = None
        self._stack = ExitStack()
        self._stray: StrayOutput | None = None
        self._thread = threading.Thread(target=self._run, name="headless-output", daemon=True)

    def __enter__(self) -> None:
        if self._mode == "quiet" or self._out is None:
            return
        fd = None
        own = self._out is sys.stdout
        if self._mode == "json" and own:
            fd = self._stack.enter_context(stdout_kept_clean(self._out, self._err))
        elif own:
            self._stray = StrayOutput()
            # Two writers on one terminal would tear the bars; a stderr that goes elsewhere is left alone.
            both = self._mode == "rich" and self._err is sys.stderr and is_terminal(self._err)
            self._stack.enter_context(held(self._stray, ("stdout", "stderr") if both else ("stdout",)))
        self._sink = Sink(self._out, fd)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._thread.ident is None:
            return
        self._leaving.set()
        # The record is complete: a second Ctrl-C only means that nobody waits for the rest of the output.
        with suppress(KeyboardInterrupt):
            self._thread.join()
        self._stack.close()

    def _run(self) -> None:
        printer: Printer | None = None
        tail = EventTail(self._reader.layout)
        try:
            printer = self._build_printer(tail)
            self._follow(tail, printer)
        except Exception as error:
            self._alert("output failed", f"{type(error).__name__}: {error}; training goes on without it")
        finally:
            tail.close()
            if self._stray is not None:
                self._stray.open = False
            if printer is not None:
                with suppress(Exception):
                    printer.abandon()

    def _follow(self, tail: EventTail, printer: Printer) -> None:
        while True:
            # Asked before reading: what is read afterwards is all there will ever be.
            last = self._leaving.is_set()
            begin = time.thread_time()
            printer.show(tail.read())
            self._tell_trouble()
            if last:
                printer.close()
            if self._sink.error is not None:
                self._alert("output closed", f"{self._sink.error}; training goes on without it")
                return
            if last:
                return
            # This thread takes the interpreter lock from the training loop: it may use 2 % of the time.
            cost = time.thread_time() - begin
            self._leaving.wait(max(self._interval, min(_SLOWEST_S, cost / _SHARE)))

    def _tell_trouble(self) -> None:
        """Say on stderr that the run directory can't be written, which the record then can't tell."""
        before, self._trouble = self._trouble, self._writer.trouble
        if (self._trouble is None) == (before is None):
            return
        text = "the run directory is written again"
        if self._trouble is not None:
            text = f"{self._trouble}: training goes on; what can't be written waits in memory"
        with suppress(OSError, ValueError):
            # Through `sys.stderr`, which the bars may be holding.
            print(f"warning: {text}", file=sys.stderr, flush=True)

    def _build_printer(self, tail: EventTail) -> Printer:
        if self._mode == "json":
            return JsonPrinter(self._sink)
        from tui_trainer.headless.plain import PlainPrinter
        from tui_trainer.headless.story import Story

        if self._mode == "plain":
            plain_width = self._width or PLAIN_WIDTH
            story = Story(self._reader, tail.earlier(), lambda: plain_width, self._clock)
            return PlainPrinter(self._sink, story, self._reader, self._stray, self._clock)
        from tui_trainer.headless.bars import BarsPrinter

        story = Story(self._reader, tail.earlier(), self._columns, self._clock)
        return BarsPrinter(self._sink, story, self._reader, self._stray, self._columns, self._clock)

    def _columns(self) -> int:
        return self._width or shutil.get_terminal_size((80, 24)).columns

    def _alert(self, title: str, message: str) -> None:
        # Nothing may follow `run_end`.
        if any(event["event"] == "run_end" for event in self._reader.events()):
            return
        self._writer.event("alert", level="warning", title=title, message=message)
