"""What terminals say unasked is not taken for keys, and keys still are."""

from __future__ import annotations

import pytest
from textual import events

from tui_trainer.ui.replies import ReplyFilter

COLOUR = "\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\"


def keys(*reads: str) -> list[str]:
    parser = ReplyFilter()
    return [event.key for data in reads for event in parser.feed(data) if isinstance(event, events.Key)]


@pytest.mark.parametrize(
    "reply",
    [
        COLOUR,
        "\x1b]11;rgb:ffff/ffff/ffff\x07",
        "\x1b]52;c;cnEx\x07",
        "\x1bP>|tmux 3.3a\x1b\\",
        "\x1bP1+r544e=787465726d\x1b\\",
        "\x1b[?62;22c",
        "\x1b[>0;95;0c",
        "\x1b[?1u",
    ],
)
def test_a_reply_presses_no_key(reply: str) -> None:
    assert keys(reply) == []
    assert keys(f"a{reply}b") == ["a", "b"]
    assert keys(reply * 2) == []


@pytest.mark.parametrize("cut", range(3, len(COLOUR)))
def test_a_reply_that_arrives_in_two_pieces_presses_no_key(cut: int) -> None:
    pieces = keys(COLOUR[:cut], COLOUR[cut:] + "x")
    # Cut right behind its first bytes it can't be told from alt and a bracket.
    assert pieces == ["x"] or cut < 5


def test_keys_are_still_keys() -> None:
    assert keys("r", "\x1b[A", "\x1bOP", "q", "\x01") == ["r", "up", "f1", "q", "ctrl+a"]


def test_an_endless_reply_is_given_up() -> None:
    assert keys("\x1b]11;" + "r" * 10_000, "x")[-1:] == ["x"]


def test_typing_after_alt_and_a_letter_is_not_swallowed() -> None:
    parser = ReplyFilter()
    now = 0.0
    parser.clock = lambda: now  # type: ignore[method-assign, assignment]
    list(parser.feed("\x1bPx"))
    now = 1.0
    assert [event.key for event in parser.feed("hello") if isinstance(event, events.Key)] == list("hello")
