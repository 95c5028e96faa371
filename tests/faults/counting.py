"""How often a fault is tried: seldom in CI, often in the full form; and how often it went right."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

FORM = "TUI_TRAIN_FAULTS"
"""Environment variable; `full` asks for the full form."""


def is_full() -> bool:
    """Whether the full form was asked for."""
    return os.environ.get(FORM) == "full"


def repetitions(full: int, reduced: int) -> int:
    """How often to try: `full` under `python -m tests.faults --full`, else `reduced`."""
    return full if is_full() else reduced


@dataclass
class Tried:
    """What one test did: the fixture `tried`.

    Attributes:
        attempts: how often the fault was tried.
        rights: how often what happened was right.
        measured: figures worth telling, in words.
    """

    attempts: int = 0
    rights: int = 0
    measured: list[str] = field(default_factory=list)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """One attempt, right if the block ends without an exception."""
        self.attempts += 1
        yield
        self.rights += 1

    def right(self, times: int = 1) -> None:
        """Attempts that went right."""
        self.attempts += times
        self.rights += times

    def tell(self, figure: str) -> None:
        """A measured figure for the table, such as "longest refusal 0.52 s"."""
        self.measured.append(figure)
