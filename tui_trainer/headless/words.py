"""Numbers, durations and names as people read them. The same in every form of output."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_]|[ -/]+[0-~])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_NAME = 28


def number(value: float) -> str:
    """A metric: `0.0812`, `12.3456`, `1.20e-05`, `NaN`, `inf`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        return f"{value:.2e}"
    return f"{value:.4f}" if size < 1000 else f"{value:,.1f}"


def rate(samples_per_s: float) -> str:
    """`12,300 samples/s`; empty where it isn't known or nothing was trained."""
    if not math.isfinite(samples_per_s) or samples_per_s <= 0:
        return ""
    return f"{samples_per_s:,.0f} samples/s" if samples_per_s >= 10 else f"{samples_per_s:.2g} samples/s"


def seconds(value: float) -> str:
    """A time that something took: `0.4 s`, `12 s`, `3:05`; empty where it isn't known."""
    if not math.isfinite(value):
        return ""
    if value < 10:
        return f"{max(0.0, value):.1f} s"
    return f"{value:.0f} s" if value < 100 else duration(value)


def duration(value: float) -> str:
    """`0:05`, `12:34`, `3:02:01`, `2d 03:02:01`."""
    if not math.isfinite(value):
        return "-:--"
    minutes, second = divmod(max(0, round(value)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02}:{minute:02}:{second:02}"
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def size(count: float) -> str:
    """Bytes in decimal units: `540.2 kB`; a dash where it isn't known."""
    if not math.isfinite(count):
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def age(then: float | None, now: float | None = None) -> str:
    """How long ago a unix time was, in one unit: `3 min ago`; a dash for none."""
    if then is None or not math.isfinite(then):
        return "–"
    past = max(0.0, (time.time() if now is None else now) - then)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if past >= length:
            return f"{past // length:.0f} {unit} ago"
    return f"{past:.0f} s ago"


def eta(value: float | None) -> str:
    """Time left: `00:12`, `1:02:03`, `--:--` while nothing is known."""
    if value is None or not math.isfinite(value):
        return "--:--"
    text = duration(value)
    return text.zfill(5) if value < 3600 else text


def clean(text: str) -> str:
    """Text from elsewhere without what a terminal would obey: no escape sequences, no control characters.

    Line feeds and tabs stay.
    """
    return _CONTROL.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """`clean` text on a single line."""
    return " ".join(clean(text).split())


def short_name(name: str, most: int = _NAME) -> str:
    """A metric's name with its middle left out where it is very long."""
    name = one_line(name)
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return f"{name[: most - 1 - tail]}…{name[-tail:]}"


def abbreviated(name: str) -> str:
    """A metric's name with the usual short forms: `acc`, `ppl`."""
    return name.replace("accuracy", "acc").replace("perplexity", "ppl")


def fit(prefix: str, items: Sequence[str], suffix: str, width: int, must: str = "") -> str:
    """A line with as many items as the width allows; what is left out is counted if there is room for that.

    Args:
        prefix: how the line begins.
        items: in the order in which they are shown.
        suffix: how it ends; may be empty.
        width: most characters.
        must: the item that is kept before any other.
    """

    def line(shown: Sequence[str], counted: bool = True) -> str:
        left = len(items) - len(shown)
        parts = [prefix, *shown, f"+{left} more" if left and counted else "", suffix]
        return "  ".join(part for part in parts if part)

    shown = list(items)
    while len(shown) > 1 and len(line(shown)) > width:
        others = [k for k, item in enumerate(shown) if item != must]
        shown.pop(others[-1] if others else -1)
    if len(line(shown)) <= width:
        return line(shown)
    return line(shown if len(line(shown, False)) <= width else [], False)


def pairs(metrics: Mapping[str, float]) -> list[str]:
    """`name value` for each metric."""
    return [f"{short_name(name)} {number(value)}" for name, value in metrics.items()]


def grouped(metrics: Mapping[str, float]) -> list[str]:
    """`train loss 0.08 acc 0.97`: metrics by the part before the slash, for narrow terminals."""
    groups: dict[str, list[str]] = {}
    for name, value in metrics.items():
        split, slash, rest = name.partition("/")
        label = abbreviated(rest if slash else split)
        groups.setdefault(split if slash else "", []).append(f"{short_name(label)} {number(value)}")
    return [" ".join([one_line(split), *shown]).strip() for split, shown in groups.items()]


def near_path(path: Path) -> str:
    """A path as one would type it here: relative where it lies below the working directory."""
    try:
        # Neither can be said where the working directory is gone.
        absolute, here = Path(os.path.abspath(path)), Path.cwd()
    except OSError:
        return str(path)
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def parameters(total: int | None, trained: int | None) -> str:
    """`42,762 parameters`, `11,689,512 parameters, 5,130 of them trained`; nothing where it is not known."""
    if total is None:
        return ""
    some = trained is not None and trained != total
    return f"{plural(total, 'parameter')}{f', {trained:,} of them trained' if some else ''}"


def plural(count: int, word: str) -> str:
    """`1 epoch`, `1,437 epochs`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def in_columns(
    rows: Sequence[Sequence[str]],
    right: Sequence[int] = (),
    spare: Sequence[int] = (),
    width: float = math.inf,
) -> list[str]:
    """Rows as lines with columns of equal width; a column without any text takes no room.

    Args:
        rows: of equally many cells; the first one may be the heading.
        right: columns to align to the right.
        spare: columns to leave out, in this order, while the lines are wider than `width`.
        width: characters of a line.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    for column in spare:
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        if sum(widths) + 2 * (sum(1 for w in widths if w) - 1) <= width:
            break
        rows = [[*row[:column], "", *row[column + 1 :]] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cell for cell, width in zip(cells, widths, strict=True) if width).rstrip())
    return lines
