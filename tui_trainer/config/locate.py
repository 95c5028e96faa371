"""Which line of a preset a key stands in.

JSON's and TOML's own parsers keep no positions. These scanners expect text that parses and never raise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

Duplicate = tuple[str, int, int]
"""A key, the line it is repeated in, the line it was first given in."""


def locate_json(text: str) -> dict[str, int]:
    """Line (from 1) of each key of the outermost object; of a repeated key, the last one."""
    return dict(_json_keys(text))


def json_duplicates(text: str) -> list[Duplicate]:
    """Keys that the outermost object holds more than once."""
    return _repeated(_json_keys(text))


def locate_toml(text: str) -> dict[str, int]:
    """Line (from 1) of each top-level key or table of a TOML file; of a repeated key, the first one."""
    places: dict[str, int] = {}
    for statement in toml_statements(text):
        if not statement.inside_table:
            places.setdefault(statement.key, statement.line)
    return places


def toml_duplicates(text: str) -> tuple[list[Duplicate], str]:
    """Plain top-level keys that are given more than once, and the text without the repetitions.

    TOML's parser stops at the first repetition; with all of them blanked out it finds what else is wrong.
    """
    keys = [item for item in toml_statements(text) if not item.inside_table and item.whole]
    seen: set[str] = set()
    for statement in keys:
        if statement.key in seen:
            blank = re.sub(r"[^\n]", " ", text[statement.start : statement.end])
            text = text[: statement.start] + blank + text[statement.end :]
        seen.add(statement.key)
    return _repeated((statement.key, statement.line) for statement in keys), text


def _repeated(keys: Iterator[tuple[str, int]]) -> list[Duplicate]:
    first: dict[str, int] = {}
    found = []
    for key, line in keys:
        if key in first:
            found.append((key, line, first[key]))
        else:
            first[key] = line
    return found


_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:\n]', re.DOTALL)


def _json_keys(text: str) -> Iterator[tuple[str, int]]:
    line, depth = 1, 0
    # A string at depth 1 is a key if and only if it stands where a key may stand; a value follows a colon.
    key_may_follow = False
    for match in _JSON_TOKEN.finditer(text):
        token = match[0]
        if token == "\n":
            line += 1
        elif token in "{[":
            if depth == 0 and token == "[":
                return
            depth += 1
            key_may_follow = depth == 1
        elif token in "}]":
            depth -= 1
        elif token in ",:":
            key_may_follow = depth == 1 and token == ","
        else:
            if key_may_follow:
                yield _unquoted(token), line
            key_may_follow = False
            line += token.count("\n")


def _unquoted(token: str) -> str:
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token[1:-1]


class Statement(NamedTuple):
    """One `key = value` or `[table]` of a TOML file.

    Attributes:
        key: the first part of its key.
        whole: the key has no further part, and it is no table.
        inside_table: it stands below a table's header.
        start, end: where its text begins and ends.
    """

    key: str
    line: int
    whole: bool
    inside_table: bool
    start: int
    end: int


_TOML_SKIPPED = re.compile(r"(?:\s|#[^\n]*)+")
_TOML_KEY_PART = re.compile(r""""(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+""")
_TOML_DOT = re.compile(r"[ \t]*\.")
_TOML_VALUE_TOKEN = re.compile(
    r'''"""(?:\\.|(?!""").)*"{3,5}|\'\'\'(?:(?!\'\'\').)*\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[\[\]{}\n]''',
    re.DOTALL,
)


@dataclass
class _TomlScan:
    text: str
    at: int = 0
    inside_table: bool = False
    found: list[Statement] = field(default_factory=list)

    def run(self) -> list[Statement]:
        while True:
            if skipped := _TOML_SKIPPED.match(self.text, self.at):
                self.at = skipped.end()
            if self.at >= len(self.text):
                return self.found
            self._statement()

    def _statement(self) -> None:
        start = self.at
        header = re.compile(r"\[{1,2}[ \t]*").match(self.text, start)
        key = _TOML_KEY_PART.match(self.text, header.end() if header else start)
        end = self._end_of_statement(key.end() if key else start)
        if key:
            whole = not header and not _TOML_DOT.match(self.text, key.end())
            line = self.text.count("\n", 0, start) + 1
            inside = self.inside_table and not header
            self.found.append(Statement(_toml_key(key[0]), line, whole, inside, start, end))
        self.inside_table = self.inside_table or header is not None
        self.at = end

    def _end_of_statement(self, at: int) -> int:
        depth = 0
        for match in _TOML_VALUE_TOKEN.finditer(self.text, at):
            token = match[0]
            if token == "\n" and depth <= 0:
                return match.start()
            if token in ("[", "{", "]", "}"):
                depth += 1 if token in "[{" else -1
        return len(self.text)


def _toml_key(token: str) -> str:
    return _unquoted(token) if token[0] == '"' else token.strip("'")


def toml_statements(text: str) -> list[Statement]:
    """The statements of a TOML file, in order."""
    return _TomlScan(text).run()
