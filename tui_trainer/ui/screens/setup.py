"""Setup: choose a preset or a task, change hparams, start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static

from tui_trainer.config.presets import Listed, find_preset, list_presets
from tui_trainer.errors import TrainerError
from tui_trainer.headless.words import one_line
from tui_trainer.ui.dialogs.choose import ChooseDialog
from tui_trainer.ui.dialogs.data import DataDialog, data_reports
from tui_trainer.ui.dialogs.diff import DiffDialog
from tui_trainer.ui.dialogs.save_preset import SavePresetDialog
from tui_trainer.ui.dialogs.task_picker import TaskPicker
from tui_trainer.ui.form.helper import Asker, Helper
from tui_trainer.ui.form.meaning import Meaning
from tui_trainer.ui.form.model import Form
from tui_trainer.ui.form.rows import changed_against, help_of, named, waiting_text
from tui_trainer.ui.options import STARTS
from tui_trainer.ui.screens.page import NARROW, WIDE, Page
from tui_trainer.ui.widgets.estimate import EstimateLine
from tui_trainer.ui.widgets.form import FormView
from tui_trainer.ui.widgets.presets import PresetList, about, word_of
from tui_trainer.ui.widgets.prompt import Prompt

FOLDED = ["Run"]
"""Groups that are folded until a person unfolds them."""


class SetupScreen(Page):
    """The presets, the form, and what it would start."""

    WHERE = "setup"
    CSS_PATH = "setup.tcss"
    AUTO_FOCUS = "PresetList"
    HORIZONTAL_BREAKPOINTS = [
        (0, "-tiny"),
        (60, "-narrow"),
        (NARROW, "-medium"),
        (WIDE, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-tall")]

    def __init__(self) -> None:
        super().__init__()
        self._form = Form()
        self._helper = Helper()
        self._source = self._helper.source
        self._asker = Asker(self._helper, self._answered)
        self._reports = data_reports()
        self._asked: list[str] = []
        self._asked_at = 0.0
        self._keys_for: tuple[object, ...] = ()

    def content(self) -> ComposeResult:
        with Horizontal(id="body"):
            with Vertical(id="presets", classes="panel") as presets:
                presets.border_title = "Presets"
                presets.border_subtitle = "/ filter"
                yield PresetList()
                yield Prompt(placeholder="filter", id="filter")
            with Vertical(id="form", classes="panel"):
                folded = self.trainer.settings.get("setup.folded", FOLDED)
                yield FormView(self._form, {str(group) for group in folded})
        with Vertical(id="info"):
            yield Static("", id="about", markup=False)
            yield EstimateLine(self._form)
            yield Static("", id="command", markup=False)

    # ------------------------------------------------------------------ opening

    def on_mount(self) -> None:
        if self.trainer.options.argv and self._form.meaning is None and not self._form.loading:
            self.load(list(self.trainer.options.argv))
        self._show()
        self.run_worker(self._list_presets())

    async def on_unmount(self) -> None:
        await self._asker.close()

    async def _list_presets(self) -> None:
        listed = await asyncio.to_thread(list_presets)
        self.query_one(PresetList).fill(listed)
        nothing_yet = self._form.meaning is None and self._form.error is None and not self._form.loading
        if nothing_yet and (words := self._first_words(listed)):
            self.load(words)

    def _first_words(self, listed: list[Listed]) -> list[str]:
        """What the form begins with: what it last held, or the first preset that is shipped."""
        last = [str(word) for word in self.trainer.settings.get("setup.last", [])]
        if len(last) == 2 and last[0] == "--preset" and _is_there(last[1]):
            return last
        usable = [item for item in listed if item.error is None and not item.shadowed]
        first = sorted(usable, key=lambda item: (item.origin != "shipped", item.name != "digits"))
        return ["--preset", word_of(first[0])] if first else []

    def load(self, words: Sequence[str]) -> None:
        """Load a command line into the form."""
        named = any(word.partition("=")[0].replace("_", "-") == "--runs-dir" for word in words)
        self._form.load([*words, *([] if named else self.trainer.where)])
        self._ask(fresh=True)

    def _ask(self, fresh: bool = False) -> None:
        self._asked, self._asked_at = self._form.words, time.monotonic()
        self._asker.ask(self._asked, fresh)
        if self._drawn:
            self._show()

    def _answered(self, answer: Meaning | TrainerError) -> None:
        loading = self._form.meaning is None
        self._form.take(answer)
        if isinstance(answer, Meaning) and loading and answer.head[:1] == ("--preset",):
            self.trainer.settings.set("setup.last", list(answer.head))
        if self._drawn:
            if self._helper.source not in (None, self._source):
                self._source = self._helper.source
                self.query_one(EstimateLine).forget()
                self._reports.forget()
            self._show()

    @property
    def _drawn(self) -> bool:
        """Whether there are widgets: not before the first time, and not when the app ends."""
        return self.is_mounted and bool(self.query("#command"))

    # ------------------------------------------------------------------ what is shown

    def tick(self) -> None:
        if not self._drawn:
            return
        if self._helper.outdated and not self._asker.waiting:
            self._ask(fresh=True)
        if self._form.loading:
            self._show_title()
        self._show_estimate()

    def _show(self) -> None:
        form = self._form
        view = self.query_one(FormView)
        view.show()
        head = form.meaning.head if form.meaning is not None else ()
        self.query_one(PresetList).mark(head[1] if head[:1] == ("--preset",) else "")
        self._show_title()
        self._show_about()
        _update(self.query_one("#command", Static), f"$ {one_line(form.command)}")
        self._show_estimate()
        self._refresh_keys()

    def _show_title(self) -> None:
        form, panel = self._form, self.query_one("#form")
        if form.meaning is not None:
            sentence = one_line(form.meaning.description)
            title = f"{one_line(form.title)} · {sentence}" if sentence else one_line(form.title)
        elif form.loading:
            title = waiting_text(form.loading, time.monotonic() - self._asked_at)
        else:
            title = named(form.words)
        if str(panel.border_title or "") != title:
            panel.border_title = Content(title)
        changed = changed_against(form)
        if str(panel.border_subtitle or "") != changed:
            panel.border_subtitle = Content(changed)

    def _show_about(self) -> None:
        """The line of help: of the field at the cursor, or of the preset at the cursor."""
        view, presets = self.query_one(FormView), self.query_one(PresetList)
        text = ""
        if view.has_focus:
            field = view.field
            if len(view.candidates) > 1:
                text = "  ".join(map(one_line, view.candidates))
            elif field is not None:
                text = help_of(self._form, field.name)
        elif presets.item is not None:
            item = presets.item
            task = one_line(item.preset.task or "") if item.preset is not None else ""
            text = f"{one_line(item.name)}{f' ({task})' if task else ''}: {about(item) or 'no description'}"
        _update(self.query_one("#about", Static), text)

    def _show_estimate(self) -> None:
        self.query_one(EstimateLine).show(free=not self.trainer.live)

    # ------------------------------------------------------------------ what happens

    def on_form_view_edited(self) -> None:
        self._ask()

    def on_form_view_moved(self) -> None:
        self._show_about()
        self._refresh_keys()

    def on_form_view_folded(self) -> None:
        self.trainer.settings.set("setup.folded", sorted(self.query_one(FormView).folded))

    def on_form_view_pick(self, event: FormView.Pick) -> None:
        name = event.field.name

        def picked(value: str | None) -> None:
            if value is not None:
                self.query_one(FormView).set_value(name, value)

        self.app.push_screen(ChooseDialog(name, event.field.values, self._form.text(name)), picked)

    def on_preset_list_wanted(self, event: PresetList.Wanted) -> None:
        words = ["--preset", word_of(event.item)]
        if self._form.meaning is not None and list(self._form.meaning.head) == words:
            self.action_edit()
        else:
            self.load(words)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._show_about()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one(PresetList).filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.set_focus(self.query_one(PresetList))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.set_class(isinstance(event.widget, FormView), "-in-form")
        self._refresh_keys()

    # ------------------------------------------------------------------ keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        form = self._form
        if action in ("start", "start_detached"):
            return None if form.why_not else True
        if action == "save_preset":
            return True if form.meaning is not None and form.meaning.head and not form.why_not else None
        if action in ("diff", "copy_command", "undo_field", "undo_all", "edit"):
            return True if form.meaning is not None else None
        if action in ("estimate", "data"):
            return None if form.why_not else True
        return True

    def why_not(self, key: str) -> str:
        """What waits for a form that means something."""
        if key not in ("r", "ctrl+r", "D", "ctrl+s", "e", "i"):
            return ""
        return f"Not now: {why}." if (why := self._form.why_not) else ""

    def _refresh_keys(self) -> None:
        """Draw the key bar anew if other keys apply now."""
        form, view = self._form, self.query_one(FormView)
        applies = (form.meaning is None, bool(form.why_not), self.focused, view.field is None)
        if applies != self._keys_for:
            self._keys_for = applies
            self.refresh_bindings()

    def action_start(self) -> None:
        """Train here."""
        self.run_worker(self._start(detached=False), group=STARTS, exclusive=True)

    def action_start_detached(self) -> None:
        """Train in the background."""
        self.run_worker(self._start(detached=True), group=STARTS, exclusive=True)

    async def _start(self, detached: bool) -> None:
        # What was typed last may not be looked at yet, or not even be asked about.
        if self._form.words != self._asked:
            self._ask()
        await self._asker.settled()
        if self._form.why_not or self._form.meaning is None:
            return
        if detached:
            self.trainer.start_detached(self._form.words)
        else:
            self.trainer.start(self._form.words)

    def action_save_preset(self) -> None:
        def saved(path: Path | None) -> None:
            if path is not None:
                self.run_worker(self._saved(path))

        self.app.push_screen(SavePresetDialog(self._form), saved)

    async def _saved(self, path: Path) -> None:
        self.notify(f"saved {path}", markup=False)
        listed = await asyncio.to_thread(list_presets)
        self.query_one(PresetList).fill(listed)
        item = next((item for item in listed if item.path.absolute() == path.absolute()), None)
        if self._form.meaning is None:
            # Something else was loaded meanwhile.
            return
        word = word_of(item) if item is not None else str(path)
        self._form.undo_all()
        self.load(["--preset", word, *self._form.meaning.options])

    def action_diff(self) -> None:
        meaning = self._form.meaning
        if meaning is not None:
            self.app.push_screen(DiffDialog(meaning.preset or "the defaults", self._form.changes))

    def action_task(self) -> None:
        def picked(word: str | None) -> None:
            if word is not None:
                self.load([word])

        self.app.push_screen(TaskPicker(), picked)

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.add_class("-open")
        self.set_focus(field)

    def action_copy_command(self) -> None:
        self.app.copy_to_clipboard(self._form.command)
        self.notify("copied the command", timeout=2)

    def action_estimate(self) -> None:
        line = self.query_one(EstimateLine)
        if line.error is not None:
            self.trainer.show_error(line.error)
        line.make_now()

    def action_data(self) -> None:
        """What is in the data that the form names."""
        self.app.push_screen(DataDialog(self._form.title, self._form.hparam_words, self._reports))

    def action_undo_field(self) -> None:
        field = self.query_one(FormView).field
        if field is not None:
            self._form.undo(field.name)
            self._ask()

    def action_undo_all(self) -> None:
        self._form.undo_all()
        self._ask()

    def action_reload(self) -> None:
        """Read presets and task again, as they are now."""
        self.query_one(EstimateLine).forget()
        self.run_worker(self._list_presets())
        self._reports.forget()
        if self._form.meaning is not None or self._form.error is not None:
            self.load(self._form.words)

    def action_edit(self) -> None:
        self.add_class("-in-form")
        self.set_focus(self.query_one(FormView))

    def action_leave_field(self) -> None:
        field = self.query_one("#filter", Input)
        if field.has_focus or self.query_one(PresetList).has_focus:
            field.value = ""
            field.remove_class("-open")
        self.remove_class("-in-form")
        self.set_focus(self.query_one(PresetList))


def _is_there(word: str) -> bool:
    try:
        return find_preset(word).is_file()
    except (TrainerError, OSError):
        return False


def _update(line: Static, text: str) -> None:
    """Change a line of text, if it is another one."""
    if str(line.content) != text:
        line.update(Content(text))
