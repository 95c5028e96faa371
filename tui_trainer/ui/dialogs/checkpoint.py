"""One checkpoint in full: its metrics, hparams and tensors. The `.pt` is not opened."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trainer.config.fields import flag_text
from tui_trainer.headless.words import number, one_line, size
from tui_trainer.runs.json_values import as_number, read_object
from tui_trainer.runs.layout import RunLayout
from tui_trainer.ui.saved import Saved, tensors_of
from tui_trainer.ui.widgets.table import Cell, Column, Styled, Table

Row = tuple[int, tuple[str, ...], bool]
"""Its number, its cells, and whether it is a heading."""


class CheckpointDialog(ModalScreen[None]):
    """Everything that is on record about a checkpoint.

    Args:
        saved: the checkpoint.
        rows: `dialog_rows` of it.
    """

    BINDINGS: ClassVar[list[Any]] = [Binding("escape,enter,q", "dismiss", "Close")]

    def __init__(self, saved: Saved, rows: list[Row]) -> None:
        super().__init__()
        self._saved = saved
        self._facts = rows

    def compose(self) -> ComposeResult:
        columns = (
            Column("", 20, grow=3),
            Column("shape", 12, grow=1, most=24, drop=1),
            Column("dtype", 9, drop=3),
            Column("norm", 10, right=True, drop=2),
        )
        table: Table[Row] = Table(columns, _cells, lambda row: row[0], cursor=False, id="facts")
        with Vertical(classes="dialog checkpoint"):
            yield Static(
                Text(f"{self._saved.file.name} of {one_line(self._saved.root.name)}"), classes="dialog--title"
            )
            yield table
            yield Static(Text("esc close   ↑ ↓ scroll"), classes="dialog--keys")

    def on_mount(self) -> None:
        table = self.query_one(Table)
        table.set_rows(self._facts)
        table.focus()


def dialog_rows(saved: Saved) -> list[Row]:
    """What the dialog shows, section by section. Reads files."""
    sections: list[tuple[str, list[tuple[str, ...]]]] = []
    marks = ", ".join(saved.marks) or "none"
    facts: list[tuple[str, ...]] = [
        ("step", f"{saved.step:,.0f}"),
        ("marks", marks),
        ("files", saved.problem or "sizes as saved"),
    ]
    for name, file in saved.files.items():
        count = as_number(file.get("size")) if isinstance(file, dict) else 0.0
        facts.append((one_line(str(name)), size(count)))
    sections.append(("checkpoint", facts))
    sections.append(("metrics", [(one_line(str(k)), number(as_number(v))) for k, v in saved.metrics.items()]))
    tensors = tensors_of(saved)
    sections.append((f"tensors ({len(tensors):,})", [tuple(row) for row in tensors]))
    hparams = read_object(RunLayout(saved.root).parameters_file(saved.tag))
    sections.append(("hparams", [(one_line(k), one_line(flag_text(v))) for k, v in hparams.items()]))
    rows: list[Row] = []
    for title, lines in sections:
        rows.append((len(rows), (title,), True))
        for line in lines or [("none on record",)]:
            rows.append((len(rows), line, False))
    return rows


def _cells(row: Row) -> list[Cell]:
    _, texts, heading = row
    if heading:
        return [Styled(texts[0], "strong")]
    return [Styled(f" {texts[0]}", "dim"), *texts[1:]]
