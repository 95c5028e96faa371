"""The table is written from what the tests report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.counting import Tried, repetitions
from tests.faults.table import BEGIN, END, Row, write_table


def test_the_full_form_repeats_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUI_TRAIN_FAULTS", raising=False)
    assert repetitions(200, 3) == 3
    monkeypatch.setenv("TUI_TRAIN_FAULTS", "full")
    assert repetitions(200, 3) == 200


def test_an_attempt_that_fails_is_not_right() -> None:
    tried = Tried()
    with tried.attempt():
        pass
    with pytest.raises(AssertionError), tried.attempt():
        raise AssertionError
    tried.right(3)
    assert (tried.attempts, tried.rights) == (5, 4)


def test_rows_replace_those_of_their_number_and_leave_the_others(tmp_path: Path) -> None:
    document = tmp_path / "reliability.md"
    document.write_text(f"before\n\n{BEGIN}\n{END}\n\nafter\n")
    write_table(
        document, [Row(2, "two", "b", Tried(3, 3)), Row(1, "one", "a", Tried(1200, 1199, ["in 3 s"]))]
    )
    write_table(document, [Row(2, "two again", "b", Tried(5, 5))])
    text = document.read_text()
    lines = [line.rpartition(" | ")[0] for line in text.splitlines() if line.startswith(("| 1", "| 2"))]
    assert lines == ["| 1 | one | a; in 3 s | 1,200 | 1,199", "| 2 | two again | b | 5 | 5"]
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert text.count(BEGIN) == text.count(END) == 1


def test_a_document_without_the_place_is_left_as_it_is(tmp_path: Path) -> None:
    document = tmp_path / "other.md"
    document.write_text("text\n")
    with pytest.raises(ValueError, match="expected the lines"):
        write_table(document, [])
    assert document.read_text() == "text\n"
