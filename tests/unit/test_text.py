"""Text from files, folders and Python's own sources, and its characters as bytes."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from tui_trainer.datasets import text as text_module
from tui_trainer.datasets.text import UNKNOWN, Vocabulary, code_points, read_corpus, stdlib_files
from tui_trainer.errors import Exit, FileError


def test_vocabulary_numbers_characters_and_drops_rare_ones() -> None:
    vocabulary = Vocabulary.of("aaabbbbccd\n\n\n")
    assert vocabulary.characters == ("\n", "a", "b")
    assert len(vocabulary) == 4
    tokens = vocabulary.encode("ab\nc€")
    assert tokens.dtype == np.uint8
    assert tokens.tolist() == [2, 3, 1, UNKNOWN, UNKNOWN]
    assert vocabulary.decode(tokens) == "ab\n\ufffd\ufffd"


def test_vocabulary_keeps_the_most_frequent_and_fits_a_byte() -> None:
    text = "".join(chr(0x4E00 + i) * (3 + (i >= 50)) for i in range(400))
    vocabulary = Vocabulary.of(text)
    assert len(vocabulary) == 256
    assert vocabulary.characters == tuple(chr(0x4E00 + i) for i in range(50, 305))
    assert vocabulary.decode(vocabulary.encode(vocabulary.characters[-1])) == chr(0x4E00 + 304)


def test_round_trip_of_the_standard_library() -> None:
    corpus = read_corpus(None, max_chars=200_000)
    vocabulary = Vocabulary.of(corpus)
    assert len(corpus) == 200_000
    tokens = vocabulary.encode(corpus)
    assert (tokens == UNKNOWN).mean() < 0.001
    again = vocabulary.decode(tokens)
    assert [b for a, b in zip(corpus, again, strict=True) if a != b and b != "\ufffd"] == []


def test_the_default_text_is_the_library_without_tests_and_packages() -> None:
    files = stdlib_files()
    names = {file.name for file in files}
    assert {"argparse.py", "dataclasses.py", "json", "zipfile.py"} - names <= {"json", "zipfile.py"}
    assert files == sorted(files)
    folders = {part for file in files for part in file.parts[-4:-1]}
    assert not folders & {"site-packages", "test", "tests", "__pycache__"}
    assert sum(file.stat().st_size for file in files) > 4_000_000


def test_a_folder_is_read_in_order_without_hidden_and_other_files(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.PY").write_bytes(b"first\r\nline\rend\n")
    (tmp_path / "c.bin").write_bytes(b"\0\1")
    (tmp_path / ".hidden.txt").write_text("no")
    for folder, content in (("sub", "third"), (".git", "no"), ("__pycache__", "no")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "z.md").write_text(content)
    assert read_corpus(tmp_path) == "first\nline\nend\nsecond\nthird\n"
    assert read_corpus(tmp_path, max_chars=13) == "first\nline\nen"


def test_max_chars_reads_no_more_than_it_needs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeff" + "😀\r\n" * 50, newline="")
    (tmp_path / "b.txt").write_bytes(b"\0 never reached")
    assert read_corpus(tmp_path, max_chars=7) == "😀\n😀\n😀\n😀"
    assert read_corpus(tmp_path / "a.txt", max_chars=10**9) == "😀\n" * 50


def test_a_few_undecodable_bytes_are_replaced_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "mixed.txt"
    path.write_bytes(b"x" * 500 + b"\xe9" + b"y" * 500)
    with pytest.warns(UserWarning, match=r"mixed.txt: byte 0xe9 at offset 500 is not UTF-8; 1 such"):
        assert read_corpus(path) == "x" * 500 + "\ufffd" + "y" * 500 + "\n"


def test_a_replacement_character_in_the_file_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "fine.txt").write_text("\ufffd" * 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_corpus(tmp_path / "fine.txt") == "\ufffd" * 10 + "\n"


BAD = {
    "empty": (b"", "empty text", "nothing but white space"),
    "blank": (b" \n\t\r\n", "empty text", "nothing but white space"),
    "binary": (b"abc\0def", "not a text", "a zero byte at offset 3"),
    "utf-16": ("text".encode("utf-16"), "not a text", "a zero byte"),
    "latin-1": (("grün " * 20).encode("latin-1"), "text is not UTF-8", "byte 0xfc at offset 2"),
}


@pytest.mark.parametrize(("data", "title", "words"), BAD.values(), ids=BAD.keys())
def test_bad_texts(tmp_path: Path, data: bytes, title: str, words: str) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(data)
    with pytest.raises(FileError) as caught:
        read_corpus(path)
    assert caught.value.exit_code == Exit.FILE
    assert caught.value.title == title
    assert words in caught.value.message
    assert "text.txt" in caught.value.message
    assert caught.value.hint


def test_missing_texts(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"gone\.txt does not exist"):
        read_corpus(tmp_path / "gone.txt")
    (tmp_path / "data.bin").write_bytes(b"x")
    with pytest.raises(FileError) as caught:
        read_corpus(tmp_path)
    assert caught.value.title == "no text files"
    assert str(tmp_path) in caught.value.message
    with pytest.raises(FileError, match="no regular file"):
        read_corpus(Path(os.devnull))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.txt").chmod(0)
    with pytest.raises(FileError, match="Permission denied"):
        read_corpus(tmp_path / "a.txt")


def test_a_python_without_sources_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(FileError) as caught:
        read_corpus(None)
    assert "no sources" in caught.value.message
    assert "--dataset-path" in caught.value.hint


def test_characters_without_a_symbol_are_told() -> None:
    counts = np.bincount(code_points("abcxx"))
    with pytest.warns(UserWarning, match='^text: 2 of 5 characters are unknown to the model, such as "x"$'):
        Vocabulary("abc").tell_unknown(counts)
