"""What the commands about a trained model have in common: CKPT, hparam flags, errors of the user's code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.cli.hparam_flags import Flags, part
from tui_trainer.cli.runs import add_runs_dir, runs_dir
from tui_trainer.cli.streams import say, warnings_as_notes
from tui_trainer.cli.words import Words
from tui_trainer.config.fields import FieldSpec
from tui_trainer.config.hparams import Hparams
from tui_trainer.config.resolve import resolve
from tui_trainer.engine.run_task import task_of
from tui_trainer.errors import FileError, TrainerError, UsageError
from tui_trainer.headless.words import near_path
from tui_trainer.runs.index import find_checkpoint
from tui_trainer.runs.layout import RunLayout, default_runs_dir
from tui_trainer.runs.reader import RunReader

if TYPE_CHECKING:
    from tui_trainer.engine.trained import Trained


@dataclass(frozen=True)
class Chosen:
    """The checkpoint that a command is about.

    Attributes:
        root: its run.
        tag: of the checkpoint.
        hparams: its hparams, with those that were typed; None where none were.
        device: that was typed; None without.
    """

    root: Path
    tag: str
    hparams: Hparams | None
    device: str | None

    def __str__(self) -> str:
        task = RunReader(self.root).run().get("task") or "unknown task"
        return f"{near_path(RunLayout(self.root).model_file(self.tag))} ({task})"

    def load(self, tell: Callable[[str], None] = say) -> Trained:
        """Build the model, and tell what somebody should know of it."""
        from tui_trainer.engine.trained import load_trained

        trained = load_trained(self.root, self.tag, self.device, self.hparams)
        for notice in trained.notices:
            tell(f"note: {notice}")
        return trained


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """The words that name a checkpoint."""
    parser.add_argument(
        "checkpoint",
        metavar="CKPT",
        help="RUN (its newest checkpoint), RUN@best, RUN@7, or a .pt file of a run",
    )
    add_runs_dir(parser)
    parser.add_argument("--traceback", action="store_true", help="show the traceback of every error")
    parser.epilog = (
        "Any hparam of the run's task may be given another value: --device cpu, --dataset_path DIR."
    )


def take_hparams(
    command: str, argv: Sequence[str], switches: Collection[str], valued: Collection[str]
) -> tuple[list[str], Flags]:
    """Part the words of a command into its options and the hparams of the checkpoint's task."""
    own = ({*switches, "traceback"}, {*valued, "runs_dir"})
    return part(argv, *own, _specs_of, f"tui-train {command} --help")


def _specs_of(words: Words) -> Mapping[str, FieldSpec]:
    if words.help or not words.positionals:
        return Hparams.specs()
    folder = words.get("runs_dir")
    where = Path(folder).expanduser() if isinstance(folder, str) else default_runs_dir()
    root, tag = find_checkpoint(words.positionals[0], where)
    layout = RunLayout(root)
    try:
        return task_of(layout, tag)[0].hparams_class.specs()
    except TrainerError:
        # A task file that is broken now was none when the run began.
        return task_of(layout, tag, copy=True)[0].hparams_class.specs()


def chosen(args: argparse.Namespace) -> Chosen:
    """The checkpoint that a command line names, with the hparams that it gives.

    Raises:
        TrainerError: there is no such checkpoint, or a flag is wrong.
    """
    root, tag = find_checkpoint(args.checkpoint, runs_dir(args))
    if not args.hparam_flags:
        return Chosen(root, tag, None, None)
    task, values = task_of(RunLayout(root), tag)
    resolved = resolve(task.hparams_class, task.name, None, args.hparam_flags, values)
    for warning in resolved.warnings:
        say(f"warning: {warning}")
    device = args.hparam_flags.get("device")
    return Chosen(root, tag, resolved.hparams, device if isinstance(device, str) else None)


def destination(word: str) -> Path:
    """The file that a command line names to write to, looked at before the work is done.

    Raises:
        UsageError: it is a folder.
        FileError: its folder does not exist.
    """
    path = Path(word).expanduser()
    if path.is_dir():
        raise UsageError("not a file", f"{path} is a folder", "name the file to write")
    if not path.parent.is_dir():
        raise FileError("no such folder", f"{path.parent} does not exist", f"mkdir -p '{path.parent}'")
    return path


@contextmanager
def doing(
    what: str, called: Mapping[str, str] | None = None, tell: Callable[[str], None] = say
) -> Iterator[None]:
    """Run the user's code: what it raises becomes an error that a person can act on.

    What it warns of and prints goes to stderr, so that stdout holds nothing but results.

    Args:
        what: such as "prediction".
        called: what a message calls a path instead, such as a file that nobody but this program knows.
        tell: is told what they warn of.

    Raises:
        TrainerError: what was raised, explained.
    """

    def note(text: str) -> None:
        tell(_named(text, called))

    with warnings_as_notes(note), redirect_stdout(sys.stderr):
        try:
            yield
        except TrainerError as error:
            error.message, error.hint = _named(error.message, called), _named(error.hint, called)
            raise
        except OSError:
            raise
        except Exception as error:
            from tui_trainer.engine.failure import explain

            explained = explain(error)
            if explained.title == "training failed":
                explained.title = f"{what} failed"
            raise explained from error


def _named(text: str, called: Mapping[str, str] | None) -> str:
    for path, name in (called or {}).items():
        text = text.replace(path, name)
    return text
