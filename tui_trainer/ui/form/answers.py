"""What commands of `tui-train` answer about a form, each in a process of its own, remembered by its words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from tui_trainer.errors import TrainerError
from tui_trainer.ui.form.child import output_of

MOST_KEPT = 200

Answer = TypeVar("Answer")


class Answers(Generic[Answer]):
    """Asks a command about command lines and remembers what it said.

    Args:
        command: the words before those of the form; it prints a JSON object as its last line.
        read: makes an answer of that object.
        timeout: seconds that the command may take.
        title: of the error for an answer that can't be read.
    """

    def __init__(
        self, command: Sequence[str], read: Callable[[dict[str, Any]], Answer], timeout: float, title: str
    ) -> None:
        self._command, self._read, self._timeout, self._title = command, read, timeout, title
        self._known: dict[tuple[str, ...], Answer | TrainerError] = {}

    def known(self, words: Sequence[str]) -> Answer | TrainerError | None:
        """The answer to a command line, if it was asked for."""
        return self._known.get(tuple(words))

    def forget(self, words: Sequence[str] | None = None) -> None:
        """Ask anew the next time; without words, about every command line."""
        if words is None:
            self._known.clear()
        else:
            self._known.pop(tuple(words), None)

    async def make(self, words: Sequence[str]) -> None:
        """Ask; afterwards the answer is `known`, or why there is none. Cancelling ends the process."""
        answer: Answer | TrainerError
        try:
            out = await output_of([*self._command, *words], self._timeout)
            answer = self._read(json.loads(out.strip().splitlines()[-1]))
        except TrainerError as error:
            answer = error
        except (ValueError, LookupError, TypeError) as error:
            answer = TrainerError(self._title, f"{self._command[0]} said something unexpected: {error}")
        if len(self._known) >= MOST_KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[tuple(words)] = answer
