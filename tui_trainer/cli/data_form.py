"""Which built-in task reads a file or folder of data, judged by its form."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tui_trainer.errors import FileError, UsageError
from tui_trainer.tasks.registry import looks_like_task

TABLES = frozenset({".csv", ".tsv", ".tab", ".parquet"})
PAIRS = frozenset({".jsonl", ".ndjson", ".json"})

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
    """
    form = _folder_form(path) if path.is_dir() else _file_form(path)
    tasks = {"a table": "tabular", "images": "images", "pairs of texts": "seq2seq", "text": "char_lm"}
    if form is None:
        raise UsageError(
            "data of no known form",
            f"{path} is no table, text, file of pairs, or folder of images",
            "name the task too: tui-train data TASK --dataset_path PATH",
        )
    return tasks[form], form


def target_of(columns: tuple[str, ...]) -> str:
    """The column of a table that is most likely to be predicted: one that is called so, else the last."""
    from tui_trainer.engine.data_report.parts import TARGETS

    return next((name for name in columns if name.lower() in TARGETS), columns[-1])


def _file_form(path: Path) -> str | None:
    from tui_trainer.datasets.text import TEXT_SUFFIXES

    suffix = path.suffix.lower()
    if suffix in TABLES:
        return "a table"
    if suffix in PAIRS:
        return "pairs of texts"
    return "text" if suffix in TEXT_SUFFIXES else None


def _folder_form(folder: Path) -> str | None:
    from tui_trainer.datasets.image_files import SUFFIXES

    files = list(islice(_files(folder), _LOOKED_AT))
    if any(file.suffix.lower() in SUFFIXES or "-ubyte" in file.name for file in files):
        return "images"
    if (folder / "pairs.json").is_file():
        return "pairs of texts"
    return "text" if any(_file_form(file) == "text" for file in files) else None


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
