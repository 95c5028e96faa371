"""What `evaluate --json` says, as lines that people read: metrics, each class, which is taken for which."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size

from tui_trainer.headless.words import number, one_line, plural
from tui_trainer.runs.json_values import as_number

MOST_CLASSES = 20
"""A larger matrix is not readable; the pairs that are confused most often are."""
MOST_PAIRS = 20
_LABEL = 18


@dataclass(frozen=True)
class Shade:
    """The ground of a cell of the matrix.

    Attributes:
        share: of the row's samples, 0 to 1.
        right: whether these samples were told right.
    """

    share: float
    right: bool


Span = tuple[str, "str | Shade"]
"""A text with its role (empty, `dim`, `strong`) or its ground."""
Line = tuple[Span, ...]


def report(facts: Mapping[str, Any], width: int) -> list[Line]:
    """All of it, one part below the other.

    Args:
        facts: the object that `evaluate --json` prints.
        width: columns there are.
    """
    lines: list[Line] = [((_place(facts), "dim"),), (), *_metrics(facts)]
    if "confusion" in facts:
        lines += [(), *_classes(facts, width), (), *_confusions(facts, width)]
    return lines


def title(facts: Mapping[str, Any]) -> str:
    """Which checkpoint of which run."""
    file = str(facts["checkpoint"]).rpartition("/")[2]
    return one_line(f"{file} of {facts['run_id']}")


def _place(facts: Mapping[str, Any]) -> str:
    samples = "" if facts.get("samples") is None else f" of {plural(facts['samples'], 'sample')}"
    return f"{facts['split']} set{samples} · epoch {facts['epoch']}, step {facts['step']:,}"


def _metrics(facts: Mapping[str, Any]) -> list[Line]:
    values = {one_line(name): number(as_number(value)) for name, value in facts["metrics"].items()}
    names = max(map(len, values), default=0)
    most = max(map(len, values.values()), default=0)
    return [((f"{name:<{names}}  ", ""), (f"{value:>{most}}", "strong")) for name, value in values.items()]


_VALUES = (("precision", "precision", 9), ("recall", "recall", 6), ("F1", "f1", 6), ("samples", "support", 8))
"""Columns of the table of classes: heading, key and width. The first ones go where room is scarce."""


def _classes(facts: Mapping[str, Any], width: int) -> list[Line]:
    rows = facts["per_class"]
    longest = min(max([5, *(cell_len(printed(row["class"])) for row in rows)]), 40)
    values = list(_VALUES)
    while len(values) > 2 and width < min(longest, 12) + sum(size + 2 for _, _, size in values):
        values.pop(0)
    label = max(5, min(longest, width - sum(size + 2 for _, _, size in values)))

    def line(name: str, cells: Sequence[str]) -> str:
        return _fit(name, label) + "".join(f"  {cell:>{v[2]}}" for cell, v in zip(cells, values, strict=True))

    def cells(row: Mapping[str, Any]) -> list[str]:
        return [f"{row[key]:,}" if key == "support" else f"{row[key]:.4f}" for _, key, _ in values]

    mean: dict[str, Any] = {key: sum(row[key] for row in rows) / len(rows) for _, key, _ in values}
    mean["support"] = sum(row["support"] for row in rows)
    head = line("class", [title for title, _, _ in values])
    body: list[Line] = [((line(printed(row["class"]), cells(row)), ""),) for row in rows]
    return [((head, "dim"),), *body, ((line("mean", cells(mean)), "dim"),)]


def _confusions(facts: Mapping[str, Any], width: int) -> list[Line]:
    """The matrix where it can be shown, else the pairs that are confused most often."""
    counts, names = facts["confusion"], [printed(name) for name in facts["classes"]]
    cell = max(3, *(len(f"{count:,}") for row in counts for count in row))
    numbered = max(map(cell_len, names)) > max(cell, 6)
    cell = cell if numbered else max(cell, *map(cell_len, names))
    heads = [str(k) for k in range(1, len(names) + 1)] if numbered else names
    rows = [f"{head} {name}" for head, name in zip(heads, names, strict=True)] if numbered else names
    label = min(max(map(cell_len, [*rows, "true"])), _LABEL)
    if len(names) > MOST_CLASSES or label + len(names) * (cell + 2) > width:
        return _pairs(counts, names, width)
    head = "".join(f"{' ' * (cell + 1 - cell_len(text))}{text} " for text in heads)
    lines: list[Line] = [(("rows true, columns given", "dim"),)]
    lines.append(((_fit("", label) + head, "dim"),))
    for k, row in enumerate(counts):
        samples = sum(row)
        spans: list[Span] = [(_fit(rows[k], label), "")]
        for at, count in enumerate(row):
            text = f" {f'{count:,}' if count else '·':>{cell}} "
            spans.append((text, Shade(count / samples, at == k) if count else "dim"))
        lines.append(tuple(spans))
    return lines


def _pairs(counts: Sequence[Sequence[int]], names: Sequence[str], width: int) -> list[Line]:
    found = [
        (count, true, given)
        for true, row in enumerate(counts)
        for given, count in enumerate(row)
        if count and true != given
    ]
    if not found:
        return [(("no class is taken for another", ""),)]
    found.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    shown = found[:MOST_PAIRS]
    room = max(6, (width - 24) // 2)
    label = min(max(cell_len(names[k]) for _, *pair in shown for k in pair), 40, room)
    label = max(label, 5)
    lines: list[Line] = [
        ((f"{_fit('true', label)}  {_fit('given', label)}  {'samples':>8}  {'share':>6}", "dim"),)
    ]
    for count, true, given in shown:
        share = count / sum(counts[true])
        text = f"{_fit(names[true], label)}  {_fit(names[given], label)}  "
        lines.append(((text, ""), (f"{count:>8,}  {100 * share:>4.0f} %", Shade(share, False))))
    left = len(found) - len(shown)
    return [*lines, ((f"and {left:,} more {'pair' if left == 1 else 'pairs'}", "dim"),)] if left else lines


def printed(name: str) -> str:
    """A class's name on one line, so that it is seen: a blank or a control character as Python writes it."""
    return name if name.strip() and name.isprintable() else repr(name)


def _fit(text: str, width: int) -> str:
    return set_cell_size(text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…", width)


_RIGHT = ("white on #1f3a5f", "white on #2866a8", "black on #5aa9ff")
_WRONG = ("white on #5c3a17", "white on #9a5212", "black on #ffa657")


def print_coloured(lines: Sequence[Line]) -> None:
    """Print lines to a terminal, with as many colours as it has."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    for line in lines:
        text = Text()
        for piece, role in line:
            text.append(piece, _style(role))
        console.print(text, soft_wrap=True)


def _style(role: str | Shade) -> str:
    if not isinstance(role, Shade):
        return {"strong": "bold", "dim": "dim"}.get(role, "")
    level = 2 if role.share >= 0.6 else 1 if role.share >= 0.2 else 0
    return (_RIGHT if role.right else _WRONG)[level]
