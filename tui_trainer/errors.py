"""The one error type a user meets, and the exit codes. Imports nothing of ours.

Every front end turns a `TrainerError` into its own form (a panel, a toast, a line on stderr) in one place.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path


class DataNotice(UserWarning):
    """Something about the data that a person should know, in a sentence. A run records it as an alert."""


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    FILE = 3
    SIGINT = 130
    SIGTERM = 143


class TrainerError(Exception):
    """Something a user can act on.

    Args:
        title: what kind of thing went wrong, in a few words.
        message: what happened and where (file, line, hparam, sample).
        hint: what to do about it; empty where there is nothing to say.
        exit_code: the exit code of a command that ends with this error.

    Attributes:
        log: the file that tells more; None without one.
    """

    def __init__(self, title: str, message: str = "", hint: str = "", exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(title, message, hint, exit_code)
        self.title = title
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        self.log: Path | None = None

    def __str__(self) -> str:
        return f"{self.title}: {self.message}" if self.message else self.title

    def lines(self) -> str:
        """The error as stderr shows it: `error: TITLE: MESSAGE`, then `hint: …` where there is one."""
        text = f"error: {self}"
        return f"{text}\nhint: {self.hint}" if self.hint else text


class UsageError(TrainerError):
    """A wrong command line or wrong hparams: exit code 2."""

    def __init__(self, title: str, message: str = "", hint: str = "") -> None:
        super().__init__(title, message, hint, Exit.USAGE)


class FileError(TrainerError):
    """A file that is missing, unreadable, malformed or refused: exit code 3."""

    def __init__(self, title: str, message: str = "", hint: str = "") -> None:
        super().__init__(title, message, hint, Exit.FILE)


class ColumnsError(FileError):
    """Columns of a table that can't be learned from as they are.

    Attributes:
        columns: their names, for the hparam `ignore`.
    """

    def __init__(self, title: str, message: str, hint: str, columns: Iterable[str]) -> None:
        super().__init__(title, message, hint)
        self.columns = tuple(columns)


def did_you_mean(word: str, known: list[str], most: int = 3) -> str:
    """`; did you mean lr?` for a mistyped word, or an empty string when nothing is near."""
    import difflib

    folded = {name.lower().replace("-", "_"): name for name in reversed(known)}
    near = difflib.get_close_matches(word.lower().replace("-", "_"), list(folded), n=most, cutoff=0.6)
    return f"; did you mean {', '.join(folded[name] for name in near)}?" if near else ""
