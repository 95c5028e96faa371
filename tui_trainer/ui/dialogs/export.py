"""Exporting a checkpoint: asks for the format and the file, and a process of its own writes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_trainer.errors import TrainerError
from tui_trainer.headless.exports import FORMATS
from tui_trainer.headless.words import clean, near_path, one_line
from tui_trainer.runs.layout import short_id
from tui_trainer.ui.form.child import output_of
from tui_trainer.ui.saved import Saved
from tui_trainer.ui.widgets.prompt import Prompt

TIMEOUT_S = 3600.0


class Format(Static, can_focus=True):
    """Which format.

    Attributes:
        place: among `FORMATS`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "Previous"),
        Binding("right,space", "turn(1)", "Next"),
    ]

    place: reactive[int] = reactive(0)

    @property
    def chosen(self) -> str:
        return list(FORMATS)[self.place]

    def render(self) -> Text:
        return Text(f"format: ‹ {self.chosen} ›  {FORMATS[self.chosen][1]}")

    def action_turn(self, by: int) -> None:
        self.place = (self.place + by) % len(FORMATS)

    def on_click(self) -> None:
        self.action_turn(1)


class ExportDialog(ModalScreen[str | None]):
    """Exports when asked to. Gives what the command printed, or None.

    Args:
        saved: the checkpoint.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("ctrl+s", "export", "Export", priority=True),
    ]

    def __init__(self, saved: Saved) -> None:
        super().__init__()
        self._saved = saved
        self._suggested = self._suggestion(next(iter(FORMATS)))
        self._replacing: str | None = None
        self._busy = False

    def _suggestion(self, form: str) -> str:
        return f"{short_id(self._saved.root)}-{self._saved.tag}{FORMATS[form][0]}"

    def compose(self) -> ComposeResult:
        title = f"Export {self._saved.file.name} of {one_line(self._saved.run_name)}"
        with Vertical(classes="dialog"):
            yield Static(Text(title), classes="dialog--title")
            yield Format(id="format")
            yield Prompt(self._suggested, placeholder="file", id="file")
            yield Static("", id="trouble", markup=False)
            yield Static(Text("enter export   tab next   ← → format   esc cancel"), classes="dialog--keys")

    def on_mount(self) -> None:
        form = self.query_one(Format)
        form.focus()
        self.watch(form, "place", self._format_changed, init=False)

    def _format_changed(self) -> None:
        """Another format, another ending, unless somebody has typed a name."""
        prompt = self.query_one(Prompt)
        suggested = self._suggestion(self.query_one(Format).chosen)
        if prompt.value == self._suggested:
            prompt.value = suggested
        self._suggested, self._replacing = suggested, None

    def on_key(self, event: object) -> None:
        if getattr(event, "key", "") == "enter" and isinstance(self.focused, Format):
            self.action_export()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.action_export()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._replacing = None

    def action_export(self) -> None:
        """Export; where that would replace a file, only when asked for twice."""
        typed = self.query_one(Prompt).value.strip()
        if self._busy:
            return
        if not typed:
            self._tell("it needs a file")
            return
        exists = os.path.lexists(Path(typed).expanduser())
        if exists and self._replacing != typed:
            self._replacing = typed
            self._tell(f"{typed} exists: once more replaces it")
            return
        self.run_worker(self._export(typed, exists), exclusive=True, exit_on_error=False)

    async def _export(self, typed: str, exists: bool) -> None:
        self._busy = True
        form = self.query_one(Format).chosen
        self._tell(f"exporting to {near_path(Path(typed).expanduser())} …")
        words = ["export", str(self._saved.file), typed, "--to", form, *(["--force"] if exists else [])]
        try:
            printed = await output_of(words, TIMEOUT_S, self._tell)
        except TrainerError as error:
            self._tell(f"{error}\n{error.hint}".strip())
            return
        finally:
            self._busy = False
        self.dismiss(printed.strip())

    def _tell(self, text: str) -> None:
        self.query_one("#trouble", Static).update(Text(clean(text)))
