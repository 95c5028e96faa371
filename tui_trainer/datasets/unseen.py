"""What a model has never met, counted while data are read and told in a sentence for each column."""

from __future__ import annotations

import warnings

from tui_trainer.errors import DataNotice

_LONGEST = 60


class Unseen:
    """Counts values that a model does not know.

    Args:
        are: what such values do, such as "rows have a value never seen in training".
    """

    def __init__(self, are: str) -> None:
        self._are = are
        self._total = 0
        self._found: dict[str, tuple[int, str]] = {}

    def looked_at(self, count: int) -> None:
        """So many more were looked at."""
        self._total += count

    def add(self, name: str, count: int, example: str) -> None:
        """So many of them are unknown in `name`; the first example is the one that is told."""
        before, first = self._found.get(name, (0, example))
        self._found[name] = (before + count, first)

    def tell(self) -> None:
        """Warn of what was found, when all is counted."""
        for name, (count, example) in self._found.items():
            shown = example if len(example) <= _LONGEST else f"{example[: _LONGEST - 1]}…"
            told = f'{name}: {count:,} of {self._total:,} {self._are}, such as "{shown}"'
            warnings.warn(told, DataNotice, stacklevel=3)


def unknown_characters() -> Unseen:
    """Of texts."""
    return Unseen("characters are unknown to the model")
