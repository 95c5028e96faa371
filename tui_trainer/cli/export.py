"""`tui-train export CKPT --to FORMAT FILE`: a checkpoint for other tools."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tui_trainer.cli import trained
from tui_trainer.cli.hparam_flags import Flags
from tui_trainer.cli.streams import say
from tui_trainer.cli.tables import show, size
from tui_trainer.errors import Exit
from tui_trainer.headless.exports import FORMATS, other_format
from tui_trainer.headless.words import near_path


def add_parser(subparsers: Any) -> None:
    """Add `export` to the command line."""
    parser = subparsers.add_parser(
        "export",
        help="write a checkpoint for other tools",
        description="A checkpoint as safetensors (weights), torch.export (a .pt2 that runs without this "
        "package), ONNX, or a copy of its state_dict. What was exported is held against the model first.",
    )
    trained.add_checkpoint(parser)
    parser.add_argument("file", metavar="FILE", help="where to write")
    parser.add_argument("--to", choices=tuple(FORMATS), required=True, help="the format")
    parser.add_argument(
        "--input", metavar="FILE", help="an example input, as predict takes it (default: a batch of the data)"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.set_defaults(run=_export)


def take_hparams(argv: Sequence[str]) -> tuple[list[str], Flags]:
    """Part options and hparams."""
    return trained.take_hparams("export", argv, {"force"}, {"to", "input"})


def _export(args: argparse.Namespace) -> int:
    chosen, path = trained.chosen(args), trained.destination(args.file)
    example = Path(args.input).expanduser() if args.input is not None else None
    say(f"exporting {chosen} to {args.to} …")
    with trained.doing("export"):
        from tui_trainer.engine.export import export

        done = export(
            chosen.root, chosen.tag, args.to, path, chosen.hparams, example=example, force=args.force
        )
    if (promised := other_format(path, args.to)) is not None:
        say(f"note: {path.name} is {args.to}, though its ending is that of {promised}")
    for notice in done.notices:
        say(f"note: {notice}")
    show(f"{near_path(done.path)}: {size(os.path.getsize(done.path))}; checked {done.checked}")
    return Exit.OK
