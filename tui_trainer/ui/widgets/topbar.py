"""The top line: the four screens, and what this machine is doing."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.reactive import reactive
from textual.widget import Widget

TABS = (("setup", "1 Setup", "1 Setup"), ("live", "2 Live", "2 Live"), ("runs", "3 Runs", "3 Runs"),
        ("checkpoints", "4 Checkpoints", "4 Ckpt"))  # fmt: skip


class TopBar(Widget):
    """Names the screens, marks the current one, and tells at its right end which run is shown or trains.

    Args:
        current: the screen's name.
    """

    DEFAULT_CSS = """
    TopBar { dock: top; height: 1; background: $panel; color: $foreground; }
    TopBar > .topbar--current { background: $primary; color: $background; text-style: bold; }
    TopBar > .topbar--name { color: $primary; text-style: bold; }
    """
    COMPONENT_CLASSES = {"topbar--current", "topbar--name"}
    ALLOW_SELECT = False

    status: reactive[str] = reactive("")

    def __init__(self, current: str) -> None:
        super().__init__()
        self._current = current
        self._spans: list[tuple[int, int, str]] = []

    def render(self) -> Text:
        narrow = self.size.width < 90
        text = Text(no_wrap=True)
        if not narrow:
            text.append(" tui-trainer ", self.get_component_rich_style("topbar--name", partial=True))
        self._spans = []
        for name, label, short in TABS:
            shown = f" {short if narrow else label} "
            begin = cell_len(text.plain)
            current = name == self._current
            text.append(shown, self.get_component_rich_style("topbar--current") if current else "")
            self._spans.append((begin, begin + cell_len(shown), f"show('{name}')"))
        begin = cell_len(text.plain)
        text.append(" ? Help ")
        self._spans.append((begin, begin + 8, "help"))
        room = self.size.width - cell_len(text.plain) - 1
        status = Text(self.status, no_wrap=True)
        status.truncate(max(0, room - 1), overflow="ellipsis")
        text.append(" " * max(0, room - cell_len(status.plain)))
        text.append_text(status)
        return text

    async def on_click(self, event: events.Click) -> None:
        for begin, end, action in self._spans:
            if begin <= event.x < end:
                await self.app.run_action(action)
