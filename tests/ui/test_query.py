"""The language of filters."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.ui.query import Query, QueryError, Record, Since, Term, as_number, parse_query

VALUES: dict[str, Any] = {
    "lr": 3e-3,
    "optimizer": "AdamW",
    "task": "digits",
    "name": "night-run",
    "compile": False,
    "monitor": None,
    "test/accuracy": 0.97,
    "time": 7300.0,
    "loss": float("nan"),
}
RECORD = Record("night-run 7f3a digits finished lr 0.003", VALUES)


def test_an_age_counts_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record("night-run", {"age": Since(1000.0)})
    young = parse_query("age<1h")
    monkeypatch.setattr(time, "time", lambda: 1600.0)
    assert young.matches(record)
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    assert not young.matches(record)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ("NIGHT", True),
        ("night 7f3a", True),
        ("night c055", False),
        ("lr=0.003", True),
        ("lr=3e-3", True),
        ("lr!=3e-3", False),
        ("lr<1e-2 lr>1e-3", True),
        ("lr<=3e-3", True),
        ("lr>=0.0031", False),
        ("optimizer=adamw", True),
        ("optimizer=adam", False),
        ("optimizer=adam*", True),
        ("name=night-???", True),
        ("compile=no", True),
        ("compile=true", False),
        ("monitor=none", True),
        ("test/accuracy>0.96 digits", True),
        ("time>2h", True),
        ("time<121min", False),
        ("loss<1", False),
        ("loss>1", False),
        ("momentum=0.9", False),
        ("momentum!=0.9", True),
        ("optimizer>3", False),
        ('"night-run 7f3a"', True),
    ],
)
def test_a_filter_passes_what_it_says(text: str, passes: bool) -> None:
    assert parse_query(text).matches(RECORD) is passes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lr<", "no number after the <"),
        ("lr<abc", "abc is no number"),
        ("<3", "nothing before the <"),
        ("=3", "nothing before the ="),
        ('"night', "a quote is left open"),
    ],
)
def test_a_filter_that_makes_no_sense_says_why(text: str, why: str) -> None:
    with pytest.raises(QueryError, match=why):
        parse_query(text)


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_an_explained_mistake(text: str) -> None:
    try:
        query = parse_query(text)
    except QueryError as error:
        why = str(error)
    else:
        why = "" if query.matches(RECORD) in (True, False) else "no answer"
        assert not why
        return
    assert why


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_less_equal_and_more_exclude_each_other(found: float, wanted: float) -> None:
    record = Record("", {"lr": found})
    held = [parse_query(f"lr{sign}{wanted!r}").matches(record) for sign in ("<", "=", ">")]
    assert sum(held) == 1
    assert parse_query(f"lr<={wanted!r}").matches(record) == (held[0] or held[1])
    assert parse_query(f"lr!={wanted!r}").matches(record) != held[1]


@given(st.lists(st.sampled_from(["night", "digits", "lr>1", "lr<1", "task=digits", "zzz"]), max_size=5))
def test_all_that_is_said_must_hold(parts: list[str]) -> None:
    together = parse_query(" ".join(parts)).matches(RECORD)
    assert together == all(parse_query(part).matches(RECORD) for part in parts)


def test_keys_are_found_however_they_are_written() -> None:
    record = Record("", {"batch_size": 64})
    assert parse_query("Batch-Size=64") == Query(terms=(Term("batch_size", "=", "64"),))
    assert parse_query("Batch-Size=64").matches(record)


def test_units_are_seconds() -> None:
    assert [as_number(text) for text in ("90", "90s", "1.5min", "2h", "1d")] == [90, 90, 90, 7200, 86400]
    assert as_number("abc") is None
    assert as_number("nan") is None
