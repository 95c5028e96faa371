"""Pictures as text."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.color import ColorTriplet
from rich.text import Text

from tui_trainer.headless.picture import Picture, choose_drawing, draw


def grey(*rows: tuple[int, ...]) -> Picture:
    return Picture(len(rows), len(rows[0]), 1, bytes(value for row in rows for value in row))


def colours(line: Text) -> list[tuple[ColorTriplet | None, ColorTriplet | None]]:
    """(upper, lower) of each column."""
    found = []
    for span in line.spans:
        assert not isinstance(span.style, str)
        upper, lower = span.style.color, span.style.bgcolor
        found.append((upper and upper.triplet, lower and lower.triplet))
    return found


def test_a_half_block_shows_two_pixels_in_their_colours() -> None:
    picture = Picture(3, 1, 3, bytes([1, 2, 3, 4, 5, 6, 7, 8, 9]))
    first, second = draw(picture, "colours")
    assert (first.plain, colours(first)) == ("▀", [(ColorTriplet(1, 2, 3), ColorTriplet(4, 5, 6))])
    assert colours(second) == [(ColorTriplet(7, 8, 9), None)], "nothing is below the last row of three"


def test_without_colours_light_becomes_shades() -> None:
    picture = grey((0, 128, 255), (0, 128, 255))
    assert [line.plain for line in draw(picture, "ascii")] == [" =@"]
    assert [line.plain for line in draw(picture, "shades")] == [" ▒█"]


def test_a_picture_is_fitted_into_columns_and_lines_and_keeps_its_shape() -> None:
    large = Picture(100, 200, 1, bytes(20_000))
    assert (large.fitted(50, 40).height, large.fitted(50, 40).width) == (25, 50)
    assert (large.fitted(80, 5).height, large.fitted(80, 5).width) == (10, 20)
    small = Picture(8, 8, 1, bytes(range(64)))
    assert small.fitted(80, 40, least=16).width == 16
    assert small.fitted(80, 40) == small


def test_scaling_down_takes_means_and_up_repeats() -> None:
    picture = grey((0, 100), (50, 250))
    assert picture.scaled(1, 1).data == bytes([100])
    assert picture.scaled(2, 4).data == bytes([0, 0, 100, 100, 50, 50, 250, 250])


def test_a_file_is_read_in_the_size_it_is_drawn_in(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGBA", (640, 320), (255, 0, 0, 255)).save(tmp_path / "red.png")
    picture = Picture.from_file(tmp_path / "red.png", 40, 30)
    assert (picture.width, picture.height, picture.colour(0, 0)) == (40, 20, (255, 0, 0))
    (tmp_path / "bad.png").write_bytes(b"no image")
    Image.new("RGB", (8, 8)).save(tmp_path / "eps.png", "EPS")
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("bad.png", "eps.png", "pipe.png"):
        with pytest.raises(OSError):
            Picture.from_file(tmp_path / name, 40, 30)


def test_a_file_that_unpacks_to_too_much_is_not_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    monkeypatch.setattr("tui_trainer.headless.picture.MOST_PIXELS", 63)
    Image.new("1", (8, 8)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match="8 × 8 pixels are too many"):
        Picture.from_file(tmp_path / "large.png", 40, 30)


def test_what_is_drawn_follows_from_colours_and_encoding() -> None:
    utf8, latin = (io.TextIOWrapper(io.BytesIO(), encoding) for encoding in ("utf-8", "latin-1"))
    assert [choose_drawing(system, utf8) for system in ("truecolor", "256", "standard", None)] == [
        "colours", "colours", "shades", "shades",
    ]  # fmt: skip
    assert choose_drawing("truecolor", latin) == "ascii"
