"""Which task `tui-train data FILE` takes for a file or folder, and the words it adds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tui_trainer.cli.data import _with_task
from tui_trainer.errors import FileError, UsageError


def lines(*records: Any) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


@pytest.mark.parametrize(
    ("name", "content", "task", "more"),
    [
        ("t.csv", "a,b,y,z\n1,2,3,4\n", "tabular", ["--target=y"]),
        ("t.tsv", "a\tb\n1\t2\n", "tabular", ["--target=b"]),
        ("t.jsonl", lines({"a": 1, "b": "x"}), "tabular", ["--target=b"]),
        ("t.json", json.dumps([{"a": "x", "label": "y"}]), "tabular", ["--target=label"]),
        ("t.json", json.dumps([{"a": "x", "b": "y", "c": "z"}]), "tabular", ["--target=c"]),
        (
            "qa.jsonl",
            lines({"question": "Who?", "answer": "I."}),
            "seq2seq",
            ["--input_column=question", "--target_column=answer"],
        ),
        ("p.jsonl", lines({"input": "a", "target": "b"}), "seq2seq", []),
        ("p.json", json.dumps([{"input": "a", "target": "b", "id": 1}]), "seq2seq", []),
        ("articles.jsonl", lines({"body": "Once."}), "char_lm", ["--text_column=body"]),
        ("book.txt", "Once.", "char_lm", []),
    ],
)
def test_a_file_is_read_by_the_task_of_its_form(
    name: str, content: str, task: str, more: list[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert _with_task([str(path), "--seed", "1"]) == [task, "--seed", "1", "--dataset_path", str(path), *more]


def test_arrays_are_images_or_a_table_by_their_shape(tmp_path: Path) -> None:
    for name, shape, words in (("i", (4, 8, 8), ["images"]), ("t", (4, 8), ["tabular"])):
        path = tmp_path / f"{name}.npz"
        np.savez(path, X=np.zeros(shape), y=np.arange(4))
        assert _with_task([str(path)]) == [*words, "--dataset_path", str(path)]


def test_words_that_were_given_are_kept(tmp_path: Path) -> None:
    table, texts = tmp_path / "t.csv", tmp_path / "t.jsonl"
    table.write_text("a,b\n1,2\n")
    texts.write_text(lines({"body": "Once."}))
    for path, flag in ((table, "--target"), (texts, "--text_column")):
        assert _with_task([str(path), flag, "a"])[1:3] == [flag, "a"]
        assert _with_task([str(path), flag, "a"])[3:] == ["--dataset_path", str(path)]
    assert _with_task(["digits", "--seed", "1"]) == ["digits", "--seed", "1"]


def test_what_is_no_data_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(1, 99)))
    with pytest.raises(UsageError, match="no table, text"):
        _with_task([str(tmp_path / "a.bin")])
    with pytest.raises(FileError, match="does not exist"):
        _with_task([str(tmp_path / "gone.csv")])
