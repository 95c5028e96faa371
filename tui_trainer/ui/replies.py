"""Late replies of the terminal must not become key presses.

Something asked the terminal for a colour or its name (a shell's prompt, an editor, a multiplexer), and the
answer arrives while the app reads keys. Textual hands what it does not understand to the app letter by
letter, and one of those letters would start a run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver
from textual.message import Message

_REPLY = re.compile(
    r"\x1b\][0-9]+;[^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: colours, the clipboard
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # DCS and its kin: the terminal's name and abilities
    r"|\x1b\[[?>=][0-9;]*[cnu]"  # device attributes, status, keyboard flags
)
_BEGUN = re.compile(r"\x1b(?:\][0-9]+;[^\x07\x1b]*|[PX^_][^\x1b]+)\x1b?\Z")
_LONGEST = 4096
_PATIENCE_S = 0.2
"""A reply comes in one go. What has not ended by then was a key with alt, and what follows is typed."""


class ReplyFilter(XTermParser):
    """Textual's parser without replies that nobody here asked for."""

    clock = staticmethod(time.monotonic)
    _held = ""
    _since = 0.0

    def feed(self, data: str) -> Iterable[Message]:
        """Parse what was read, less the replies in it. One that is cut off waits for its rest."""
        # An empty read is how the end of the input is told.
        if not data:
            return super().feed(data)
        now = self.clock()
        if not self._held:
            self._since = now
        held, self._held = (self._held if now - self._since < _PATIENCE_S else ""), ""
        data = _REPLY.sub("", held + data)
        begun = _BEGUN.search(data)
        if begun is not None and len(begun.group()) < _LONGEST:
            self._held = begun.group()
        data = data[: begun.start()] if begun is not None else data
        return super().feed(data) if data else ()


def install() -> None:
    """Have every driver use the filter."""
    linux_driver.XTermParser = ReplyFilter  # type: ignore[attr-defined]
