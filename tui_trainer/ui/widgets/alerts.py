"""One line for warnings and errors that nobody has looked at yet."""

from __future__ import annotations

from typing import Any

from tui_trainer.headless.words import one_line
from tui_trainer.runs.state import Alert, RunState
from tui_trainer.ui.logbook import alert_role, alert_text, clock_text
from tui_trainer.ui.widgets.lines import Line, Lines, cut

_GRAVITY = {"info": 0, "warning": 1, "error": 2}


class AlertStrip(Lines):
    """Shows the gravest unread alert and how many more there are; takes no room when there is none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._run = ""
        self._read = 0

    def show_run(self, state: RunState) -> None:
        """Draw the state's alerts that are not read."""
        if state.run_id != self._run or state.alert_count < self._read:
            self._run, self._read = state.run_id, 0
        unread = _unread(state, self._read)
        if self.display != bool(unread):
            self.display = bool(unread)
        if unread:
            self.show([alert_line(unread, self.size.width or self.app.size.width)])

    def read(self, state: RunState) -> bool:
        """Take all alerts as read. False where there were none."""
        had = self.display
        self._read = state.alert_count
        self.show_run(state)
        return had


def _unread(state: RunState, read: int) -> list[Alert]:
    new = min(state.alert_count - read, len(state.alerts))
    # What a run died of is said in its first line.
    died_of = one_line(state.reason) if state.status == "failed" else ""
    alerts = state.alerts[len(state.alerts) - new :]
    return [alert for alert in alerts if not (died_of and alert_text(alert).startswith(died_of))]


def alert_line(alerts: list[Alert], width: int) -> Line:
    """`! 03:14 warning: loss spike at step 412: …  +2 more`: the newest of the gravest."""
    alert = max(reversed(alerts), key=lambda alert: _GRAVITY.get(alert.level, 1))
    more = f"  +{len(alerts) - 1} more" if len(alerts) > 1 else ""
    tail = f"{more}  esc"
    text = f"! {clock_text(alert.time)[:5]} {one_line(alert.level)}: {alert_text(alert)}"
    return ((cut(text, max(1, width - len(tail))), alert_role(alert)), (tail, "dim"))
