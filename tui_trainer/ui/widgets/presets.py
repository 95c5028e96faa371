"""The list of presets: shipped, one's own, and those of this folder."""

from __future__ import annotations

from rich.text import Text
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui_trainer.config.presets import Listed
from tui_trainer.headless.words import one_line

GROUPS = {"shipped": "shipped", "user": "mine", "project": "this folder"}
"""Where presets come from, and how a person calls it."""

_WITH_SENTENCE = 34
"""Cells from which on a preset's sentence is begun beside its name."""


def word_of(item: Listed) -> str:
    """How a command line names a preset: by name, or by path where another one is found first."""
    name = item.name
    return str(item.path) if item.shadowed or name.startswith("-") else name


def about(item: Listed) -> str:
    """Its sentence, or what is wrong with the file."""
    if item.error is not None:
        return one_line(f"broken: {item.error.message.splitlines()[-1]}")
    return one_line(item.preset.sentence) if item.preset is not None else ""


class PresetList(OptionList):
    """Presets by group. Enter loads the one at the cursor.

    Attributes:
        loaded: the word of the preset that is in the form.
    """

    class Wanted(Message):
        """The preset at the cursor was chosen."""

        def __init__(self, item: Listed) -> None:
            super().__init__()
            self.item = item

    def __init__(self) -> None:
        super().__init__(id="list")
        self.loaded = ""
        self._items: list[Listed] = []
        self._shown: dict[str, Listed] = {}
        self._filter = ""

    @property
    def item(self) -> Listed | None:
        """The preset at the cursor."""
        option = self.highlighted_option
        return self._shown.get(option.id or "") if option is not None else None

    def fill(self, items: list[Listed]) -> None:
        """Show other presets."""
        self._items = items
        self._draw()

    def filter(self, text: str) -> None:
        """Show only presets whose name, task or description has all of these words."""
        self._filter = text
        self._draw()

    def mark(self, word: str) -> None:
        """Mark the preset that is in the form."""
        if word != self.loaded:
            self.loaded = word
            self._draw(to=word)

    def on_resize(self) -> None:
        self._draw()

    def _draw(self, to: str | None = None) -> None:
        kept = to if to is not None else word_of(self.item) if self.item is not None else self.loaded
        self._shown.clear()
        options: list[Option] = []
        for origin, title in GROUPS.items():
            inside = [item for item in self._items if item.origin == origin and self._matches(item)]
            if inside:
                options.append(Option(Text(title, "bold"), disabled=True))
            for item in inside:
                identity = f"{origin}:{item.path}"
                self._shown[identity] = item
                options.append(Option(self._line(item), identity))
        if not self._shown:
            options.append(Option(Text("no preset matches" if self._items else "no presets"), disabled=True))
        self.clear_options().add_options(options)
        places = [k for k, option in enumerate(options) if option.id in self._shown]
        at = next((k for k in places if word_of(self._shown[options[k].id or ""]) == kept), None)
        # With another thing in the form than a preset, enter and the line of help are about none of them.
        first = places[0] if places and self._filter else None
        self.highlighted = at if at is not None else first

    def _matches(self, item: Listed) -> bool:
        task = item.preset.task if item.preset is not None else ""
        text = f"{item.name} {task} {about(item)}".lower()
        return all(word in text for word in self._filter.lower().split())

    def _line(self, item: Listed) -> Text:
        mark = "▸" if word_of(item) == self.loaded else "✗" if item.error is not None else " "
        text = Text(f"{mark}{one_line(item.name)}")
        width = self.scrollable_content_region.width
        if width >= _WITH_SENTENCE and about(item):
            text.append(f"  {about(item)}", "dim")
        text.truncate(width, overflow="ellipsis")
        return text

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        item = self._shown.get(event.option.id or "")
        if item is not None:
            self.post_message(self.Wanted(item))
