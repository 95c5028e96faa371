"""Pure ASCII for terminals and fonts that have nothing else: what is drawn passes through here last."""

from __future__ import annotations

from functools import lru_cache

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SAME = {
    "─━┄┈╌▔▁▂╶╴╼╾–—": "-",
    "│┃║‖▏▎▍▌▕▐┆┊╎╵╷": "|",
    "┌┐└┘├┤┬┴┼╭╮╯╰┏┓┗┛┣┫╋┳┻╔╗╚╝": "+",
    "█▉▊▋▇▆▅▄▃▓▀▘▝▖▗▚▞▙▟▛▜": "#",
    "▒░": ":",
    "●◉◆■▪•": "*",
    "○◯◌◇□": "o",
    "·…": ".",
    "★☆": "*",
    "▼▾↓▿": "v",
    "▲▴↑△": "^",
    "▶▸→❯›»": ">",
    "◀◂←‹«": "<",
    "✓✔": "+",
    "✗✘×✖": "x",
    "≥": ">",
    "≤": "<",
    "≈": "~",
    "°": " ",
    "‘’": "'",
    "“”": '"',
    "\xa0": " ",
}
_TABLE = {ord(character): plain for characters, plain in _SAME.items() for character in characters}


@lru_cache(4096)
def to_ascii(text: str) -> str:
    """Text with every character replaced by an ASCII one of the same width."""
    if text.isascii():
        return text
    from rich.cells import cell_len

    return "".join(c if c.isascii() else "?" * cell_len(c) for c in text.translate(_TABLE))


class AsciiFilter(LineFilter):
    """Leaves nothing but ASCII in what is drawn, whichever widget drew it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
