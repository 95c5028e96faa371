"""Date pairs are right, told apart by an independent reader of dates, and the same for the same seed."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from pathlib import Path

import pytest

from tui_trainer.datasets.dates import STYLES, make_date_pairs, ordinal, write_dataset
from tui_trainer.errors import Exit, FileError

PATTERNS = (
    "%d %B %Y", "%d %b %Y", "%d-%b-%Y", "%d of %B %Y", "the %d of %B, %Y", "%B %d, %Y", "%b. %d, %Y",
    "%b %d %Y", "%B the %d, %Y", "%A, %d %B %Y", "%A, %B %d, %Y", "%a %d %b %Y", "%A the %d of %B %Y",
    "%Y, %B %d", "%Y %b %d", "%m/%d/%Y", "%d.%m.%Y", "%Y-%m-%d",
)  # fmt: skip


def read(text: str) -> set[date]:
    """Every date that `strptime` can make of the text, wrong weekdays left out."""
    if re.fullmatch(r"\d{8}", text):
        return {datetime.strptime(text, "%Y%m%d").date()}
    plain = re.sub(r"(\d)(st|nd|rd|th)\b", r"\1", text.lower())
    found = set()
    for pattern in PATTERNS:
        try:
            day = datetime.strptime(plain, pattern)
        except ValueError:
            continue
        weekday = re.match(r"(mon|tue|wed|thu|fri|sat|sun)", plain)
        if weekday is None or day.strftime("%a").lower() == weekday[1]:
            found.add(day.date())
    return found


def test_every_pair_is_right() -> None:
    for pair in make_date_pairs(3000, seed=1):
        assert {day.isoformat() for day in read(pair["input"])} == {pair["target"]}, pair


def test_every_style_is_read_on_days_that_differ_in_length() -> None:
    days = (date(1999, 3, 3), date(2000, 2, 29), date(1900, 11, 11), date(2099, 12, 31), date(1987, 5, 22))
    for day in days:
        for style in STYLES:
            assert read(style(day)) == {day}, style(day)


def test_all_styles_and_spellings_occur() -> None:
    texts = [pair["input"] for pair in make_date_pairs(4000, seed=0)]
    shapes = {re.sub(r"[a-z]+", "a", re.sub(r"\d+", "0", text.lower())) for text in texts}
    assert len(shapes) >= 18
    assert any(text.isupper() for text in texts)
    assert any(text.islower() for text in texts)


def test_seed_decides_and_no_input_occurs_twice() -> None:
    assert make_date_pairs(500, seed=3) == make_date_pairs(500, seed=3)
    assert make_date_pairs(500, seed=3) != make_date_pairs(500, seed=4)
    assert len({pair["input"] for pair in make_date_pairs(5000, seed=0)}) == 5000


def test_the_pairs_are_the_same_on_every_machine_and_python() -> None:
    assert make_date_pairs(2, seed=0) == [
        {"input": "NOVEMBER 19TH, 2068", "target": "2068-11-19"},
        {"input": "october 14th, 1951", "target": "1951-10-14"},
    ]


@pytest.mark.parametrize("n", [-1, 1_000_001])
def test_wrong_numbers_of_pairs_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="pairs, got"):
        make_date_pairs(n, seed=0)


def test_ordinals() -> None:
    days = (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30, 31)
    expected = [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "30th", "31st",
    ]  # fmt: skip
    assert [ordinal(day) for day in days] == expected


def test_write_dataset_makes_the_folder_and_never_overwrites(tmp_path: Path) -> None:
    path = write_dataset(tmp_path / "new" / "folder", n=20, seed=2)
    assert path == tmp_path / "new" / "folder" / "pairs.json"
    assert json.loads(path.read_text()) == make_date_pairs(20, seed=2)
    # One pair a line, so that a message's line leads to the item.
    assert len(path.read_text().splitlines()) == 22
    before = path.read_bytes()
    with pytest.raises(FileError) as caught:
        write_dataset(path.parent, n=5)
    assert "not overwritten" in caught.value.message
    assert caught.value.hint
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(FileError) as caught:
        write_dataset(tmp_path / "taken")
    assert caught.value.exit_code == Exit.FILE
    assert "taken" in caught.value.message
