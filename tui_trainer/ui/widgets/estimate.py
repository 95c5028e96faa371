"""The line that says what a run would be, or why it can't be started."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from tui_trainer.errors import TrainerError
from tui_trainer.headless.words import one_line
from tui_trainer.ui.form.estimate import Estimator
from tui_trainer.ui.form.model import Form

DELAY = 1.0
"""Seconds without an edit before an estimate is made."""

_FULL = 110
"""Cells from which on the sentence is written out."""


class EstimateLine(Static):
    """Makes estimates of a form by itself, a while after the last edit.

    Args:
        form: what is estimated.
    """

    def __init__(self, form: Form) -> None:
        super().__init__("", id="estimate", markup=False)
        self._form = form
        self._estimator = Estimator()
        self._words: list[str] = []
        self._timer: Timer | None = None
        self._making: asyncio.Task[None] | None = None

    @property
    def error(self) -> TrainerError | None:
        """Why there is no estimate of the form."""
        known = self._estimator.known(self._form.hparam_words)
        return known if isinstance(known, TrainerError) else None

    def show(self, free: bool) -> None:
        """Say what is known of the form as it is now, and find out what is not.

        Args:
            free: no run trains in this process, so that nobody is disturbed.
        """
        words = self._form.hparam_words
        if words != self._words:
            self._words = words
            self._stop()
        text, wrong = self._text(words, free)
        self.set_class(wrong, "-error")
        if str(self.content) != text:
            self.update(Content(text))

    def _text(self, words: Sequence[str], free: bool) -> tuple[str, bool]:
        form = self._form
        if form.meaning is None:
            return "", False
        if form.why_not:
            self._stop()
            return f"✗ can't start: {form.why_not}", True
        known = self._estimator.known(words)
        if isinstance(known, TrainerError):
            # What went in, and the hint, need more room than a line.
            first = str(known).split("\n", 1)[0]
            return f"✗ e shows all of it: {one_line(first)}", True
        if known is not None:
            return known.sentence(form.text("precision"), short=self.size.width < _FULL), False
        if not free and self._making is None:
            self._stop()
            return "no estimate while a run trains here: e makes it all the same", False
        if self._timer is None and self._making is None:
            self._timer = self.set_timer(DELAY, self._make)
        return "estimating …", False

    def forget(self) -> None:
        """Make every estimate anew: the code that they are about is another."""
        self._estimator.forget()
        self._stop()

    def make_now(self) -> None:
        """Make an estimate at once, whatever is known already and whatever trains."""
        self._estimator.forget(self._form.hparam_words)
        self._stop()
        self._make()

    def _make(self) -> None:
        self._timer = None
        self._making = asyncio.create_task(self._estimator.make(self._form.hparam_words))
        self._making.add_done_callback(self._made)
        self.show(free=True)

    def _made(self, task: asyncio.Task[None]) -> None:
        if self._making is task:
            self._making = None
            self.show(free=True)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        if self._making is not None:
            self._making.cancel()
        self._timer = self._making = None

    async def on_unmount(self) -> None:
        making = self._making
        self._stop()
        if making is not None:
            await asyncio.wait([making])
