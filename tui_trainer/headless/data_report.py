"""A data report as people read it: sections of lines, for a terminal, a file and the app alike."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from tui_trainer.headless.data_samples import sample_lines, short_number
from tui_trainer.headless.picture import Drawing
from tui_trainer.headless.words import in_columns, one_line, plural, seconds, short_name
from tui_trainer.runs.json_values import as_number

MOST_ROWS = 40
"""Parts, columns or classes of a table; the JSON has all of them."""

_FEW_PARTS = 6
_NARROW_BAR, _WIDE_BAR = 12, 30
_HEIGHTS = " ▁▂▃▄▅▆▇█"

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """Some lines under a title.

    Attributes:
        warning: it tells what is wrong.
    """

    title: str
    lines: tuple[Text, ...]
    warning: bool = False


def sections(report: Facts, width: int, drawing: Drawing) -> list[Section]:
    """A report in sections; the problems come first.

    Args:
        report: as `tui-train data --json` prints it.
        width: characters of a line.
        drawing: how pictures are drawn.
    """
    train = report["splits"]["train"]
    classes = [part for part in train["parts"] if part["classes"]]
    made = [
        _problems(report["problems"], width),
        Section("splits", _lines(_split_rows(report["splits"]), right=(1,), width=width)),
        _parts(report["splits"], width),
        *(_classes(part, report, width, "#" if drawing == "ascii" else "▆") for part in classes),
        Section("lengths", tuple(_lengths(report["splits"], width, drawing))),
        Section("samples of train", tuple(sample_lines(train["examples"], width, drawing))),
    ]
    return [section for place, section in enumerate(made) if section.lines or place == 0]


def _lines(
    rows: list[list[str]], width: int, right: Sequence[int] = (), spare: Sequence[int] = ()
) -> tuple[Text, ...]:
    """A table; its first row is the heading."""
    head, *others = in_columns(rows, right, spare, width)
    return (Text(head, "bold"), *(Text(line) for line in others))


def _problems(problems: Sequence[Facts], width: int) -> Section:
    lines = []
    for problem in problems:
        told = f"{one_line(problem['title'])}: {one_line(problem['message'])}"
        lines += [Text(line) for line in _hanging("! ", told, width)]
        lines += [Text(line, "dim") for line in _hanging("  → ", one_line(problem["hint"]), width)]
    title = plural(len(problems), "problem") if problems else "no problem found"
    return Section(title, tuple(lines), bool(problems))


def _hanging(mark: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(mark + text, max(20, width), subsequent_indent=" " * len(mark))


def _split_rows(splits: Facts) -> list[list[str]]:
    rows = [["split", "samples", "looked at", ""]]
    for name, split in splits.items():
        samples, looked_at = split["samples"], split["looked_at"]
        told = "all of them"
        if split["which"] != "all":
            told = (
                f"{looked_at:,}, evenly spread"
                if split["which"] == "evenly spread"
                else f"the first {looked_at:,}"
            )
        if split["out_of_time"]:
            told += f"; {seconds(as_number(split['seconds']))} were up (--samples all takes its time)"
        unit = "" if split["unit"] == "sample" else "batches"
        rows.append([name, "?" if samples is None else f"{samples:,}", told, unit])
    return rows


# ---------------------------------------------------------------------- parts and columns

_HEAD = ["part", "split", "type", "shape", "missing", "mean", "std", "min", "max"]


def _parts(splits: Facts, width: int) -> Section:
    train = splits["train"]["parts"]
    wide = len(train) > _FEW_PARTS or any(part["columns"] for part in train)
    inputs: list[list[str]] = []
    targets: list[list[str]] = []
    for part in train:
        rows = targets if part["target"] else inputs
        for split, facts in splits.items():
            same = next((each for each in facts["parts"] if each["name"] == part["name"]), None)
            if same is not None and not (wide and split != "train"):
                rows.append([*_part_cells(same, "" if wide else split), *_numbers(same["summary"])])
                rows += [_column(part["name"], *column) for column in same["columns"].items()]
    title = "parts of a sample" + " (train)" * wide
    shown = [*inputs[:MOST_ROWS], *targets[:MOST_ROWS]]
    head = [name if any(row[k] for row in shown) else "" for k, name in enumerate(_HEAD)]
    lines = _lines([head, *shown], width, range(4, 9), (2, 3, 1, 7, 8, 6))
    left = len(inputs) + len(targets) - len(shown)
    if left:
        lines = (*lines, Text(f"and {left:,} more: --json has all of them", "dim"))
    return Section(title, lines)


def _part_cells(part: Facts, split: str) -> list[str]:
    types = [one_line(dtype) for dtype in part["dtypes"]]
    dtype = types[0] + " …" * (len(types) > 1) if types else "–"
    missing = part["missing"] + (part["summary"] or {}).get("nan", 0)
    return [short_name(part["name"]), split, dtype, _shape(part), f"{missing:,}" if missing else ""]


def _shape(part: Facts) -> str:
    if part["kind"] == "text":
        lengths = part["lengths"]
        if not lengths:
            return ""
        span = dict.fromkeys((f"{lengths['min']:,}", f"{lengths['max']:,}"))
        return f"{'–'.join(span)} char{'s' if lengths['max'] != 1 else ''}"
    if part["shape_count"] > 1:
        return f"{part['shape_count']:,} shapes"
    return "×".join(map(str, part["shapes"][0][0])) if part["shapes"] else ""


def _numbers(summary: Facts | None) -> list[str]:
    if summary is None:
        return [""] * 4
    return [short_number(summary[key]) for key in ("mean", "std", "min", "max")]


def _column(part: str, name: str, summary: Facts) -> list[str]:
    missing = f"{summary['nan']:,}" if summary["nan"] else ""
    full = f"{part}{name}" if name.startswith("[") else name
    return [short_name(full), "", "", "", missing, *_numbers(summary)]


# ---------------------------------------------------------------------- classes


def _classes(part: Facts, report: Facts, width: int, mark: str) -> Section:
    """How often each class comes, with a bar for its share of the training set."""
    counted: dict[str, dict[Any, int]] = {}
    for split, facts in report["splits"].items():
        same = next((each for each in facts["parts"] if each["name"] == part["name"]), None)
        counted[split] = dict(map(tuple, (same or {}).get("values") or []))
    names = list(dict.fromkeys(name for counts in counted.values() for name in counts))
    order = {name: place for place, name in enumerate(report["classes"])}
    if all(name in order for name in names):
        names = sorted({*names, *order}, key=lambda name: order[name])
    elif all(_is_number(name) for name in names):
        names.sort(key=float)
    totals = {split: max(1, sum(counts.values())) for split, counts in counted.items()}
    top = max([1, *counted["train"].values()])
    bar = _WIDE_BAR if width >= 100 else _NARROW_BAR
    others = [split for split in counted if split != "train"]
    rows = [["class", "train", "", "", *(cell for split in others for cell in (split, ""))]]
    for name in names[:MOST_ROWS]:
        count = counted["train"].get(name, 0)
        row = [
            short_name(str(name)),
            f"{count:,}",
            _share(count, totals["train"]),
            mark * round(bar * count / top),
        ]
        for split in others:
            row += [f"{counted[split].get(name, 0):,}", _share(counted[split].get(name, 0), totals[split])]
        rows.append(row)
    right = [1, 2, *range(4, len(rows[0]))]
    lines = _lines(rows, width, right, [3, *range(len(rows[0]) - 1, 1, -1)])
    if len(names) > MOST_ROWS:
        lines = (*lines, Text(f"and {len(names) - MOST_ROWS:,} more: --json has all of them", "dim"))
    return Section(
        f"{one_line(part['name'])}: {len(names):,} {'class' if len(names) == 1 else 'classes'}", lines
    )


def _is_number(name: Any) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}"


# ---------------------------------------------------------------------- lengths


def _lengths(splits: Facts, width: int, drawing: Drawing) -> Iterator[Text]:
    rows = []
    for split, facts in splits.items():
        for part in facts["parts"]:
            lengths = part["lengths"]
            # Of a few words that come again and again, it does not matter how long they are.
            if lengths and lengths["min"] < lengths["max"] and not part["values"]:
                top = max(lengths["bins"])
                bars = "".join(_HEIGHTS[-(-8 * count // top)] for count in lengths["bins"])
                unit = "characters" if part["kind"] == "text" else ""
                span = f"{lengths['min']:,} to {lengths['max']:,}"
                rows.append(
                    [
                        short_name(part["name"]),
                        split,
                        span,
                        unit,
                        short_number(lengths["mean"]),
                        "" if drawing == "ascii" else f"▕{bars}▏",
                    ]
                )
    if rows:
        yield from _lines(
            [["part", "split", "lengths", "", "mean", ""], *rows[:MOST_ROWS]], width, (4,), (3, 5)
        )
