"""Text on disk as one array of small whole numbers: files, folders, the standard library's own sources."""

from __future__ import annotations

import os
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from tui_trainer.datasets.unseen import unknown_characters
from tui_trainer.errors import DataNotice, FileError

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

CHUNK = 16 << 20
"""Bytes of a file that are decoded at once."""

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
        return cls.of_counts(np.bincount(code_points(text)), limit, rare)

    @classmethod
    def of_counts(cls, counts: np.ndarray, limit: int = VOCABULARY_LIMIT, rare: int = RARE) -> Vocabulary:
        """The same of how often each code point occurs."""
        frequent = np.flatnonzero(counts >= rare)
        # Of equally frequent ones the smaller code point stays: a stable sort keeps their order.
        frequent = frequent[np.argsort(-counts[frequent], kind="stable")]
        return cls(chr(code) for code in frequent[: limit - 1])

    @property
    def table(self) -> np.ndarray:
        """The token of each code point: uint8."""
        table = np.zeros(0x110000, dtype=np.uint8)
        table[self._codes] = np.arange(1, len(self), dtype=np.uint8)
        return table

    def encode(self, text: str) -> np.ndarray:
        """Tokens of a text: uint8, one for each character."""
        tokens: np.ndarray = self.table[code_points(text)]
        return tokens

    def tell_unknown(self, counts: np.ndarray) -> None:
        """Warn of characters without a symbol, by how often each code point occurs."""
        unseen = unknown_characters()
        unseen.looked_at(int(counts.sum()))
        unknown = np.where(self.table[: len(counts)] == UNKNOWN, counts, 0)
        if unknown.any():
            unseen.add("text", int(unknown.sum()), chr(int(unknown.argmax())))
        unseen.tell()

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of tokens; the unknown symbol shows as U+FFFD."""
        return "".join(self.characters[token - 1] if token else _REPLACEMENT for token in map(int, tokens))


def code_points(text: str) -> np.ndarray:
    """The number of each character: uint32."""
    return np.frombuffer(text.encode("utf-32-le", "replace"), dtype="<u4")


def read_corpus(path: Path | None, max_chars: int | None = None) -> str:
    """The text of `text_pieces` as one.

    Raises:
        FileError: as there, or an empty text.
    """
    corpus = "".join(text_pieces(text_files(path), max_chars))
    if not corpus.strip():
        raise empty_text(path)
    return corpus


def empty_text(path: Path | None) -> FileError:
    """What to say where there is no text."""
    where = path if path is not None else "the standard library"
    return FileError("empty text", f"{where} holds nothing but white space", "give text to learn from")


def text_pieces(files: Iterable[Path], max_chars: int | None = None) -> Iterator[str]:
    """The text of files, one after the other, each closed by a newline; large files come in pieces.

    Line ends become newlines.

    Args:
        files: UTF-8, with or without a byte-order mark.
        max_chars: stop after so many characters; None: all.

    Raises:
        FileError: nothing readable, or not UTF-8. A few undecodable bytes (up to `MAX_UNDECODABLE`) become
            U+FFFD, with a warning.
    """
    left = max_chars
    for file in files:
        end = _NEWLINE
        for text in _read(file, left):
            end = text[-1:]
            if left is not None:
                left -= len(text)
            yield text
        if end != _NEWLINE and left != 0:
            left = None if left is None else left - 1
            yield _NEWLINE
        if left == 0:
            return


def read_text(path: Path) -> str:
    """The text of one file, to its last character; line ends become newlines.

    Raises:
        FileError: not there, unreadable or no UTF-8 text, as in `text_pieces`.
    """
    if not os.path.isfile(path):
        what = "is no regular file" if os.path.exists(path) else "does not exist"
        raise FileError("text not found", f"{path} {what}", "give a text file")
    return "".join(_read(path, None))


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


def text_files(path: Path | None) -> list[Path]:
    """A file; or a folder's text files in the order of their paths; or Python's own sources, for None.

    Hidden files and folders, and files whose name does not end like a text's, are passed over.

    Raises:
        FileError: nothing there, or no text files.
    """
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


def _read(path: Path, max_chars: int | None) -> Iterator[str]:
    """A file's first characters, a piece at a time; all of them for None."""
    judge = _Judge(path)
    left = max_chars
    try:
        with open(path, "rb") as file:
            for offset, data in _chunks(file, max_chars):
                text = judge.decoded(data, offset)[:left]
                if text:
                    yield text
                left = None if left is None else left - len(text)
                if left == 0:
                    break
    except OSError as error:
        hint = "check the file's permissions"
        raise FileError("text unreadable", f"{path}: {error.strerror or error}", hint) from error
    judge.close()


def _chunks(file: IO[bytes], max_chars: int | None) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of a file, cut where no character and no line end is cut."""
    # A character takes at most 4 bytes and a line end at most 2 characters; 3 bytes may be a byte-order mark.
    size = CHUNK if max_chars is None else min(CHUNK, 8 * max_chars + 3)
    offset, data = 0, b""
    while more := file.read(size):
        data += more
        if len(more) == size:
            end = data.rfind(b"\n") + 1 or _whole_characters(data)
            yield offset, data[:end]
            offset, data = offset + end, data[end:]
    if data:
        yield offset, data


def _whole_characters(data: bytes) -> int:
    """How many bytes of UTF-8 are surely whole characters, but for a carriage return at the end."""
    end = len(data)
    for back in range(1, 5):
        if data[-back] >= 0x80:
            end = len(data) - back
        if not 0x80 <= data[-back] < 0xC0:
            break
    return end - 1 if data[end - 1 : end] == b"\r" else end


class _Judge:
    """Decodes a file and counts what had to be replaced.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._length = 0
        self._bad = 0
        self._first = ""

    def decoded(self, data: bytes, offset: int) -> str:
        """The text of a piece of the file.

        Raises:
            FileError: it holds a zero byte.
        """
        if (at := data.find(b"\0")) >= 0:
            hint = "convert it to UTF-8 first; UTF-16 and binary files hold such bytes"
            raise FileError("not a text", f"{self._path}: a zero byte at offset {offset + at:,}", hint)
        encoding = "utf-8" if offset else "utf-8-sig"
        text = data.decode(encoding, "replace").replace("\r\n", _NEWLINE).replace("\r", _NEWLINE)
        self._length += len(text)
        if _REPLACEMENT in text:
            try:
                data.decode(encoding)
            except UnicodeDecodeError as error:
                at = offset + error.start
                self._first = self._first or f"byte 0x{data[error.start]:02x} at offset {at:,} is not UTF-8"
                self._bad += text.count(_REPLACEMENT)
        return text

    def close(self) -> None:
        """Warn of what was replaced.

        Raises:
            FileError: there was too much of it.
        """
        if not self._bad:
            return
        share = self._bad / self._length
        where = f"{self._path}: {self._first}"
        if share > MAX_UNDECODABLE:
            name = self._path.name
            hint = f"convert it first: iconv -f ISO-8859-1 -t UTF-8 {name} > utf8-{name}"
            raise FileError("text is not UTF-8", f"{where}, nor are {share:.1%} of its characters", hint)
        warnings.warn(
            f"{where}; {self._bad:,} such characters were replaced by U+FFFD", DataNotice, stacklevel=2
        )
