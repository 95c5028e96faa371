"""Rows to predict from: the numbers of each format, and mistakes named by their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tui_trainer.datasets.inputs import read_rows
from tui_trainer.errors import FileError

ROWS = np.array([[1.0, -2.5], [3.0, 4.0], [0.25, np.nan]], np.float32)
WITHOUT_GAP = ROWS[:2]


def rows(path: Path) -> np.ndarray:
    found = list(read_rows(path))
    assert [name for name, _ in found] == [{"row": number} for number in range(len(found))]
    return np.stack([values.numpy() for _, values in found])


def test_arrays_of_any_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS.astype(np.float64))
    np.testing.assert_array_equal(rows(tmp_path / "a.npy"), ROWS)
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "b.npz", images)
        found = rows(tmp_path / "b.npz")
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, images)


@pytest.mark.parametrize(
    "text",
    ["1,-2.5\n3,4\n.25,\n", "a,b\n1,-2.5\n3,4\n.25,NA\n", "\ufeff1;-2.5\r\n\r\n3;4\r\n0.25;?\r\n"],
    ids=["numbers", "header", "semicolons"],
)
def test_delimited_text_with_and_without_header(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text, newline="")
    np.testing.assert_array_equal(rows(tmp_path / "t.csv"), ROWS)


def test_a_single_column(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("x\n1\n2\n")
    np.testing.assert_array_equal(rows(tmp_path / "t.txt"), [[1], [2]])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.jsonl", "[1, -2.5]\n[3, 4]\n[0.25, null]\n"),
        ("r.jsonl", '{"a": 1, "b": -2.5}\n\n{"b": 4, "a": 3}\n{"a": 0.25, "b": null}\n'),
        ("r.json", '[{"inputs": [1, -2.5], "id": "x"}, {"inputs": [3, 4]}, {"inputs": [0.25, NaN]}]'),
    ],
    ids=["lists", "objects", "inputs"],
)
def test_json(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    np.testing.assert_array_equal(rows(tmp_path / name), ROWS)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.csv", "a,b\n1,2\n3,x\n", ':3: column "b" has "x", no number'),
        ("t.csv", "1,2\n3\n", ":2 has 1 cell, the first row 2"),
        ("t.csv", "", "holds no row"),
        ("t.csv", "a,b\n", "holds no row"),
        ("t.jsonl", "[1, 2]\n[1, 2\n", ":2: "),
        ("t.jsonl", '[1, "x"]\n', ":1 holds a text"),
        ("t.jsonl", "[[1], [1, 2]]\n", ":1: lists of different lengths"),
        ("t.jsonl", '{"a": 1}\n{"b": 1}\n', ':2: the first row has other keys: "a", "b"'),
        ("t.jsonl", "5\n", ":1 is the number 5"),
        ("t.jsonl", "\n", "holds no row"),
        ("t.json", "{}", "an object at the top"),
    ],
)
def test_mistakes_are_named_by_their_place(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FileError) as caught:
        list(read_rows(tmp_path / name))
    assert says in caught.value.message
    assert caught.value.hint


def test_the_inputs_among_several_arrays_are_known_by_their_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "both.npz", X=ROWS, y=np.zeros(3))
    np.testing.assert_array_equal(rows(tmp_path / "both.npz"), ROWS)


def test_what_holds_no_rows(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=ROWS, b=ROWS)
    np.save(tmp_path / "flat.npy", ROWS[0])
    np.save(tmp_path / "texts.npy", np.array([["a"]]))
    for name, says in (
        ("two.npz", "holds a, b"),
        ("flat.npy", "has the shape (2,)"),
        ("texts.npy", "holds <U1"),
        ("none.csv", "does not exist"),
        ("none.npy", "does not exist"),
        (".", "is a folder"),
    ):
        (tmp_path / "sub").mkdir(exist_ok=True)
        with pytest.raises(FileError) as caught:
            list(read_rows(tmp_path / ("sub" if name == "." else name)))
        assert says in caught.value.message
