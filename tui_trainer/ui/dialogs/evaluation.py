"""A checkpoint measured anew, by a process of its own: metrics, each class, and which is taken for which."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.theme import Theme
from textual.widgets import Static

from tui_trainer.errors import TrainerError
from tui_trainer.headless.scores import Line, Shade, report
from tui_trainer.headless.words import clean, duration, one_line
from tui_trainer.ui.form.child import output_of
from tui_trainer.ui.saved import Saved

TIMEOUT_S = 6 * 3600.0
"""Whoever waits can leave at any time; this is for one who went home."""
_TICK_S = 0.25


class EvaluationDialog(ModalScreen[None]):
    """Evaluates when it opens; closing it before the end stops that.

    Args:
        saved: the checkpoint.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close"),
        Binding("y", "copy", "Copy"),
        # The body is not focused while it is empty.
        Binding("up,k", "scroll(-1)", "Up", show=False),
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", show=False),
        Binding("home", "edge(False)", "First", show=False),
        Binding("end", "edge(True)", "Last", show=False),
    ]

    def __init__(self, saved: Saved) -> None:
        super().__init__()
        self._saved = saved
        self._began = time.monotonic()
        self._said = "reading model and data …"
        self._facts: Mapping[str, Any] | None = None
        self._trouble: TrainerError | None = None

    def compose(self) -> ComposeResult:
        title = f"Evaluation of {self._saved.file.name} of {one_line(self._saved.run_name)}"
        with Vertical(classes="dialog evaluation"):
            yield Static(Text(title), classes="dialog--title")
            with VerticalScroll(classes="dialog--body", can_focus=False):
                yield Static(id="report")
            yield Static(Text("esc stop"), classes="dialog--keys", id="keys")

    def on_mount(self) -> None:
        self.set_interval(_TICK_S, self._tick)
        self.run_worker(self._evaluate(), exit_on_error=False)
        self._draw()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def _tick(self) -> None:
        if self._facts is None and self._trouble is None:
            self._draw()

    async def _evaluate(self) -> None:
        try:
            printed = await output_of(["evaluate", str(self._saved.file), "--json"], TIMEOUT_S, self._hear)
            self._facts = json.loads(printed)
        except TrainerError as error:
            self._trouble = error
        except ValueError as error:
            self._trouble = TrainerError("no evaluation", f"the process said something else: {error}")
        self.query_one("#keys", Static).update(Text("esc close   ↑ ↓ scroll   y copy"))
        self._draw()

    def _hear(self, line: str) -> None:
        self._said = one_line(line)

    def _draw(self) -> None:
        body = self.query_one(VerticalScroll)
        # Border, title and keys stay in view.
        body.styles.max_height = max(2, self.size.height - 7)
        self.query_one("#report", Static).update(self._text(max(20, body.scrollable_content_region.width)))

    def _text(self, width: int) -> Text:
        if self._facts is not None:
            lines = report(self._facts, width)
            return Text("\n", no_wrap=True).join(_drawn(line, self.app.current_theme) for line in lines)
        if self._trouble is not None:
            hint = f"\n\nhint: {self._trouble.hint}" if self._trouble.hint else ""
            return Text(clean(f"{self._trouble}{hint}"))
        return Text(f"{self._said}  {duration(time.monotonic() - self._began)}")

    def action_copy(self) -> None:
        """Copy what is shown, as text."""
        self.app.copy_to_clipboard(self._text(200).plain)
        self.app.notify("copied", markup=False)

    def action_scroll(self, rows: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)

    def action_page(self, pages: int) -> None:
        body = self.query_one(VerticalScroll)
        body.scroll_relative(y=pages * max(1, body.size.height - 1), animate=False)

    def action_edge(self, end: bool) -> None:
        body = self.query_one(VerticalScroll)
        body.scroll_end(animate=False) if end else body.scroll_home(animate=False)


def _drawn(line: Line, theme: Theme) -> Text:
    text = Text(no_wrap=True)
    for piece, role in line:
        text.append(piece, _shaded(role, theme) if isinstance(role, Shade) else _ROLES.get(role, ""))
    return text


_ROLES = {"strong": "bold", "dim": "dim"}


def _shaded(shade: Shade, theme: Theme) -> str:
    """A ground between the theme's surface and the colour of right or wrong, with a text that reads on it."""
    if theme.name == "ansi":
        # Sixteen colours have no shades: a ground for what is most of a row, else bold for what is right.
        ink = "blue" if shade.right else "yellow"
        return f"{ink} reverse" if shade.share >= 0.5 else ink
    colour: str | None = theme.primary if shade.right else theme.warning
    surface = Color.parse(theme.surface or "#808080")
    ground = surface.blend(Color.parse(colour or "#808080"), 0.12 + 0.75 * shade.share)
    return f"{ground.get_contrast_text(1.0).hex} on {ground.hex}"
