"""Broken data files, each with what `tui-train` must say about it. What is binary is made here."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Make = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A broken data set.

    Attributes:
        words: of the command line; DATA stands for the data set.
        says: what the message must hold.
        make: writes it to DATA, a path that does not exist yet.
        code: the exit code.
    """

    words: str
    says: tuple[str, ...]
    make: Make
    code: int = 3


def file(content: str | bytes) -> Make:
    data = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(data) and None  # type: ignore[func-returns-value]


def folder(**content: str | bytes) -> Make:
    def make(path: Path) -> None:
        for name, data in content.items():
            target = path / name.replace("__", "/").replace("_dot_", ".")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data.encode() if isinstance(data, str) else data)

    return make


def saved(function: Callable[..., None], *args: Any, **arrays: Any) -> Make:
    def make(path: Path) -> None:
        with open(path, "wb") as opened:
            function(opened, *args, **arrays)

    return make


def cut(made: Make, size: int) -> Make:
    def make(path: Path) -> None:
        made(path)
        os.truncate(path, size if size > 0 else path.stat().st_size + size)

    return make


def table(text: str, words: str = "--target y", *says: str, code: int = 3, name: str = "t.csv") -> Case:
    return Case(f"tabular --dataset_path {name} {words}", says, file(text), code)


class Trap:
    """Says so when a pickle of it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("a pickle was loaded",)


def bomb(path: Path) -> None:
    """A `.npz` of a few kilobytes that says it holds, and unpacks to, gigabytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (3 << 20, 1 << 10)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", header.getvalue() + bytes(1 << 20))
        archive.writestr("y.npy", b"")


def liar(path: Path) -> None:
    """A `.npz` whose header asks for far more than there is."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (1000, 1000)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", header.getvalue() + bytes(800))
        archive.writestr("y.npy", header.getvalue())


def spoiled(make: Make, mark: bytes, offset: int, value: bytes) -> Make:
    """Puts bytes where they don't belong: `offset` behind the last place of `mark`."""

    def spoil(path: Path) -> None:
        make(path)
        data = path.read_bytes()
        at = data.rindex(mark) + offset
        path.write_bytes(data[:at] + value + data[at + len(value) :])

    return spoil


def png(value: int = 0, mode: str = "RGB", size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.new(mode, size, value).save(data, kind)
    return data.getvalue()


def idx(values: Any, magic: bytes = b"\0\0\x08") -> bytes:
    array = np.asarray(values, np.uint8)
    return magic + struct.pack(f">B{array.ndim}I", array.ndim, *array.shape) + array.tobytes()


def parquet(columns: Mapping[str, Any]) -> Make:
    def make(path: Path) -> None:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table(dict(columns)), path)

    return make


PICTURES = {f"{name}__{i}_dot_png": png() for name in "ab" for i in range(5)}
NUMBERS = np.arange(40.0).reshape(20, 2)
CLASSES = np.arange(20) % 2
PAIR = '{"input": "a", "target": "b"}\n'
ROWS = "".join(f"{i},{i % 2}\n" for i in range(20))


def images(words: str = "", *says: str, code: int = 3, **content: str | bytes) -> Case:
    return Case(f"images --dataset_path DATA {words}", says, folder(**{**PICTURES, **content}), code)


def pairs(text: str, *says: str, name: str = "p.jsonl", words: str = "", code: int = 3) -> Case:
    return Case(f"seq2seq --dataset_path {name} {words}", says, file(text), code)


def arrays(words: str, *says: str, make: Make, name: str = "a.npz", code: int = 3) -> Case:
    return Case(f"{words} --dataset_path {name}", says, make, code)


def loop(path: Path) -> None:
    path.symlink_to(path)


def piped(name: str, make: Make) -> Make:
    """Puts a named pipe, which nobody writes to, among the files of a folder."""

    def made(path: Path) -> None:
        make(path)
        os.mkfifo(path / name)

    return made


def folder_of_arrays(path: Path) -> None:
    path.mkdir()
    np.save(path / "y.npy", CLASSES)


CASES: dict[str, Case] = {
    # tables of text
    "empty file": table("", "--target y", "empty table", "holds nothing"),
    "header only": table("a,y\n", "--target y", "table without rows"),
    "no header": table("1,2\n3,4\n", "--target y", "table without a header", ":1:"),
    "one column": table("a\n1\n", "--target a", "table of one column"),
    "ragged rows": table("a,y\n1,2\n1,2,3\n", "--target y", ":3 has 3 cells, the header 2"),
    "utf-16": Case(
        "tabular --dataset_path t.csv --target y", ("is UTF-16",), file(("a,y\n" + ROWS).encode("utf-16"))
    ),
    "latin-1": Case(
        "tabular --dataset_path t.csv --target y", (":2: byte 0xe9",), file("a,y\né,2\n".encode("latin-1"))
    ),
    "zero bytes": Case("tabular --dataset_path t.csv --target y", ("binary",), file(b"a,y\n\0\0,1\n")),
    "unclosed quote": table('a,y\n1,2\n"3,4\n5,6\n', "--target y", "malformed table", ":4"),
    "duplicate columns": table("a,y,a\n1,2,3\n", "--target y", "twice in the header: a"),
    "no target named": table("a,y\n" + ROWS, "", "no target", "a, y", code=2),
    "target not there": table("a,y\n" + ROWS, "--target z", 'no column "z"', "its columns: a, y", code=2),
    "target misspelt": table("a,label\n" + ROWS, "--target lable", "did you mean label?", code=2),
    "target value missing": table("a,y\n1,0\n2,\n3,1\n", "--target y", ":3", "no value of the target"),
    "column of gaps": table(
        "a,b,y\n" + "1,NaN,0\n1,,1\n" * 9, "--target y", 'no row has a value of "b"', "--ignore"
    ),
    "text among numbers": table("a,y\n" + ROWS + "oops,1\n", "--target y", ':22: column "a" has "oops"'),
    "text in a numeric column": table(
        "a,y\n1,0\nx,1\n2,0\n3,1\n", "--target y --numeric a", ':3: column "a" has "x"'
    ),
    "decimal commas": table("a;y\n" + "1,5;0\n2,5;1\n" * 9, "--target y", "with a comma for the point"),
    "one class only": table("a,y\n" + "1,x\n2,x\n" * 9, "--target y", "a single class, x"),
    "constant target": table("a,y\n" + "1,2.5\n2,2.5\n" * 9, "--target y", "2.5 in all rows"),
    "huge numbers": table(f"a,y\n{'9' * 60},1\n" + ROWS, "--target y", ":2", "not a finite number", "1e+37"),
    "infinity": table("a,y\n1,0\ninf,1\n" + ROWS, "--target y", ":3", "not a finite number"),
    "dates": table(
        "when,y\n" + "".join(f"2024-01-{i:02},{i % 2}\n" for i in range(1, 29)),
        "--target y",
        "too many categories",
        '"when" (28)',
        "--ignore",
    ),
    "JSON named CSV": table('{"a": 1, "y": 0}\n', "--target y", "JSON", ".jsonl"),
    "gzipped": Case(
        "tabular --dataset_path t.csv.gz --target y",
        ("packed by gzip", "gunzip"),
        file(gzip.compress(b"a,y\n")),
    ),
    "spreadsheet": Case(
        "tabular --dataset_path t.xlsx --target y",
        ("is a spreadsheet", "CSV"),
        lambda path: zipfile.ZipFile(path, "w").writestr("xl/workbook.xml", "<x/>"),
    ),
    "folder for a table": Case(
        "tabular --dataset_path DATA --target y", ("is a folder",), folder(a_dot_csv="a,y\n")
    ),
    "table not there": Case(
        "tabular --dataset_path t.csv --target y", ("does not exist",), lambda path: None
    ),
    "loop of links": Case(
        "tabular --dataset_path t.csv --target y", ("Too many levels of symbolic links",), loop
    ),
    "numbers that are complex": arrays(
        "tabular --target y", "complex128", make=saved(np.save, NUMBERS + 1j), name="a.npy"
    ),
    "infinite labels": arrays(
        "images",
        "labels are no classes",
        make=saved(np.savez, X=np.zeros((20, 8, 8)), y=np.where(CLASSES, np.inf, 0)),
    ),
    "pipe among images": Case(
        "images --dataset_path DATA", ("x.png", "no plain file"), piped("a/x.png", folder(**PICTURES))
    ),
    "pipe among arrays": Case(
        "tabular --dataset_path DATA", ("X.npy", "no plain file"), piped("X.npy", folder_of_arrays)
    ),
    "a program among images": images("", "x.png", "EPS is drawn by a program", a__x_dot_png=png(kind="EPS")),
    "pipe": Case("tabular --dataset_path t.csv --target y", ("no plain file",), os.mkfifo),
    # tables of JSON
    "broken line": table('{"a": 1, "y": 0}\n{"a": 1, "y"\n', "--target y", "t.jsonl:2:", name="t.jsonl"),
    "no object": table('{"a": 1, "y": 0}\n[1, 0]\n', "--target y", "t.jsonl:2 is a list", name="t.jsonl"),
    "nested records": table(
        '{"a": {"b": 1}, "y": 0}\n', "--target y", 't.jsonl:1: "a" is an object', name="t.jsonl"
    ),
    "not a list": table('{"a": [1], "y": [0]}\n', "--target y", "an object at the top", name="t.json"),
    "key twice": table(
        '[{"a": 1, "a": 2, "y": 0}]', "--target y", "t.json:1", '"a" occurs twice', name="t.json"
    ),
    "empty lines": table("\n", "--target y", "table without rows", name="t.jsonl"),
    # arrays
    "npy cut off": arrays(
        "tabular --target 1", "array is cut off", name="a.npy", make=cut(saved(np.save, NUMBERS), -8)
    ),
    "npy of objects": arrays(
        "tabular --target 1",
        "array of Python objects",
        "pickle",
        name="a.npy",
        make=saved(np.save, np.array([[Trap(), 1]], object)),
    ),
    "pickle": arrays("tabular", "is a pickle", name="a.pkl", make=file(pickle.dumps(Trap(), 4))),
    "npy header damaged": arrays(
        "tabular --target 1",
        "no array of NumPy",
        name="a.npy",
        make=file(b"\x93NUMPY\x01\0\x10\0{'descr': os.x()"),
    ),
    "npy of one dimension": arrays(
        "tabular --target 1", "has the shape (20,)", name="a.npy", make=saved(np.save, CLASSES)
    ),
    "npy without target": arrays(
        "tabular", "no target", "0, 1", name="a.npy", make=saved(np.save, NUMBERS), code=2
    ),
    "npz with other names": arrays(
        "tabular --target y", "holds foo (20, 2), bar (20,)", make=saved(np.savez, foo=NUMBERS, bar=CLASSES)
    ),
    "npz without targets": arrays(
        "tabular", "has no targets beside it", make=saved(np.savez, X=NUMBERS, foo=CLASSES)
    ),
    "npz of different lengths": arrays(
        "tabular", "(20, 2), y (19,)", make=saved(np.savez, X=NUMBERS, y=CLASSES[1:])
    ),
    "npz with both": arrays(
        "tabular", "which part", make=saved(np.savez, X=NUMBERS, y=CLASSES, x_train=NUMBERS, y_train=CLASSES)
    ),
    "npz cut off": arrays("tabular", "damaged archive", make=cut(saved(np.savez, X=NUMBERS, y=CLASSES), 300)),
    "npz of another version": arrays(
        "tabular",
        "damaged archive",
        make=spoiled(saved(np.savez, X=NUMBERS, y=CLASSES), b"PK\x01\x02", 6, b"\xff"),
    ),
    "texts that are none": arrays(
        "tabular",
        'the target "y" holds texts that are no Unicode',
        make=saved(np.savez, X=NUMBERS, y=np.full(20, 0x7FFFFFFF, np.uint32).view("U1")),
    ),
    "npz of objects": arrays(
        "tabular", "Python objects", make=saved(np.savez, X=np.array([[Trap()]], object), y=CLASSES[:1])
    ),
    "npz of objects, compressed": arrays(
        "images",
        "Python objects",
        make=saved(np.savez_compressed, X=np.array([[Trap()]], object), y=CLASSES[:1]),
    ),
    "zip bomb": arrays("tabular", "too large to unpack", "numpy.savez", make=bomb),
    "npz that lies": arrays("tabular", "cut off", "8,000,000", make=liar),
    "images of three numbers": arrays(
        "images", "has the shape (20, 2)", make=saved(np.savez, X=NUMBERS, y=CLASSES)
    ),
    "images of five dimensions": arrays(
        "images", "has the shape (2, 2, 2, 2, 2)", make=saved(np.savez, X=np.zeros((2,) * 5), y=CLASSES[:2])
    ),
    "negative pixels": arrays(
        "images",
        "numbers from -1 to 0",
        make=saved(np.savez, X=np.linspace(-1, 0, 320).reshape(20, 4, 4), y=CLASSES),
    ),
    "pixels that are no numbers": arrays(
        "images", "nan", make=saved(np.savez, X=np.full((20, 4, 4), np.nan), y=CLASSES)
    ),
    "labels of one-hot": arrays(
        "images", "(20, 2)", "one number or text", make=saved(np.savez, X=np.zeros((20, 4, 4)), y=NUMBERS)
    ),
    "one label only": arrays(
        "images", "all labels are 0", make=saved(np.savez, X=np.zeros((20, 4, 4)), y=CLASSES * 0)
    ),
    # Parquet
    "parquet cut off": arrays(
        "tabular --target y", "damaged", name="t.parquet", make=cut(parquet({"a": [1, 2], "y": [0, 1]}), -20)
    ),
    "parquet of lists": arrays(
        "tabular --target y",
        '"a" holds values of type list',
        "--ignore",
        name="t.parquet",
        make=parquet({"a": [[1], [2]] * 9, "y": [0, 1] * 9}),
    ),
    "parquet without images": arrays(
        "images", "no column of encoded images", name="t.parquet", make=parquet({"a": [1], "label": [0]})
    ),
    "parquet without labels": arrays(
        "images",
        "which are the labels?",
        name="t.parquet",
        make=parquet({"image": [png()], "a": [0]}),
        code=2,
    ),
    "parquet of broken images": arrays(
        "images",
        "t.parquet: row 3",
        name="t.parquet",
        make=parquet({"image": [png()] * 3 + [b"no image"] + [png()] * 6, "label": [0, 1] * 5}),
    ),
    "saved set without a train split": Case(
        "tabular --dataset_path DATA",
        ("no split named train",),
        folder(dataset_dict_dot_json='{"splits": []}'),
    ),
    "saved set without its state": Case(
        "tabular --dataset_path DATA",
        ("train/state.json",),
        folder(dataset_dict_dot_json='{"splits": ["train"]}'),
    ),
    "saved set that is damaged": Case(
        "tabular --dataset_path DATA", ("not what datasets writes",), folder(state_dot_json="[]")
    ),
    "saved set without its files": Case(
        "tabular --dataset_path DATA",
        ("data.arrow", "does not exist"),
        folder(state_dot_json=json.dumps({"_data_files": [{"filename": "../data.arrow"}]})),
    ),
    # images
    "image of zero bytes": images("", "a/bad.png", a__bad_dot_png=b""),
    "image cut off": images("", "b/bad.png", b__bad_dot_png=png(size=(64, 64))[:60]),
    "text named png": images("", "a/bad.png", "no image that Pillow knows", a__bad_dot_png="hello"),
    "folder of one class": Case(
        "images --dataset_path DATA", ("one class folder only, a",), folder(a__1_dot_png=png())
    ),
    "empty class folder": images("", "DATA/c holds no image", c__x_dot_txt="x"),
    "no folders": Case(
        "images --dataset_path DATA", ("neither a folder for each class",), folder(x_dot_png=png())
    ),
    "class unknown in training": Case(
        "images --dataset_path DATA",
        ("c, which the training set has not",),
        folder(**{f"train__{k}": v for k, v in PICTURES.items()}, test__c__1_dot_png=png()),
    ),
    "images not there": Case("images --dataset_path DATA", ("does not exist",), lambda path: None),
    "file for images": Case("images --dataset_path x.txt", ("is no folder",), file("x")),
    "npy for images": Case(
        "images --dataset_path x.npy", ("is no folder", ".npz"), saved(np.save, np.zeros((3, 4, 4)))
    ),
    "idx of a wrong magic": Case(
        "images --dataset_path DATA",
        ("wrong magic number",),
        folder(
            **{
                "train-images-idx3-ubyte": idx(np.zeros((4, 3, 3)), b"PK\x08"),
                "train-labels-idx1-ubyte": idx([0, 1, 0, 1]),
            }
        ),
    ),
    "idx cut off": Case(
        "images --dataset_path DATA",
        ("truncated IDX file",),
        folder(
            **{
                "train-images-idx3-ubyte": idx(np.zeros((4, 3, 3)))[:-5],
                "train-labels-idx1-ubyte": idx([0, 1, 0, 1]),
            }
        ),
    ),
    "idx gzip cut off": Case(
        "images --dataset_path DATA",
        ("gzip",),
        folder(
            **{
                "train-images-idx3-ubyte_dot_gz": gzip.compress(idx(np.zeros((4, 3, 3))))[:-9],
                "train-labels-idx1-ubyte": idx([0, 1, 0, 1]),
            }
        ),
    ),
    "idx of different lengths": Case(
        "images --dataset_path DATA",
        ("holds 4 images",),
        folder(
            **{"train-images-idx3-ubyte": idx(np.zeros((4, 3, 3))), "train-labels-idx1-ubyte": idx([0, 1, 0])}
        ),
    ),
    # pairs
    "pair without target": pairs(PAIR + '{"input": "a"}\n', "p.jsonl:2", 'no "target"'),
    "pair of numbers": pairs(PAIR + '{"input": 1, "target": "b"}\n', "p.jsonl:2", "the number 1, not a text"),
    "pairs with a broken line": pairs(PAIR + '{"input": \n' + PAIR, "p.jsonl:2"),
    "pair with an empty target": pairs(
        PAIR + '{"input": "a", "target": ""}\n', "p.jsonl:2", "nothing to predict"
    ),
    "pairs of other names": pairs(
        "source,goal\na,b\n", 'no column "input"', "source, goal", "--input_column", name="p.csv", code=2
    ),
    "pairs that are ragged": pairs("input,target\na,b\nc\n", "p.csv:3 has 1 cell", name="p.csv"),
    "pair too long": pairs(
        '{"input": "abc", "target": "b"}\n', "3 characters, max_length is 2", words="--max_length 2"
    ),
    # text
    "text that is binary": Case("char_lm --dataset_path x.txt", ("a zero byte at offset 3",), file(b"abc\0")),
    "text in latin-1": Case(
        "char_lm --dataset_path x.txt",
        ("byte 0xfc at offset 2", "iconv"),
        file(("grün " * 99).encode("latin-1")),
    ),
    "text too short": Case(
        "char_lm --dataset_path x.txt",
        ("context longer than the text", "--context"),
        file("abcabcabc" * 20),
        2,
    ),
    "text of one symbol": Case("char_lm --dataset_path x.txt", ("text too short",), file("a" * 5000 + "\n")),
    "blank text": Case("char_lm --dataset_path x.txt", ("nothing but white space",), file(" \n" * 99)),
    "folder without texts": Case(
        "char_lm --dataset_path DATA", ("holds no text file",), folder(x_dot_bin="x")
    ),
    "texts under another key": Case(
        "char_lm --dataset_path x.jsonl --text_column text",
        ('x.jsonl:1: "text" is missing',),
        file('{"body": "x"}\n'),
    ),
    "parquet of two texts": arrays(
        "char_lm",
        "which are the texts?",
        "a, b",
        name="t.parquet",
        make=parquet({"a": ["x"], "b": ["y"]}),
        code=2,
    ),
}
