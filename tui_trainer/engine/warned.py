"""Warnings that a person should see are alerts: of data, and of a loss that torch broadcasts to a table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tui_trainer.engine.alerts import Alert
from tui_trainer.engine.hints import SAME_SHAPE
from tui_trainer.errors import DataNotice

_SIZE = r"\(torch\.Size\((.*?)\)\)"
_WARNING = rf"Using a target size {_SIZE} that is different to the input size {_SIZE}"


@contextmanager
def warnings_told(alert: Alert) -> Iterator[None]:
    """While inside, notices about data are alerts, and torch's warning of outputs and targets that differ in
    shape is one, once.

    stderr, where they would go, nobody reads who looks at a screen.

    Args:
        alert: is told a title and a message.
    """
    told = False

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        nonlocal told
        found = re.match(_WARNING, str(message))
        if issubclass(category, DataNotice):
            alert("about the data", str(message))
        elif found is None:
            show_others(message, category, filename, lineno, file, line)
        elif not told:
            told = True
            targets, outputs = found.groups()
            alert(
                "the loss compares each output with each target",
                f"outputs are {outputs}, targets {targets}; {SAME_SHAPE}",
            )

    # Entering forgets which warnings were shown before, so that each run of a process has its own.
    with warnings.catch_warnings():
        warnings.filterwarnings("default", message=_WARNING, category=UserWarning)
        warnings.simplefilter("always", DataNotice)
        show_others = warnings.showwarning
        warnings.showwarning = show
        yield
