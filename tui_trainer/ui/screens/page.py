"""What the app's screens have in common: the top bar, their content, the key bar, and a tick."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.screen import Screen

from tui_trainer.ui.keys import bindings
from tui_trainer.ui.widgets.keybar import KeyBar
from tui_trainer.ui.widgets.topbar import TopBar

if TYPE_CHECKING:
    from tui_trainer.ui.app import TrainerApp

NARROW, WIDE = 90, 140


class Page(Screen[None]):
    """A screen with a place in the top bar.

    A page gets the class `-narrow` under 90 columns and `-wide` from 140 on, for its style sheet.

    Attributes:
        WHERE: its name among the places of `keys.PLACES`.
        TAB: the tab of the top bar that is marked; by default the page's own.
    """

    WHERE: ClassVar[str] = ""
    TAB: ClassVar[str] = ""
    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-medium"), (WIDE, "-wide")]

    def __init_subclass__(cls, **options: object) -> None:
        cls.BINDINGS = bindings(cls.WHERE)  # type: ignore[assignment]
        super().__init_subclass__(**options)  # type: ignore[arg-type]

    @property
    def trainer(self) -> TrainerApp:
        """The app, by its own type."""
        return cast("TrainerApp", self.app)

    def compose(self) -> ComposeResult:
        yield TopBar(self.TAB or self.WHERE)
        yield from self.content()
        yield KeyBar(self.WHERE)

    def content(self) -> ComposeResult:
        """The widgets between the bars."""
        raise NotImplementedError

    def why_not(self, key: str) -> str:
        """Why a key of this page does nothing now, in a sentence; empty where nothing is to be said."""
        return ""

    def tick(self) -> None:
        """Draw what has changed. Called at the app's pace while this page is on top, and when it comes up."""

    def on_screen_resume(self) -> None:
        self.trainer.refresh_status()
        self.tick()
