"""Picking a task: one that has a name, a task file of this folder, or any other file."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.headless.words import one_line
from tui_trainer.ui.form.completion import complete_path
from tui_trainer.ui.form.tasks import tasks_here
from tui_trainer.ui.widgets.prompt import Prompt


class TaskPicker(ModalScreen[str | None]):
    """Gives the word that names a task on the command line, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("tab", "complete", "Complete", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._words: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text("Task"), classes="dialog--title")
            yield OptionList(id="tasks")
            yield Prompt(placeholder="or my_task.py, my_task.py:Class, package.module:Class", id="file")
            yield Static("", id="candidates", markup=False)
            yield Static(
                Text("enter take   tab to the file, completes its path   esc cancel"), classes="dialog--keys"
            )

    async def on_mount(self) -> None:
        self.run_worker(self._fill())

    async def _fill(self) -> None:
        found = await asyncio.to_thread(tasks_here)
        self._words = [word for word, _ in found]
        names = max((len(word) for word in self._words), default=0)
        listed = self.query_one(OptionList)
        for word, about in found:
            line = Text(f"{one_line(word):<{names}}  {one_line(about)}")
            line.truncate(max(8, listed.size.width - 2), overflow="ellipsis")
            listed.add_option(Option(line))
        listed.highlighted = 0

    def action_complete(self) -> None:
        """In the path: complete it. Elsewhere: go there."""
        field = self.query_one(Input)
        if not field.has_focus:
            field.focus()
            return
        text, names = complete_path(field.value, ".py")
        if text == field.value and not names:
            self.query_one(OptionList).focus()
            return
        field.value = text
        field.cursor_position = len(text)
        shown = "" if len(names) == 1 else one_line("  ".join(names))
        self.query_one("#candidates", Static).update(Text(shown, no_wrap=True, overflow="ellipsis"))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._words[event.option_index])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.dismiss(event.value.strip())
