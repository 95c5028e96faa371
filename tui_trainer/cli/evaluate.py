"""`tui-train evaluate CKPT`: the metrics of training, and which classes are taken for which."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from tui_trainer.cli import trained
from tui_trainer.cli.hparam_flags import Flags
from tui_trainer.cli.streams import say
from tui_trainer.cli.tables import show
from tui_trainer.errors import Exit
from tui_trainer.runs.events import encode

_SPLITS = ("test", "val", "train", "all")


def add_parser(subparsers: Any) -> None:
    """Add `evaluate` to the command line."""
    parser = subparsers.add_parser(
        "evaluate",
        help="metrics of a checkpoint, per class too",
        description="Metrics of a checkpoint, exactly as training measures them; of a classification also "
        "precision and recall of each class, and which classes are taken for which.",
    )
    trained.add_checkpoint(parser)
    parser.add_argument(
        "--split",
        choices=_SPLITS,
        help="what to measure on (default: test; of another --dataset_path all of it, or its own test set)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=_evaluate)


def take_hparams(argv: Sequence[str]) -> tuple[list[str], Flags]:
    """Part options and hparams."""
    return trained.take_hparams("evaluate", argv, {"json"}, {"split"})


def _evaluate(args: argparse.Namespace) -> int:
    chosen = trained.chosen(args)
    say(f"reading {chosen} and data …")
    progress = _Progress()
    with trained.doing("evaluation"):
        from tui_trainer.engine.scoring import score

        scores = score(
            chosen.root,
            chosen.tag,
            args.split,
            chosen.hparams,
            chosen.device,
            alert=lambda title, message: say(f"note: {title}: {message}"),
            progress=progress,
        )
    progress.end()
    facts = scores.facts()
    if args.json:
        sys.stdout.write(encode(facts).decode())
        return Exit.OK
    from tui_trainer.headless.scores import print_coloured, report, title

    lines = [((title(facts), "strong"),), *report(facts, _width())]
    if not sys.stdout.isatty():
        show("\n".join("".join(text for text, _ in line).rstrip() for line in lines))
        return Exit.OK
    print_coloured(lines)
    return Exit.OK


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000


class _Progress:
    """Says which split is measured; on a terminal also how far it is."""

    def __init__(self) -> None:
        self._split = ""
        self._open = False

    def __call__(self, split: str, done: int, batches: int | None) -> None:
        if split != self._split:
            self.end()
            self._split = split
            say(f"evaluating {split} …")
        elif sys.stderr.isatty() and batches and done < batches:
            print(f"\r{100 * done // batches} % of {split} ", end="", file=sys.stderr, flush=True)
            self._open = True

    def end(self) -> None:
        """Take the last word back."""
        if self._open:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._open = False
