"""How parts of the engine tell that something went wrong and was dealt with."""

from __future__ import annotations

from collections.abc import Callable

Alert = Callable[[str, str], None]
"""Is told a title and a message."""


def no_alert(title: str, message: str) -> None:
    """For callers who tell nobody."""
