"""Driving the app in tests: the screen as text, keys, and waiting on conditions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.style import Style
from textual.app import App
from textual.pilot import Pilot
from textual.strip import Strip

SNAPSHOTS = Path(__file__).parent / "snapshots"


def _strips(app: App[Any]) -> list[Strip]:
    screen = app.screen
    # The compositor draws one screen; below a dialog lies the one before it, which people see through it.
    return screen._compositor.render_strips(screen.outer_size)


def screen_lines(app: App[Any]) -> list[str]:
    """The lines that a person sees now, without colours."""
    width, height = app.size
    lines = ["".join(segment.text for segment in strip) for strip in _strips(app)]
    return [line[:width].rstrip() for line in lines[:height]]


def screen_styles(app: App[Any]) -> list[Style]:
    """The styles of what a person sees now."""
    return [segment.style for strip in _strips(app) for segment in strip if segment.style is not None]


def screen_text(app: App[Any]) -> str:
    """The screen as one text."""
    return "\n".join(screen_lines(app))


async def until(pilot: Pilot[Any], condition: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """Let the app run until a condition holds, and return its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        await pilot.pause(0.01)
    raise AssertionError(f"waited {seconds} s for {what}; the screen shows\n{screen_text(pilot.app)}")


def check_snapshot(name: str, text: str) -> None:
    """Compare a screen with the one on file. `UPDATE_SNAPSHOTS=1 pytest` writes the file anew."""
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    assert path.is_file(), f"{path} is missing: run once with UPDATE_SNAPSHOTS=1 and look at it"
    assert text + "\n" == path.read_text(), f"the screen differs from {path}; it shows\n{text}"
