"""Text on disk as one array of small whole numbers: files, folders, the standard library's own sources."""

from __future__ import annotations

import os
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tui_trainer.errors import FileError

TEXT_SUFFIXES = frozenset(
    {
        ".bash", ".bib", ".c", ".cc", ".cfg", ".conf", ".cpp", ".cs", ".css", ".csv", ".cu", ".cuh", ".go",
        ".h", ".hpp", ".htm", ".html", ".ini", ".java", ".jl", ".js", ".json", ".jsonl", ".kt", ".lua", ".md",
        ".org", ".php", ".pl", ".py", ".pyi", ".r", ".rb", ".rs", ".rst", ".scala", ".sh", ".sql", ".srt",
        ".swift", ".tex", ".text", ".toml", ".ts", ".tsv", ".txt", ".xml", ".yaml", ".yml",
    }
)  # fmt: skip
"""What counts as text in a folder, by the end of the file's name in lower case."""

SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})

STDLIB_SKIPPED = SKIPPED_FOLDERS | {
    "dist-packages", "encodings", "idle_test", "lib-dynload", "pydoc_data", "site-packages", "test", "tests",
}  # fmt: skip
"""Not the library itself, or (encodings, pydoc_data) tables and help texts instead of code."""

VOCABULARY_LIMIT = 256
"""Symbols of a vocabulary, the unknown one included: a token is one byte."""

RARE = 3
"""A character that occurs less often than this in the corpus is not worth a symbol."""

UNKNOWN = 0
"""Token of every character without a symbol of its own."""

MAX_UNDECODABLE = 0.01
"""A file with a larger share of characters that are no UTF-8 is taken for something else than UTF-8 text."""

_NEWLINE = "\n"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Vocabulary:
    """The characters of a corpus, numbered by code point from 1; 0 is any other character.

    Args:
        characters: the characters that have a symbol, without repetition.
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = tuple(sorted(characters))
        self._codes = np.array([ord(character) for character in self.characters], dtype=np.uint32)

    def __len__(self) -> int:
        """Number of symbols, the unknown one included."""
        return len(self.characters) + 1

    @classmethod
    def of(cls, text: str, limit: int = VOCABULARY_LIMIT, rare: int = RARE) -> Vocabulary:
        """The most frequent characters of a text, at most `limit` − 1, none rarer than `rare`."""
        counts: np.ndarray = np.bincount(_code_points(text))
        frequent = np.flatnonzero(counts >= rare)
        # Of equally frequent ones the smaller code point stays: a stable sort keeps their order.
        frequent = frequent[np.argsort(-counts[frequent], kind="stable")]
        return cls(chr(code) for code in frequent[: limit - 1])

    def encode(self, text: str) -> np.ndarray:
        """Tokens of a text: uint8, one for each character."""
        table = np.zeros(0x110000, dtype=np.uint8)
        table[self._codes] = np.arange(1, len(self), dtype=np.uint8)
        tokens: np.ndarray = table[_code_points(text)]
        return tokens

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of tokens; the unknown symbol shows as U+FFFD."""
        return "".join(self.characters[token - 1] if token else _REPLACEMENT for token in map(int, tokens))


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "replace"), dtype="<u4")


def read_corpus(path: Path | None, max_chars: int | None = None) -> str:
    """The text of a file or of a folder's text files, or Python's own sources.

    Files of a folder are taken in the order of their paths and joined by a newline. Hidden files and folders,
    and files whose name does not end like a text's, are passed over. Line ends become newlines.

    Args:
        path: file or folder; None: the standard library's .py files.
        max_chars: stop after so many characters; None: all.

    Raises:
        FileError: nothing there, nothing readable, no text files, an empty text, or not UTF-8. A few
            undecodable bytes (up to `MAX_UNDECODABLE`) become U+FFFD, with a warning.
    """
    parts: list[str] = []
    length = 0
    for file in _files(path):
        left = None if max_chars is None else max_chars - length
        if left is not None and left <= 0:
            break
        text = _read(file, left)
        if text and not text.endswith(_NEWLINE):
            text += _NEWLINE
        parts.append(text)
        length += len(text)
    corpus = "".join(parts)[:max_chars]
    if not corpus.strip():
        where = path if path is not None else "the standard library"
        raise FileError("empty text", f"{where} holds nothing but white space", "give text to learn from")
    return corpus


def read_text(path: Path) -> str:
    """The text of one file, to its last character; line ends become newlines.

    Raises:
        FileError: not there, unreadable or no UTF-8 text, as in `read_corpus`.
    """
    if not os.path.isfile(path):
        what = "is no regular file" if os.path.exists(path) else "does not exist"
        raise FileError("text not found", f"{path} {what}", "give a text file")
    return _read(path, None)


def stdlib_files() -> list[Path]:
    """The standard library's own .py files, sorted by path, without tests and installed packages.

    Raises:
        FileError: this Python comes without sources (some are stripped or zipped).
    """
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(_walk(root, frozenset({".py"}), STDLIB_SKIPPED))
    if not files:
        hint = "give a text file or folder: --dataset-path FILE"
        raise FileError("no default text", f"this Python has no sources of its library in {root}", hint)
    return files


def _files(path: Path | None) -> list[Path]:
    if path is None:
        return stdlib_files()
    if os.path.isdir(path):
        files = sorted(_walk(path, TEXT_SUFFIXES, SKIPPED_FOLDERS))
        if not files:
            hint = "texts are known by endings such as .txt, .md or .py; a file named by itself may have any"
            raise FileError("no text files", f"{path} holds no text file", hint)
        return files
    if not os.path.isfile(path):
        what = "is no regular file" if os.path.exists(path) else "does not exist"
        hint = "dataset_path is a text file or a folder of text files"
        raise FileError("text not found", f"{path} {what}", hint)
    return [path]


def _walk(root: Path, suffixes: frozenset[str], skipped: frozenset[str]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, onerror=_refuse):
        folders[:] = [name for name in folders if name not in skipped and not name.startswith(".")]
        for name in names:
            file = Path(folder, name)
            if not name.startswith(".") and file.suffix.lower() in suffixes and file.is_file():
                yield file


def _refuse(error: OSError) -> None:
    hint = "check the folder's permissions"
    raise FileError("folder unreadable", f"{error.filename}: {error.strerror}", hint) from error


def _read(path: Path, max_chars: int | None) -> str:
    """A file's first characters; all of them for None."""
    # A character takes at most 4 bytes and a line end at most 2 characters; 3 bytes may be a byte-order mark.
    limit = -1 if max_chars is None else 8 * max_chars + 3
    try:
        with open(path, "rb") as file:
            data = file.read(limit)
    except OSError as error:
        hint = "check the file's permissions"
        raise FileError("text unreadable", f"{path}: {error.strerror or error}", hint) from error
    if (at := data.find(b"\0")) >= 0:
        hint = "convert it to UTF-8 first; UTF-16 and binary files hold such bytes"
        raise FileError("not a text", f"{path}: a zero byte at offset {at:,}", hint)
    text = data.decode("utf-8-sig", "replace").replace("\r\n", _NEWLINE).replace("\r", _NEWLINE)[:max_chars]
    if _REPLACEMENT in text:
        _judge_undecodable(path, data, text)
    return text


def _judge_undecodable(path: Path, data: bytes, text: str) -> None:
    """Warn of, or refuse, a text in which undecodable bytes were replaced.

    Raises:
        FileError: there are too many of them.
    """
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
    else:
        # U+FFFD stands in the file itself.
        return
    bad = text.count(_REPLACEMENT)
    share = bad / len(text)
    where = f"{path}: byte 0x{data[at]:02x} at offset {at:,} is not UTF-8"
    if share > MAX_UNDECODABLE:
        hint = f"convert it first: iconv -f ISO-8859-1 -t UTF-8 {path.name} > utf8-{path.name}"
        raise FileError("text is not UTF-8", f"{where}, nor are {share:.1%} of its characters", hint)
    warnings.warn(f"{where}; {bad:,} such characters were replaced by U+FFFD", stacklevel=2)
