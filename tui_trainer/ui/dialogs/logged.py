"""What a task logged during a run, one by one: its images drawn, its texts in full."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trainer.headless.picture import Picture, draw
from tui_trainer.headless.words import clean, one_line
from tui_trainer.runs.json_values import as_number
from tui_trainer.ui.picture import drawing_of
from tui_trainer.ui.run_view import RunView

LONGEST_TEXT = 100_000
"""Characters of a text that are shown."""

Logged = Mapping[str, Any]
"""A `log` event."""


class LoggedDialog(ModalScreen[None]):
    """Shows the newest of them; ← and → go to the others.

    Args:
        view: of a run that has logged something.
    """

    BINDINGS = [
        Binding("escape,q,i,enter", "dismiss", "Close"),
        Binding("left", "move(-1)", "Earlier"),
        Binding("right", "move(1)", "Later"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-tall")]

    def __init__(self, view: RunView) -> None:
        super().__init__()
        self._view = view
        self._event: Logged = view.state.logs[-1]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog data"):
            yield Static(id="title", classes="dialog--title")
            with VerticalScroll(classes="dialog--body"):
                yield Static(id="logged")
            yield Static(Text("← earlier   → later   ↑ ↓ scroll   esc close"), classes="dialog--keys")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._show)

    def action_move(self, by: int) -> None:
        """To another one; what has come meanwhile counts too."""
        logs = self._view.state.logs
        # After the record was cut, the one that is shown may be none of it any more.
        places = [place for place, event in enumerate(logs) if event is self._event]
        place = places[0] + by if places else len(logs) - 1
        if 0 <= place < len(logs):
            self._event = logs[place]
            self._show()

    def _show(self) -> None:
        self.run_worker(self._drawn(), exclusive=True)

    async def _drawn(self) -> None:
        body, event = self.query_one(VerticalScroll), self._event
        logs = self._view.state.logs
        place = next((place for place, each in enumerate(logs, 1) if each is event), 0)
        told = [one_line(str(event.get("name") or "log"))]
        told += [f"{word} {as_number(event[word]):,.0f}" for word in ("epoch", "step") if word in event]
        told += [f"{place:,} of {len(logs):,}"] if place else []
        self.query_one("#title", Static).update(Text(" · ".join(told)))
        size = body.scrollable_content_region.size
        if event.get("image"):
            text = await asyncio.to_thread(
                _image, self._view.run_dir, str(event["image"]), size, drawing_of(self.app)
            )
        else:
            text = Text(_shortened(str(event.get("text") or event.get("message") or "")))
        self.query_one("#logged", Static).update(text)
        body.scroll_home(animate=False)


def _shortened(text: str) -> str:
    """A text as a terminal may show it; the app would stand still while it wraps megabytes."""
    shown = clean(text[:LONGEST_TEXT]).expandtabs(4)
    left = len(text) - LONGEST_TEXT
    return f"{shown}\n… {left:,} more characters are in the run's events.jsonl" if left > 0 else shown


def _image(run_dir: Path, relative: str, size: Any, drawing: Any) -> Text:
    """An image of a run, as large as fits; or why there is none."""
    path = run_dir / relative
    try:
        # The record may be a stranger's: it has no say over files elsewhere.
        if not path.resolve().is_relative_to(run_dir.resolve()):
            return Text(f"✗ {one_line(relative)} is not in the run's directory")
        picture = Picture.from_file(path, size.width, size.height)
        return Text("\n").join(draw(picture.fitted(size.width, size.height, least=32), drawing))
    except Exception as error:
        # Pillow raises nearly anything on damaged files.
        return Text(f"✗ {one_line(relative)}: {one_line(str(error)) or type(error).__name__}")
