"""How the app draws pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.app import App

from tui_trainer.headless.picture import Drawing

if TYPE_CHECKING:
    from tui_trainer.ui.app import TrainerApp


def drawing_of(app: App[object]) -> Drawing:
    """What the terminal of the app can show."""
    if cast("TrainerApp", app).options.ascii:
        return "ascii"
    many = app.console.color_system in ("truecolor", "256")
    return "colours" if many and not app.no_color else "shades"
