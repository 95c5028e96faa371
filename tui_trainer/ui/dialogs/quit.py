"""Leaving while a run trains in this process."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trainer.headless.words import one_line
from tui_trainer.runs.state import ENDED
from tui_trainer.ui.run_view import RunView
from tui_trainer.ui.training import Training


class QuitDialog(ModalScreen[str | None]):
    """Asks how to leave. Gives "detach", "stop", "epoch", "kill", or None to stay.

    `q` leaves once the run has ended.

    Args:
        training: the run of this process.
        view: what Live shows, maybe another run.
    """

    BINDINGS = [
        Binding("d", "dismiss('detach')", "Detach"),
        Binding("s", "dismiss('stop')", "Stop"),
        Binding("e", "dismiss('epoch')", "Epoch end"),
        Binding("k", "dismiss('kill')", "Kill"),
        Binding("escape", "dismiss(None)", "Stay"),
    ]

    def __init__(self, training: Training, view: RunView | None) -> None:
        super().__init__()
        self._training, self._view = training, view

    def compose(self) -> ComposeResult:
        where, word, kept = "", "last", "nothing is kept"
        view = self._own_view()
        if view is not None:
            state, word = view.state, view.short_id
            of = f" of {state.epochs}" if state.epochs else ""
            where = f": {one_line(state.task)} {word}, epoch {state.current_epoch}{of}"
            last = next((e["tag"] for e in reversed(view.reader.checkpoints()) if e.get("last")), None)
            kept = f"nothing since model_{last}.pt is kept" if last else "no checkpoint yet, nothing is kept"
        lines = [
            ("d", f"detach: it goes on, `tui-train attach {word}` returns"),
            ("s", "stop at the end of this step and save"),
            ("e", "stop at the end of this epoch"),
            ("k", f"kill: {kept}"),
            ("esc", "stay"),
        ]
        with Vertical(classes="dialog"):
            yield Static(Text(f"A run is training{where}"), id="title", classes="dialog--title")
            yield Static(_choices(lines), id="choices")

    def on_mount(self) -> None:
        if not self._training.live:
            # Between the key and this moment.
            self.run_ended()

    def run_ended(self) -> None:
        """The run has ended while this was asked: there is no more to decide, each of the keys leaves."""
        view = self._own_view()
        status = view.state.status if view is not None else ""
        what = status if status in ENDED else "over"
        self.query_one("#title", Static).update(f"The run is {what} now")
        self.query_one("#choices", Static).update(_choices([("q", "leave"), ("esc", "stay")]))

    def _own_view(self) -> RunView | None:
        """The run of this process, once it has a record."""
        run_dir = self._training.run_dir
        if run_dir is None:
            return None
        if self._view is not None and self._view.run_dir == run_dir:
            return self._view
        view = RunView(run_dir)
        view.refresh()
        return view


def _choices(lines: Sequence[tuple[str, str]]) -> Text:
    return Text("\n").join(Text.assemble((f"{key:>4}  ", "bold"), line) for key, line in lines)
