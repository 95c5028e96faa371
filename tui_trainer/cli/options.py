"""The options of `tui-train` itself and the flags of a task's hparams, in one argparse parser."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from typing import Any, NoReturn

from tui_trainer import __version__
from tui_trainer.cli.commands import COMMANDS
from tui_trainer.config.fields import GROUPS, FieldSpec, flag_text
from tui_trainer.config.problems import suggestion
from tui_trainer.errors import UsageError
from tui_trainer.loggers import LOGGERS
from tui_trainer.ui.options import THEMES

VALUED = {
    "preset": ("NAME|FILE", "start from this preset: a name (see tui-train presets) or a file"),
    "resume": (
        "RUN",
        "go on with this run from its newest good checkpoint; `auto` with --run-dir: if there is one",
    ),
    "fork": (
        "CKPT",
        "a new run that goes on from this checkpoint of another one: RUN@7, RUN@best, a .pt file, or RUN",
    ),
    "init_from": (
        "CKPT",
        "a new run whose model starts from these weights only: RUN@7, RUN@best, RUN, or any .pt file with a "
        "state_dict",
    ),
    "runs_dir": ("DIR", "where runs live (default: $TUI_TRAIN_RUNS, or ./runs)"),
    "run_dir": ("DIR", "this very run directory"),
    "run_name": ("NAME", "a human name beside the run's id"),
    "end_time": (
        "TIME",
        "stop early enough to save by then: 14:30, 2026-11-26T14:30 or unix seconds "
        "(default: $SLURM_JOB_END_TIME)",
    ),
    "on_end": ("CMD", "run this shell command when the run has ended; TUI_TRAIN_STATUS tells it how"),
    "log_to": (
        "LOGGER,…",
        f"feed these while it trains, in processes of their own: {', '.join(LOGGERS)} (see tui-train log)",
    ),
    "theme": (
        "|".join(THEMES),
        "the app's colours; by default the ones chosen last, or what the terminal's background asks for",
    ),
}
SWITCHES = {
    "start": "start at once, with the app on Live",
    "detach": "start in the background, print the run directory and return; tui-train attach shows the run",
    "no_ui": "train in this terminal, without the app",
    "json": "one JSON object a line on stdout, and nothing else",
    "quiet": "print errors only",
    "check": "build data and model, run one training and one test batch, write nothing, and report",
    "find_batch_size": "try batch sizes before the run, and start with the one that trains fastest and fits",
    "traceback": "show the traceback of every error",
    "ascii": "draw the app with ASCII characters only",
    "no_mouse": "leave the mouse to the terminal, to select text with",
    "version": "print the version",
}

_EPILOG = """commands:
{commands}

examples:
  tui-train                                     the app: set up, train, watch, compare
  tui-train --preset digits --start             train a shipped preset in the app
  tui-train --no-ui digits --lr 3e-4 --epochs 5 without the app: scripts, batch systems
  tui-train my_task.py --help                   every hparam of a task
  tui-train --resume last                       go on with the newest run
  tui-train attach                              show the newest run, also from another terminal
"""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are ours, and whose help is never wider than a page."""

    def __init__(self, **options: Any) -> None:
        width = min(shutil.get_terminal_size().columns, 110)
        options.setdefault(
            "formatter_class",
            lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=32, width=width),
        )
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would have printed."""
        raise UsageError("wrong command line", message, f"{self.prog} --help")


def theme_named(name: str) -> str:
    """The name of a theme.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in THEMES:
        raise UsageError(
            "unknown theme", f"--theme {name}{suggestion(name, THEMES)}", f"themes: {', '.join(THEMES)}"
        )
    return name


GIVE_A_TASK = ("preset", "resume", "fork")
"""Options whose value says what is trained, where no TASK is typed."""
MAY_GIVE_A_TASK = (*GIVE_A_TASK, "init_from")
"""With the one whose value may be a file that does not say it."""


def hparam_switches(specs: Mapping[str, FieldSpec]) -> set[str]:
    """Names of the flags of boolean hparams: `compile` and `no_compile`."""
    names = [name for name, spec in specs.items() if spec.kind == "bool"]
    return {*names, *(f"no_{name}" for name in names)}


def hparam_valued(specs: Mapping[str, FieldSpec]) -> set[str]:
    """Names of the flags of all other hparams. The task is named by position."""
    return {name for name, spec in specs.items() if spec.kind != "bool" and name != "task"}


def build_parser(
    specs: Mapping[str, FieldSpec], task: str | None, preset: Mapping[str, Any] | None = None
) -> Parser:
    """The parser of the main command, with a flag for every hparam.

    Args:
        specs: the task's hparams, or the base ones while no task is known.
        task: its name, for the help.
        preset: values that a preset gives, for the help.
    """
    commands = "\n".join(f"  {name:<14}{text}" for name, text in COMMANDS.items())
    about = "Launch, watch and resume PyTorch training from one terminal."
    if task is None:
        about += "\n\nThe hparams below are those of every task; tui-train TASK --help adds the task's own."
    about += "\nIn every option, - and _ are the same; `none` unsets an hparam that may be none."
    parser = Parser(
        prog="tui-train",
        usage="tui-train [TASK] [--preset NAME|FILE] [--HPARAM VALUE ...] [options]\n"
        "       tui-train COMMAND --help",
        description=about,
        epilog=_EPILOG.format(commands=commands),
    )
    parser.add_argument(
        "task",
        nargs="?",
        metavar="TASK",
        help="digits, tabular, images, char_lm, seq2seq, my_task.py, module:Class",
    )
    for name, (metavar, text) in VALUED.items():
        check = theme_named if name == "theme" else str
        parser.add_argument(
            dashed(name), dest=f"option_{name}", type=check, metavar=metavar, help=_percent(text)
        )
    for name, text in SWITCHES.items():
        parser.add_argument(dashed(name), dest=f"option_{name}", action="store_true", help=_percent(text))
    add_hparams(parser, specs, task, preset or {})
    return parser


def add_hparams(
    parser: argparse.ArgumentParser,
    specs: Mapping[str, FieldSpec],
    task: str | None,
    preset: Mapping[str, Any],
) -> None:
    """Add a flag for every hparam, by group."""
    order = [*GROUPS, *sorted({spec.group for spec in specs.values()} - set(GROUPS))]
    for group_name in order:
        inside = [spec for spec in specs.values() if spec.group == group_name and spec.name != "task"]
        if not inside:
            continue
        group = parser.add_argument_group(f"{group_name} hparams{f' of {task}' if task else ''}")
        for spec in inside:
            _add_flag(group, spec, preset)


def _add_flag(group: Any, spec: FieldSpec, preset: Mapping[str, Any]) -> None:
    options: dict[str, Any] = {
        "dest": f"hparam_{spec.name}",
        "default": argparse.SUPPRESS,
        "help": _percent(help_text(spec, preset)),
    }
    if spec.kind == "bool":
        group.add_argument(f"--{spec.name}", action="store_true", **options)
        negative = {**options, "help": argparse.SUPPRESS}
        group.add_argument(f"--no_{spec.name}", action="store_false", **negative)
    else:
        group.add_argument(f"--{spec.name}", metavar=metavar(spec), **options)


def help_text(spec: FieldSpec, preset: Mapping[str, Any]) -> str:
    """An hparam's description with its choices or range, unit and default, as the help shows it."""
    default = "required" if spec.required else f"default: {default_text(spec)}"
    if spec.name in preset:
        default += f"; this preset: {flag_text(preset[spec.name])}"
    return f"{spec.description} ({'; '.join([*value_facts(spec), default])})"


def value_facts(spec: FieldSpec) -> list[str]:
    """What values an hparam may have: choices or range, and its unit."""
    facts = []
    if spec.kind == "bool":
        facts.append(f"{dashed('no_' + spec.name)} turns it off")
    elif spec.choices:
        facts.append(", ".join(spec.choices))
    elif spec.bounds or spec.expected_text:
        facts.append(spec.expected)
    if spec.unit:
        facts.append(f"unit: {spec.unit}")
    return facts


def default_text(spec: FieldSpec) -> str:
    """The default as one would type it."""
    if spec.kind == "bool":
        return "on" if spec.default else "off"
    return flag_text(spec.default)


def metavar(spec: FieldSpec) -> str:
    """What stands for the value in the help."""
    names = {"int": "N", "float": "X", "choice": "NAME", "path": "PATH", "numbers": "X,…", "mixed": "VALUE"}
    return names.get(spec.kind, "TEXT")


def dashed(name: str) -> str:
    """How an option of ours is spelled; underscores are understood too."""
    return f"--{name.replace('_', '-')}"


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def version_text() -> str:
    return f"tui-train {__version__}"
