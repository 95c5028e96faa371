"""Changing the learning rate of a run that trains."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_trainer.config.hparams import Hparams
from tui_trainer.headless.words import one_line
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.state import RunState
from tui_trainer.ui.widgets.prompt import Prompt


class LearningRateDialog(ModalScreen[float | None]):
    """Asks for the new rate. Gives it, or None to leave it as it is.

    Args:
        state: of the run.
    """

    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "dismiss(None)", "Cancel")]
    AUTO_FOCUS = "Input"

    def __init__(self, state: RunState) -> None:
        super().__init__()
        self._state = state

    def compose(self) -> ComposeResult:
        now = current_lr(self._state)
        with Vertical(classes="dialog"):
            yield Static(Text("Learning rate"), classes="dialog--title")
            yield Static(Text(f"now {now:g}" if math.isfinite(now) else "not known yet"), id="now")
            text = f"{now:g}" if math.isfinite(now) else ""
            yield Prompt(text, placeholder="3e-4")
            yield Static(id="problem")
            yield Static(Text(f"It takes effect at the next step. {schedule_text(self._state)}"), id="effect")
            yield Static(Text("enter set   esc cancel"), classes="dialog--keys")

    def on_input_changed(self, event: Input.Changed) -> None:
        problem = parse_lr(event.value)
        self.query_one("#problem", Static).update(Text(problem if isinstance(problem, str) else ""))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        rate = parse_lr(event.value)
        if isinstance(rate, float):
            self.dismiss(rate)


def parse_lr(text: str) -> float | str:
    """The rate that a text says, by the schema of the hparams; or what is wrong with it."""
    spec = Hparams.specs()["lr"]
    try:
        rate = float(spec.parse(text))
    except ValueError as error:
        return str(error)
    bounds = spec.bounds
    if not (math.isfinite(rate) and bounds.get("gt", -math.inf) < rate <= bounds.get("le", math.inf)):
        return f"expected {spec.expected_in_full}, got {one_line(text)}"
    return rate


def current_lr(state: RunState) -> float:
    """The rate of the latest step; before the first one that of the hparams; NaN where neither is known."""
    for value in (state.row.get("lr"), state.lr, state.hparams.get("lr")):
        if math.isfinite(rate := as_number(value)):
            return rate
    return math.nan


def schedule_text(state: RunState) -> str:
    """How the schedule goes on after the change."""
    name = one_line(str(state.hparams.get("scheduler") or "constant"))
    if name == "constant":
        return "It stays until it is changed again."
    if name == "plateau":
        return "The plateau schedule goes on from it: an evaluation that stalls lowers it."
    return f"The {name} schedule goes on from there in the same proportions."
