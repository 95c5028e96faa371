"""Pictures as text: half blocks with a colour above and one below, or shades where there are no colours."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from rich.color import Color
from rich.style import Style
from rich.text import Text

Drawing = Literal["colours", "shades", "ascii"]
"""What a terminal can show."""

MOST_PIXELS = 50_000_000
"""Of a file that is drawn: a few bytes may unpack to gigabytes."""

_SHADES = {"shades": " ░▒▓█", "ascii": " .:-=+*#%@"}


@dataclass(frozen=True)
class Picture:
    """A small picture.

    Attributes:
        height: in pixels.
        width: in pixels.
        channels: 1 (grey) or 3 (RGB).
        data: bytes, row by row.
    """

    height: int
    width: int
    channels: int
    data: bytes

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Picture:
        """Of a data report's example."""
        size = (int(facts["height"]), int(facts["width"]), int(facts["channels"]))
        data = base64.b64decode(facts["pixels"])
        if len(data) != size[0] * size[1] * size[2]:
            raise ValueError("a picture with another number of pixels")
        return cls(*size, data)

    @classmethod
    def from_file(cls, path: Path, columns: int, lines: int) -> Picture:
        """Read a PNG, made as small as it will be drawn.

        Raises:
            OSError: it is missing, no plain file or no PNG.
            ValueError: it has more than `MOST_PIXELS`.
        """
        from PIL import Image

        from tui_trainer.files import open_plain

        # It may be a stranger's: no other of Pillow's many readers is to see it.
        with open_plain(path) as file, Image.open(file, formats=["PNG"]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width:,} × {image.height:,} pixels are too many to draw")
            small = image.convert("RGB")
        small.thumbnail((columns, 2 * lines), Image.Resampling.BOX)
        return cls(small.height, small.width, 3, small.tobytes())

    def fitted(self, columns: int, lines: int, least: int = 1) -> Picture:
        """The picture in at most so many columns and lines of text; one narrower than `least` is enlarged."""
        # A line of text is two pixels high, and a column one wide.
        most = min(columns / self.width, 2 * lines / self.height)
        scale = min(most, max(1, -(-least // self.width)))
        return self.scaled(max(1, int(self.height * scale)), max(1, int(self.width * scale)))

    def scaled(self, height: int, width: int) -> Picture:
        """The picture at another size: means of what falls together, or each pixel several times."""
        if (height, width) == (self.height, self.width):
            return self
        down = [_span(y, height, self.height) for y in range(height)]
        across = [_span(x, width, self.width) for x in range(width)]
        data = bytes(
            self._mean(y, x, channel) for y in down for x in across for channel in range(self.channels)
        )
        return Picture(height, width, self.channels, data)

    def _mean(self, down: range, across: range, channel: int) -> int:
        row = self.width * self.channels
        total = sum(self.data[y * row + x * self.channels + channel] for y in down for x in across)
        return total // (len(down) * len(across))

    def colour(self, y: int, x: int) -> tuple[int, int, int]:
        """Red, green and blue of a pixel."""
        at = (y * self.width + x) * self.channels
        return tuple(self.data[at : at + 3]) if self.channels == 3 else (self.data[at],) * 3  # type: ignore[return-value]


def _span(place: int, places: int, pixels: int) -> range:
    begin = place * pixels // places
    return range(begin, max(begin + 1, (place + 1) * pixels // places))


def draw(picture: Picture, drawing: Drawing) -> list[Text]:
    """A picture as lines of text, a column for each column of pixels and a line for two of their rows."""
    draw_line = _half_blocks if drawing == "colours" else _shades
    return [draw_line(picture, y, drawing) for y in range(0, picture.height, 2)]


def _half_blocks(picture: Picture, y: int, drawing: Drawing) -> Text:
    line = Text(no_wrap=True)
    below = y + 1 < picture.height
    for x in range(picture.width):
        under = Color.from_rgb(*picture.colour(y + 1, x)) if below else None
        line.append("▀", Style(color=Color.from_rgb(*picture.colour(y, x)), bgcolor=under))
    return line


def _shades(picture: Picture, y: int, drawing: Drawing) -> Text:
    ramp = _SHADES[drawing]
    rows = [row for row in (y, y + 1) if row < picture.height]
    text = ""
    for x in range(picture.width):
        # The eye's weights of red, green and blue.
        light = sum(0.299 * r + 0.587 * g + 0.114 * b for r, g, b in (picture.colour(row, x) for row in rows))
        text += ramp[min(len(ramp) - 1, int(light / len(rows) / 256 * len(ramp)))]
    return Text(text, no_wrap=True)


def choose_drawing(colours: str | None, stream: IO[Any] | None) -> Drawing:
    """What can be drawn where this goes.

    Args:
        colours: "truecolor", "256", or another of rich's colour systems; None: no colours.
        stream: where it goes, for its encoding.
    """
    from tui_trainer.headless.sink import encodes

    encoding = getattr(stream, "encoding", None) or "ascii"
    if not encodes(encoding, "▀░█"):
        return "ascii"
    return "colours" if colours in ("truecolor", "256") else "shades"
