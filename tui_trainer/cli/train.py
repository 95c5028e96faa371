"""The main command: from the words typed to a run, a dry run, or the app."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.cli.batch_size import refuse_search, search
from tui_trainer.cli.choice import choose_task
from tui_trainer.cli.options import (
    GIVE_A_TASK,
    MAY_GIVE_A_TASK,
    SWITCHES,
    VALUED,
    build_parser,
    hparam_switches,
    hparam_valued,
    version_text,
)
from tui_trainer.cli.streams import say
from tui_trainer.cli.tables import aligned, number
from tui_trainer.cli.words import Words, refuse_unknown, sort_words
from tui_trainer.config.fields import FieldSpec
from tui_trainer.config.hparams import Hparams
from tui_trainer.config.presets import Preset, find_preset, read_preset
from tui_trainer.config.resolve import resolve
from tui_trainer.engine.deadline import end_time
from tui_trainer.errors import Exit, TrainerError, UsageError
from tui_trainer.loggers import named
from tui_trainer.runs.claim import refuse_taken
from tui_trainer.runs.layout import RunLayout, default_runs_dir
from tui_trainer.tasks.base import Task
from tui_trainer.tasks.registry import BUILT_IN, looks_like_task

if TYPE_CHECKING:
    from tui_trainer.cli.launcher import Report
    from tui_trainer.cli.resume import Origin
    from tui_trainer.engine.closing import Result
    from tui_trainer.engine.initial import InitialWeights
    from tui_trainer.engine.interrupt import StopRequest
    from tui_trainer.engine.launch import Watch
    from tui_trainer.engine.resuming import ResumePoint


@dataclass(frozen=True)
class Order:
    """What the command line asks for, before hparams are looked at.

    Attributes:
        typed: TASK as typed.
        origin: what to go on from.
    """

    typed: str | None
    preset: Preset | None
    origin: Origin | None
    runs_dir: Path
    run_dir: Path | None

    @property
    def base(self) -> dict[str, Any]:
        """The hparams that preset and flags change: of what it goes on from."""
        return self.origin.base(self.typed, self.preset) if self.origin else {}

    @property
    def names_task(self) -> bool:
        return bool(self.typed or self.preset or self.origin)

    @property
    def runs_own_code(self) -> bool:
        """Whether loading the task would run a file or module of the user's."""
        word = self.base.get("task") or self.typed or (self.preset.task if self.preset else None)
        if word is None or word in BUILT_IN or not looks_like_task(word):
            return False
        file = Path(word.partition(":")[0])
        places = [Path(), *([self.preset.path.parent] if self.preset and self.preset.path else [])]
        # One that is missing is found to be so without running anything.
        return file.suffix != ".py" or any((place / file).is_file() for place in places)

    def task(self) -> Task:
        source = self.origin.task_source if self.origin and self.base else None
        return choose_task(self.typed, self.preset, self.base.get("task"), source)


@dataclass(frozen=True)
class Plan:
    """A command line that was read and found right: everything that a run needs, before anything is written.

    Attributes:
        task: what is trained.
        hparams: validated.
        order: where the run lives, and what it goes on from.
        options: of the command line, by name with underscores.
        command: what was typed, for the record.
        warnings: what somebody should know before it starts.
        notes: what is different from what it goes on from, and harmless.
        resume: where training goes on, in the run itself or in a new one.
        weights: what the model of a new run starts from.
        nothing_to_do: why there is nothing to train; None where there is.
        end: unix seconds by which it must have saved and left.
        log_to: loggers that follow the run.
    """

    task: Task
    hparams: Hparams
    order: Order
    options: dict[str, Any]
    command: list[str]
    warnings: Sequence[str] = field(default=())
    notes: Sequence[str] = field(default=())
    resume: ResumePoint | None = None
    weights: InitialWeights | None = None
    nothing_to_do: str | None = None
    end: float | None = None
    log_to: Sequence[str] = ()

    def run(self, *, watch: Watch | None = None, stop: StopRequest | None = None) -> Result:
        """Train in the calling thread.

        Args:
            watch: a context that shows the run.
            stop: asks it to stop.

        Raises:
            TrainerError: what went wrong, or that there is nothing to do.
        """
        from tui_trainer.engine.launch import launch

        if self.nothing_to_do is not None:
            raise TrainerError("nothing to do", self.nothing_to_do, exit_code=Exit.OK)
        return launch(
            self.task,
            self.hparams,
            runs_dir=self.order.runs_dir,
            run_dir=self.order.run_dir,
            run_name=self.options["run_name"],
            command=self.command,
            resume=self.resume,
            weights=self.weights,
            stop=stop,
            watch=watch,
            on_end=self.options.get("on_end"),
            log_to=self.log_to,
            end=self.end,
            owns_process=True,
        )


def sort_main(argv: Sequence[str], specs: dict[str, FieldSpec]) -> Words:
    """Sort the words of the main command, given a task's hparams."""
    return sort_words(argv, {*SWITCHES, *hparam_switches(specs)}, {*VALUED, *hparam_valued(specs)})


def plan(argv: Sequence[str], typed: Sequence[str] | None = None) -> Plan:
    """Read a command line and check all of it. Prints nothing, so any front end may call it.

    Args:
        argv: the words after the program's name.
        typed: what a person would type instead, for the record.

    Raises:
        TrainerError: what is wrong with it.
    """
    order = _order(argv)
    task = order.task()
    words = _checked_words(argv, task)
    parser = build_parser(task.hparams_class.specs(), task.name)
    args = vars(parser.parse_args(words.for_argparse({*SWITCHES, *VALUED})))
    flags = _named(args, "hparam_")
    resolved = resolve(task.hparams_class, task.name, order.preset, flags, order.base)
    command = ["tui-train", *(argv if typed is None else typed)]
    options = _named(args, "option_")
    if options["find_batch_size"]:
        refuse_search(options, flags)
    hparams, origin = resolved.hparams, order.origin
    end = None if options["check"] else end_time(options["end_time"], os.environ)
    log_to = named(options["log_to"]) if options["log_to"] is not None else ()
    planned = Plan(task, hparams, order, options, command, tuple(resolved.warnings), end=end, log_to=log_to)
    if order.run_dir is not None and (origin is None or origin.kind != "resume") and not options["check"]:
        refuse_taken(RunLayout(order.run_dir))
    if origin is None:
        return planned
    from tui_trainer.cli.resume import check_changes, fork_point, initial_weights, nothing_to_do, resume_point

    if origin.kind == "init":
        return replace(planned, weights=initial_weights(origin))
    if options["check"]:
        # Nothing will be written, so nothing can be in the way.
        return planned
    check_changes(origin.hparams, hparams, origin.kind)
    why = nothing_to_do(origin, hparams)
    if why is not None:
        return replace(planned, nothing_to_do=why)
    point = fork_point(origin.run, origin.tag) if origin.kind == "fork" else resume_point(origin.run)
    check_changes(point.hparams, hparams, origin.kind)
    changed = point.changes(hparams)
    warned = [change.sentence for change in changed if change.kind == "warned"]
    return replace(
        planned,
        warnings=(*planned.warnings, *warned, *origin.source_warnings(task)),
        notes=tuple(change.sentence for change in changed if change.kind == "safe"),
        resume=replace(point, typed=resolved.typed),
    )


def main(argv: Sequence[str], report: Report | None = None) -> int:
    """Run the main command.

    Args:
        argv: the words after the program's name.
        report: how the app tells its launcher that it goes on alone; without it there is no app.

    Returns:
        The exit code.
    """
    words = sort_main(argv, Hparams.specs())
    if words.get("version"):
        print(version_text())
        return Exit.OK
    if words.help:
        _print_help(argv)
        return Exit.OK
    if report is not None:
        from tui_trainer.cli.app import open_app

        return open_app(argv, report)
    if words.get("detach") and not words.get("check"):
        from tui_trainer.cli.detach import detach

        return detach(argv)
    return _train_here(argv)


def _train_here(argv: Sequence[str]) -> int:
    from tui_trainer.engine.detached import typed_words

    planned = plan(argv, typed_words(argv))
    options = planned.options
    print_beforehand(planned)
    if options["check"]:
        return _check(planned)
    if planned.nothing_to_do is not None:
        say(planned.nothing_to_do)
        return Exit.OK
    from tui_trainer.engine.interrupt import StopRequest
    from tui_trainer.headless import choose_mode, watch

    if not (options["no_ui"] or options["quiet"] or options["json"]):
        from tui_trainer.ui.terminal import why_unusable

        why = why_unusable(os.environ, sys.stdin, sys.stderr)
        say(f"no usable terminal ({why}): training here, as with --no-ui")
    if options["find_batch_size"]:
        with explaining():
            hparams, _ = search(planned.task, planned.hparams, quiet=options["quiet"])
        planned = replace(planned, hparams=hparams)
    result = planned.run(
        watch=watch(choose_mode(options["json"], options["quiet"], sys.stdout)),
        stop=StopRequest(announce=say),
    )
    if result.status == "stopped" and not result.run_dir.exists():
        say("stopped before the first step: nothing was trained, nothing is kept")
    return result.exit_code


def print_beforehand(planned: Plan) -> None:
    """Say on stderr what somebody should know before a run starts."""
    for warning in planned.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for note in () if planned.options["quiet"] else planned.notes:
        print(f"note: {note}", file=sys.stderr)


def _print_help(argv: Sequence[str]) -> None:
    if _typed_task(sort_main(argv, Hparams.specs())) is None and not _has_base(argv):
        build_parser(Hparams.specs(), None).print_help()
        return
    order = _order(argv)
    task = order.task()
    preset = order.preset.values if order.preset else {}
    build_parser(task.hparams_class.specs(), task.name, preset).print_help()


def runs_own_code(argv: Sequence[str]) -> bool:
    """Whether reading this command line would run a file or module of the user's."""
    return _order(argv, needs_task=False).runs_own_code


def check_before_app(argv: Sequence[str]) -> None:
    """Refuse what the app could not show at a field: an unknown task, preset, run or option.

    Code of the user's is not run for it; the app tells what is wrong with that.

    Raises:
        TrainerError: what is wrong.
    """
    order = _order(argv, needs_task=False)
    if order.names_task and not order.runs_own_code:
        _checked_words(argv, order.task())


def _checked_words(argv: Sequence[str], task: Task) -> Words:
    """The words sorted with a task's hparams.

    Raises:
        UsageError: an unknown option, or a second TASK.
    """
    specs = task.hparams_class.specs()
    words = sort_main(argv, specs)
    refuse_unknown(words, _known(specs), f"tui-train {task.name} --help")
    if len(words.positionals) > 1:
        raise UsageError(
            "too many words", f"expected one TASK, got {' '.join(words.positionals)}", "tui-train --help"
        )
    return words


def _named(args: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in args.items() if name.startswith(prefix)}


def _has_base(argv: Sequence[str]) -> bool:
    words = sort_main(argv, Hparams.specs())
    return any(words.get(name) for name in MAY_GIVE_A_TASK)


def _known(specs: dict[str, FieldSpec]) -> set[str]:
    return {*SWITCHES, *VALUED, *hparam_switches(specs), *hparam_valued(specs)}


def _typed_task(words: Words) -> str | None:
    if words.positionals:
        return words.positionals[0]
    if any(words.get(name) for name in GIVE_A_TASK):
        return None
    return next((word for word in words.unsure if looks_like_task(word)), None)


def _order(argv: Sequence[str], needs_task: bool = True) -> Order:
    words = sort_main(argv, Hparams.specs())
    typed = _typed_task(words)
    if needs_task and typed is None and not any(words.get(name) for name in MAY_GIVE_A_TASK):
        # A misspelt flag says more than "no task".
        refuse_unknown(words, _known(Hparams.specs()))
    preset_word = words.get("preset")
    run_dir = Path(str(words.get("run_dir"))) if words.get("run_dir") else None
    runs_dir = Path(str(words.get("runs_dir"))).expanduser() if words.get("runs_dir") else default_runs_dir()
    origin = None
    if any(words.get(name) is not None for name in ("resume", "fork", "init_from")):
        from tui_trainer.cli.resume import find_origin

        origin = find_origin(words, runs_dir, run_dir)
    preset = read_preset(find_preset(preset_word)) if isinstance(preset_word, str) else None
    return Order(typed, preset, origin, runs_dir, run_dir)


@contextmanager
def explaining() -> Iterator[None]:
    """Turn whatever is raised into an error that a person can act on."""
    try:
        yield
    except Exception as error:
        from tui_trainer.engine.failure import explain

        explained = explain(error)
        raise explained from (error if explained is not error else error.__cause__)


def _check(planned: Plan) -> int:
    options, hparams, found = planned.options, planned.hparams, None
    with explaining():
        from tui_trainer.engine.check import check

        if options["find_batch_size"]:
            hparams, found = search(planned.task, hparams, quiet=options["json"])
        report = check(planned.task, hparams, lambda name: say(f"{name} …"), planned.weights)
    for alert in report["alerts"]:
        say(f"warning: {alert['title']}: {alert['message']}")
    if found is not None:
        report["batch_size_search"] = found.facts()
    if options["json"]:
        from tui_trainer.runs.events import encode

        print(encode(report).decode().strip())
        return Exit.OK
    samples = [f"{_count(report[f'{split}_samples'])} {split}" for split in ("train", "val", "test")]
    rows = [
        ["task", report["task"]],
        ["device", f"{report['device']} ({report['device_reason']})"],
        ["parameters", f"{report['parameters']:,}"],
        ["samples", ", ".join(samples)],
        ["steps", f"{_count(report['steps_per_epoch'])} an epoch, {_count(report['total_steps'])} in all"],
        *([["batch size", f"{found.batch_size:,}"]] if found is not None else []),
        *([name, number(value)] for name, value in report["metrics"].items()),
    ]
    print(aligned(rows))
    print("ok: one training and one test batch went through; nothing was written")
    return Exit.OK


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"
