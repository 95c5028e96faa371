"""Parquet, Arrow files, and folders that Hugging Face's `datasets` saved, all read by pyarrow alone."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tui_trainer.datasets.formats import format_of
from tui_trainer.datasets.splits import split_of
from tui_trainer.errors import FileError
from tui_trainer.files import open_plain

if TYPE_CHECKING:
    import pyarrow

PIECE = 1 << 14
"""Rows of Parquet that are read at once."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class ArrowData:
    """Rows in one or more files, split or not.

    Attributes:
        path: the file or folder that was named.
        splits: files of the training, validation and test set; the last two may be empty.
        schema: names and types of the columns.
        features: what Hugging Face's `datasets` noted of each column; empty for other files.
    """

    path: Path
    splits: tuple[tuple[Path, ...], tuple[Path, ...], tuple[Path, ...]]
    schema: pyarrow.Schema
    features: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> ArrowData:
        """Look at the files' schemas.

        Raises:
            FileError: pyarrow is missing, or a file is missing, damaged, or has other columns than the first.
        """
        kind = format_of(path)
        _require_pyarrow(path, "hf" if kind == "saved" else "parquet")
        splits = _saved(path) if kind == "saved" else _files(path)
        schemas = [(file, _schema(file)) for files in splits for file in files]
        if not schemas:
            raise FileError("no rows", f"{path} holds no file of data", "save the data set again")
        first = schemas[0][1]
        for file, schema in schemas:
            if schema.names != first.names:
                message = f"{file} has other columns than {schemas[0][0]}"
                raise FileError("files differ", message, "give all files the same columns")
        if len(set(first.names)) < len(first.names):
            twice = sorted({name for name in first.names if first.names.count(name) > 1})
            message = f"{path} has twice: {', '.join(twice)}"
            raise FileError("column names not unique", message, "rename one")
        return cls(path, splits, first, _features(first))

    def batches(self, files: Sequence[Path], columns: Sequence[str]) -> Iterator[pyarrow.RecordBatch]:
        """The rows of files, some thousand at a time.

        Raises:
            FileError: a file is damaged.
        """
        for file in files:
            with _refusing(file):
                for batch in _batches(file, list(columns)):
                    batch.validate(full=True)
                    yield batch

    def rows(self, files: Sequence[Path]) -> int:
        """How many rows files have."""
        return sum(_row_count(file) for file in files)

    def classes(self, name: str) -> tuple[str, ...] | None:
        """Names of a column's classes, where its numbers stand for some."""
        feature = self.features.get(name)
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
            names = feature.get("names") or map(str, range(feature.get("num_classes") or 0))
            return tuple(map(str, names))
        return None

    def text_columns(self) -> list[str]:
        """Names of the columns of texts."""
        import pyarrow.types as is_a

        kinds = [(field.name, field.type) for field in self.schema]
        return [name for name, kind in kinds if is_a.is_string(kind) or is_a.is_large_string(kind)]

    def texts(self, files: Sequence[Path], name: str) -> Iterator[str]:
        """The texts of a column; nothing for a missing one."""
        for batch in self.batches(files, [name]):
            yield from (text or "" for text in batch.column(0).to_pylist())


def _require_pyarrow(path: Path, extra: str) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        message = f"{path} is read by pyarrow, which is not installed"
        raise FileError("pyarrow is missing", message, f"pip install 'tui-trainer[{extra}]'") from error


@contextmanager
def _refusing(file: Path) -> Iterator[None]:
    """What pyarrow raises, as an error that names the file."""
    import pyarrow

    try:
        yield
    except FileNotFoundError as error:
        raise FileError("file not found", f"{file} does not exist", "save the data set again") from error
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        hint = "get it again, and check that it is readable"
        raise FileError("file is damaged or unreadable", f"{file}: {reason}", hint) from error


def _files(path: Path) -> tuple[tuple[Path, ...], tuple[Path, ...], tuple[Path, ...]]:
    """A file; or a folder's files, by the splits that their names begin with if all do."""
    if not os.path.isdir(path):
        return (path,), (), ()
    files = sorted(path.glob("*.parquet"))
    return _by_split(path, [(re.split(r"[-_.]", file.name)[0], [file]) for file in files], files)


def _saved(path: Path) -> tuple[tuple[Path, ...], tuple[Path, ...], tuple[Path, ...]]:
    if not (path / "dataset_dict.json").is_file():
        return tuple(_shards(path)), (), ()
    splits = _json(path / "dataset_dict.json", lambda value: [str(name) for name in value["splits"]])
    return _by_split(path, [(name, _shards(path / name)) for name in splits if split_of(name)], [])


def _by_split(
    path: Path, named: list[tuple[str, list[Path]]], unsplit: list[Path]
) -> tuple[tuple[Path, ...], tuple[Path, ...], tuple[Path, ...]]:
    found: dict[str, list[Path]] = {"train": [], "val": [], "test": []}
    for name, files in named:
        split = split_of(name)
        if split is None:
            return tuple(unsplit), (), ()
        found[split] += files
    if not found["train"]:
        raise FileError("no training set", f"{path} has no split named train", "name one so")
    # As in ImageNet, whose validation set is what results are reported on.
    if not found["test"]:
        found["test"], found["val"] = found["val"], []
    return tuple(found["train"]), tuple(found["val"]), tuple(found["test"])


def _shards(folder: Path) -> list[Path]:
    names = _json(folder / "state.json", lambda value: [str(f["filename"]) for f in value["_data_files"]])
    # A name, never a path: the file is data, and must not lead anywhere else.
    return [folder / Path(name).name for name in names]


def _json(path: Path, read: Callable[[Any], _T]) -> _T:
    try:
        return read(json.loads(path.read_bytes()))
    except OSError as error:
        raise FileError(
            "file unreadable", f"{path}: {error.strerror or error}", "save the data set again"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"{path} is not what datasets writes"
        raise FileError("saved data set is damaged", message, "save the data set again") from error


def _is_parquet(file: Path) -> bool:
    with open_plain(file) as opened:
        return opened.read(4) == b"PAR1"


def _arrow_reader(file: Path) -> Any:
    """A reader of mapped record batches: of the file format, or of a stream as `datasets` writes it."""
    import pyarrow

    source = pyarrow.memory_map(str(file))
    if source.read(6) == b"ARROW1":
        return pyarrow.ipc.open_file(source)
    source.seek(0)
    return pyarrow.ipc.open_stream(source)


def _schema(file: Path) -> pyarrow.Schema:
    with _refusing(file):
        if _is_parquet(file):
            from pyarrow import parquet

            return parquet.read_schema(file)
        return _arrow_reader(file).schema


def _batches(file: Path, columns: list[str]) -> Iterator[pyarrow.RecordBatch]:
    if _is_parquet(file):
        from pyarrow import parquet

        with parquet.ParquetFile(file) as opened:
            yield from opened.iter_batches(PIECE, columns=columns)
        return
    for batch in arrow_batches(file):
        yield batch.select(columns)


def arrow_batches(file: Path) -> Iterator[pyarrow.RecordBatch]:
    """The record batches of an Arrow file or stream, mapped."""
    reader = _arrow_reader(file)
    if hasattr(reader, "num_record_batches"):
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        yield from reader


def _row_count(file: Path) -> int:
    with _refusing(file):
        if _is_parquet(file):
            from pyarrow import parquet

            return int(parquet.read_metadata(file).num_rows)
        return sum(batch.num_rows for batch in arrow_batches(file))


def _features(schema: pyarrow.Schema) -> dict[str, Any]:
    try:
        noted = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}
