"""The command palette: every action of this screen and of the app, found by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui_trainer.ui.keys import Key, keys_of
from tui_trainer.ui.options import THEMES

if TYPE_CHECKING:
    from tui_trainer.ui.app import TrainerApp


class KeyCommands(Provider):
    """Offers what the table of keys offers, and the themes."""

    def _keys(self) -> Iterator[tuple[str, str, Callable[[], Any]]]:
        app = cast("TrainerApp", self.app)
        page = app.page
        places = [page.WHERE, "app"] if page is not None else ["app"]
        for place in places:
            for key in keys_of(place):
                if key.action == "command_palette" or (not key.label and key.keys.startswith("ctrl+")):
                    continue
                yield key.help, key.display, partial(self._do, key)
        for name in THEMES if not app.no_color else ():
            yield f"Theme: {name}.", "", partial(setattr, app, "theme", name)

    async def _do(self, key: Key) -> None:
        page = cast("TrainerApp", self.app).page
        if key.where == "app" or page is None:
            await self.app.run_action(f"app.{key.action}")
        else:
            await page.run_action(key.action)

    async def discover(self) -> Hits:
        for text, shown, action in self._keys():
            yield DiscoveryHit(text, action, help=shown)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for text, shown, action in self._keys():
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, matcher.highlight(text), action, help=shown)
