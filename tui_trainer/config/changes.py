"""What is different about the hparams that a run goes on with, and what that means for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tui_trainer.config.fields import OnResume, flag_text, printable
from tui_trainer.config.hparams import Hparams

MEANING: Mapping[OnResume, str] = {
    "safe": "decides only how long and how it runs",
    "warned": "it trains differently from here on",
    "refused": "it would be another experiment",
}

_LENGTHS = ("epochs", "max_steps", "max_minutes")


@dataclass(frozen=True)
class Change:
    """An hparam that differs from what the weights were trained with so far.

    Attributes:
        name: of the hparam.
        before: its value so far, as JSON has it.
        now: its value from here on, as JSON has it.
        kind: what the change means.
    """

    name: str
    before: Any
    now: Any
    kind: OnResume

    def __str__(self) -> str:
        """`lr: 0.001 -> 0.0003`."""
        return printable(f"{self.name}: {flag_text(self.before)} -> {flag_text(self.now)}")

    @property
    def sentence(self) -> str:
        """The change and what it means."""
        return f"{self} ({MEANING[self.kind]})"


def changes(before: Mapping[str, Any], hparams: Hparams) -> list[Change]:
    """The hparams that differ, in the order of their declaration.

    Args:
        before: hparams of a run or checkpoint, as JSON values. One that they lack, because it did not exist
            then, is no change.
        hparams: those to go on with.
    """
    specs = type(hparams).specs()
    now = hparams.model_dump(mode="json")
    return [
        Change(name, before[name], value, specs[name].on_resume)
        for name, value in now.items()
        if name in before and before[name] != value
    ]


def asks_for_more(changed: Iterable[Change]) -> bool:
    """Whether a run that has stopped by itself is to go on: for longer, or with another patience."""
    return any(
        change.name == "early_stopping_patience" or (change.name in _LENGTHS and _is_more(change))
        for change in changed
    )


def _is_more(change: Change) -> bool:
    before, now = change.before, change.now
    return isinstance(before, (int, float)) and (now is None or now > before)
