"""The app from the first word to the terminal to the last: what is set up around it, and what follows it."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, cast

from tui_trainer.engine.children import end_children
from tui_trainer.engine.closing import Result
from tui_trainer.engine.interrupt import Echoes, StopRequest
from tui_trainer.engine.launch import Watch
from tui_trainer.headless import closing_text
from tui_trainer.headless.closing import run_word
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.writer import RunWriter
from tui_trainer.ui.console import ConsoleRedirect
from tui_trainer.ui.options import PATIENCE_S, AppOptions, Leaving
from tui_trainer.ui.settings import Settings, settings_path
from tui_trainer.ui.terminal import POP_TITLE, PUSH_TITLE, background, forget_handlers_in_children
from tui_trainer.ui.training import PlanLike, Training

if TYPE_CHECKING:
    from tui_trainer.ui.app import TrainerApp

_LAST_S = 0.2
"""What a run that was killed may still take to leave, once the app has gone."""

MakePlan = Callable[[list[str]], PlanLike]


def run_app(options: AppOptions, make_plan: MakePlan, report_detached: Callable[[str], None]) -> int:
    """Show the app, and see a run that it leaves behind to its end.

    Args:
        options: what the command line asks for.
        make_plan: turns the words of a command line into what runs it.
        report_detached: called when a run goes on without the terminal, with what to tell.

    Returns:
        The exit code of the run that was trained in this process; 0 without one.
    """
    shade = background(meanwhile=_load)
    from tui_trainer.ui.app import TrainerApp

    forget_handlers_in_children()
    with ConsoleRedirect() as console:
        # Before Textual: beside its stand-in for stderr no process could be spawned.
        resource_tracker.ensure_running()
        # A crash of native code is told to the run's console.log.
        faulthandler.enable(2)
        console.send(PUSH_TITLE)
        app = TrainerApp(
            options, lambda words: _Logged(make_plan(words), console), Settings(settings_path()), shade
        )
        # What the app itself dies of belongs on the terminal that it leaves.
        app.error_console.file = cast("IO[str]", console.screen)
        leaving = app.run(mouse=options.mouse)
        console.send(POP_TITLE)
        training = app.training
        if training is not None and training.live:
            _see_to_its_end(training, leaving, console, report_detached)
    return _close(app, leaving)


def _load() -> None:
    import tui_trainer.ui.app  # noqa: F401


@dataclass(frozen=True)
class _Logged:
    """A plan whose run writes to its console.log whatever is printed."""

    plan: PlanLike
    console: ConsoleRedirect

    @property
    def warnings(self) -> Sequence[str]:
        return self.plan.warnings

    def run(self, *, watch: Watch | None = None, stop: StopRequest | None = None) -> Result:
        @contextmanager
        def logged(run_dir: Path, writer: RunWriter) -> Iterator[None]:
            inner = watch(run_dir, writer) if watch is not None else nullcontext()
            with self.console.into(RunLayout(run_dir).console_log), inner:
                yield

        return self.plan.run(watch=logged, stop=stop)


def _see_to_its_end(
    training: Training, leaving: Leaving | None, console: ConsoleRedirect, report: Callable[[str], None]
) -> None:
    """Wait for a run that the app left, as the way of leaving says."""
    kind = leaving.kind if leaving is not None else "detach"
    with _stopping_on_signals(training, console, signalled=kind == "signal"):
        if kind in ("detach", "hangup"):
            # Without an answer the app itself has failed: no reason for the run to end.
            word = run_word(RunLayout(training.run_dir)) if training.run_dir is not None else "last"
            _leave_terminal(console)
            report(f"training goes on: tui-train attach {word}" if kind == "detach" else "")
            training.join()
            return
        if kind == "signal":
            console.say("stopping after this step, then saving; once more stops at once, without saving")
            training.join()
            return
        # The app has waited for it already.
        training.kill()
        if not training.join(_LAST_S):
            _end_process(training, console)


def _end_process(training: Training, console: ConsoleRedirect) -> None:
    """End the process of a run that does not listen, with its record closed. Returns if it has ended."""
    code = training.abandon()
    if code is None:
        training.join()
        return
    end_children()
    console.say("the run did not listen, so its process was ended")
    console.restore()
    with suppress(Exception):
        _print_closing(training)
        sys.stdout.flush()
    os._exit(code)


def _leave_terminal(console: ConsoleRedirect) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    console.let_go()
    # Not possible for the leader of a group, which a process without a launcher is.
    with suppress(OSError):
        os.setsid()


@contextmanager
def _stopping_on_signals(
    training: Training, console: ConsoleRedirect, signalled: bool = False
) -> Iterator[None]:
    """While inside, signals mean what they mean to a run without the app.

    SIGINT and SIGTERM stop it at a step boundary with a save; before the first step, and the second time, at
    once. SIGUSR1 asks for a checkpoint.

    Args:
        training: the run.
        console: where the end of a run that does not listen is told.
        signalled: the app has heard the first one.
    """
    echoes = Echoes()

    def handle(number: int, _: FrameType | None) -> None:
        # Whoever presses Ctrl-C twice means it, however fast.
        if number != signal.SIGINT and echoes.is_echo(number):
            return
        nonlocal signalled
        name = signal.Signals(number).name
        if number == signal.SIGUSR1:
            training.stop.request_save(name)
            return
        # Only signals count: a stop may have been asked for elsewhere.
        again, signalled = signalled, True
        training.stop.request(name)
        if again or not training.stop.saves:
            training.kill(name)
            timer = threading.Timer(PATIENCE_S, lambda: _end_process(training, console))
            timer.daemon = True
            timer.start()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _close(app: TrainerApp, leaving: Leaving | None) -> int:
    """The last words on the terminal, and the exit code."""
    training = app.training
    if training is not None:
        _print_closing(training)
    shown = app.view.run_dir if app.view is not None else None
    elsewhere = shown is not None and (training is None or shown != training.run_dir)
    if shown is not None and elsewhere and RunReader(shown).liveness() == "live":
        print(f"training goes on: tui-train attach {run_word(RunLayout(shown))}")
    if training is not None:
        return training.exit_code
    if leaving is None:
        return app.return_code or 0
    if leaving.kind == "hangup":
        return 128 + signal.SIGHUP
    return 128 + getattr(signal, leaving.signal) if leaving.kind == "signal" else 0


def _print_closing(training: Training) -> None:
    if training.run_dir is not None and os.path.isfile(RunLayout(training.run_dir).run_json):
        print(closing_text(training.run_dir), end="")
    elif training.error is None:
        print("stopped before the first step: nothing was trained, nothing is kept")
    if training.error is not None:
        print(training.error.lines(), file=sys.stderr)
