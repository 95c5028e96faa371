"""Starting a run: the run directory, signals, the record of how it ended. Light to import.

`train` is the Python API; the command line and the app go through `launch`, the same without defaults.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.config.hparams import Hparams
from tui_trainer.config.problems import HparamsError, validate
from tui_trainer.engine.children import end_workers_left
from tui_trainer.engine.clock import BEAT_S, Periodic, TrainingClock
from tui_trainer.engine.closing import Closing, Result
from tui_trainer.engine.controls import Controls
from tui_trainer.engine.deadline import Deadline
from tui_trainer.engine.failure import explain
from tui_trainer.engine.followers import start_followers
from tui_trainer.engine.identity import identity, keep_task_source
from tui_trainer.engine.inbox import Inbox
from tui_trainer.engine.initial import InitialWeights
from tui_trainer.engine.interrupt import StopNow, StopRequest, stop_on_signals
from tui_trainer.engine.resuming import ResumePoint, notices, open_resumed
from tui_trainer.engine.watchdog import watched
from tui_trainer.errors import Exit, TrainerError, UsageError
from tui_trainer.loggers import named
from tui_trainer.runs.layout import RunLayout, create_run_dir, default_runs_dir
from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    from tui_trainer.engine.system import SystemSampler
    from tui_trainer.tasks.base import Task

Watch = Callable[[Path, RunWriter], AbstractContextManager[Any]]


def train(
    task: Task | str,
    hparams: Mapping[str, Any] | Hparams | None = None,
    *,
    runs_dir: str | Path | None = None,
    run_dir: str | Path | None = None,
    run_name: str | None = None,
    log_to: str | None = None,
) -> Result:
    """Train a task: no UI, no argparse; the same engine, checkpoints and record as `tui-train --no-ui`.

    Prints nothing: the record tells how it goes, also while it goes on (`tui-train show last`).

    Args:
        task: an instance of your `Task`, or the name of one as on the command line.
        hparams: values that differ from the defaults of `task.hparams_class`.
        runs_dir: where runs live (default: $TUI_TRAIN_RUNS or ./runs).
        run_dir: this very run directory instead of a new one under `runs_dir`.
        run_name: a human name beside the id.
        log_to: loggers that follow the run, such as "tensorboard,csv", as `--log-to` of the command line.

    Returns:
        How it ended. Ctrl-C stops at a step boundary, saves, and returns with status "stopped".

    Raises:
        TrainerError: wrong hparams, or training failed. The message says what to do.
    """
    from tui_trainer.tasks.base import Task
    from tui_trainer.tasks.declared import check_declared
    from tui_trainer.tasks.registry import check_hparams_class, load_task

    if isinstance(task, str):
        task = load_task(task)
    if not isinstance(task, Task):
        raise UsageError(
            "not a task", f"train() got {task!r}", "train(MyTask(), …) with an instance of your Task"
        )
    check_hparams_class(type(task))
    check_declared(task)
    if not task.name:
        task.name = f"{type(task).__module__}:{type(task).__qualname__}"
    if not isinstance(hparams, Hparams):
        values = {"task": task.name, **(hparams or {})}
        checked, problems = validate(task.hparams_class, values)
        if checked is None:
            raise HparamsError(f"wrong hparams for {task.name}", problems)
        hparams = checked
    if not isinstance(hparams, task.hparams_class):
        raise UsageError(
            "wrong hparams", f"expected {task.hparams_class.__name__}, got {type(hparams).__name__}"
        )
    return launch(
        task,
        hparams,
        runs_dir=Path(runs_dir) if runs_dir is not None else default_runs_dir(),
        run_dir=Path(run_dir) if run_dir is not None else None,
        run_name=run_name,
        log_to=named(log_to) if log_to is not None else (),
    )


def launch(
    task: Task,
    hparams: Hparams,
    *,
    runs_dir: Path,
    run_dir: Path | None = None,
    run_name: str | None = None,
    command: list[str] | None = None,
    resume: ResumePoint | None = None,
    weights: InitialWeights | None = None,
    watch: Watch | None = None,
    stop: StopRequest | None = None,
    on_end: str | None = None,
    log_to: Sequence[str] = (),
    end: float | None = None,
    owns_process: bool = False,
) -> Result:
    """Run a task in this thread, from the creation of its run directory to the end of its record.

    Args:
        task: what is trained.
        hparams: validated.
        runs_dir: where a new run directory is made.
        run_dir: use this very one.
        run_name: a human name beside the id.
        command: what was typed, for the record.
        resume: go on with this run instead of starting one, or start one that goes on from its checkpoint.
        weights: what the model of a new run starts from.
        watch: called with the run directory and its writer; a context that shows the run. It is left when the
            record is complete and before a failed start is cleared away.
        stop: polled at step boundaries; signals ask through it too.
        on_end: a shell command that is run when the record is closed, however the run ended.
        log_to: loggers that processes beside the run feed.
        end: unix seconds by which the run must have saved and left.
        owns_process: nothing else goes on in this process: what is left of its loader processes is ended with
            the run, and the process itself if this is its main thread and does not listen to signals.

    Raises:
        TrainerError: what went wrong. A start that failed before its first step leaves no run directory
            behind, unless `run_dir` was given.
    """
    _refuse_ranks()
    stop = stop or StopRequest()
    if resume is not None:
        weights = resume.weights
    lasts = run_dir is not None or (resume is not None and resume.entry is not None and not resume.forks)
    # Until the record is made a stop only leaves its wish.
    stop.shielded = True
    with ExitStack() as showing, watched(stop) if owns_process else nullcontext(), stop_on_signals(stop):
        writer = _open(task, hparams, runs_dir, run_dir, run_name, command, resume or weights)
        closing = Closing(writer, stop, task.name, showing, on_end, lasts)
        stop.abandon = closing.abandon
        start_followers(log_to, writer)
        if watch is not None:
            showing.enter_context(watch(writer.layout.root, writer))
        outcome = _train(task, hparams, writer, stop, resume, weights, closing, end)
    if owns_process:
        end_workers_left()
    log = closing.finish(outcome)
    if isinstance(outcome, Result):
        return outcome
    if log is None and outcome.__cause__ is not None:
        log = _keep_traceback(writer.layout.console_log, outcome.__cause__)
    if log is not None:
        outcome.log = log
        outcome.message = f"{outcome.message}\nlog: {log}".lstrip()
    raise outcome


def _refuse_ranks() -> None:
    """Ranks that know nothing of each other would train the same thing side by side.

    Raises:
        UsageError: a launcher such as torchrun started several processes.
    """
    ranks = os.environ.get("WORLD_SIZE", "1")
    if ranks.isdigit() and int(ranks) > 1:
        raise UsageError(
            "one process only",
            f"WORLD_SIZE is {ranks}, but this version trains on one device",
            "start tui-train without torchrun",
        )


def _open(
    task: Task,
    hparams: Hparams,
    runs_dir: Path,
    run_dir: Path | None,
    run_name: str | None,
    command: list[str] | None,
    origin: ResumePoint | InitialWeights | None,
) -> RunWriter:
    values = hparams.model_dump(mode="json")
    facts = identity(task, run_name, command)
    if isinstance(origin, ResumePoint) and not origin.forks:
        return open_resumed(origin, facts, values)
    try:
        layout = RunLayout(run_dir) if run_dir is not None else create_run_dir(runs_dir, task.name)
    except OSError as error:
        raise TrainerError(
            "runs folder can't be written",
            f"{runs_dir}: {error.strerror}",
            "--runs-dir DIR chooses another",
            Exit.FILE,
        ) from error
    parent = origin.parent(layout) if origin is not None else None
    writer = RunWriter.create(layout, {**facts, **({"parent": parent} if parent else {})}, values)
    source = keep_task_source(task, layout)
    if source is not None:
        writer.update(task_source=source)
    return writer


def _train(
    task: Task,
    hparams: Hparams,
    writer: RunWriter,
    stop: StopRequest,
    resume: ResumePoint | None,
    weights: InitialWeights | None,
    closing: Closing,
    end: float | None,
) -> Result | TrainerError:
    """Run the experiment and close its record, however it ends."""
    sampler: SystemSampler | None = None
    error: TrainerError | None = None

    def report(text: str) -> None:
        writer.event("alert", level="warning", title="request not understood", message=text)

    clock = TrainingClock()
    deadline = Deadline(end) if end is not None else None

    def beat() -> None:
        clock.beat()
        if deadline is not None:
            deadline.check(stop)

    # Not in the inbox's thread: on a network file system a look into a folder may take minutes.
    beating = Periodic(beat, BEAT_S, "beat")
    inbox = Inbox(writer.layout, stop, report)
    controls = Controls(writer, stop, inbox, clock)
    try:
        try:
            stop.shielded = False
            controls.check_start()
            beating.start()
            inbox.start()
            # Imports belong inside: a signal may come in the middle of one.
            from tui_trainer.engine.system import SystemSampler

            sampler = SystemSampler(writer)
            sampler.start()
            for notice in notices(task, hparams, resume):
                writer.event("alert", **notice)
            begin = time.perf_counter()
            writer.event("phase", name="importing torch")
            from tui_trainer.engine.experiment import Experiment

            writer.event("phase", name="importing torch", seconds=time.perf_counter() - begin)
            experiment = Experiment(
                task, hparams, writer, stop, controls, resume, weights, on_device=sampler.watch_device
            )
            closing.experiment = experiment
            if deadline is not None:
                deadline.closing_s = experiment.closing_s
            controls.check_start(experiment.step)
            ending = experiment.run()
        finally:
            # From here on a signal interrupts nothing.
            stop.leaving = True
        status, reason = ending.status, ending.reason
    except StopNow as interrupt:
        status, reason = "stopped", stop.last_words or interrupt.reason
    except BaseException as cause:
        error = explain(cause)
        if error is not cause:
            error.__cause__ = cause
        # What went in is told by the alert.
        status, reason = "failed", str(error).split("\n", 1)[0]
        said = {"title": error.title, "message": error.message, "hint": error.hint}
        writer.event("alert", level="error", fatal=True, **said)
    # Not in the `finally`: a signal that comes just before that is over would skip it.
    closing.claim()
    # Nothing may follow `run_end`.
    beating.stop()
    inbox.stop()
    if sampler is not None:
        sampler.stop()
    result = closing.record(status, reason)
    return error if error is not None else result


def _keep_traceback(path: Path, error: BaseException) -> Path | None:
    """Append what a run died of to its log. Returns the log."""
    with suppress(OSError), open(path, "a") as file:
        file.write("".join(traceback.format_exception(error)))
        return path
    return None
