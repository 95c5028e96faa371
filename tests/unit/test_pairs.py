"""Pairs of texts from disk: what is read, and what a message says about what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tui_trainer.datasets.pairs import Characters, read_pairs
from tui_trainer.datasets.unseen import unknown_characters
from tui_trainer.errors import Exit, FileError

GOOD = '{"input": "a", "target": "b"}'


@pytest.mark.parametrize(
    ("name", "text", "pairs"),
    [
        ("pairs.json", f"[{GOOD}]", [("a", "b")]),
        ("pairs.json", f"\ufeff [\n{GOOD},\n{GOOD}\n]\n", [("a", "b"), ("a", "b")]),
        ("pairs.json", '[{"input": "", "target": "é\\u2028😀", "id": 7}]', [("", "é\u2028😀")]),
        ("pairs.jsonl", f"{GOOD}\r\n\n  {GOOD}\n", [("a", "b"), ("a", "b")]),
        ("pairs.NDJSON", '{"input": "x\u2028y", "target": "b"}', [("x\u2028y", "b")]),
    ],
)
def test_good_files(tmp_path: Path, name: str, text: str, pairs: list[tuple[str, str]]) -> None:
    (tmp_path / name).write_text(text, newline="")
    assert read_pairs(tmp_path / name) == pairs


BAD = [
    ("", "pairs are empty", "holds nothing"),
    (" \n", "pairs are empty", "holds nothing"),
    ("[]", "no pairs", "holds no item"),
    ('{"input": "a", "target": "b"}', "pairs are no list", "an object at the top"),
    ('"text"', "pairs are no list", "a text at the top"),
    ("null", "pairs are no list", "null at the top"),
    (f"[{GOOD},\n{GOOD}", "pairs are not JSON", ":2: expected a comma or the end"),
    (f"[{GOOD},\n{GOOD},\n]", "pairs are not JSON", ":3: Expecting value (column 1)"),
    (f"[{GOOD}\n{GOOD}]", "pairs are not JSON", ":2: expected a comma"),
    ('[\n{"input": "a" "target": "b"}]', "pairs are not JSON", ":2: Expecting ',' delimiter"),
    (f"[\n{GOOD}]\n[]", "pairs are not JSON", ":3: there is more after the end"),
    ('[{"input": "a\nb", "target": "c"}]', "pairs are not JSON", ":1: Invalid control character"),
    ("[" * 100_000, "pairs are not JSON", "nested too deeply"),
    (f"[{'9' * 5000}]", "pairs are not JSON", ":1: "),
    (f'[\n{GOOD},\n\n["a", "b"]]', "item is no pair", ":4: item 1 is a list, not an object"),
    (f"[{GOOD}, 3.5]", "item is no pair", "item 1 is the number 3.5"),
    (f'[{GOOD},\n{{"input": "a"}}]', "item is no pair", ':2: item 1 has no "target" (its keys: "input")'),
    ("[{}]", "item is no pair", 'item 0 has no "input" (its keys: none)'),
    ('[{"\\u001b[2J": 1}]', "item is no pair", '"\\u001b[2J"'),
    ('[{"input": 5, "target": "b"}]', "item is no pair", ':1: item 0: "input" is the number 5, not a text'),
    ('[{"input": "a", "target": null}]', "item is no pair", '"target" is null, not a text'),
    ('[{"input": "a", "target": NaN}]', "item is no pair", '"target" is the number nan'),
    ('[{"input": true, "target": "b"}]', "item is no pair", '"input" is true'),
    ('[{"input": "a", "target": "\\ud83d"}]', "item is no pair", "half of a surrogate pair"),
    (f'[{GOOD},\n{{"input": "a", "target": ""}}]', "empty target", ":2: item 1: there is nothing"),
    ('[\n{"input": "a", "input": "c", "target": "b"}]', "key occurs twice", ':2: the key "input" occurs'),
]


@pytest.mark.parametrize(("text", "title", "words"), BAD, ids=range(len(BAD)))
def test_bad_files(tmp_path: Path, text: str, title: str, words: str) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(text, newline="")
    with pytest.raises(FileError) as caught:
        read_pairs(path)
    assert caught.value.exit_code == Exit.FILE
    assert (caught.value.title, words in caught.value.message) == (title, True), caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{GOOD}\n{GOOD} {GOOD}\n", ":2: more after the object"),
        (f'{GOOD}\n\n{{"input": "a",}}\n', ":3: "),
        (f"[{GOOD}]\n", ":1: item 0 is a list"),
        ("\n", "holds no item"),
    ],
)
def test_bad_lines(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(text, newline="")
    with pytest.raises(FileError) as caught:
        read_pairs(path)
    assert words in caught.value.message


def test_missing_file_folder_and_wrong_encoding(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        read_pairs(tmp_path / "nothing.json")
    assert "nothing.json does not exist" in caught.value.message
    assert "make-data seq2seq" in caught.value.hint
    with pytest.raises(FileError, match="no plain file"):
        read_pairs(tmp_path)
    path = tmp_path / "latin.json"
    path.write_bytes(b'[\n{"input": "\xe9", "target": "b"}]')
    with pytest.raises(FileError) as caught:
        read_pairs(path)
    assert "latin.json:2: byte 0xe9 at offset 13 is not UTF-8" in caught.value.message


def test_rows_are_closed_filled_and_decoded_again() -> None:
    characters = Characters(["ba", "", "cab"], specials=4, end=2, unknown=3)
    assert characters.symbols == "abc"
    assert len(characters) == 7
    rows = characters.encode(["ba", "", "cax"])
    assert rows.dtype == np.uint8
    assert rows.tolist() == [[5, 4, 2, 0], [2, 0, 0, 0], [6, 4, 3, 2]]
    assert [characters.decode(row) for row in rows] == ["ba", "", "ca\ufffd"]
    assert characters.encode([]).shape == (0, 1)


@pytest.mark.parametrize(("symbols", "kind"), [(252, np.uint8), (253, np.int16), (32_765, np.int32)])
def test_rows_take_the_smallest_type(symbols: int, kind: type) -> None:
    text = "".join(chr(0x10000 + code) for code in range(symbols))
    characters = Characters([text], specials=4, end=2, unknown=3)
    rows = characters.encode([text])
    assert rows.dtype == kind
    assert characters.decode(rows[0]) == text


def test_unknown_characters_are_told_once_for_all_texts() -> None:
    characters = Characters(["abc"], specials=4, end=2, unknown=3)
    unseen = unknown_characters()
    for text in ("abé", "éc", "ab"):
        characters.count_unknown(unseen, "input", text)
    with pytest.warns(UserWarning, match='^input: 2 of 7 characters are unknown to the model, such as "é"$'):
        unseen.tell()


def test_records_of_other_keys_are_told_with_the_flags_that_name_them(tmp_path: Path) -> None:
    path = tmp_path / "qa.jsonl"
    path.write_text('{"id": 1, "question": "Who?", "the answer": "I."}\n')
    with pytest.raises(FileError) as caught:
        read_pairs(path)
    assert caught.value.hint == "name them: --input_column question --target_column 'the answer'"
