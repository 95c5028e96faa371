"""The main command: from the words typed to a run, or to a dry run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.cli.choice import choose_task
from tui_trainer.cli.options import (
    SWITCHES,
    VALUED,
    build_parser,
    hparam_switches,
    hparam_valued,
    version_text,
)
from tui_trainer.cli.tables import aligned, number
from tui_trainer.cli.words import Words, refuse_unknown, sort_words
from tui_trainer.config.fields import FieldSpec
from tui_trainer.config.hparams import Hparams
from tui_trainer.config.presets import Preset, find_preset, read_preset
from tui_trainer.config.resolve import resolve
from tui_trainer.errors import Exit, UsageError
from tui_trainer.runs.layout import RunLayout, default_runs_dir
from tui_trainer.tasks.base import Task
from tui_trainer.tasks.registry import looks_like_task


@dataclass(frozen=True)
class Order:
    """What the command line asks for, before hparams are looked at.

    Attributes:
        typed: TASK as typed.
        resumed: the run to go on with.
        base: that run's hparams.
    """

    typed: str | None
    preset: Preset | None
    resumed: RunLayout | None
    base: dict[str, Any]
    runs_dir: Path
    run_dir: Path | None

    def task(self) -> Task:
        resumed_task = self.base.get("task") if self.resumed else None
        return choose_task(
            self.typed, self.preset, resumed_task, self.resumed.task_source if self.resumed else None
        )


def sort_main(argv: Sequence[str], specs: dict[str, FieldSpec]) -> Words:
    """Sort the words of the main command, given a task's hparams."""
    return sort_words(argv, {*SWITCHES, *hparam_switches(specs)}, {*VALUED, *hparam_valued(specs)})


def main(argv: Sequence[str]) -> int:
    """Run the main command.

    Returns:
        The exit code.
    """
    words = sort_main(argv, Hparams.specs())
    if words.get("version"):
        print(version_text())
        return Exit.OK
    typed = _typed_task(words)
    if words.help and typed is None and not (words.get("preset") or words.get("resume")):
        build_parser(Hparams.specs(), None).print_help()
        return Exit.OK
    if typed is None and not (words.get("preset") or words.get("resume")):
        # A misspelt flag says more than "no task".
        refuse_unknown(words, _known(Hparams.specs()))
    order = _order(words, typed)
    task = order.task()
    specs = task.hparams_class.specs()
    words = sort_main(argv, specs)
    parser = build_parser(specs, task.name, order.preset.values if order.preset else {})
    if words.help:
        parser.print_help()
        return Exit.OK
    refuse_unknown(words, _known(specs), f"tui-train {task.name} --help")
    if len(words.positionals) > 1:
        raise UsageError(
            "too many words", f"expected one TASK, got {' '.join(words.positionals)}", "tui-train --help"
        )
    args = vars(parser.parse_args(words.for_argparse({*SWITCHES, *VALUED})))
    flags = {
        name.removeprefix("hparam_"): value for name, value in args.items() if name.startswith("hparam_")
    }
    return _start(
        task, order, flags, {name.removeprefix("option_"): value for name, value in args.items()}, argv
    )


def _known(specs: dict[str, FieldSpec]) -> set[str]:
    return {*SWITCHES, *VALUED, *hparam_switches(specs), *hparam_valued(specs)}


def _typed_task(words: Words) -> str | None:
    if words.positionals:
        return words.positionals[0]
    if words.get("preset") or words.get("resume"):
        return None
    return next((word for word in words.unsure if looks_like_task(word)), None)


def _order(words: Words, typed: str | None) -> Order:
    preset_word, resume_word = words.get("preset"), words.get("resume")
    run_dir = Path(str(words.get("run_dir"))) if words.get("run_dir") else None
    runs_dir = Path(str(words.get("runs_dir"))).expanduser() if words.get("runs_dir") else default_runs_dir()
    resumed = None
    base: dict[str, Any] = {}
    if isinstance(resume_word, str):
        from tui_trainer.cli.resume import find_resumed, hparams_of

        resumed = find_resumed(resume_word, runs_dir, run_dir)
        base = hparams_of(resumed) if resumed is not None else {}
    preset = read_preset(find_preset(preset_word)) if isinstance(preset_word, str) else None
    return Order(typed, preset, resumed, base, runs_dir, run_dir)


def _start(
    task: Task, order: Order, flags: dict[str, Any], options: dict[str, Any], argv: Sequence[str]
) -> int:
    resolved = resolve(task.hparams_class, task.name, order.preset, flags, order.base)
    for warning in resolved.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options["check"]:
        return _check(task, resolved.hparams, options["json"])
    from tui_trainer.engine.interrupt import StopRequest
    from tui_trainer.engine.launch import launch
    from tui_trainer.headless import choose_mode, watch

    resume = None
    if order.resumed is not None:
        from tui_trainer.cli.resume import check_changes, nothing_to_do, resume_point

        check_changes(order.base, resolved.hparams)
        if nothing_to_do(order.resumed, order.base, resolved.hparams):
            epochs = resolved.hparams.epochs
            print(
                f"{order.resumed.root} is finished: nothing to do (--epochs {2 * epochs} would go on)",
                file=sys.stderr,
            )
            return Exit.OK
        resume = resume_point(order.resumed)
    if not options["no_ui"] and not options["quiet"]:
        print("no app in this version yet: training here, as with --no-ui", file=sys.stderr)
    result = launch(
        task,
        resolved.hparams,
        runs_dir=order.runs_dir,
        run_dir=order.run_dir,
        run_name=options["run_name"],
        command=["tui-train", *argv],
        resume=resume,
        stop=StopRequest(announce=_say),
        watch=watch(choose_mode(options["json"], options["quiet"], sys.stdout)),
    )
    if result.status == "stopped" and not result.run_dir.exists():
        print("stopped before the first step: nothing was trained, nothing is kept", file=sys.stderr)
    return result.exit_code


def _say(text: str) -> None:
    """Tell what a signal leads to. Runs inside its handler, maybe in the middle of another print."""
    with suppress(RuntimeError, OSError):
        print(text, file=sys.stderr, flush=True)


def _check(task: Task, hparams: Hparams, as_json: bool) -> int:
    from tui_trainer.engine.failure import explain

    try:
        from tui_trainer.engine.check import check

        report = check(task, hparams, lambda name: print(f"{name} …", file=sys.stderr))
    except Exception as error:
        explained = explain(error)
        raise explained from (error if explained is not error else error.__cause__)
    if as_json:
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
        *([name, number(value)] for name, value in report["metrics"].items()),
    ]
    print(aligned(rows))
    print("ok: one training and one test batch went through; nothing was written")
    return Exit.OK


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"
