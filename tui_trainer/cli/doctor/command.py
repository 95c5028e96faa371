"""The command: its options, what it prints and its exit code."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tui_trainer.cli.doctor.check import Check
from tui_trainer.cli.doctor.examine import examine
from tui_trainer.errors import Exit
from tui_trainer.runs.layout import default_runs_dir

_WIDTH = 100


def add_parser(subparsers: Any) -> None:
    """Add `doctor` to the command line."""
    text = "check torch, device, driver, terminal, folders and limits, and say how to fix what is wrong"
    parser = subparsers.add_parser("doctor", help=text, description=text, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--runs-dir", metavar="DIR", help="the runs folder to check (default ./runs or $TUI_TRAIN_RUNS)"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    checks = examine(Path(args.runs_dir).expanduser() if args.runs_dir else default_runs_dir())
    bad = any(check.level == "bad" for check in checks)
    if args.json:
        print(json.dumps({"ok": not bad, "checks": [asdict(check) for check in checks]}))
    else:
        print(report(checks))
    return Exit.FAILED if bad else Exit.OK


def report(checks: Sequence[Check]) -> str:
    """The findings as aligned text, with what to do below what needs doing."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        lines += _wrapped(f"{check.level:<4}  {check.name:<{width}}  ", check.found)
        if check.fix:
            lines += _wrapped(f"{'':<{width + 8}}fix: ", check.fix)
    counts = {level: sum(check.level == level for check in checks) for level in ("ok", "warn", "bad")}
    return "\n".join([*lines, "", f"{counts['ok']} ok, {counts['warn']} warnings, {counts['bad']} bad"])


def _wrapped(start: str, text: str) -> list[str]:
    """Lines no wider than a page, aligned below each other."""
    indent = " " * len(start)
    # Words stay whole: paths and options get copied.
    lines = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [start.rstrip()]
