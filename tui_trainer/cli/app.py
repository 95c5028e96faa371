"""From the command line to the app."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.cli.batch_size import refuse_in_app
from tui_trainer.cli.options import theme_named
from tui_trainer.cli.streams import say
from tui_trainer.cli.train import check_before_app, plan, runs_own_code, sort_main
from tui_trainer.config.hparams import Hparams
from tui_trainer.errors import Exit
from tui_trainer.runs.layout import default_runs_dir

if TYPE_CHECKING:
    from tui_trainer.cli.launcher import Report
    from tui_trainer.ui.options import AppOptions

SWITCHES = frozenset({"start", "ascii", "no_mouse", "traceback"})
VALUED = frozenset({"theme"})


def open_app(argv: Sequence[str], report: Report) -> int:
    """Open the app on Setup, or on Live with a run that starts at once.

    Args:
        argv: the words of the main command.
        report: tells the launcher that the app goes on alone.

    Returns:
        The exit code.

    Raises:
        TrainerError: what the app could not show at a field; where a run starts at once, all that is wrong
            with it, unless that would run code of the user's, which may take long: the app shows that.
    """
    options = app_options(argv)
    refuse_in_app(bool(sort_main(argv, Hparams.specs()).get("find_batch_size")))
    if options.start and not runs_own_code(options.argv):
        planned = plan(options.argv)
        if planned.nothing_to_do is not None:
            say(planned.nothing_to_do)
            return Exit.OK
    else:
        check_before_app(options.argv)
    return run_options(options, report)


def run_options(options: AppOptions, report: Report) -> int:
    """Open the app as the options say; its starts are command lines."""
    from tui_trainer.ui.main import run_app

    return run_app(options, plan, report)


def app_options(argv: Sequence[str]) -> AppOptions:
    """The options of the app, and the words that are left for a run.

    Raises:
        UsageError: an unknown theme.
    """
    from tui_trainer.ui.options import AppOptions

    words = sort_main(argv, Hparams.specs())
    theme, runs_dir = words.get("theme"), words.get("runs_dir")
    return AppOptions(
        runs_dir=Path(str(runs_dir)).expanduser() if runs_dir else default_runs_dir(),
        argv=tuple(run_words(argv)),
        start=any(words.get(name) for name in ("start", "resume", "fork")),
        theme=theme_named(str(theme)) if theme else None,
        ascii=bool(words.get("ascii")),
        mouse=not words.get("no_mouse"),
    )


def run_words(argv: Sequence[str]) -> list[str]:
    """A command line without what only the app understands."""
    kept: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, _ = word.partition("=")
        spelled = name[2:].replace("-", "_") if name.startswith("--") else ""
        if spelled in VALUED and not equals and rest:
            rest.pop(0)
        elif spelled not in SWITCHES | VALUED:
            kept.append(word)
    return kept
