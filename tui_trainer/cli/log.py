"""`tui-train log RUN --to …`: a run's record for TensorBoard, W&B, MLflow or as CSV, at any time."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.cli.runs import add_runs_dir, runs_dir
from tui_trainer.cli.streams import say
from tui_trainer.cli.tables import show
from tui_trainer.errors import Exit, FileError, UsageError
from tui_trainer.files import FileLock, LockHeld
from tui_trainer.headless.words import near_path
from tui_trainer.loggers import LOGGERS, named, open_sink
from tui_trainer.runs.control import is_live
from tui_trainer.runs.index import find_run
from tui_trainer.runs.layout import RunLayout, run_id

if TYPE_CHECKING:
    from tui_trainer.loggers.records import Sink, Start

_PATIENCE_S = {False: 1.0, True: 60.0}
"""How long another filling of the same kind is waited for. A follower may meet the one before a resume."""
_COUNTED = {
    "Rows": "step rows",
    "Measured": "evaluations and epochs",
    "Text": "texts",
    "Image": "images",
}


def add_parser(subparsers: Any) -> None:
    """Add `log` to the command line."""
    parser = subparsers.add_parser(
        "log",
        help="feed a run to TensorBoard, W&B, MLflow, CSV",
        description="Feed a run's record to another tool, while it trains or afterwards. Filling again "
        "replaces what was filled before.",
    )
    parser.add_argument("run_word", metavar="RUN", help="id, its end, a name, a folder, or last")
    kinds = "; ".join(f"{name}: {text}" for name, text in LOGGERS.items())
    parser.add_argument("--to", required=True, metavar="|".join(LOGGERS), help=kinds)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write here instead of into the run's logs folder (csv, tensorboard: a folder for each run), "
        "./wandb or MLflow's own place",
    )
    parser.add_argument("--follow", action="store_true", help="go on until the run ends")
    add_runs_dir(parser)
    parser.set_defaults(run=_log)


def _log(args: argparse.Namespace) -> int:
    names = named(args.to)
    if len(names) > 1:
        raise UsageError("one logger at a time", args.to, f"--to {names[0]}")
    root = find_run(args.run_word, runs_dir(args))
    from tui_trainer.loggers.feed import Patience, feed
    from tui_trainer.loggers.source import RunSource

    name, layout = names[0], RunLayout(root)
    lock = FileLock(layout.logs / f"{name}.lock")
    if args.out is not None:
        args.out = args.out.expanduser()

    def opened(start: Start) -> Sink:
        _take(lock, name, layout, args.follow)
        return open_sink(name, start, root, args.out)

    beat = {}
    if args.follow:
        beat = {"beat": Patience(lambda: not is_live(layout), say).beat}
    try:
        sink, counts = feed(RunSource(root), opened, args.follow, **beat)
    finally:
        lock.release()
    if sink is None:
        say(f"{run_id(layout)} has no step on record: nothing to log")
        return Exit.OK
    told = ", ".join(f"{counts[kind]:,} {text}" for kind, text in _COUNTED.items() if counts[kind])
    say(f"{name}: {told}" + (f"; {sink.viewer} shows it" if sink.viewer else ""))
    show(near_path(Path(sink.where)) if Path(sink.where).exists() else sink.where)
    return Exit.OK


def _take(lock: FileLock, name: str, layout: RunLayout, follow: bool) -> None:
    """See to it that nobody else fills the same. Where the run can't be written to, nobody is kept away.

    Raises:
        UsageError: somebody does.
        FileError: what would be written lies elsewhere, by a link.
    """
    for path in (layout.logs, layout.logs / name, lock.path):
        if path.is_symlink():
            raise FileError("not the run's own", f"{path} is a link", "remove it: logs are written there")
    lock.release()
    with suppress(OSError):
        lock.path.parent.mkdir(exist_ok=True)
        try:
            lock.acquire(_PATIENCE_S[follow])
        except LockHeld as held:
            message = f"process {held.owner.get('pid', '?')} writes {run_id(layout)} to {name}"
            raise UsageError("already being logged", message, "it goes on until the run ends") from None
