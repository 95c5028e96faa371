"""`tui-train predict CKPT --input FILE`: what a checkpoint makes of new data."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tui_trainer.cli import trained
from tui_trainer.cli.hparam_flags import Flags
from tui_trainer.cli.prediction_files import FORMATS, ArrayWriter, Format, RowWriter, choose_format, opened
from tui_trainer.cli.streams import say
from tui_trainer.errors import Exit, FileError, UsageError
from tui_trainer.headless.words import near_path, plural

if TYPE_CHECKING:
    from tui_trainer.engine.trained import Trained


def add_parser(subparsers: Any) -> None:
    """Add `predict` to the command line."""
    parser = subparsers.add_parser(
        "predict",
        help="what a checkpoint makes of new data",
        description="Predictions for inputs without targets, read as the task reads them: a table with the "
        "columns of training, a folder of images, an array, lines of text, a prompt. --eval_batch_size of "
        "them go through the model at once.",
    )
    trained.add_checkpoint(parser)
    parser.add_argument(
        "--input", metavar="FILE", help="file or folder to predict from; - for CSV or JSON lines on stdin"
    )
    parser.add_argument(
        "--prompt", metavar="TEXT", help="this very text in place of a file, for tasks on text"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="write there, at once when all is done (default: stdout)"
    )
    parser.add_argument("--format", choices=FORMATS, help="default: as the output ends, on stdout csv")
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but warnings and errors")
    parser.set_defaults(run=_predict)


def take_hparams(argv: Sequence[str]) -> tuple[list[str], Flags]:
    """Part options and hparams."""
    return trained.take_hparams("predict", argv, {"quiet"}, {"input", "prompt", "output", "format"})


def _predict(args: argparse.Namespace) -> int:
    if (args.input is None) == (args.prompt is None):
        raise UsageError("what to predict from?", "one of --input and --prompt is needed", "--input FILE")
    output = trained.destination(args.output) if args.output is not None else None
    form = choose_format(args.format, output)
    tell: Callable[[str], None] = (lambda text: None) if args.quiet else say
    with _input(args.input, args.prompt) as path:
        if output is not None and _same(path, output):
            raise UsageError("output is the input", f"both are {path}", "--output another file")
        chosen = trained.chosen(args)
        tell(f"predicting with {chosen} …")
        called = {} if args.input not in (None, "-") else {str(path): "stdin" if args.input else "the prompt"}
        with opened(output) as file, trained.doing("prediction", called, tell):
            count = _write(chosen.load(tell), path, file, form)
    if output is not None:
        tell(f"{plural(count, 'prediction')} of {chosen} in {near_path(output)}")
    return Exit.OK


def _write(model: Trained, path: Path, file: IO[bytes], form: Format) -> int:
    from tui_trainer.engine.predict import predicted, rows_for

    count = 0
    arrays, rows = ArrayWriter(file), RowWriter(file, form)
    for known, outputs in predicted(model, path):
        count += len(known)
        if form == "npy":
            arrays.write(outputs)
        else:
            rows.write(known, rows_for(model, known, outputs))
    arrays.close()
    return count


@contextmanager
def _input(word: str | None, prompt: str | None) -> Iterator[Path]:
    """The file to predict from; what comes from elsewhere is in a file for that long.

    Raises:
        FileError: it does not exist, or nothing comes.
    """
    if word is not None and word != "-":
        path = Path(word).expanduser()
        if not os.path.exists(path):
            raise FileError("input not found", f"{path} does not exist", "--input FILE or folder")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tui-train-") as folder:
        if prompt is not None:
            path = Path(folder) / "prompt.txt"
            path.write_text(prompt, encoding="utf-8", errors="replace", newline="")
        else:
            path = _spooled(Path(folder))
        yield path


def _spooled(folder: Path) -> Path:
    """Standard input in a file whose ending says what it is: objects a line, or a table."""
    start = sys.stdin.buffer.read(1 << 16)
    if not start.strip():
        raise FileError(
            "nothing to predict", "nothing came on stdin", "--input FILE, or pipe CSV or JSON lines"
        )
    path = folder / f"stdin.{'jsonl' if start.lstrip()[:1] in b'{[' else 'csv'}"
    with open(path, "wb") as file:
        file.write(start)
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
