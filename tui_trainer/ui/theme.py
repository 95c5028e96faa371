"""Colours: blue and orange pairs that survive colour blindness; dark, light, the terminal's own, or none."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter, Monochrome
from textual.theme import BUILTIN_THEMES, Theme

DARK = Theme(
    name="dark",
    primary="#5aa9ff",
    secondary="#8fb8de",
    accent="#5aa9ff",
    warning="#ffa657",
    error="#ff7b72",
    success="#56d4c0",
    foreground="#d7dde4",
    background="#0f1419",
    surface="#141a21",
    panel="#1d2630",
    dark=True,
    variables={"border": "#33404d", "border-blurred": "#33404d", "footer-key-foreground": "#5aa9ff"},
)
LIGHT = Theme(
    name="light",
    primary="#0b62c4",
    secondary="#34618f",
    accent="#0b62c4",
    warning="#b35900",
    error="#c0261c",
    success="#00796b",
    foreground="#1d2430",
    background="#fbfbfa",
    surface="#f4f4f2",
    panel="#e6e7e6",
    dark=False,
    variables={"border": "#b9c0c7", "border-blurred": "#b9c0c7", "footer-key-foreground": "#0b62c4"},
)


def register(app: App[Any]) -> None:
    """Make the themes of `options.THEMES` known to the app; ansi has the terminal's own sixteen colours."""
    for theme in (DARK, LIGHT, replace(BUILTIN_THEMES["ansi-dark"], name="ansi")):
        app.register_theme(theme)


class Colourless(LineFilter):
    """Draws without any colour, over the ansi theme: what lies on a colour of its own is shown reversed."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(text, _colourless(style), control) for text, style, control in segments]


@lru_cache(1024)
def _colourless(style: Style | None) -> Style | None:
    if style is None:
        return None
    # Reversed already, a coloured ground would turn it back.
    raised = style.bgcolor is not None and not style.bgcolor.is_default
    return style.without_color + Style(reverse=True) if raised else style.without_color


def drop_colours(filters: list[LineFilter]) -> None:
    """Take the filter above in place of Textual's greys, which are colours to a terminal."""
    filters[:] = [one for one in filters if not isinstance(one, Monochrome)]
    filters.append(Colourless())
