"""`tui-train attach [RUN]`: the app on a run that exists."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from tui_trainer.cli.options import theme_named
from tui_trainer.cli.runs import add_runs_dir, runs_dir
from tui_trainer.errors import UsageError
from tui_trainer.runs.index import find_run
from tui_trainer.ui.options import THEMES

if TYPE_CHECKING:
    from tui_trainer.cli.launcher import Report


def add_parser(subparsers: Any) -> None:
    """Add `attach` to the command line."""
    parser = subparsers.add_parser(
        "attach",
        help="show a run in the app",
        description="Show a run in the app, live or ended. Leaving the app does not end the run.",
    )
    parser.add_argument(
        "run_word", metavar="RUN", nargs="?", default="last", help="id, its end, a name, a folder, or last"
    )
    add_runs_dir(parser)
    parser.add_argument("--theme", type=theme_named, metavar="|".join(THEMES), help="the app's colours")
    parser.add_argument("--ascii", action="store_true", help="draw the app with ASCII characters only")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser.set_defaults(run=_attach)


def _attach(args: argparse.Namespace) -> int:
    root = find_run(args.run_word, runs_dir(args))
    report: Report | None = args.report
    if report is None:
        from tui_trainer.ui.terminal import why_unusable

        why = why_unusable(os.environ, sys.stdin, sys.stderr) or "no launcher"
        raise UsageError(
            "no usable terminal", why, f"tui-train show {args.run_word} tells how the run stands"
        )
    from tui_trainer.cli.app import run_options
    from tui_trainer.ui.options import AppOptions

    options = AppOptions(
        runs_dir=runs_dir(args),
        run=root,
        theme=args.theme,
        ascii=args.ascii,
        mouse=not args.no_mouse,
    )
    return run_options(options, report)
