"""Lines of events.jsonl."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.runs.events import as_number, decode, encode
from tui_trainer.runs.json_values import plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def strict(text: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5))
def test_any_event_is_one_line_of_strict_json_that_reads_back(fields: dict[str, Any]) -> None:
    event = fields | {"event": "log"}
    line = encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert strict(line) == plain(event)


def test_non_finite_numbers_are_strings_at_any_depth() -> None:
    event = {"event": "epoch_end", "metrics": {"a": math.nan, "b": [math.inf, {"c": -math.inf}]}}
    assert strict(encode(event))["metrics"] == {"a": "NaN", "b": ["Infinity", {"c": "-Infinity"}]}


def test_numpy_scalars_are_numbers() -> None:
    event = {
        "event": "x",
        "a": np.float32(0.5),
        "b": np.int64(3),
        "c": np.bool_(True),
        "d": np.float64(1.5),
        "e": np.float32("nan"),
    }
    assert strict(encode(event)) == {"event": "x", "a": 0.5, "b": 3, "c": True, "d": 1.5, "e": "NaN"}


def test_what_json_does_not_know_becomes_text() -> None:
    loop: list[Any] = []
    loop.append(loop)
    event = {"event": "x", "path": Path("a/b"), "set": {2, 1}, "array": np.zeros(3), (1, 2): 3, "loop": loop}
    read = strict(encode(event))
    assert read["path"] == "a/b"
    assert read["set"] == [1, 2]
    assert read["(1, 2)"] == 3


def test_an_undecodable_file_name_survives() -> None:
    event = {"event": "x", "path": "caf\udce9"}
    assert decode(encode(event)) == event


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b'{"event":"a"', b"[1]", b"3", b'{"a":1}', b'{"event":3}', b"\xff\xfe", b"[" * 100_000],
)
def test_torn_and_foreign_lines_are_no_events(line: bytes) -> None:
    assert decode(line) is None


def test_recorded_numbers_become_floats() -> None:
    assert as_number(3) == 3.0
    assert as_number("Infinity") == math.inf
    assert as_number("-Infinity") == -math.inf
    assert as_number(10**400) == math.inf
    assert all(math.isnan(as_number(value)) for value in ("NaN", None, "abc", [], {}))


def test_a_line_holds_nothing_that_a_terminal_obeys_or_that_ends_a_line() -> None:
    text = "".join(map(chr, range(0x20))) + "\x7f\x80\x9b\x9f\u2028\u2029é"
    line = encode({"event": "log", "text": text})
    assert len(line.decode().splitlines()) == 1
    assert all(character.isprintable() for character in line.decode().rstrip("\n"))
    assert decode(line) == {"event": "log", "text": text}


def test_nesting_is_read_as_deeply_as_it_is_written() -> None:
    value: list[object] = []
    value.append(value)
    event = decode(encode({"event": "log", "x": value}))
    assert event is not None
    assert decode(b'{"event":"log","x":' + b"[" * 60 + b"]" * 60 + b"}") is None
