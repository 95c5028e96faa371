"""Text of a preset, JSON or TOML, to keys, values and lines, with words for all that can be malformed."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from typing import Any

from tui_trainer.config.fields import show_value
from tui_trainer.config.locate import Duplicate, json_duplicates, locate_json, locate_toml, toml_duplicates


class Malformed(Exception):
    """Text that can't be read any further.

    Attributes:
        line: where, from 1.
        text: what was expected there.
    """

    def __init__(self, line: int, text: str) -> None:
        super().__init__(line, text)
        self.line = line
        self.text = text


@dataclass(frozen=True)
class Parsed:
    """What a preset's text holds.

    Attributes:
        values: of a key given twice, one of them.
        lines: line of each key, from 1.
        duplicates: keys given more than once.
    """

    values: dict[str, Any]
    lines: dict[str, int]
    duplicates: list[Duplicate]


def decode(data: bytes) -> str:
    """A preset's text from its bytes, with or without a byte-order mark.

    Raises:
        Malformed: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Malformed(line, f"the file is not UTF-8 text (byte 0x{data[error.start]:02x})") from None


def parse_json(text: str) -> Parsed:
    """Read a JSON object. NaN and Infinity are let through here, for the schema to refuse by key.

    Raises:
        Malformed: wrong syntax, or no object.
    """
    if not text.strip():
        raise Malformed(1, "the file is empty; a preset without any hparam is {}")
    try:
        values = json.loads(text, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        raise Malformed(_blamed_line(error), _json_complaint(error)) from None
    except RecursionError:
        raise Malformed(1, "too many brackets inside each other") from None
    if not isinstance(values, dict):
        line = text[: len(text) - len(text.lstrip())].count("\n") + 1
        raise Malformed(line, f"expected an object of hparams in braces, got {show_value(values)}")
    return Parsed(values, locate_json(text), json_duplicates(text))


def _whole_number(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:
        # Longer than Python converts. As text it is refused by its field, with a message that names the key.
        return digits


def _blamed_line(error: json.JSONDecodeError) -> int:
    rest = error.doc[error.pos :]
    if not rest.strip():
        return error.doc.rstrip().count("\n") + 1
    # Versions of Python differ in whether a trailing comma or the bracket after it is at fault.
    before = error.doc[: error.pos].rstrip()
    return before.count("\n") + 1 if before.endswith(",") and rest[0] in "]}" else error.lineno


def _json_complaint(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].lstrip()
    if not rest:
        return "the file ends too early; a closing brace, bracket or quote is missing"
    if rest.startswith(("//", "/*", "#")):
        return "JSON has no comments; use the key description, or a .toml file"
    if rest.startswith("'"):
        return "expected double quotes, got a single quote"
    message = error.msg
    closing = rest.lstrip(", \t\n")[:1]
    before_closing = "delimiter" not in message and closing in ("]", "}")
    if before_closing and message.startswith(("Illegal trailing comma", "Expecting")):
        return f"expected no comma before the closing {'brace' if closing == '}' else 'bracket'}"
    if message.startswith("Expecting property name"):
        return f"expected a key in double quotes, got {_word(rest)}"
    if message == "Expecting value":
        python = {"True": "true", "False": "false", "None": "null"}
        said = _word(rest)
        return f"expected {python[said]}, got {said}" if said in python else f"expected a value, got {said}"
    if message == "Expecting ',' delimiter":
        return f"expected a comma before {_word(rest)}"
    if message == "Expecting ':' delimiter":
        return f"expected a colon before {_word(rest)}"
    if message == "Extra data":
        return f"expected nothing after the closing brace, got {_word(rest)}"
    if message.startswith("Unterminated string"):
        return "a closing double quote is missing"
    if message.startswith("Invalid control character"):
        return "a closing double quote is missing, or a line break inside quotes should be \\n"
    return "wrong use of a backslash; a backslash itself is written \\\\"


def _word(rest: str) -> str:
    match = re.match(r'"[^"\n]*"?|[\w.+-]+|.', rest)
    word = match[0] if match else ""
    return word if re.fullmatch(r"[\w.+-]+", word) else show_value(word.strip('"'))


def parse_toml(text: str) -> Parsed:
    """Read a TOML file.

    Raises:
        Malformed: wrong syntax.
    """
    lines = locate_toml(text)
    duplicates, text = toml_duplicates(text)
    try:
        return Parsed(tomllib.loads(text), lines, duplicates)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(where[1]) if where and where[1] else text.rstrip().count("\n") + 1
        message = str(error)[: where.start()] if where else str(error)
        raise Malformed(line, f"{message[:1].lower()}{message[1:]}") from None
    except RecursionError:
        raise Malformed(1, "too many brackets inside each other") from None
    except ValueError:
        raise Malformed(1, "a number has too many digits") from None
