"""Saving the form as a preset."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_trainer.errors import TrainerError
from tui_trainer.headless.words import clean, near_path
from tui_trainer.ui.dialogs.diff import diff_text
from tui_trainer.ui.form.model import Form
from tui_trainer.ui.form.rows import changed_against
from tui_trainer.ui.form.saving import save, target
from tui_trainer.ui.widgets.prompt import Prompt


class Place(Static, can_focus=True):
    """Where a preset is saved: one's own folder, or the one of the project in the working directory.

    Attributes:
        project: the latter.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("left,right,space", "switch", "Change")]

    project: reactive[bool] = reactive(False)

    def render(self) -> Text:
        where = "this folder, ./presets" if self.project else "mine, on this machine"
        return Text(f"where: ‹ {where} ›")

    def action_switch(self) -> None:
        self.project = not self.project

    def on_click(self) -> None:
        self.action_switch()


class SavePresetDialog(ModalScreen[Path | None]):
    """Shows what differs, asks for a name and a description, and saves. Gives the file, or None.

    Args:
        form: what is saved.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("ctrl+s", "save", "Save", priority=True),
    ]

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form
        self._replacing: Path | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            title = changed_against(self._form) or "nothing is changed"
            yield Static(Text(f"Save preset: {title}"), classes="dialog--title")
            with VerticalScroll(classes="dialog--body", id="diff"):
                yield Static(diff_text(self._form.changes))
            yield Prompt(placeholder="name", id="name")
            yield Prompt(placeholder="description: what it is good for, in a sentence", id="about")
            yield Place(id="place")
            yield Static("", id="trouble", markup=False)
            yield Static(Text("ctrl+s save   tab next   ← → change   esc cancel"), classes="dialog--keys")

    def on_mount(self) -> None:
        self.query_one("#name").focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.action_save()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._replacing = None

    def action_save(self) -> None:
        """Save; where that would replace a preset, only when asked for twice."""
        name = self.query_one("#name", Input).value.strip()
        project = self.query_one(Place).project
        try:
            path = target(name, project)
        except TrainerError as error:
            self._tell(str(error) if name else "it needs a name")
            return
        overwrite = os.path.exists(path)
        if overwrite and self._replacing != path:
            self._replacing = path
            self._tell(f"{near_path(path)} exists: once more replaces it")
            return
        self.run_worker(self._save(name, project, overwrite), exclusive=True)

    async def _save(self, name: str, project: bool, overwrite: bool) -> None:
        self._tell("saving …")
        about = self.query_one("#about", Input).value.strip()
        try:
            path = await save(self._form, name, about, project, overwrite)
        except TrainerError as error:
            self._tell(f"{error}\n{error.hint}".strip())
            return
        self.dismiss(path)

    def _tell(self, text: str) -> None:
        self.query_one("#trouble", Static).update(Text(clean(text)))
