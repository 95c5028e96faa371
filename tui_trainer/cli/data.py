"""`tui-train data`: what is in a data set, before anything is trained on it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.cli.data_form import is_data, likely_target, only_text_key, pair_keys, task_for
from tui_trainer.cli.streams import say, warnings_as_notes
from tui_trainer.cli.train import explaining, plan, print_beforehand, sort_main
from tui_trainer.config.hparams import Hparams
from tui_trainer.errors import Exit, UsageError
from tui_trainer.headless.words import one_line

if TYPE_CHECKING:
    from tui_trainer.engine.data_report.facts import DataReport

SAMPLES = 10_000
"""Looked at of each split, unless others are asked for."""

_PLAIN_WIDTH = 110

_ABOUT = """What is in a data set, before anything is trained on it: samples, shapes, balance of classes,
missing values, ranges, some samples drawn here, and what is likely wrong."""
_EPILOG = """The words are those of a training: a task or --preset, and any hparam as a flag.

examples:
  tui-train data digits
  tui-train data --preset digits --json
  tui-train data my_task.py --dataset_path data/
  tui-train data table.csv --target price    a file or folder: the built-in task that reads it is chosen
"""


def add_parser(subparsers: Any) -> None:
    """Add `data` to the command line."""
    parser = subparsers.add_parser(
        "data",
        help="report on a data set",
        description=_ABOUT,
        epilog=_EPILOG,
        usage="tui-train data [--json] [--samples N|all] TASK|FILE|FOLDER [--HPARAM VALUE ...]",
        allow_abbrev=False,
    )
    parser.set_defaults(run=_run)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--samples",
        type=_samples,
        default=SAMPLES,
        metavar="N|all",
        help="look at so many samples of each split, evenly spread; all of them without a limit of time "
        f"(default: {SAMPLES:,})",
    )
    parser.add_argument("words", nargs="*", metavar="TASK", help="a task, a file or a folder, and hparams")


def _samples(text: str) -> int | None:
    if text == "all":
        return None
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number >= 1 or all, got {text}")
    return count


def take_hparams(argv: Sequence[str]) -> tuple[list[str], dict[str, str | bool]]:
    """Part this command's own options from the words that the main command knows too.

    What follows `--` is the main command's, even if it is called like an option of this one.

    Returns:
        Words for argparse, with those of the main command after `--`, and no flags.
    """
    own: list[str] = []
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        name = word.partition("=")[0]
        if name in ("--json", "--help", "-h"):
            own.append(word)
        elif name == "--samples":
            own += [word, *([rest.pop(0)] if word == name and rest else [])]
        else:
            words.append(word)
    return [*own, "--", *words], {}


def _run(args: argparse.Namespace) -> int:
    if not args.words:
        raise UsageError("no data set", "name a task, a file or a folder", "tui-train data digits")
    planned = plan([*_with_task(args.words), "--check"])
    print_beforehand(planned)
    with explaining():
        from tui_trainer.engine.data_report import data_report

        # What the task prints would be taken for the report.
        with warnings_as_notes(), redirect_stdout(sys.stderr):
            report = data_report(
                planned.task, planned.hparams, args.samples, on_phase=lambda name: say(f"{name} …")
            )
    if args.json:
        from tui_trainer.runs.events import encode

        print(encode(report.as_json()).decode().strip())
    else:
        _print(report)
    return Exit.OK


def _with_task(words: Sequence[str]) -> list[str]:
    """The words with a task and its `dataset_path` in place of a file or folder.

    Raises:
        TrainerError: no built-in task reads it, or it is not there.
    """
    found = sort_main(words, Hparams.specs())
    word = next((word for word in [*found.positionals, *found.unsure] if is_data(word)), None)
    if word is None:
        return list(words)
    if found.get("dataset_path") is not None:
        raise UsageError(
            "two data sets", f"{word} and --dataset_path {found.get('dataset_path')}", "give only one of them"
        )
    path = Path(word).expanduser()
    task, form = task_for(path)
    more = ["--dataset_path", str(path)]
    said = f"{word}: {form}, as task {task} reads it"
    given = {name for name, _ in found.flags} | set(found.unknown)
    if task == "char_lm" and "text_column" not in given and (key := only_text_key(path)) is not None:
        more += [f"--text_column={key}"]
    if task == "seq2seq" and not given & {"input_column", "target_column"}:
        keys = pair_keys(path)
        if keys is not None:
            more += [f"--input_column={keys[0]}", f"--target_column={keys[1]}"]
            said += (
                f"; {one_line(keys[0])} → {one_line(keys[1])} (--input_column and --target_column say other)"
            )
    if task == "tabular" and "target" not in given:
        target = likely_target(path)
        if target is not None:
            more += [f"--target={target}"]
            said += f"; target {one_line(target)} (--target names another column)"
    say(said)
    place = list(words).index(word)
    return [*words[:place], task, *words[place + 1 :], *more]


def _print(report: DataReport) -> None:
    from rich.console import Console

    from tui_trainer.headless.data_report import sections
    from tui_trainer.headless.modes import is_terminal
    from tui_trainer.headless.picture import choose_drawing

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    colours = None if console.no_color else console.color_system
    width = console.width if is_terminal(sys.stdout) else _PLAIN_WIDTH
    facts = report.as_json()
    made = sections(facts, width, choose_drawing(colours, sys.stdout))
    # The end is what stays in view.
    made = [*made[1:], made[0]]
    title = f"{one_line(report.task)}: {one_line(report.description)}"
    console.print(title.rstrip(": "), style="bold", soft_wrap=True)
    for section in made:
        style = "bold yellow" if section.warning else "bold cyan"
        console.print(f"\n{section.title}", style=style, soft_wrap=True)
        for line in section.lines:
            console.print(line, soft_wrap=True)
