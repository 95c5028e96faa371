"""Dates as people write them and as ISO 8601 writes them: a data set that needs no download.

Conventions that make each date unambiguous: slashes are month/day/year, dots day.month.year, dashes
year-month-day. Years have four digits, 1900 to 2099.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

from tui_trainer.errors import FileError
from tui_trainer.files import write_bytes

FILE_NAME = "pairs.json"

PAIRS = 10_000
"""Pairs of the data set, where nothing else is asked for."""

MOST_PAIRS = 1_000_000
"""Beyond this, inputs that are still new (some 3.6 million exist) get rare."""

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)

# Own tables, since strftime's names follow the machine's locale.
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_Choice = TypeVar("_Choice")


def ordinal(day: int) -> str:
    """`1st`, `2nd`, `3rd`, `4th` … `11th`, `12th`, `13th` … `31st`."""
    suffix = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"


def _month(day: date) -> str:
    return MONTHS[day.month - 1]


def _weekday(day: date) -> str:
    return WEEKDAYS[day.weekday()]


STYLES: tuple[Callable[[date], str], ...] = (
    lambda d: f"{d.day} {_month(d)} {d.year}",
    lambda d: f"{d.day} {_month(d)[:3]} {d.year}",
    lambda d: f"{d.day:02}-{_month(d)[:3]}-{d.year}",
    lambda d: f"{ordinal(d.day)} of {_month(d)} {d.year}",
    lambda d: f"{ordinal(d.day)} {_month(d)} {d.year}",
    lambda d: f"the {ordinal(d.day)} of {_month(d)}, {d.year}",
    lambda d: f"{_month(d)} {d.day}, {d.year}",
    lambda d: f"{_month(d)[:3]}. {d.day}, {d.year}",
    lambda d: f"{_month(d)[:3]} {d.day:02} {d.year}",
    lambda d: f"{_month(d)} {ordinal(d.day)}, {d.year}",
    lambda d: f"{_month(d)} the {ordinal(d.day)}, {d.year}",
    lambda d: f"{_weekday(d)}, {d.day} {_month(d)} {d.year}",
    lambda d: f"{_weekday(d)}, {_month(d)} {d.day}, {d.year}",
    lambda d: f"{_weekday(d)[:3]} {d.day} {_month(d)[:3]} {d.year}",
    lambda d: f"{_weekday(d)} the {ordinal(d.day)} of {_month(d)} {d.year}",
    lambda d: f"{d.year}, {_month(d)} {d.day}",
    lambda d: f"{d.year} {_month(d)[:3]} {d.day:02}",
    lambda d: f"{d.month}/{d.day}/{d.year}",
    lambda d: f"{d.month:02}/{d.day:02}/{d.year}",
    lambda d: f"{d.day}.{d.month}.{d.year}",
    lambda d: f"{d.day:02}.{d.month:02}.{d.year}",
    lambda d: f"{d.year}-{d.month}-{d.day}",
    lambda d: f"{d.year}{d.month:02}{d.day:02}",
)
"""Ways to write a date."""

LETTERS: tuple[Callable[[str], str], ...] = (str, str, str.lower, str.upper)
"""Ways to spell it; half of the dates keep their capitals."""


def make_date_pairs(n: int, seed: int) -> list[dict[str, str]]:
    """Dates in many styles with their ISO form, such as `3rd of March 1999` and `1999-03-03`.

    Args:
        n: pairs, at most `MOST_PAIRS`; no input occurs twice.
        seed: the same seed gives the same pairs.

    Returns:
        n times {"input": text, "target": text}.

    Raises:
        ValueError: n is negative or too large.
    """
    if not 0 <= n <= MOST_PAIRS:
        raise ValueError(f"expected 0 to {MOST_PAIRS:,} pairs, got {n}")
    # `random()` is the one method whose sequence Python promises to keep.
    stream = random.Random(seed).random

    def choose(choices: Sequence[_Choice]) -> _Choice:
        return choices[int(stream() * len(choices))]

    days = range(FIRST.toordinal(), LAST.toordinal() + 1)
    pairs: dict[str, str] = {}
    while len(pairs) < n:
        day = date.fromordinal(choose(days))
        pairs[choose(LETTERS)(choose(STYLES)(day))] = day.isoformat()
    return [{"input": text, "target": target} for text, target in pairs.items()]


def write_dataset(folder: Path, n: int = PAIRS, seed: int = 0) -> Path:
    """Write `pairs.json`, one pair a line, into `folder`, which is made if need be.

    Returns:
        The file.

    Raises:
        FileError: there is such a file already, or it can't be written.
    """
    path = folder / FILE_NAME
    if path.exists():
        raise FileError("file exists", f"{path} is not overwritten", "choose another folder or remove it")
    lines = ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in make_date_pairs(n, seed))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, f"[\n{lines}\n]\n".encode())
    except OSError as error:
        hint = "check that the folder is a folder, writable and not full"
        raise FileError("data set not written", f"{path}: {error.strerror or error}", hint) from error
    return path
