"""The bottom line: the keys that do something here, made from the bindings."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.widget import Widget

from tui_trainer.ui.keys import Key, keys_of

_APART = "  "


class KeyBar(Widget):
    """As many keys as fit, the last ones (help, quit) always. A key that does not apply now is dim.

    Args:
        where: the place whose keys are shown.
    """

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; background: $panel; color: $foreground; }
    KeyBar > .keybar--key { color: $primary; text-style: bold; }
    KeyBar > .keybar--off { color: $foreground 40%; }
    KeyBar:ansi > .keybar--off { text-style: dim; }
    """
    COMPONENT_CLASSES = {"keybar--key", "keybar--off"}
    ALLOW_SELECT = False

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where
        self._spans: list[tuple[int, int, Key]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda screen: self.refresh())

    def render(self) -> Text:
        own = [key for key in keys_of(self._where) if key.label]
        always = [key for key in keys_of("app") if key.label]
        room = self.size.width - 1
        room -= sum(self._width(key) for key in always)
        fits: list[Key] = []
        # What does something now comes first where there is no room for all.
        for key in sorted(own, key=lambda key: not self._applies(key)):
            room -= self._width(key)
            if room < 0:
                break
            fits.append(key)
        shown = [key for key in own if key in fits]
        text = Text(" ", no_wrap=True)
        self._spans = []
        for key in [*shown, *always]:
            begin = cell_len(text.plain)
            on = self._applies(key)
            text.append(
                key.display.split(" ")[0],
                self.get_component_rich_style("keybar--key" if on else "keybar--off"),
            )
            label = f" {key.label}{_APART}"
            text.append(label, "" if on else self.get_component_rich_style("keybar--off"))
            self._spans.append((begin, cell_len(text.plain), key))
        return text

    def _width(self, key: Key) -> int:
        return cell_len(key.display.split(" ")[0]) + 1 + cell_len(key.label) + len(_APART)

    def _applies(self, key: Key) -> bool:
        focused = self.screen.focused
        if (
            focused is not None
            and len(key.display) == 1
            and focused.check_consume_key(key.display, key.display)
        ):
            # Here it would be typed.
            return False
        node = self.app if key.where == "app" else self.screen
        return node.check_action(key.action.partition("(")[0], ()) is True

    async def on_click(self, event: events.Click) -> None:
        for begin, end, key in self._spans:
            if begin <= event.x < end and self._applies(key):
                await self.screen.run_action(f"app.{key.action}" if key.where == "app" else key.action)
