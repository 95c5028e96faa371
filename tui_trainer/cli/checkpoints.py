"""`tui-train checkpoints`: list, verify, pin, unpin and delete. No `.pt` is ever opened."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from tui_trainer.cli.control import ask, outcome_text
from tui_trainer.cli.runs import add_runs_dir, runs_dir
from tui_trainer.cli.streams import say
from tui_trainer.cli.tables import age, aligned, number, show, size
from tui_trainer.errors import Exit, FileError, UsageError
from tui_trainer.runs.checkpoints import read_index, remove_entries, set_pinned, verify
from tui_trainer.runs.claim import owned
from tui_trainer.runs.control import is_live
from tui_trainer.runs.events import encode
from tui_trainer.runs.index import find_checkpoint, find_run
from tui_trainer.runs.layout import RunLayout


def add_parser(subparsers: Any) -> None:
    """Add `checkpoints` and its actions to the command line."""
    parser = subparsers.add_parser("checkpoints", help="list, verify, pin and delete checkpoints")
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")

    def action(
        name: str, run: Callable[[argparse.Namespace], int], text: str, metavar: str
    ) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
        added.add_argument(
            "word",
            metavar=metavar,
            help="RUN: id, its end, name, folder or last; CKPT: RUN@7, RUN@best, a .pt file",
        )
        add_runs_dir(added)
        added.set_defaults(run=run)
        return added

    listing = action("list", _list, "checkpoints of a run, oldest first", "RUN")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    action("verify", _verify, "compare files with their sizes and SHA-256", "RUN|CKPT")
    action("pin", lambda args: _pin(args, True), "protect a checkpoint from retention and deletion", "CKPT")
    action("unpin", lambda args: _pin(args, False), "take the protection away", "CKPT")
    remove = action("rm", _remove, "delete a checkpoint", "CKPT")
    remove.add_argument("--force", action="store_true", help="even if it is pinned, best or last")


def _list(args: argparse.Namespace) -> int:
    layout = RunLayout(find_run(args.word, runs_dir(args)))
    entries = read_index(layout)
    if args.json:
        sys.stdout.write("".join(encode(entry).decode() for entry in entries))
        return Exit.OK
    if not entries:
        say(f"{layout.root} has no checkpoint")
        return Exit.OK
    shown = list(
        dict.fromkeys(
            name for entry in entries for name in entry["metrics"] if name.endswith(("/loss", "/accuracy"))
        )
    )
    rows = [["file", "epoch", "step", *shown, "size", "age", "marks"]]
    for entry in entries:
        marks = " ".join(mark for mark in ("best", "last", "pinned") if entry.get(mark))
        values = [number(entry["metrics"].get(name)) for name in shown]
        name = layout.model_file(entry["tag"]).name
        rows.append(
            [
                name,
                str(entry["epoch"]),
                f"{entry['step']:,}",
                *values,
                size(entry["size"]),
                age(entry["time"]),
                marks,
            ]
        )
    # On a narrow terminal the training metrics go first: what was tested says more.
    metrics = sorted(range(len(shown)), key=lambda k: (not shown[k].startswith("train/"), -k))
    size_column = 3 + len(shown)
    spare = [size_column + 1, size_column, *(3 + k for k in metrics)]
    show(aligned(rows, right=range(1, size_column + 1), spare=spare))
    return Exit.OK


def _verify(args: argparse.Namespace) -> int:
    folder = runs_dir(args)
    if "@" in args.word or args.word.endswith(".pt"):
        root, tag = find_checkpoint(args.word, folder)
        tags = [tag]
    else:
        root = find_run(args.word, folder)
        tags = [entry["tag"] for entry in read_index(RunLayout(root))]
    layout = RunLayout(root)
    problems: list[str] = []
    for tag in tags:
        found = verify(layout, tag)
        show(f"{layout.model_file(tag).name}: {'; '.join(found) or 'ok'}")
        problems += found
    if problems:
        raise FileError(
            "bad checkpoint",
            f"{len(problems)} of the files of {root} are not as they were saved",
            "resume falls back to the newest good one",
        )
    return Exit.OK


def _pin(args: argparse.Namespace, pinned: bool) -> int:
    root, tag = find_checkpoint(args.word, runs_dir(args))
    layout = RunLayout(root)
    if is_live(layout):
        return _ask_trainer(layout, "pin" if pinned else "unpin", tag)
    with owned(layout):
        set_pinned(layout, tag, pinned)
    show(f"{layout.model_file(tag).name} is {'pinned' if pinned else 'no longer pinned'}")
    return Exit.OK


def _remove(args: argparse.Namespace) -> int:
    root, tag = find_checkpoint(args.word, runs_dir(args))
    layout = RunLayout(root)
    if is_live(layout):
        return _ask_trainer(layout, "rm", tag)
    with owned(layout):
        entry = next(entry for entry in read_index(layout) if entry["tag"] == tag)
        marks = [mark for mark in ("pinned", "best", "last") if entry.get(mark)]
        if marks and not args.force:
            raise UsageError(
                "checkpoint is protected",
                f"{layout.model_file(tag).name} is {' and '.join(marks)}",
                "--force deletes it all the same",
            )
        remove_entries(layout, [tag])
    show(f"{layout.model_file(tag).name} is deleted, with its companions")
    return Exit.OK


def _ask_trainer(layout: RunLayout, action: str, tag: str) -> int:
    """The index of a live run is its trainer's to change. Not even --force deletes what is protected then."""
    show(outcome_text(ask(layout, action, tag, patience_s=10.0), layout))
    return Exit.OK
