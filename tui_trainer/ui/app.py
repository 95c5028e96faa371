"""The app: four screens over the runs folder, and at most one run that trains in this process."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding
from textual.widgets import Input

from tui_trainer.errors import TrainerError
from tui_trainer.headless.words import one_line
from tui_trainer.runs import control
from tui_trainer.runs.layout import RunLayout, default_runs_dir, short_id
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import ACTIVE, read_state
from tui_trainer.ui import replies, theme
from tui_trainer.ui.announce import Announcer
from tui_trainer.ui.ascii import AsciiFilter
from tui_trainer.ui.catalogue import Catalogue
from tui_trainer.ui.dialogs.message import ErrorDialog
from tui_trainer.ui.dialogs.quit import QuitDialog
from tui_trainer.ui.form.child import output_of
from tui_trainer.ui.keys import bindings
from tui_trainer.ui.options import PATIENCE_S, STARTS, THEMES, AppOptions, Leaving
from tui_trainer.ui.pace import BUSY_S, Pace, Ticker
from tui_trainer.ui.palette import KeyCommands
from tui_trainer.ui.resume import resume_words
from tui_trainer.ui.run_view import RunView
from tui_trainer.ui.screens.checkpoints import CheckpointsScreen
from tui_trainer.ui.screens.help import HelpScreen
from tui_trainer.ui.screens.live import LiveScreen
from tui_trainer.ui.screens.page import Page
from tui_trainer.ui.screens.runs import RunsScreen
from tui_trainer.ui.screens.setup import SetupScreen
from tui_trainer.ui.settings import Settings
from tui_trainer.ui.terminal import listen_to_signals
from tui_trainer.ui.training import PlanLike, Training
from tui_trainer.ui.widgets.form import FormView
from tui_trainer.ui.widgets.topbar import TopBar

DETACH_S = 300.0
"""For a start in the background, which imports the task."""
LOADING_S = 0.02
"""Between two pieces of a long record that is being read."""

SCREENS: dict[str, Callable[[], Page]] = {
    "setup": SetupScreen,
    "live": LiveScreen,
    "runs": RunsScreen,
    "checkpoints": CheckpointsScreen,
}


class TrainerApp(App[Leaving]):
    """Launch, watch, resume.

    Args:
        options: what the command line asks for.
        make_plan: turns the words of a command line into what runs it.
        settings: what is remembered; by default nothing is.

    Attributes:
        training: the run of this process, also after its end; None before the first.
        view: the run that Live shows; None without one.
        baseline: a run drawn dim behind it; None without one.
        catalogue: what the runs folder holds.
    """

    TITLE = "tui-trainer"
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[Any]] = {KeyCommands}
    BINDINGS: ClassVar[list[Any]] = [
        *bindings("app"),
        # Textual's own would leave without asking.
        Binding("ctrl+z", "ignore", show=False, priority=True),
    ]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        options: AppOptions,
        make_plan: Callable[[list[str]], PlanLike],
        settings: Settings | None = None,
        background: str | None = None,
    ) -> None:
        replies.install()
        super().__init__()
        self.options = options
        self.settings = settings or Settings(None)
        self.training: Training | None = None
        self.view: RunView | None = RunView(options.run) if options.run is not None else None
        self.baseline: RunView | None = None
        self.catalogue = Catalogue(options.runs_dir, lambda: self.call_soon(self._catalogue_changed))
        self.pace = Pace()
        self._make_plan = make_plan
        self._announcer = Announcer(self.settings)
        self._ticker = Ticker(self._tick, self.set_timer)
        self._leaving: Leaving | None = None
        self._told: Training | None = None
        self._trouble: str | None = None
        self._warned: Training | None = None
        theme.register(self)
        if self.no_color:
            theme.drop_colours(self._filters)
        self._choose_theme(background)
        if options.ascii:
            self._filters.append(AsciiFilter())

    # ------------------------------------------------------------------ starting

    def on_mount(self) -> None:
        for name, make in SCREENS.items():
            self.install_screen(make(), name)
        self.push_screen("live" if self.view is not None or self.options.start else "setup")
        listen_to_signals(self)
        if self.options.start:
            self.start(list(self.options.argv))
        self._ticker.run()

    def _choose_theme(self, background: str | None) -> None:
        wanted = [self.options.theme, self.settings.get("theme", ""), background, THEMES[0]]
        if self.no_color:
            wanted = ["ansi"]
        self.theme = next(name for name in wanted if name in THEMES)

    def watch_theme(self, name: str) -> None:
        if self.is_running:
            self.settings.set("theme", name)

    # ------------------------------------------------------------------ the tick

    @property
    def page(self) -> Page | None:
        """The page on top, or the one below a dialog; None before it has its widgets."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, Page) and s.is_mounted), None)

    @property
    def _starting(self) -> bool:
        """Whether a start was asked for that has not come to its process or thread yet."""
        return any(worker.group == STARTS and not worker.is_finished for worker in self.workers)

    @property
    def live(self) -> bool:
        """Whether a run trains in this process."""
        return self.training is not None and self.training.live

    def _tick(self) -> float:
        self.update()
        pause = self.pace.interval(self.live)
        loading = self.view is not None and not self.view.loaded
        return LOADING_S if loading else pause

    def update(self) -> None:
        """Read what is new and draw it."""
        if self.training is not None:
            self._follow_training(self.training)
            self._tell_trouble(self.training.trouble)
        if self.view is not None:
            self.view.refresh()
        if self.baseline is not None and not self.baseline.loaded:
            self.baseline.refresh()
        self.refresh_status()
        page = self.page
        if page is not None:
            page.tick()
        if self.view is not None:
            for sequence in self._announcer.news(self.view.state):
                self.write_to_terminal(sequence)
        if self._leaving is not None and not self.live and not self._starting:
            self.exit(self._leaving)

    def refresh_status(self) -> None:
        """The right end of the top bar: which run is shown, or what this machine could do."""
        page = self.page
        if page is not None:
            # While the app goes down a page may have lost its bars already.
            for bar in page.query(TopBar):
                bar.status = self._status()

    def _status(self) -> str:
        if self.view is None or not self.view.state.run_id:
            return "● starting" if self.live else "○ idle"
        state = self.view.state
        task = f"{self.view.short_id} · {one_line(state.task)}"
        if state.status in ACTIVE:
            return f"● {task} · ep {state.epoch}/{state.epochs}" if state.epochs else f"● {task}"
        return f"○ {task} · {state.status}"

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._hurry()
            if await self._carried_out(event.key):
                return
        await super().on_event(event)

    def _hurry(self) -> None:
        """A key was used: draw fast for a while."""
        self.pace.key_used()
        self._ticker.hurry(BUSY_S)

    async def _carried_out(self, key: str) -> bool:
        """Carry out what a key is bound to, unless it goes to a widget that takes text.

        Textual would hand the key to the focused widget and carry it out when it has climbed back up here.
        Until then the next keys overtake it: in a burst (a slow link, a script) "select, down, select" would
        select the same row twice.
        """
        if isinstance(self.focused, (Input, FormView)):
            return False
        if await self._check_bindings(key, priority=True) or await self._check_bindings(key):
            return True
        page = self.screen
        if isinstance(page, Page) and (why := page.why_not(key)):
            raise_notice(self, why)
        return False

    def write_to_terminal(self, sequence: str) -> None:
        """Send an escape sequence that draws nothing: the title, a bell, a notification."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)
            self._driver.flush()

    # ------------------------------------------------------------------ what screens ask for

    def action_show(self, name: str) -> None:
        """Switch to one of the four screens."""
        if isinstance(self.screen, Page):
            self.switch_screen(name)

    def action_help(self) -> None:
        page = self.page
        if page is not None and isinstance(self.screen, Page):
            self.push_screen(HelpScreen(page.WHERE))

    def action_ignore(self) -> None:
        """Suspending would stop the training with the app."""

    def open_run(self, run_dir: Path) -> None:
        """Show a run on Live."""
        if self.view is None or self.view.run_dir != run_dir:
            self.view = RunView(run_dir)
        self.view.refresh()
        self.action_show("live")

    def open_setup(self, words: list[str]) -> None:
        """Load a command line into the form: `["--preset", path]`, or a task with flags."""
        screen = self.get_screen("setup")
        assert isinstance(screen, SetupScreen)
        screen.load(words)
        self.action_show("setup")

    def open_checkpoints(self, run_dir: Path | None) -> None:
        """Show the checkpoints of one run, or of all."""
        screen = self.get_screen("checkpoints")
        assert isinstance(screen, CheckpointsScreen)
        screen.load(run_dir)
        self.action_show("checkpoints")

    def resume(self, run_dir: Path) -> None:
        """Go on here with a run of a list."""
        # What it still has to do is in its record, which may be long.
        self.start(["--resume", str(run_dir)] if self.live else resume_words(run_dir))

    def start(self, words: list[str]) -> None:
        """Train in this process what a command line says, and show it on Live."""
        if self.training is not None and self.training.device_lost:
            raise_notice(
                self, "A CUDA error has made the GPU unusable here: this run starts in the background."
            )
            self.start_detached(words)
            return
        if self.live:
            raise_notice(
                self,
                "A run is training here already. D on Setup starts one in the background,"
                f" as in a shell: {' '.join(['tui-train --detach', *map(shlex.quote, words)])}",
            )
            return
        if self.view is not None and self.view.state.status in ACTIVE:
            raise_notice(self, f"{self.view.short_id} goes on training in its own process, beside this one.")
        self.training = Training(words, self._make_plan, lambda: self.call_soon(self.update))
        self._told = None
        self.view = None
        self.training.start()
        if self._leaving is not None:
            # Asked for while this was about to start: now there is something to leave behind.
            self._leaving = None
            self.call_later(self.action_quit)
        if self.screen is not self.get_screen("live"):
            self.action_show("live")

    def start_detached(self, words: list[str]) -> None:
        """Train in the background what a command line says, as `tui-train --detach` does."""
        self.notify("starting in the background …", timeout=3)
        self.run_worker(self._start_detached(words), group=STARTS)

    async def _start_detached(self, words: list[str]) -> None:
        try:
            printed = await output_of(["--detach", *words], DETACH_S)
        except TrainerError as error:
            # Nobody has gone before this was read.
            self._leaving = None
            self.show_error(error)
            return
        root = printed.strip().rpartition("\n")[2]
        if not root:
            raise_notice(self, "There is nothing to do: this run is finished.")
            return
        self.notify(f"started in the background: {Path(root).name}", markup=False)
        if not self.live:
            self.open_run(Path(root))

    @property
    def where(self) -> list[str]:
        """The words that name the runs folder, where it is not the one that every command takes."""
        runs_dir = self.options.runs_dir
        return [] if runs_dir == default_runs_dir() else ["--runs-dir", str(runs_dir)]

    def set_baseline(self, run_dir: Path | None) -> None:
        """Draw a run dim behind the one on Live; None for no run."""
        self.baseline = RunView(run_dir) if run_dir is not None else None
        if self.baseline is not None:
            self.baseline.refresh()

    def request(self, run_dir: Path, action: str, value: Any = None) -> control.Request | None:
        """Ask the trainer of a run for something. None, with a notice, where that can't be done."""
        try:
            request = control.send(RunLayout(run_dir), action, value)
        except TrainerError as error:
            raise_notice(self, str(error))
            return None
        self.update()
        return request

    def show_error(self, error: TrainerError, log: Path | None = None) -> None:
        """Open the dialog that says what went wrong."""
        self.push_screen(ErrorDialog(error, log))

    def _catalogue_changed(self) -> None:
        if self.page is not None:
            self.page.tick()

    def on_unmount(self) -> None:
        self.catalogue.close()

    # ------------------------------------------------------------------ the run of this process

    def _follow_training(self, training: Training) -> None:
        if training.run_dir is not None and training.live and self.view is None:
            self.view = RunView(training.run_dir)
        if self._warned is not training and (training.run_dir is not None or not training.live):
            self._warned = training
            for warning in training.warnings:
                raise_notice(self, warning)
        if training.live or self._told is training:
            return
        self._told = training
        if self.view is not None and not os.path.isfile(self.view.layout.run_json):
            # A start that never trained leaves nothing to look at.
            self.view = None
        if isinstance(self.screen, QuitDialog) and self.screen.is_mounted:
            self.screen.run_ended()
        own, shown = training.run_dir, self.view.run_dir if self.view is not None else None
        if own is not None and shown not in (None, own) and os.path.isfile(RunLayout(own).run_json):
            # Whoever looks at another run would not hear of it.
            state = read_state(RunReader(own))
            raise_notice(self, f"{one_line(short_id(state.run_id))} is {state.status}: 3 shows it")
            for sequence in self._announcer.ended(state):
                self.write_to_terminal(sequence)
        if training.error is not None and self._leaving is None:
            self.show_error(training.error, training.log)

    def _tell_trouble(self, trouble: str | None) -> None:
        """Say that the run directory can't be written, and that it can again."""
        before, self._trouble = self._trouble, trouble
        if trouble is not None and before is None:
            text = f"{one_line(trouble)}. Training goes on; what can't be written waits in memory."
            title = "the run directory can't be written"
            self.notify(text, title=title, severity="error", markup=False, timeout=30)
        elif trouble is None and before is not None:
            self.notify("the run directory is written again", markup=False)

    def call_soon(self, callback: Callable[[], Any]) -> None:
        """Run something in the app's own thread. Safe from any thread, also while the app is going down."""
        if self.is_running and self._loop is not None:
            # Raised by a loop that is closed: nobody is there to see it any more.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._call_in_context, callback)

    def copy_to_clipboard(self, text: str) -> None:
        """Copy to the terminal's clipboard. A path may hold bytes that are no text."""
        super().copy_to_clipboard(text.encode(errors="replace").decode())

    def _call_in_context(self, callback: Callable[[], Any]) -> None:
        if self.is_running:
            self.call_later(callback)

    # ------------------------------------------------------------------ leaving

    def action_quit(self) -> None:  # type: ignore[override]
        """Leave; with a run that trains here, ask how."""
        if not self.live and self._starting and self._leaving is None:
            self._leaving = Leaving("quit")
            raise_notice(self, "Leaving when the run has started. Once more leaves at once, without it.")
            return
        if not self.live:
            self.exit(Leaving("quit"))
            return
        if isinstance(self.screen, QuitDialog):
            return
        assert self.training is not None
        self.push_screen(QuitDialog(self.training, self.view), self._quit)

    def _quit(self, choice: str | None) -> None:
        training = self.training
        if training is None:
            return
        if choice is None:
            # To stay also takes back a wish to leave when the run has stopped; a signal was another's wish.
            stays = self._leaving is not None and self._leaving.kind == "quit"
            self._leaving = None if stays else self._leaving
            return
        if not training.live:
            # It has ended while the question was open.
            self.exit(Leaving("quit"))
        elif choice == "detach":
            self.exit(Leaving("detach"))
        elif choice == "kill" or not training.stop.saves:
            # Before the first step there is nothing to save, and a phase may take long.
            self._leaving = Leaving("quit")
            self._kill(training)
        else:
            asked = "now" if choice == "stop" else "epoch_end"
            assert training.run_dir is not None
            if self.request(training.run_dir, "stop", asked) is None:
                return
            self._leaving = Leaving("quit")
            raise_notice(self, "Leaving when the run has stopped and saved. Once more asks again.")

    def _kill(self, training: Training, who: str = "killed") -> None:
        """End the run without saving, and the process with it if the run does not listen."""
        training.kill(who)
        self.set_timer(PATIENCE_S, lambda: self.exit(Leaving("kill")))

    def on_signal(self, name: str) -> None:
        """A signal came from outside: SIGTERM, SIGINT, SIGHUP or SIGUSR1."""
        if name == "SIGHUP":
            self.exit(Leaving("hangup"))
        elif name == "SIGUSR1":
            if self.live and self.training is not None:
                self.training.stop.request_save(name)
        elif self.live and self.training is not None:
            again = self._leaving is not None and self._leaving.kind == "signal"
            self._leaving = Leaving("signal", name)
            self.training.stop.request(name)
            if again or not self.training.stop.saves:
                self._kill(self.training, name)
        else:
            self.exit(Leaving("signal", name))


def raise_notice(app: App[Any], text: str) -> None:
    """A warning in the corner, as plain text."""
    app.notify(text, severity="warning", markup=False, timeout=6)
