"""What is said in the place of the bars once a run has ended."""

from __future__ import annotations

import os
from typing import Any

from tui_trainer.headless.closing import more_words, resume_command
from tui_trainer.headless.words import near_path, one_line
from tui_trainer.runs.state import RunState
from tui_trainer.ui.live_facts import Part, best_text, fit_parts
from tui_trainer.ui.run_view import RunView
from tui_trainer.ui.widgets.lines import Lines


class Outcome(Lines):
    """What came of a run and how to go on, in one line or two."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._known: tuple[object, ...] | None = None
        self._rows: tuple[list[Part], list[Part]] = ([], [])

    def show_run(self, view: RunView) -> None:
        """Draw a run that has ended."""
        state = view.state
        known = (state.run_id, state.status, state.resumes, len(state.checkpoints), state.best)
        if known != self._known:
            self._known = known
            # These look at files, which nothing but an end changes.
            self._rows = (_result(view), _next(view))
        first, second = self._rows
        width = self.size.width
        if self.size.height > 1:
            self.show([fit_parts(first, width), fit_parts(second, width)])
        else:
            self.show([fit_parts([*second[:1], *first, *second[1:]], width)])


def _result(view: RunView) -> list[Part]:
    state = view.state
    parts = [Part(best_text(state), 2, role="strong")]
    if state.status in ("failed", "crashed") and os.path.isfile(view.layout.console_log):
        parts.insert(0, Part(f"log {one_line(near_path(view.layout.console_log))}", 1))
    return parts


def _next(view: RunView) -> list[Part]:
    state = view.state
    return [
        Part(resume_text(state, _newest(view)), 0, role="accent"),
        Part("C checkpoints", 3),
        Part(resume_command(state, view.layout), 4, role="dim"),
    ]


def resume_text(state: RunState, newest: str) -> str:
    """What the key R does with a run that has ended."""
    if state.status == "unknown":
        return "its trainer is on another machine: resume it there"
    if state.status == "finished":
        flag, value = more_words(state)
        return f"R trains on to {value} {flag.removeprefix('--').removeprefix('max_')}"
    return f"R resumes from {one_line(newest)}" if newest else "R starts it again, as it saved no checkpoint"


def _newest(view: RunView) -> str:
    tag = next(
        (str(entry["tag"]) for entry in reversed(view.reader.checkpoints()) if entry.get("last")), None
    )
    return view.layout.model_file(tag).name if tag is not None else ""
