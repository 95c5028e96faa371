"""A line of text that takes keys in the order in which they were pressed."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.widgets import Input
from textual.widgets.input import Selection


class Prompt(Input):
    """Textual's `Input`, safe against fast hands and slow frames.

    A binding (ctrl+u, left, enter) is carried out where its key arrives. By default it climbs up to the app
    first, and letters typed behind it overtake it. The text it begins with is selected, so that typing
    replaces it.

    Args:
        value: the text it begins with.
        options: of `Input`.
    """

    def __init__(self, value: str = "", **options: Any) -> None:
        super().__init__(value, compact=True, select_on_focus=False, **options)
        # A focus that arrives behind the first letter typed would select that letter too.
        self.set_reactive(Input.selection, Selection(0, len(value)))

    async def _on_key(self, event: events.Key) -> None:
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            event.stop()
            event.prevent_default()
            await self.run_action(binding.action)
            return
        await super()._on_key(event)
