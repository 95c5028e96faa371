"""Run the fault tests and tell how each row of the table fared: `python -m tests.faults --full`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.faults.counting import FORM, Tried
from tests.faults.table import ROWS, Row, as_line, write_table

FOLDER = Path(__file__).parent


class Collector:
    """A pytest plugin: chooses the tests of some rows, and adds up what they did.

    Args:
        wanted: numbers of rows; empty for all.

    Attributes:
        rows: what was found so far, by number and fault.
    """

    def __init__(self, wanted: set[int]) -> None:
        self.rows: dict[tuple[int, str], Row] = {}
        self._wanted = wanted
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if self._wanted:
            chosen = [item for item in items if _number(item) in self._wanted]
            config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
            items[:] = chosen

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        for name, value in report.user_properties:
            # The properties of a test's call are in the report of its teardown too, whose seconds are few.
            if name == "fault" and report.when != "teardown":
                number, fault, outcome, *counts = value
                row = self.rows.setdefault((number, fault), Row(number, fault, outcome))
                row.add(Tried(*counts), self._seconds[report.nodeid])


def _number(item: pytest.Item) -> int | None:
    marker = item.get_closest_marker("fault")
    return marker.args[0] if marker is not None else None


def _numbers(text: str) -> set[int]:
    numbers = {int(word) for word in text.split(",")}
    if unknown := numbers - set(ROWS):
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(map(str, sorted(unknown)))}")
    return numbers


def main() -> int:
    """Returns 0 if all went right."""
    parser = argparse.ArgumentParser(
        "python -m tests.faults", description="The faults of docs/reliability.md.", allow_abbrev=False
    )
    parser.add_argument("--full", action="store_true", help="often, as for docs/reliability.md")
    parser.add_argument("--rows", type=_numbers, default=set(), metavar="N,N", help="only these rows")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the figures into this file's table")
    args = parser.parse_args()
    if args.write and not args.full:
        parser.error("--write needs --full: the table tells figures of the full form")
    if args.full:
        os.environ[FORM] = "full"
    collector = Collector(args.rows)
    # One test of the full form may take as long as all others together.
    code = int(pytest.main([str(FOLDER), "-o", f"timeout={7200 if args.full else 300}"], [collector]))
    rows = [collector.rows[key] for key in sorted(collector.rows)]
    print()
    for row in rows:
        print(as_line(row))
    missing = sorted((args.rows or set(ROWS)) - {row.number for row in rows})
    if missing:
        print(f"no test for row {', '.join(map(str, missing))}")
    if args.write:
        write_table(args.write, rows)
    return code or int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
