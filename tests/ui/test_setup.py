"""The Setup screen, driven by keys, with a real helper process behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.ui.driving import check_snapshot, screen_lines, screen_text, until
from tui_trainer.cli.main import main
from tui_trainer.cli.train import plan
from tui_trainer.errors import TrainerError
from tui_trainer.ui.app import TrainerApp
from tui_trainer.ui.form.estimate import Estimate, Estimator
from tui_trainer.ui.form.model import Form
from tui_trainer.ui.options import AppOptions
from tui_trainer.ui.screens.setup import SetupScreen
from tui_trainer.ui.settings import Settings
from tui_trainer.ui.widgets.form import FormView
from tui_trainer.ui.widgets.presets import PresetList

TASK = """
from tui_trainer import Field, Hparams, Task

class NetHparams(Hparams):
    width: int = Field(8, gt=0, group="Model", description="Units of the only layer.")

class Net(Task):
    '''A net of one's own.'''
    hparams_class = NetHparams
"""


class Starts:
    """What the app was asked to start."""

    def __init__(self) -> None:
        self.here: list[list[str]] = []
        self.detached: list[list[str]] = []


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(
        "tui_trainer.config.presets.user_folder", lambda: tmp_path / "config/tui-trainer/presets"
    )


@pytest.fixture(autouse=True)
def estimates(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that were estimated; at once, and without torch."""
    made: list[list[str]] = []

    async def make(self: Estimator, words: list[str]) -> None:
        made.append([*words])
        samples = (("train", 1438), ("val", 0), ("test", 359))
        self._known[tuple(words)] = Estimate(samples, 45, 1800, 42_634, "cpu")

    monkeypatch.setattr(Estimator, "make", make)
    monkeypatch.setattr("tui_trainer.ui.widgets.estimate.DELAY", 0.05)
    return made


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Starts:
    noted = Starts()
    monkeypatch.setattr(TrainerApp, "start", lambda self, words: noted.here.append([*words]))
    monkeypatch.setattr(TrainerApp, "start_detached", lambda self, words: noted.detached.append([*words]))
    return noted


class Driver:
    """The app on its Setup screen."""

    def __init__(self, pilot: Pilot[Any], app: TrainerApp) -> None:
        self.pilot, self.app = pilot, app

    @property
    def page(self) -> SetupScreen:
        page = self.app.get_screen("setup")
        assert isinstance(page, SetupScreen)
        return page

    @property
    def form(self) -> Form:
        return self.page._form

    @property
    def text(self) -> str:
        return screen_text(self.app)

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        return await until(self.pilot, condition, what, 60)

    async def sees(self, text: str) -> None:
        await self.until(lambda: text in self.text, f"{text!r}")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        await self.pilot.press(*("full_stop" if c == "." else "minus" if c == "-" else c for c in text))

    async def loaded(self) -> None:
        await self.until(lambda: self.form.meaning is not None or self.form.error, "the form")

    async def settled(self) -> None:
        await self.pilot.pause()
        await self.until(lambda: not self.page._asker.waiting, "the answer")

    async def go_to(self, name: str) -> None:
        """Put the cursor on a field, as a person does: over the groups, then down."""
        view = self.page.query_one(FormView)
        if not view.has_focus:
            await self.press("right")
            await self.until(lambda: view.has_focus, "the focus on the form")
        await self.press("ctrl+home")
        for _ in range(80):
            if view.field is not None and view.field.name == name:
                return
            await self.press("down")
        raise AssertionError(f"no field {name}")


def drive(
    work: Callable[[Driver], Awaitable[None]],
    *argv: str,
    size: tuple[int, int] = (100, 40),
    settings: Settings | None = None,
    runs_dir: str = "runs",
) -> None:
    async def run() -> None:
        app = TrainerApp(
            AppOptions(Path(runs_dir), argv=argv), lambda words: pytest.fail("nothing starts"), settings
        )
        async with app.run_test(size=size) as pilot:
            driver = Driver(pilot, app)
            await driver.loaded()
            await work(driver)

    asyncio.run(run())


def test_it_opens_with_the_first_shipped_preset_and_the_focus_on_the_list() -> None:
    async def work(driver: Driver) -> None:
        assert driver.form.words == ["--preset", "digits"]
        assert driver.page.query_one(PresetList).has_focus
        assert "▸digits" in driver.text
        assert "$ tui-train --preset digits" in driver.text
        await driver.sees("1,438 + 359 samples · 1,800 steps (45/epoch) · 42,634 parameters · float32 cpu")

    drive(work)


def test_a_changed_field_is_marked_counted_and_starts_as_its_command_line(starts: Starts) -> None:
    async def work(driver: Driver) -> None:
        await driver.go_to("lr")
        await driver.type("3e-4")
        await driver.settled()
        assert "* 3e-4" in driver.text
        assert "1 changed against digits" in driver.text
        assert "$ tui-train --preset digits --lr 3e-4" in driver.text
        await driver.press("ctrl+r")
        await driver.until(lambda: starts.here, "the start")
        assert starts.here == [["--preset", "digits", "--lr", "3e-4"]]
        assert plan(starts.here[0]).hparams.lr == 3e-4
        await driver.press("escape", "D")
        await driver.until(lambda: starts.detached, "the start in the background")
        assert starts.detached == [["--preset", "digits", "--lr", "3e-4"]]
        assert driver.form.text("lr") == "3e-4", "starting leaves the form as it is"

    drive(work)


def test_runs_go_where_the_app_was_told_to_look_for_them_whatever_is_loaded(tmp_path: Path) -> None:
    async def work(driver: Driver) -> None:
        where = ["--runs-dir", "elsewhere"]
        assert driver.form.words == ["--preset", "digits-cnn", *where]
        await driver.press("down", "enter")
        await driver.until(lambda: driver.form.words == ["--preset", "digits", *where], "digits")
        assert "$ tui-train --preset digits --runs-dir elsewhere" in driver.text
        assert plan(driver.form.words).order.runs_dir == Path("elsewhere")

    drive(work, "--preset", "digits-cnn", runs_dir="elsewhere")


def test_letters_typed_into_a_field_are_text_and_start_nothing(starts: Starts) -> None:
    async def work(driver: Driver) -> None:
        await driver.go_to("lr")
        await driver.type("rq2D")
        await driver.settled()
        assert driver.form.text("lr") == "rq2D"
        assert 'expected a number > 0, got "rq2D"' in driver.text
        assert "✗ can't start: lr: expected a number" in driver.text
        await driver.press("ctrl+r")
        await driver.press("escape", "r")
        await driver.pilot.pause()
        assert starts.here == []
        await driver.press("u")
        await driver.settled()
        assert driver.form.changes == []
        await driver.press("r")
        await driver.until(lambda: starts.here, "the start")

    drive(work)


def test_what_was_typed_just_before_the_start_is_looked_at_first(starts: Starts) -> None:
    async def work(driver: Driver) -> None:
        await driver.go_to("epochs")
        driver.page.query_one(FormView).set_value("epochs", "oops")
        driver.page.action_start()
        await driver.settled()
        await driver.pilot.pause()
        assert starts.here == []

    drive(work)


def test_choices_and_switches_change_by_arrow_letter_and_list() -> None:
    async def work(driver: Driver) -> None:
        await driver.go_to("optimizer")
        await driver.press("right")
        assert driver.form.text("optimizer") == "AdamW"
        await driver.press("s")
        assert driver.form.text("optimizer") == "SGD"
        await driver.press("enter")
        await driver.sees("enter take")
        await driver.press("up", "enter")
        await driver.until(lambda: driver.form.text("optimizer") == "Rprop", "Rprop")
        view = driver.page.query_one(FormView)
        view.fold("Run", False)
        await driver.go_to("deterministic")
        await driver.press("space")
        assert "● on" in driver.text
        await driver.press("n")
        await driver.settled()
        assert driver.form.flags == ["--optimizer", "Rprop"]

    drive(work)


def test_options_that_an_optimizer_drops_are_told_in_the_form() -> None:
    Path("mine.json").write_text('{"task": "digits", "betas": [0.9, 0.95]}')

    async def work(driver: Driver) -> None:
        await driver.go_to("optimizer")
        await driver.press("s")
        await driver.sees("▲ betas 0.9,0.95 (mine.json) is dropped: SGD does not take it")
        assert not driver.form.why_not

    drive(work, "--preset", "mine.json")


def test_paths_complete_with_tab() -> None:
    Path("tables").mkdir()
    for name in ("one_a.csv", "one_b.csv"):
        Path("tables", name).write_text("a,b\n1,2\n")

    async def work(driver: Driver) -> None:
        await driver.go_to("dataset_path")
        await driver.press("tab")
        assert driver.form.text("dataset_path") == "none", "tab leaves a path that is not touched"
        await driver.go_to("dataset_path")
        await driver.type("ta")
        await driver.press("tab")
        assert driver.form.text("dataset_path") == "tables/"
        await driver.press("tab")
        assert driver.form.text("dataset_path") == "tables/one_"
        assert "one_a.csv  one_b.csv" in driver.text
        await driver.type("b")
        await driver.press("tab")
        assert driver.form.text("dataset_path") == "tables/one_b.csv"

    drive(work, "tabular")


def test_a_broken_preset_shows_what_is_wrong_at_its_field() -> None:
    Path("presets").mkdir()
    Path("presets/bad.json").write_text('{"task": "digits",\n "seed": "x",\n "sise": 3}')
    Path("presets/torn.json").write_text('{"lr": 1')

    async def work(driver: Driver) -> None:
        assert "this folder" in driver.text
        assert "✗torn" in driver.text
        lines = screen_lines(driver.app)
        at = next(k for k, line in enumerate(lines) if " seed " in line)
        assert '✗ expected a whole number ≥ 0, got "x"' in lines[at + 1]
        assert any("presets/bad.json:3: sise: unknown" in line for line in lines)
        assert "✗ can't start" in driver.text

    drive(work, "--preset", "bad", size=(120, 70))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def broken(:\n", "task file does not parse"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("import os\nos.abort()\n", "killed by SIGABRT"),
        ("import time\ntime.sleep(600)\n", "the task does not answer"),
    ],
)
def test_a_task_file_that_can_not_be_loaded_is_told_and_the_app_goes_on(
    code: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trainer.ui.form.helper.Helper.__init__.__defaults__", (3.0,))
    Path("net.py").write_text(code)

    async def work(driver: Driver) -> None:
        assert said in driver.text
        Path("net.py").write_text(TASK)
        await driver.press("ctrl+l")
        await driver.sees("A net of one's own.")
        await driver.go_to("width")
        await driver.type("16")
        await driver.settled()
        assert driver.form.words == ["net.py", "--width", "16"]

    drive(work, "net.py")


def test_a_key_that_waits_for_the_form_says_so() -> None:
    Path("broken.py").write_text("import nowhere_to_be_found\n")

    async def look(driver: Driver) -> None:
        await driver.until(lambda: driver.form.error is not None, "the error")
        for key in ("r", "i", "D"):
            await driver.press(key)
        notices = [str(notice.message) for notice in driver.app._notifications]
        assert notices == [f"Not now: {driver.form.why_not}."] * 3

    drive(look, "broken.py")


def test_a_task_file_that_breaks_and_is_mended_keeps_what_was_typed_and_is_estimated_anew(
    estimates: list[list[str]],
) -> None:
    Path("net.py").write_text(TASK)

    async def work(driver: Driver) -> None:
        await driver.go_to("width")
        await driver.type("16")
        await driver.sees("1,800 steps")
        Path("net.py").write_text("import numpie\n")
        await driver.sees("numpie")
        Path("net.py").write_text(TASK.replace("A net of one's own.", "Mended."))
        await driver.sees("Mended.")
        assert driver.form.words == ["net.py", "--width", "16"]
        await driver.until(lambda: estimates[-2:] == 2 * [driver.form.words], "an estimate")

    drive(work, "net.py")


def test_a_task_file_that_prints_leaves_the_screen_alone() -> None:
    Path("net.py").write_text(f"import os\nos.write(1, b'LOUD')\nprint('LOUD')\n{TASK}")

    async def work(driver: Driver) -> None:
        assert "A net of one's own." in driver.text
        assert "LOUD" not in driver.text

    drive(work, "net.py")


def test_the_task_picker_offers_task_files_of_this_folder() -> None:
    Path("net.py").write_text(TASK)
    Path("other.py").write_text("print('no task')\n")

    async def work(driver: Driver) -> None:
        await driver.press("t")
        await driver.sees("task file of this folder")
        assert "other.py" not in driver.text
        await driver.press("enter")
        await driver.sees("A net of one's own.")
        assert driver.form.words == ["net.py"]
        await driver.press("t")
        await driver.sees("task file of this folder")
        await driver.press("tab")
        await driver.type("n")
        await driver.press("tab")
        await driver.type(":Net")
        await driver.press("enter")
        await driver.until(lambda: driver.form.words == ["net.py:Net"] and driver.form.meaning, "the class")

    drive(work)


def test_the_form_is_saved_as_a_preset_that_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(driver: Driver) -> None:
        await driver.go_to("lr")
        await driver.type("3e-4")
        await driver.settled()
        await driver.press("ctrl+s")
        await driver.sees("lr  0.001 → 3e-4")
        await driver.type("night")
        await driver.press("tab", "L", "o", "n", "g", "tab", "space")
        await driver.sees("this folder, ./presets")
        await driver.press("ctrl+s")
        await driver.until(
            lambda: driver.form.words == ["--preset", "night"] and driver.form.meaning, "the preset"
        )
        assert "▸night" in driver.text
        field = driver.page.query_one(FormView).field
        assert field is not None
        assert field.name == "lr", "the cursor stays where it was"
        await driver.press("escape", "ctrl+s")
        await driver.sees("Save preset: nothing is changed")
        await driver.type("night")
        await driver.press("tab", "tab", "space", "ctrl+s")
        await driver.sees("night.json exists: once more replaces it")

    drive(work)
    saved = json.loads(Path("presets/night.json").read_text())
    assert (saved["task"], saved["lr"], saved["dropout"], saved["description"]) == (
        "digits",
        3e-4,
        0.3,
        "Long",
    )
    assert main(["presets", "check", "presets/night.json"]) == 0


def test_the_diff_shows_both_values() -> None:
    async def work(driver: Driver) -> None:
        await driver.go_to("epochs")
        await driver.type("7")
        await driver.press("escape", "d")
        await driver.sees("epochs  40 → 7")

    drive(work)


def test_what_is_no_preset_leaves_the_list_without_a_cursor_until_a_key_asks_for_one() -> None:
    async def work(driver: Driver) -> None:
        presets = driver.page.query_one(PresetList)
        await driver.until(lambda: presets.option_count > 3, "the list")
        assert presets.has_focus
        await driver.press("enter")
        await driver.settled()
        assert driver.form.words == ["tabular"], "enter loads nothing that nobody chose"
        assert presets.item is None
        await driver.press("down")
        assert presets.item is not None
        assert presets.item.name in driver.text

    drive(work, "tabular")


def test_the_filter_narrows_the_list_and_enter_loads() -> None:
    async def work(driver: Driver) -> None:
        await driver.press("slash")
        await driver.type("cnn")
        await driver.until(lambda: "tabular-diabetes" not in driver.text, "the filter")
        await driver.press("enter", "enter")
        await driver.until(
            lambda: driver.form.words == ["--preset", "digits-cnn"] and driver.form.meaning, "cnn"
        )
        await driver.press("escape")
        await driver.sees("tabular-diabetes")

    drive(work)


def test_what_was_used_last_and_folded_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"

    async def first(driver: Driver) -> None:
        await driver.press("up", "enter")
        await driver.until(
            lambda: driver.form.words == ["--preset", "digits-cnn"] and driver.form.meaning, "cnn"
        )
        await driver.press("right", "ctrl+home", "enter")
        await driver.sees("▸ Data")

    async def second(driver: Driver) -> None:
        assert driver.form.words == ["--preset", "digits-cnn"]
        assert "▸ Data" in driver.text

    drive(first, settings=Settings(path))
    drive(second, settings=Settings(path))


def test_no_estimate_is_made_beside_a_run_unless_asked_for(
    estimates: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainerApp, "live", True)

    async def work(driver: Driver) -> None:
        await driver.sees("no estimate while a run trains here")
        assert estimates == []
        await driver.press("e")
        await driver.sees("42,634 parameters")

    drive(work)


def test_words_from_elsewhere_are_loaded_into_the_form() -> None:
    Path("model_parameters_3.json").write_text('{"task": "digits", "lr": 0.5}')

    async def work(driver: Driver) -> None:
        driver.app.open_setup(["--preset", "model_parameters_3.json", "--on-end", "true"])
        await driver.until(lambda: driver.form.text("lr") == "0.5", "the hparams")
        assert driver.form.words == ["--preset", "model_parameters_3.json", "--on-end", "true"]

    drive(work)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_the_screen_looks_as_it_did(size: tuple[int, int]) -> None:
    async def work(driver: Driver) -> None:
        await driver.go_to("lr")
        await driver.type("3e-3")
        await driver.press("enter")
        await driver.type("x")
        await driver.settled()
        await driver.sees("✗ can't start")
        check_snapshot(f"setup_{size[0]}x{size[1]}", driver.text)

    drive(work, "digits", size=size)


def test_a_very_small_terminal_shows_the_list_or_the_form() -> None:
    async def work(driver: Driver) -> None:
        assert "Presets" in driver.text
        await driver.press("right")
        await driver.sees("dataset_path")
        await driver.type("x")
        await driver.press("tab", "pagedown", "pageup", "escape")
        await driver.sees("Presets")

    drive(work, size=(40, 12))


def test_the_form_stands_beside_the_list_after_a_look_at_the_other_screens() -> None:
    async def work(driver: Driver) -> None:
        await driver.press("f3", "f4", "f5", "f2")
        await driver.sees("$ tui-train --preset digits")
        (line,) = [line for line in screen_lines(driver.app) if "─ Presets ─" in line]
        assert "─ digits ·" in line

    drive(work)


def test_clicks_fold_groups_and_choose() -> None:
    async def work(driver: Driver) -> None:
        view = driver.page.query_one(FormView)
        await driver.pilot.click(view, offset=(3, 0))
        await driver.sees("▸ Data")
        await driver.pilot.click(view, offset=(3, 1))
        await driver.sees("▸ Model")
        await driver.pilot.click(view, offset=(30, 6))
        await driver.type("0.5")
        assert driver.form.text("lr") == "0.5"
        await driver.pilot.click(view, offset=(30, 5))
        await driver.pilot.click(view, offset=(30, 5))
        await driver.sees("enter take")

    drive(work)


def test_i_reports_on_the_data_of_the_form_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    async def output_of(words: list[str], timeout: float) -> str:
        asked.append(words)
        raise TrainerError("no data set", "it is not here", "--dataset_path names it")

    monkeypatch.setattr("tui_trainer.ui.form.answers.output_of", output_of)

    async def work(driver: Driver) -> None:
        await driver.go_to("val_size")
        await driver.type("0.1")
        await driver.settled()
        await driver.press("escape", "i")
        await driver.sees("hint: --dataset_path names it")
        assert "Data of digits" in driver.text
        assert asked == [["data", "--json", "--", "--preset", "digits", "--val_size", "0.1"]]
        await driver.press("escape")
        await driver.until(lambda: driver.app.screen is driver.page, "Setup again")
        await driver.press("ctrl+l")
        await driver.loaded()
        await driver.settled()
        await driver.press("i")
        await driver.until(lambda: len(asked) == 2, "a report on the data as they are now")

    drive(work)
