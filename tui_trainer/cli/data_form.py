"""Which built-in task reads a file or folder of data, judged by its form."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from tui_trainer.errors import FileError, UsageError
from tui_trainer.tasks.registry import looks_like_task

Form = Literal["a table", "images", "pairs of texts", "text"]

TASKS: dict[Form, str] = {
    "a table": "tabular",
    "images": "images",
    "pairs of texts": "seq2seq",
    "text": "char_lm",
}
"""The task that reads each form."""

TABLES = frozenset({".csv", ".tsv", ".tab"})

_HINT = "expected a list of records, or one a line"

_LOOKED_AT = 2000
"""Files of a folder, until one says what it is."""


def is_data(word: str) -> bool:
    """Whether a word of the command line names data rather than a task.

    Raises:
        FileError: it is plainly a path, of nothing.
    """
    if looks_like_task(word):
        return False
    path = Path(word).expanduser()
    if path.exists():
        return True
    if "/" in word or path.suffix:
        raise FileError(
            "data not found", f"{word} does not exist", "name a task, or a file or folder of data"
        )
    return False


def task_for(path: Path) -> tuple[str, str]:
    """The built-in task that reads some data, and what they are, in words.

    Raises:
        UsageError: none does.
        FileError: they can't be read.
    """
    form = _form(path)
    if form is None:
        raise UsageError(
            "data of no known form",
            f"{path} is no table, text, file of pairs, or folder of images",
            "name the task too: tui-train data TASK --dataset_path PATH",
        )
    return TASKS[form], form


def likely_target(table: Path) -> str | None:
    """The column of a table that one would predict: one that is called so, else the last.

    None where the data themselves tell.

    Raises:
        FileError: it can't be read.
    """
    from tui_trainer.datasets.tables import read_header
    from tui_trainer.engine.data_report.parts import TARGETS

    columns, target = read_header(table)
    if target is not None or not columns:
        return None
    return next((name for name in columns if name.lower() in TARGETS), columns[-1])


def only_text_key(path: Path) -> str | None:
    """The key of the texts, of a JSON file whose records hold nothing else; None for any other file.

    Raises:
        FileError: it can't be read.
    """
    from tui_trainer.datasets.formats import format_of

    return next(iter(_first_record(path)), None) if format_of(path) == "json" else None


def pair_keys(path: Path) -> tuple[str, str] | None:
    """What input and target are called, of records that hold two other texts; None where they are `KEYS`.

    Raises:
        FileError: it can't be read.
    """
    from tui_trainer.datasets.formats import format_of

    kind = format_of(path)
    if kind == "json":
        record = _first_record(path)
        return _other_pair(list(record), _texts(record))
    if kind in ("parquet", "arrow", "saved"):
        from tui_trainer.datasets.arrow import ArrowData

        data = ArrowData.open(path)
        return _other_pair(data.schema.names, data.text_columns())
    return None


def _file_form(path: Path) -> Form | None:
    from tui_trainer.datasets.formats import format_of
    from tui_trainer.datasets.text import TEXT_SUFFIXES

    kind = format_of(path)
    if kind == "arrays":
        from tui_trainer.datasets.arrays import Arrays

        return "images" if any(array.ndim > 2 for array in Arrays(path).values()) else "a table"
    if kind in ("parquet", "arrow", "saved"):
        from tui_trainer.datasets.arrow import ArrowData
        from tui_trainer.datasets.arrow_images import image_columns

        data = ArrowData.open(path)
        return "images" if image_columns(data) else _records_form(data.schema.names, data.text_columns())
    if kind == "json":
        record = _first_record(path)
        return _records_form(list(record), _texts(record))
    if kind == "npy" or path.suffix.lower() in TABLES:
        return "a table"
    return "text" if path.suffix.lower() in TEXT_SUFFIXES else None


def _first_record(path: Path) -> dict[str, Any]:
    """The first object of a JSON file; empty where the first item is something else."""
    from tui_trainer.datasets.json_items import JsonItems

    first = next((item for item, _ in JsonItems(path, "items", _HINT)), None)
    return first if isinstance(first, dict) else {}


def _texts(record: dict[str, Any]) -> list[str]:
    return [name for name, value in record.items() if isinstance(value, str)]


def _records_form(names: Sequence[str], texts: Sequence[str]) -> Form:
    from tui_trainer.datasets.pairs import KEYS

    if set(KEYS) <= set(texts):
        return "pairs of texts"
    if _other_pair(names, texts) is not None:
        return "pairs of texts"
    return "text" if len(names) == 1 and texts else "a table"


def _other_pair(names: Sequence[str], texts: Sequence[str]) -> tuple[str, str] | None:
    """The names of two texts that are all there is, such as question and answer, and none a label."""
    from tui_trainer.engine.data_report.parts import TARGETS

    if len(names) != 2 or set(names) != set(texts) or any(name.lower() in TARGETS for name in names):
        return None
    return names[0], names[1]


def _form(path: Path) -> Form | None:
    from tui_trainer.datasets.formats import format_of

    if not path.is_dir() or format_of(path) != "folder":
        return _file_form(path)
    from tui_trainer.datasets.image_files import SUFFIXES
    from tui_trainer.datasets.text import TEXT_SUFFIXES

    files = list(islice((each for each in path.rglob("*") if each.is_file()), _LOOKED_AT))
    if any(file.suffix.lower() in SUFFIXES or "-ubyte" in file.name for file in files):
        return "images"
    if (path / "pairs.json").is_file():
        return "pairs of texts"
    return "text" if any(file.suffix.lower() in TEXT_SUFFIXES for file in files) else None
