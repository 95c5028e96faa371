"""The command line's entry: which command, and how errors and exit codes come out."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui_trainer.cli.commands import COMMANDS, MODULES
from tui_trainer.cli.options import SWITCHES, VALUED, Parser
from tui_trainer.cli.streams import say
from tui_trainer.cli.words import Words, sort_words
from tui_trainer.engine.interrupt import StopNow, stopped_code
from tui_trainer.errors import Exit, FileError, TrainerError, UsageError

if TYPE_CHECKING:
    from tui_trainer.cli.launcher import Report


def main(argv: Sequence[str] | None = None, report: Report | None = None) -> int:
    """Run `tui-train`.

    Args:
        argv: the words after the program's name; default: this process's.
        report: of the launcher that this process was started by to show the app; without it there is no app.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A locale without our characters costs a question mark, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = _dispatch(words, report)
        sys.stdout.flush()
        return code
    except TrainerError as error:
        _report(error, "--traceback" in words)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone (`… | head`); the interpreter must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.OK
    except OSError as error:
        # Writing to stdout failed (a full disk, a dead terminal); other files' errors are TrainerErrors.
        _report(
            FileError("output failed", f"{error.filename or 'stdout'}: {error.strerror or error}"),
            "--traceback" in words,
        )
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.FILE
    except StopNow as interrupt:
        return stopped_code(interrupt.reason)
    except KeyboardInterrupt:
        return Exit.SIGINT


def _dispatch(argv: list[str], report: Report | None) -> int:
    command = find_command(argv)
    if command is None:
        from tui_trainer.cli.train import main as train

        return train(argv, report)
    argv = list(argv)
    argv.remove(command)
    return run_command(command, argv, report)


def find_command(argv: Sequence[str]) -> str | None:
    """The subcommand that a command line names, wherever it stands; None for the main command."""
    if argv and argv[0] in COMMANDS:
        return argv[0]
    try:
        words: Words = sort_words(argv, SWITCHES, VALUED)
    except TrainerError:
        return None
    # The value of an unknown flag is an hparam's, not a command.
    first = words.positionals[0] if words.positionals else None
    return first if first in COMMANDS and not words.unknown else None


def run_command(command: str, argv: list[str], report: Report | None = None) -> int:
    """Parse and run a subcommand; its module is the only one that is imported."""
    parser = Parser(prog="tui-train")
    module = importlib.import_module(f"tui_trainer.cli.{MODULES.get(command, command)}")
    module.add_parser(parser.add_subparsers(metavar="COMMAND", parser_class=Parser))
    options: list[str] = argv
    flags: dict[str, str | bool] = {}
    if hasattr(module, "take_hparams"):
        options, flags = module.take_hparams(argv)
    args, unknown = parser.parse_known_args([command, *map(_dashed, options)])
    if unknown:
        raise UsageError("wrong command line", f"unknown: {' '.join(unknown)}", f"tui-train {command} --help")
    args.hparam_flags = flags
    args.report = report
    return int(args.run(args))


def _dashed(word: str) -> str:
    """An option with dashes, however it was typed: `--runs_dir=x` becomes `--runs-dir=x`."""
    name, equals, value = word.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}" if word.startswith("--") else word


def _report(error: TrainerError, with_traceback: bool) -> None:
    """Print an error to stderr: a traceback only of the user's code, or when asked for."""
    cause = error.__cause__
    if with_traceback:
        say("".join(traceback.format_exception(error)).rstrip())
    elif cause is not None and not isinstance(cause, TrainerError) and error.exit_code == Exit.FAILED:
        from tui_trainer.engine.failure import user_traceback

        frames = user_traceback(cause)
        if frames:
            say(frames)
    say(error.lines())
