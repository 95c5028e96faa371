"""The screen of a run: how it stands, what it measured, what it asks of the machine, and its controls."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from tui_trainer.headless.words import near_path, one_line, seconds
from tui_trainer.runs.state import ACTIVE, ENDED
from tui_trainer.ui.asked import Asked
from tui_trainer.ui.dialogs.learning_rate import LearningRateDialog
from tui_trainer.ui.dialogs.logged import LoggedDialog
from tui_trainer.ui.live_facts import Part, Speed, fit_parts, status_line
from tui_trainer.ui.logbook import LogBook
from tui_trainer.ui.resume import resume_words
from tui_trainer.ui.run_view import RunView
from tui_trainer.ui.screens.page import Page
from tui_trainer.ui.training import Training
from tui_trainer.ui.widgets.alerts import AlertStrip
from tui_trainer.ui.widgets.bars import ProgressBars
from tui_trainer.ui.widgets.chart_deck import ChartDeck
from tui_trainer.ui.widgets.epochs import EpochTable
from tui_trainer.ui.widgets.lines import Line, Lines
from tui_trainer.ui.widgets.log import LogPane
from tui_trainer.ui.widgets.metrics import MetricsTable
from tui_trainer.ui.widgets.outcome import Outcome
from tui_trainer.ui.widgets.panes import PaneTabs
from tui_trainer.ui.widgets.scrolled import Scrolled
from tui_trainer.ui.widgets.system import SystemPanel

PANES = ("curves", "metrics", "epochs", "system", "log")
_PANE_OF = {"charts": "curves"}
CONTROLS = frozenset({"pause", "stop_now", "stop_epoch", "save", "set_lr"})
_NO_RUN: tuple[Line, ...] = (
    (("No run yet.", "strong"),),
    (),
    (("F2 1", "accent"), ("   Setup: choose a preset; r starts it", "")),
    (("F4 3", "accent"), ("   Runs: enter opens an earlier run here", "")),
    (("F1 ?", "accent"), ("   the keys of this screen", "")),
)


class LiveScreen(Page):
    """Draws `TrainerApp.view`, whatever process trains it, and asks its trainer for what a key says.

    Args:
        clock: unix seconds.
    """

    WHERE = "live"
    CSS_PATH = "live.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-low"), (30, "-tall")]

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(classes="-curves")
        self._clock = clock
        self._pane = PANES[0]
        self._maximised = False
        self._applying: tuple[bool, ...] = ()
        self._start: tuple[Training, float] | None = None
        self._follow(None)

    def _follow(self, view: RunView | None) -> None:
        self._view = view
        self._speed = Speed(self._clock)
        self._asked = Asked(self._clock)
        self._book = LogBook(view) if view is not None else None

    def content(self) -> ComposeResult:
        yield Lines(id="status")
        yield ProgressBars(id="bars")
        yield Outcome(id="outcome")
        yield AlertStrip(id="alerts")
        yield PaneTabs(PANES, id="tabs")
        yield Lines(id="empty")
        with Container(id="body"):
            yield ChartDeck(self.trainer.settings, self.trainer.options.ascii, id="charts")
            with Container(id="facts"):
                yield _panel(MetricsTable(id="metrics", classes="panel"), "metrics")
                yield _panel(EpochTable(id="epochs", classes="panel"), "epochs, newest first")
                yield _panel(SystemPanel(id="system", classes="panel"), "system")
            yield _panel(LogPane(id="log", classes="panel"), "log")

    # ------------------------------------------------------------------ drawing

    def tick(self) -> None:
        view = self.trainer.view
        if view is not self._view:
            self._follow(view)
        self._tell_keys()
        if view is None:
            self._draw_nothing()
        else:
            self._draw(view)

    def why_not(self, key: str) -> str:
        """A run that has ended takes no requests."""
        if key == "i" and self.trainer.view is not None:
            return "The run has logged nothing: context.log_image and log_text do, in on_epoch_end."
        if key not in ("space", "S", "E", "w", "L"):
            return ""
        if self.trainer.view is None:
            return "There is no run here: 1 goes to Setup."
        return f"The run is {self.trainer.view.state.status}: R goes on with it."

    def on_resize(self, event: events.Resize) -> None:
        self._draw_soon()

    def _draw_soon(self) -> None:
        """Once the panes have their new sizes."""
        self.call_after_refresh(self.tick)

    def _draw(self, view: RunView) -> None:
        state, now = view.state, self._clock()
        self._speed.look(state)
        remote = bool(view.requests) and view.reader.liveness() == "remote"
        news = self._asked.news(state, view.requests, remote)
        silent = view.reader.heartbeat_age_s() if state.status == "unknown" else 0.0
        ended = state.status not in ACTIVE
        if ended != self.has_class("-ended") or self.has_class("-empty"):
            self.set_class(ended, "-ended")
            self.remove_class("-empty")
            self._draw_soon()
        status = self.query_one("#status", Lines)
        status.show([status_line(state, self._speed, now, silent, news, status.size.width)])
        if ended:
            self.query_one(Outcome).show_run(view)
        else:
            self.query_one(ProgressBars).show_run(state)
        self.query_one(AlertStrip).show_run(state)
        self.query_one(PaneTabs).show_current(self._pane)
        assert self._book is not None
        self._book.look()
        if self._seen("charts"):
            two = self.has_class("-wide") and not self._maximised
            self.query_one(ChartDeck).show_run(view, self.trainer.baseline, two)
        if self._seen("metrics"):
            self.query_one(MetricsTable).show_run(state)
        if self._seen("epochs"):
            self.query_one(EpochTable).show_run(state)
        if self._seen("system"):
            self.query_one(SystemPanel).show_run(state, self._speed)
        if self._seen("log"):
            self.query_one(LogPane).show_log(self._book)

    def _seen(self, name: str) -> bool:
        """Whether a pane takes room on the screen."""
        widget = self.query_one(f"#{name}")
        return bool(widget.size) and all(
            node.display for node in widget.ancestors_with_self if isinstance(node, Widget)
        )

    def _draw_nothing(self) -> None:
        training = self.trainer.training
        if not self.has_class("-empty"):
            self.add_class("-empty")
            self._draw_soon()
        status, empty = self.query_one("#status", Lines), self.query_one("#empty", Lines)
        if training is None or not (training.live or training.error is not None):
            status.show([(("○ IDLE", "dim"),)])
            empty.show(_NO_RUN)
            return
        command: Line = (("$ ", "dim"), (one_line(" ".join(["tui-train", *training.words])), ""))
        if training.error is not None and not training.live:
            status.show(
                [
                    fit_parts(
                        [Part("✗ FAILED", 0, role="bad"), Part(training.error.title, 1)], status.size.width
                    )
                ]
            )
            empty.show([command, (), *_failure(training, empty.size.width), (), _BACK])
            return
        if self._start is None or self._start[0] is not training:
            self._start = (training, self._clock())
        took = seconds(self._clock() - self._start[1])
        status.show(
            [
                fit_parts(
                    [Part("○ STARTING", 0, role="accent"), Part(f"reading … {took}", 1)], status.size.width
                )
            ]
        )
        empty.show([command])

    # ------------------------------------------------------------------ which keys apply

    def _tell_keys(self) -> None:
        applying = (self._controllable, self._resumable, self._logged, self.trainer.view is not None)
        if applying != self._applying:
            self._applying = applying
            self.refresh_bindings()

    @property
    def _controllable(self) -> bool:
        view = self.trainer.view
        return view is not None and view.state.status in ACTIVE

    @property
    def _resumable(self) -> bool:
        view = self.trainer.view
        return view is not None and not self.trainer.live and view.state.status in {*ENDED, "crashed"}

    @property
    def _logged(self) -> bool:
        return self.trainer.view is not None and bool(self.trainer.view.state.logs)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in CONTROLS:
            return self._controllable or None
        if action == "logged":
            return self._logged or None
        if action == "resume":
            return self._resumable or None
        if f"action_{action}" in LiveScreen.__dict__:
            return self.trainer.view is not None or None
        return super().check_action(action, parameters)

    # ------------------------------------------------------------------ controls

    def action_pause(self) -> None:
        view = self.trainer.view
        if view is not None:
            self._ask("unpause" if self._asked.pausing(view.state) else "pause")

    def action_stop_now(self) -> None:
        self._ask("stop", "now")

    def action_stop_epoch(self) -> None:
        self._ask("stop", "epoch_end")

    def action_save(self) -> None:
        self._ask("save")

    def action_set_lr(self) -> None:
        view = self.trainer.view
        if view is None:
            return

        def set_lr(rate: float | None) -> None:
            # Another run may have come up behind the dialog.
            if rate is not None and self.trainer.view is view:
                self._ask("set", {"lr": rate})

        self.app.push_screen(LearningRateDialog(view.state), set_lr)

    def _ask(self, action: str, value: Any = None) -> None:
        view = self.trainer.view
        if view is None:
            return
        request = self.trainer.request(view.run_dir, action, value)
        if request is not None:
            self._asked.add(request)
            self.tick()

    def action_resume(self) -> None:
        view = self.trainer.view
        if view is not None:
            self.trainer.start(resume_words(view.run_dir, view.state))

    def action_checkpoints(self) -> None:
        if self.trainer.view is not None:
            self.trainer.open_checkpoints(self.trainer.view.run_dir)

    def action_logged(self) -> None:
        """What the task has logged, one by one."""
        if self.trainer.view is not None:
            self.app.push_screen(LoggedDialog(self.trainer.view))

    # ------------------------------------------------------------------ panes

    def action_pane(self, name: str) -> None:
        """Make a pane the current one."""
        self._pane = name
        for pane in PANES:
            self.set_class(pane == name, f"-{pane}")
        for widget in self.query(".panel"):
            widget.set_class(widget.id == name, "-current")
        self._draw_soon()

    def action_move(self, by: int) -> None:
        """The next pane or the previous one; in inspect mode the cursor."""
        if self._deck.inspecting:
            self._deck.move_cursor(by)
        else:
            self.action_pane(PANES[(PANES.index(self._pane) + by) % len(PANES)])

    @property
    def _scrolled(self) -> Scrolled | None:
        """The current pane, where it can be scrolled."""
        return next((pane for pane in self.query(Scrolled) if pane.id == self._pane), None)

    def action_scroll(self, down: int) -> None:
        if self._scrolled is not None:
            self._scrolled.scroll_rows(down)

    def action_page(self, down: int) -> None:
        if self._scrolled is not None:
            self._scrolled.scroll_page(down)

    def on_click(self, event: events.Click) -> None:
        clicked = event.widget.ancestors_with_self if event.widget is not None else []
        pane = next((_PANE_OF.get(str(node.id), str(node.id)) for node in clicked if node.id), "")
        if pane in PANES:
            self.action_pane(pane)

    # ------------------------------------------------------------------ charts

    @property
    def _deck(self) -> ChartDeck:
        return self.query_one(ChartDeck)

    def action_chart(self, forward: bool) -> None:
        self._deck.turn(forward)

    def action_option(self, name: str) -> None:
        """The next value of one of the charts' options."""
        self._deck.next_value(name)

    def action_maximise(self) -> None:
        self._maximised = not self._maximised
        self.set_class(self._maximised, "-maximised")
        self._draw_soon()

    def action_inspect(self) -> None:
        if not self._seen("charts"):
            self.action_pane("curves")
        self._deck.inspect(not self._deck.inspecting)

    def action_cursor(self, columns: int) -> None:
        if self._deck.inspecting:
            self._deck.move_cursor(columns)

    def action_zoom(self, factor: float) -> None:
        self._deck.zoom(factor)

    def action_back_to_live(self) -> None:
        self._deck.back_to_live()
        if self._scrolled is not None:
            self._scrolled.to_newest()

    def action_leave(self) -> None:
        view = self.trainer.view
        if self._deck.inspecting:
            self._deck.inspect(False)
        elif self._maximised:
            self.action_maximise()
        elif view is not None:
            self.query_one(AlertStrip).read(view.state)


_BACK: Line = (("1 goes back to Setup.", ""),)


def _failure(training: Training, width: int) -> list[Line]:
    """What a start failed of, its hint and its log: the dialog that said so may be closed."""
    error = training.error
    assert error is not None
    texts = [("bad", error.message.partition("\nlog: ")[0])]
    texts += [("warning", f"hint: {error.hint}")] if error.hint else []
    texts += [("dim", f"log: {near_path(training.log)}")] if training.log is not None else []
    return [
        ((line, role),)
        for role, text in texts
        for part in text.splitlines()
        for line in textwrap.wrap(one_line(part), max(20, width - 4))
    ]


def _panel(widget: Widget, title: str) -> Widget:
    widget.border_title = title
    return widget
