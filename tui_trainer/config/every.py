"""The grammar of "how often": `1` (epochs), `"200steps"`, `"10min"`, `0` (only at the end, or never)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

EXPECTED = 'a whole number of epochs, "200steps", "10min", or 0'

_PATTERN = re.compile(r"(?a:(\d{1,9})(?:\s*(epochs?|steps?|min(?:utes?)?))?)\Z")


@dataclass(frozen=True)
class Every:
    """A parsed interval.

    Attributes:
        amount: how many units lie between two occurrences; 0 means never.
        unit: epochs, steps (optimizer steps) or minutes (wall time).
    """

    amount: int
    unit: Literal["epochs", "steps", "minutes"]

    @classmethod
    def parse(cls, value: int | str) -> Every:
        """Parse `1`, `"1"`, `"200steps"` or `"10min"`.

        Raises:
            ValueError: for anything else.
        """
        match = _PATTERN.match(str(value).strip())
        if match is None or isinstance(value, bool):
            raise ValueError(f"expected {EXPECTED}")
        amount = int(match[1])
        unit = (match[2] or "epochs")[:1]
        return cls(amount, {"e": "epochs", "s": "steps", "m": "minutes"}[unit])  # type: ignore[arg-type]

    def due_epoch(self, epoch: int) -> bool:
        """Whether the end of `epoch` (from 1) is an occurrence."""
        return self.unit == "epochs" and self.amount > 0 and epoch % self.amount == 0

    def due_step(self, step: int) -> bool:
        """Whether optimizer step `step` (from 1) is an occurrence."""
        return self.unit == "steps" and self.amount > 0 and step % self.amount == 0

    def due_inside(self, step: int, seconds: float) -> bool:
        """Whether there is an occurrence after step `step`, which may lie inside an epoch.

        Args:
            step: optimizer steps done.
            seconds: since the last occurrence.
        """
        if self.unit == "minutes":
            return self.amount > 0 and seconds >= 60.0 * self.amount
        return self.due_step(step)
