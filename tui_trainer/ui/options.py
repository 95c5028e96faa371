"""What goes into the app and what comes out of it: how it was asked for, and how it was left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

THEMES = ("dark", "light", "ansi")
"""The app's colours, by name."""
STARTS = "start"
"""The group of the app's workers that start runs."""
PATIENCE_S = 3.0
"""How long a run that was killed may take to leave, before its process is ended."""


@dataclass(frozen=True)
class AppOptions:
    """What the command line asks of the app.

    Attributes:
        runs_dir: where runs live.
        argv: the words of the run to set up, as one would type them for a run without the app.
        start: start that run at once.
        run: a run to show on Live instead.
        theme: by name; None for the remembered one.
        ascii: draw with ASCII only.
        mouse: whether the app listens to it.
    """

    runs_dir: Path
    argv: tuple[str, ...] = ()
    start: bool = False
    run: Path | None = None
    theme: str | None = None
    ascii: bool = False
    mouse: bool = True


@dataclass(frozen=True)
class Leaving:
    """How the app was left.

    Attributes:
        kind: "quit" (nothing trains here any more), "detach" (it trains on, the prompt comes back), "kill"
            (what trains here does not listen: end the process), "hangup" (the terminal is gone), "signal".
        signal: the signal's name.
    """

    kind: Literal["quit", "detach", "kill", "hangup", "signal"]
    signal: str = ""
