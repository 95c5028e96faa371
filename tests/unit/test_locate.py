"""Lines of keys, also where values and comments hold what looks like keys."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.config.locate import json_duplicates, locate_json, locate_toml, toml_duplicates

KEYS = st.sampled_from(["lr", "epochs", 'a"b', "back\\slash", "{", "lr:", "ü", "", "new\nline"]) | st.text(
    max_size=6
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(['"lr": 1', '\\"', "a\nb", "]}", "[{"])
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=6), st.sampled_from([None, 0, 2]), st.booleans(), st.randoms())
def test_json_lines_match_how_it_was_written(
    value: dict[str, Any], indent: int | None, ascii_only: bool, random: Any
) -> None:
    text, line, expected = "{", 1, {}
    for number, (key, item) in enumerate(value.items()):
        gap = "\n" * random.randint(0, 3)
        text += ("," if number else "") + gap
        expected[key] = text.count("\n") + line
        between = random.choice([":", " :\n", ": "])
        text += json.dumps(key, ensure_ascii=ascii_only) + between
        text += json.dumps(item, indent=indent, ensure_ascii=ascii_only)
    text += "\n}"
    assert json.loads(text) == value
    assert locate_json(text) == expected
    assert json_duplicates(text) == []


def test_json_look_alikes() -> None:
    text = '{"a": {"lr": 1,\n"lr": 2},\n"b": ["lr", {"lr": 3}], "c": "\\"lr\\": 4",\n"lr"\n: 5}'
    assert locate_json(text) == {"a": 1, "b": 3, "c": 3, "lr": 4}
    assert json_duplicates(text) == []


def test_json_duplicates_also_when_spelled_differently() -> None:
    text = '{"lr": 1,\n"l\\u0072": 2,\n"b": {"b": 1},\n"lr": 3}'
    assert json_duplicates(text) == [("lr", 2, 1), ("lr", 4, 1)]
    assert locate_json(text)["lr"] == 4


@pytest.mark.parametrize("text", ["", "[", '["a", "b"]', '{"a', "3", "}}{", '"x"', '{"a":1}]{"b":2}'])
def test_json_scanner_never_raises(text: str) -> None:
    locate_json(text)


TOML = """\
# lr = 0
task = "digits"  # lr = 1
lr = 1e-3

text = \"\"\"
epochs = 4
\"\"\"
raw = '''
seed = 1 # '''
betas = [ # [
  0.9,
  0.99, # ]
]
"quoted key" = {lr = 3}
'single' = "a = \\" b"
a.b = 1
[table]
lr = 7
epochs = 1
[[array]]
lr = 8
"""


def test_toml_lines() -> None:
    lines = locate_toml(TOML)
    assert lines == {
        "task": 2, "lr": 3, "text": 5, "raw": 8, "betas": 10, "quoted key": 14, "single": 15, "a": 16,
        "table": 17, "array": 20,
    }  # fmt: skip
    assert lines.keys() == tomllib.loads(TOML).keys()


def test_toml_duplicates_are_all_found_and_taken_out() -> None:
    found, rest = toml_duplicates("lr = 1\nlr = 2\na = [\n1]\na = [\n3]\nlr = 4\n[t]\nlr = 5\n")
    assert found == [("lr", 2, 1), ("a", 5, 3), ("lr", 7, 1)]
    assert tomllib.loads(rest) == {"lr": 1, "a": [1], "t": {"lr": 5}}
    assert rest.count("\n") == 9


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,5}", fullmatch=True),
        st.integers() | st.text("ab=#\"'[]\\", max_size=5),
        max_size=5,
    )
)
def test_toml_round_trip(value: dict[str, int | str]) -> None:
    text = "\n".join(f"{key} = {json.dumps(item)}\n" for key, item in value.items())
    assert tomllib.loads(text) == value
    assert locate_toml(text) == {key: 2 * number + 1 for number, key in enumerate(value)}


@given(st.text("ab=#\"'[]{}\n\\. ", max_size=30))
def test_toml_scanner_never_raises_or_hangs(text: str) -> None:
    locate_toml(text)
    toml_duplicates(text)
