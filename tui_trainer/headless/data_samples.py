"""Samples of a data report: pictures side by side, tables turned on their side, texts as they are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from tui_trainer.headless.picture import Drawing, Picture, draw
from tui_trainer.headless.words import clean, in_columns, number, one_line, short_name
from tui_trainer.runs.json_values import as_number

Facts = Mapping[str, Any]

_WIDEST, _HIGHEST = 32, 16
_LEAST = 16
_APART = 2
_ROWS = 40
_TEXTS, _TEXT_LINES = 4, 6
_SHORT = 24


def sample_lines(examples: Sequence[Facts], width: int, drawing: Drawing) -> Iterator[Text]:
    """Some samples, in the form that suits them.

    Args:
        examples: of a split of the report.
        width: characters of a line.
        drawing: how pictures are drawn.
    """
    if not examples:
        return iter(())
    parts = examples[0]["parts"]
    if any(part["form"] == "image" for part in parts):
        return _pictures(examples, width, drawing)
    if len(parts) > 1 and all(_is_short(part) for example in examples for part in example["parts"]):
        return _table(examples, width)
    return _texts(examples, width)


def _is_short(part: Facts) -> bool:
    return (part["form"] == "numbers" and not part["shape"]) or (
        part["form"] == "text" and len(part["text"]) <= _SHORT and "\n" not in part["text"]
    )


def _pictures(examples: Sequence[Facts], width: int, drawing: Drawing) -> Iterator[Text]:
    blocks = []
    for example in examples:
        caption = " ".join(
            _value(part) for part in example["parts"] if part["form"] != "image" and _is_short(part)
        )
        for part in example["parts"]:
            if part["form"] == "image":
                picture = Picture.from_json(part).fitted(min(width, _WIDEST), _HIGHEST, _LEAST)
                blocks.append((picture.width, [*draw(picture, drawing), Text(caption[: picture.width])]))
    row: list[tuple[int, list[Text]]] = []
    taken = 0
    for block in blocks:
        if row and taken + block[0] > width:
            # A row of them is enough to see what they are.
            break
        row.append(block)
        taken += block[0] + _APART
    for y in range(max(len(lines) for _, lines in row)):
        line = Text(no_wrap=True)
        for columns, lines in row:
            cell = lines[y] if y < len(lines) else Text()
            line.append_text(cell)
            line.append(" " * (columns - cell.cell_len + _APART))
        line.rstrip()
        yield line


def _table(examples: Sequence[Facts], width: int) -> Iterator[Text]:
    """A line for each part and a column for each sample, as many as fit."""
    parts = examples[0]["parts"]
    cells = [["sample", *(f"{example['index']:,}" for example in examples)]]
    inputs = [part["name"] for part in parts if not part["target"]]
    targets = [part["name"] for part in parts if part["target"]]
    shown = [*inputs[:_ROWS], *targets[:_ROWS]]
    by_name = [{part["name"]: part for part in example["parts"]} for example in examples]
    for name in shown:
        cells.append([short_name(name), *(_value(each[name]) if name in each else "" for each in by_name)])
    last = len(examples)
    head, *lines = in_columns(cells, range(1, last + 1), range(last, 1, -1), width)
    yield Text(head, "bold")
    yield from map(Text, lines)
    if len(parts) > len(shown):
        yield Text(f"and {len(parts) - len(shown):,} more", "dim")


def _texts(examples: Sequence[Facts], width: int) -> Iterator[Text]:
    names = [short_name(part["name"]) for part in examples[0]["parts"][:_ROWS]]
    indent = max(map(len, names)) + 2
    for example in examples[:_TEXTS]:
        yield Text(f"sample {example['index']:,}", "bold")
        for part in example["parts"][:_ROWS]:
            lines = _wrapped(part, max(20, width - indent))
            for place, line in enumerate(lines):
                head = short_name(part["name"]) if place == 0 else ""
                yield Text.assemble((head.ljust(indent), "dim"), line)


def _wrapped(part: Facts, width: int) -> list[str]:
    text = _value(part) if part["form"] != "text" else clean(part["text"]).expandtabs(4)
    lines = [
        piece
        for line in text.split("\n")
        for piece in (textwrap.wrap(line, width, replace_whitespace=False, drop_whitespace=False) or [""])
    ]
    return lines if len(lines) <= _TEXT_LINES else [*lines[: _TEXT_LINES - 1], "…"]


def _value(part: Facts) -> str:
    """A part on one line."""
    if part["form"] == "text":
        return one_line(part["text"])
    if part["form"] == "image":
        return f"image {part['height']}×{part['width']}"
    count = 1
    for size in part["shape"]:
        count *= int(size)
    more = f" …  ({'×'.join(map(str, part['shape']))})" if count > len(part["values"]) else ""
    return " ".join(_trimmed(value) for value in part["values"]) + more


def _trimmed(value: Any) -> str:
    text = short_number(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def short_number(value: Any) -> str:
    """A whole number without zeros behind the point; a dash for none."""
    if value is None:
        return "–"
    found = as_number(value)
    return f"{found:,.0f}" if found.is_integer() and abs(found) < 1e12 else number(found)
