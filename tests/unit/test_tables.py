"""Tables: dialects, missing values, types by the documented rule, mistakes named by their line."""

from pathlib import Path

import numpy as np
import pytest

from tui_trainer.datasets import delimited
from tui_trainer.datasets.columns import canonical
from tui_trainer.datasets.tables import built_in_table, read_table
from tui_trainer.errors import Exit, FileError


def write(tmp_path: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_dialects(tmp_path: Path, delimiter: str, start: str, end: str) -> None:
    rows = [["a", "the name", "y"], ["1", '"x, ""y""; z|"', "2.5"], ["-3e2", "b", ""]]
    text = start + end.join(delimiter.join(row) for row in rows) + end
    table = read_table(write(tmp_path, text))
    assert list(table.columns) == ["a", "the name", "y"]
    assert table.columns["a"].numbers.tolist() == [1.0, -300.0]
    assert table.columns["the name"].texts == ('x, "y"; z|', "b")
    assert table.columns["y"].numbers[0] == 2.5
    assert np.isnan(table.columns["y"].numbers[1])


@pytest.mark.parametrize(
    "missing", ["", "NA", "na", "N/A", "NaN", "nan", "null", "NULL", "?", " NA ", "#N/A"]
)
def test_missing_values(tmp_path: Path, missing: str) -> None:
    table = read_table(write(tmp_path, f"n,t,y\n1,a,1\n{missing},{missing},2\n3,b,3\n"))
    assert table.columns["n"].missing.tolist() == [False, True, False]
    assert table.columns["t"].missing.tolist() == [False, True, False]
    assert table.columns["t"].texts == ("a", "b")


@pytest.mark.parametrize("text", ["1_000", "٣", "1,5", "0x10", "12a", "--1", "1e"])
def test_not_numbers(tmp_path: Path, text: str) -> None:
    column = read_table(write(tmp_path, f'n,y\n1,1\n"{text}",2\n')).columns["n"]
    assert column.numbers is None
    assert column.texts == ("1", text)
    assert column.first_text() == 1


@pytest.mark.parametrize("text", ["1", "+1.", ".5", "-1e-3", " 7 ", "1E5", "0012"])
def test_numbers(tmp_path: Path, text: str) -> None:
    column = read_table(write(tmp_path, f"n,y\n{text},1\n")).columns["n"]
    assert column.numbers.tolist() == [float(text)]


def test_text_that_comes_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "PIECE", 4)
    rows = "".join(f"{i},{i},{'x' if i == 9 else i}\n" for i in range(11))
    table = read_table(write(tmp_path, f"a,b,c\n{rows}"))
    assert table.rows == 11
    assert table.columns["c"].texts == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "x", "10")
    assert table.columns["c"].codes.tolist() == list(range(11))
    assert table.columns["b"].numbers.tolist() == list(range(11))


def test_numbers_forced_to_texts(tmp_path: Path) -> None:
    column = read_table(write(tmp_path, "zip,y\n01,1\n1,2\n01,3\n"), texts=["zip"]).columns["zip"]
    assert column.texts == ("01", "1")
    assert column.codes.tolist() == [0, 1, 0]


def test_unnamed_columns_and_blank_lines_are_left_out(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "\n,a,b\n\n0,1,2\n\n1,3,4\n\n"))
    assert list(table.columns) == ["a", "b"]
    assert table.rows == 2


def test_line_of_a_row(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'a,b\n\n1,"two\nlines"\n2,x\n'))
    assert [table.where(row).rpartition(":")[2] for row in range(2)] == ["3", "5"]


LATIN = "a,b\n1,2\n3,é\n".encode("latin-1")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty table: {path} holds nothing"),
        (b"\n\n", "empty table"),
        (b"\xef\xbb\xbf", "empty table"),
        (b"a,b\n", "table without rows: {path} holds a header and no row"),
        (b"1,2,3\n4,5,6\n", "table without a header: {path}:1: the first row is all numbers: 1, 2, 3"),
        (b"a,b,a\n1,2,3\n", "column names not unique: {path}:1: twice in the header: a"),
        (b"a\n1\n", "table of one column: {path} has one column, a"),
        (b"a,b\n1,2\n1,2,3\n", "ragged table: {path}:3 has 3 cells, the header 2"),
        (b"a,b\n1,2\n\n7\n", "ragged table: {path}:4 has 1 cell, the header 2"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "malformed table: {path}:4"),
        (b'a,b\n1,"2"x\n', "malformed table: {path}:2"),
        (LATIN, "table not in UTF-8: {path}:3: byte 0xe9"),
        (b"n\xe9e,b\n1,2\n", "table not in UTF-8: {path}:1: byte 0xe9"),
        ("a,b\n1,2\n".encode("utf-16"), "table not in UTF-8: {path} is UTF-16"),
        (b"PK\x03\x04\0\0\0\0", "not a text table: {path} is a binary file"),
    ],
)
def test_bad_file(tmp_path: Path, data: bytes, words: str) -> None:
    path = write(tmp_path, data)
    with pytest.raises(FileError) as caught:
        read_table(path)
    assert words.format(path=path) in str(caught.value)
    assert caught.value.exit_code == Exit.FILE
    assert caught.value.hint


def test_byte_that_is_no_utf8_far_below(tmp_path: Path) -> None:
    path = write(tmp_path, b"a,b\n" + b"1,2\n" * 30_000 + b"1,\xff\n")
    with pytest.raises(FileError, match=r"t\.csv:30002: byte 0xff"):
        read_table(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(FileError, match="is a folder"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("name", "rows", "columns", "classes"),
    [("breast_cancer", 569, 31, 2), ("diabetes", 442, 11, 0), ("iris", 150, 5, 3), ("wine", 178, 14, 3)],
)
def test_built_in_tables(name: str, rows: int, columns: int, classes: int) -> None:
    table = built_in_table(name)  # type: ignore[arg-type]
    assert (table.rows, len(table.columns)) == (rows, columns)
    assert len(table.columns["target"].texts) == classes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", "2"),
        ("2.0", "2"),
        ("2.", "2"),
        ("-0.0", "0"),
        ("-3.00", "-3"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740994.0", "9007199254740994"),
        ("1e+16", "10000000000000000"),
        ("1.5e+16", "15000000000000000"),
        ("False", "false"),
        ("TRUE", "true"),
        ("2.50", "2.50"),
        ("007", "007"),
        ("007.0", "007.0"),
        ("1e5", "1e5"),
        ("Yes", "Yes"),
    ],
)
def test_a_category_has_one_text_however_a_format_writes_it(text: str, expected: str) -> None:
    assert canonical(text) == expected


def test_whole_numbers_with_gaps_keep_their_digits_in_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"id": [2**53 + 1, None, 2**53 + 2], "y": [1, 2, 3]}), path)
    assert read_table(path, texts=["id"]).columns["id"].texts == (str(2**53 + 1), str(2**53 + 2))
    assert np.isnan(read_table(path).columns["id"].numbers).tolist() == [False, True, False]
