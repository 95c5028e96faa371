"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        level: ok, warn (something will be slower, uglier or riskier) or bad (training won't work as asked).
        found: what there is.
        fix: what to do; empty where nothing needs doing.
    """

    name: str
    level: Level
    found: str
    fix: str = ""
