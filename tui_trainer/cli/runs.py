"""`tui-train runs`: every run, newest first."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tui_trainer.cli.streams import say
from tui_trainer.cli.tables import age, aligned, duration, number, show
from tui_trainer.errors import Exit
from tui_trainer.runs.events import encode
from tui_trainer.runs.index import list_runs
from tui_trainer.runs.layout import default_runs_dir


def add_parser(subparsers: Any) -> None:
    """Add `runs` to the command line."""
    parser = subparsers.add_parser("runs", help="list runs", description="Every run, newest first.")
    add_runs_dir(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=_list)


def add_runs_dir(parser: argparse.ArgumentParser) -> None:
    """The option that every command about runs has."""
    parser.add_argument(
        "--runs-dir", type=Path, metavar="DIR", help="where runs live (default: $TUI_TRAIN_RUNS, or ./runs)"
    )


def runs_dir(args: argparse.Namespace) -> Path:
    """The folder of runs that a command is about."""
    return args.runs_dir.expanduser() if args.runs_dir is not None else default_runs_dir()


def _list(args: argparse.Namespace) -> int:
    folder = runs_dir(args)
    runs = list_runs(folder)
    if args.json:
        sys.stdout.write("".join(encode(run).decode() for run in runs))
        return Exit.OK
    if not runs:
        say(f"no runs in {folder}; tui-train --preset digits makes one")
        return Exit.OK
    rows = [["status", "run", "name", "task", "best", "epoch", "step", "time", "started"]]
    rows += [_row(run) for run in runs]
    show(aligned(rows, right=(5, 6, 7), spare=(8, 6, 3, 2, 7)))
    return Exit.OK


def _row(run: dict[str, Any]) -> list[str]:
    status = run["status"].upper() if run["status"] in ("failed", "crashed") else run["status"]
    best = run["best"]
    shown = f"{number(best['value'])} {best['metric']} @{best['epoch']}" if best else "–"
    epoch = f"{run['epoch']}/{run['epochs']}" if run["epochs"] else str(run["epoch"])
    name = f"{run['name']}{' (pinned)' if run['pinned'] else ''}"
    facts = [run["run_id"], name, run["task"], shown, epoch, f"{run['step']:,}"]
    return [status, *facts, duration(run["duration_s"]), age(run["created"])]
