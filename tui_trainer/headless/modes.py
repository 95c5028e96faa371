"""Which form the output takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, Any, Literal, get_args

Mode = Literal["rich", "plain", "json", "quiet"]

MODES: tuple[Mode, ...] = get_args(Mode)


def choose_mode(
    json: bool, quiet: bool, stream: IO[Any] | None, env: Mapping[str, str] | None = None
) -> Mode:
    """The mode for what was asked and where the output goes.

    Args:
        json: `--json` was given. It wins over `quiet`: what a script reads is no talk.
        quiet: `--quiet` was given.
        stream: where the output goes, usually stdout; None when it is closed.
        env: the environment, for TERM.
    """
    if json:
        return "json"
    if quiet:
        return "quiet"
    term = (os.environ if env is None else env).get("TERM", "")
    return "rich" if is_terminal(stream) and term not in ("", "dumb", "unknown") else "plain"


def is_terminal(stream: IO[Any] | None) -> bool:
    """Whether a stream is a terminal; False for one that is closed or can't tell."""
    try:
        return stream is not None and stream.isatty()
    except (ValueError, OSError, AttributeError):
        return False
