"""The table of docs/reliability.md: a line for each fault."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.counting import Tried

ROWS = range(1, 21)
"""Numbers of the table. A row may have several lines, one for each fault in it."""

BEGIN = "<!-- written by `python -m tests.faults --full --write docs/reliability.md` -->"
END = "<!-- end of the table -->"

_HEAD = ["| # | fault | what happens | tried | right | run of |", "|--:|---|---|--:|--:|---|"]


@dataclass
class Row:
    """What the tests of one fault did.

    Attributes:
        number: of the row.
        fault: what is done.
        outcome: what happens.
        tried: how often, and how often it went right.
        seconds: what it took.
    """

    number: int
    fault: str
    outcome: str
    tried: Tried = field(default_factory=Tried)
    seconds: float = 0.0

    def add(self, tried: Tried, seconds: float) -> None:
        """Count what one more test did."""
        self.tried.attempts += tried.attempts
        self.tried.rights += tried.rights
        self.tried.measured += tried.measured
        self.seconds += seconds


def as_line(row: Row) -> str:
    """One line for a terminal."""
    measured = f"   {'; '.join(row.tried.measured)}" if row.tried.measured else ""
    counts = f"tried {row.tried.attempts:>5}   right {row.tried.rights:>5}"
    return f"{row.number:>3}  {row.fault:<60.60}  {counts}  {row.seconds:>7.1f} s{measured}"


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Put rows into a document's table, in place of those with their numbers.

    Raises:
        ValueError: the document has no place for it.
    """
    text = path.read_text()
    before, begin, rest = text.partition(f"{BEGIN}\n")
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path}: expected the lines {BEGIN} and {END}")
    lines = [_markdown(row) for row in rows]
    new = {_number(line) for line in lines}
    lines += [line for line in old.splitlines() if _number(line) not in (None, *new)]
    lines.sort(key=lambda line: _number(line) or 0)
    table = "\n".join([*_HEAD, *lines, "", _machine()])
    path.write_text(f"{before}{begin}\n{table}\n\n{end}{after}")


def _markdown(row: Row) -> str:
    outcome = "; ".join([row.outcome, *row.tried.measured])
    cells = [row.number, row.fault, outcome, f"{row.tried.attempts:,}", f"{row.tried.rights:,}", _today()]
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def _number(line: str) -> int | None:
    cell = line.removeprefix("|").partition("|")[0].strip()
    return int(cell) if line.startswith("|") and cell.isdigit() else None


def _today() -> str:
    return time.strftime("%Y-%m-%d")


def _machine() -> str:
    import torch

    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"Latest run: {_today()}, {system}, Python {platform.python_version()}, torch {torch.__version__}."
