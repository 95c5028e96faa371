"""The app around its screens: keys, help, palette, themes, plain terminals, leaving."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.ui.driving import screen_lines, screen_styles, screen_text, until
from tests.ui.recorded import Recorder, finished
from tui_trainer.errors import TrainerError
from tui_trainer.ui.app import SCREENS, TrainerApp
from tui_trainer.ui.ascii import to_ascii
from tui_trainer.ui.keys import KEYS, PLACES, keys_of
from tui_trainer.ui.options import AppOptions
from tui_trainer.ui.pace import BUSY_S, FASTEST_S, SHARE_BESIDE_TRAINING, SLOWEST_S, Pace, Ticker
from tui_trainer.ui.screens.compare import CompareScreen
from tui_trainer.ui.settings import Settings

PAGES = {**SCREENS, "compare": CompareScreen}


def app_on(folder: Path, **options: Any) -> TrainerApp:
    settings = options.pop("settings", Settings(None))
    return TrainerApp(AppOptions(runs_dir=folder, **options), lambda words: pytest.fail(str(words)), settings)


def drive(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return finished(tmp_path / "20261123-031415-digits-7f3a").root


def test_no_key_means_two_things_in_one_place() -> None:
    for place in PLACES:
        everywhere = [] if place == "app" else keys_of("app")
        single = [name for key in [*keys_of(place), *everywhere] for name in key.keys.split(",")]
        assert [name for name, count in Counter(single).items() if count > 1] == [], place


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.where}:{key.keys}")
def test_every_key_does_something(key: Any) -> None:
    owner = TrainerApp if key.where == "app" else PAGES[key.where]
    name = key.action.partition("(")[0]
    assert callable(getattr(owner, f"action_{name}", None)), f"{owner} has no action_{name}"


@pytest.mark.parametrize("size", [(80, 24), (160, 48), (40, 12)])
def test_every_screen_is_reached_by_f_keys_and_numbers(size: tuple[int, int], run_dir: Path) -> None:
    async def work() -> None:
        app = app_on(run_dir.parent, run=run_dir)
        async with app.run_test(size=size) as pilot:
            for keys in (("f2", "f3", "f4", "f5"), ("1", "2", "3", "4")):
                for key, name in zip(keys, SCREENS, strict=True):
                    app.screen.set_focus(None)
                    await pilot.press(key)
                    await until(pilot, lambda name=name: app.page is app.get_screen(name), name)
                    assert len(screen_lines(app)) == size[1]

    drive(work())


def test_help_lists_the_keys_of_the_screen_and_those_that_hold_everywhere(run_dir: Path) -> None:
    async def work() -> None:
        app = app_on(run_dir.parent, run=run_dir)
        async with app.run_test(size=(120, 60)) as pilot:
            await pilot.press("question_mark")
            await until(pilot, lambda: "Keys of Live" in screen_text(app), "help")
            # Long sentences go on in the next line.
            shown = " ".join(screen_text(app).replace("│", " ").split())
            for key in [*keys_of("live"), *keys_of("app")]:
                assert key.help in shown
            await pilot.press("escape")
            await until(pilot, lambda: "Keys of Live" not in screen_text(app), "help to close")

    drive(work())


def test_the_palette_finds_an_action_by_its_name(run_dir: Path) -> None:
    async def work() -> None:
        app = app_on(run_dir.parent, run=run_dir)
        async with app.run_test(size=(100, 30)) as pilot:
            await pilot.press("ctrl+p", *"every run")
            await until(pilot, lambda: "every run of the runs folder" in screen_text(app), "the hit")
            await pilot.press("enter")
            await until(pilot, lambda: app.page is app.get_screen("runs"), "Runs")

    drive(work())


@pytest.mark.parametrize("name", SCREENS)
def test_ascii_leaves_nothing_else_on_the_screen(name: str, run_dir: Path) -> None:
    async def work() -> None:
        app = app_on(run_dir.parent, run=run_dir, ascii=True)
        async with app.run_test(size=(120, 40)) as pilot:
            app.action_show(name)
            await until(pilot, lambda: app.page is app.get_screen(name), name)
            await pilot.press("f1")
            await pilot.pause()
            await pilot.press("escape")
            await pilot.pause()
            assert screen_text(app).isascii(), screen_text(app)

    drive(work())


def test_ascii_keeps_the_width_of_a_line() -> None:
    from rich.cells import cell_len

    for text in ("● RUNNING ━━╸ 3×4 · ▼ best", "日本語 ok", "⣿⣿", "e\u0301"):
        assert to_ascii(text).isascii()
        assert cell_len(to_ascii(text)) == cell_len(text)


def test_a_theme_is_remembered_and_the_command_line_wins(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / "settings.json"
        app = app_on(tmp_path, settings=Settings(path))
        async with app.run_test():
            app.theme = "light"
        assert app_on(tmp_path, settings=Settings(path)).theme == "light"
        assert app_on(tmp_path, settings=Settings(path), theme="ansi").theme == "ansi"
        path.write_text("{ not json")
        assert app_on(tmp_path, settings=Settings(path)).theme == "dark"

    drive(work())


@pytest.mark.parametrize("name", SCREENS)
def test_no_color_leaves_no_colour_at_all_and_still_shows_what_is_chosen(
    name: str, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def work() -> None:
        # Not even by name: a theme is colours.
        app = app_on(run_dir.parent, run=run_dir, theme="light")
        async with app.run_test(size=(120, 40)) as pilot:
            app.action_show(name)
            await until(pilot, lambda: app.page is app.get_screen(name), name)
            for key in ("f1", "escape", "f3"):
                styles = screen_styles(app)
                assert not [style for style in styles if style.color or style.bgcolor]
                # The current tab of the top bar, the line at the cursor.
                assert any(style.reverse for style in styles)
                await pilot.press(key)
                await pilot.pause()

    drive(work())


def test_settings_of_another_type_fall_back_to_the_default(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"smoothing": "much", "bell": false}')
    settings = Settings(path)
    assert settings.get("smoothing", 0.6) == 0.6
    assert settings.get("bell", True) is False


def test_frames_come_slower_when_they_cost_more_and_fast_while_keys_are_used() -> None:
    now, spent = 0.0, 0.0
    pace = Pace(clock=lambda: now, spent=lambda: spent)
    for _ in range(20):
        spent += 0.001
        cheap = pace.interval(beside_training=True)
    for _ in range(20):
        spent += 0.020
        costly = pace.interval(beside_training=True)
    assert cheap == FASTEST_S
    assert costly == pytest.approx(0.020 / SHARE_BESIDE_TRAINING, rel=0.05)
    assert pace.interval(beside_training=False) == FASTEST_S
    for _ in range(20):
        spent += 1.0
        slowest = pace.interval(beside_training=True)
    assert slowest == SLOWEST_S
    pace.key_used()
    assert pace.interval(beside_training=True) == BUSY_S
    now += 10.0
    assert pace.interval(beside_training=True) > BUSY_S


def test_there_is_one_next_tick_however_keys_and_timers_interleave() -> None:
    now = 0.0
    ticks: list[float] = []
    waiting: list[Any] = []

    class Call:
        def __init__(self, pause: float, call: Any) -> None:
            self.at, self.call = now + pause, call
            waiting.append(self)

        def stop(self) -> None:
            if self in waiting:
                waiting.remove(self)

    def tick() -> float:
        ticks.append(now)
        return 10.0

    ticker = Ticker(tick, Call, clock=lambda: now)
    ticker.run()
    ticker.hurry(BUSY_S)
    now = BUSY_S / 2
    ticker.hurry(BUSY_S)
    assert [call.at for call in waiting] == [BUSY_S], "held down, a key does not put it off"
    # The timer has fired and its call stands in a queue when a key comes.
    now = BUSY_S
    fired = waiting.pop()
    ticker.hurry(BUSY_S)
    fired.call()
    assert ticks == [0.0, BUSY_S]
    assert [call.at for call in waiting] == [BUSY_S + 10.0]
    now += 5.0
    ticker.hurry(BUSY_S)
    fired.call()
    assert len(waiting) == 1


def test_an_error_dialog_shows_title_message_hint_and_log_and_the_app_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        app = app_on(tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            app.show_error(
                TrainerError("model [failed]", "shape [3] against [4]", "look at model()"), Path("/tmp/x.log")
            )
            await until(pilot, lambda: "model [failed]" in screen_text(app), "the dialog")
            shown = screen_text(app)
            for text in ("shape [3] against [4]", "hint: look at model()", "log: /tmp/x.log"):
                assert text in shown
            await pilot.press("escape")
            await until(pilot, lambda: "model [failed]" not in screen_text(app), "the dialog to close")

    drive(work())


def test_leaving_without_a_run_asks_nothing(run_dir: Path) -> None:
    async def work() -> None:
        for key in ("q", "ctrl+q", "ctrl+c"):
            app = app_on(run_dir.parent, run=run_dir)
            async with app.run_test() as pilot:
                await pilot.press(key)
                await until(pilot, lambda app=app: app.return_value is not None, "the app to leave")
                assert app.return_value is not None
                assert app.return_value.kind == "quit"

    drive(work())


def test_the_title_and_the_end_of_a_run_are_told_once(tmp_path: Path) -> None:
    from tui_trainer.runs.reader import RunReader
    from tui_trainer.runs.state import read_state
    from tui_trainer.ui.announce import Announcer

    recorder = Recorder(tmp_path / "r").start().end_epoch()
    announcer = Announcer(Settings(None))
    running = list(announcer.news(read_state(RunReader(recorder.layout.root))))
    assert len(running) == 1
    assert "1/" in running[0]
    assert list(announcer.news(read_state(RunReader(recorder.layout.root)))) == []
    recorder.end()
    ended = list(announcer.news(read_state(RunReader(recorder.layout.root))))
    assert "\a" in ended
    assert any("\x1b]9;" in sequence and "finished" in sequence for sequence in ended)
    assert list(announcer.news(read_state(RunReader(recorder.layout.root)))) == []


def test_the_app_is_imported_without_torch() -> None:
    code = "import sys, tui_trainer.ui.app, tui_trainer.ui.main; print({'torch', 'sklearn'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_keys_that_come_in_one_burst_keep_their_order() -> None:
    from textual.app import App, ComposeResult

    from tui_trainer.ui.widgets.prompt import Prompt

    class Field(App[None]):
        def compose(self) -> ComposeResult:
            yield Prompt("0.001")

    async def work() -> None:
        from textual import events

        app = Field()
        async with app.run_test() as pilot:
            await pilot.pause()
            for key, character in [
                ("end", None),
                ("ctrl+u", None),
                *((c, c) for c in "5e-4"),
                ("left", None),
                ("3", "3"),
            ]:
                app.post_message(events.Key(key, character))
            await until(pilot, lambda: app.query_one(Prompt).value == "5e-34", "the text")

    drive(work())


@pytest.mark.parametrize("how", ["starts", "fails", "once more"])
def test_leaving_waits_for_a_start_in_the_background(
    how: str, tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        goes_on = asyncio.Event()

        async def output_of(words: list[str], timeout: float) -> str:
            await goes_on.wait()
            if how == "fails":
                raise TrainerError("can't start", "no such thing")
            return f"{run_dir}\n"

        monkeypatch.setattr("tui_trainer.ui.app.output_of", output_of)
        app = app_on(tmp_path)
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            app.start_detached(["digits"])
            await pilot.press("q")
            await until(pilot, lambda: "Leaving when the run has started" in screen_text(app), "the notice")
            app.update()
            assert app.return_value is None
            if how == "once more":
                await pilot.press("q")
            else:
                goes_on.set()
            if how == "fails":
                await until(pilot, lambda: "no such thing" in screen_text(app), "the dialog")
                app.update()
                assert app.return_value is None, "what went wrong is not left unread"
            else:
                await until(pilot, lambda: app.return_value is not None, "the app to leave")

    drive(work())


def test_after_a_cuda_error_the_next_run_starts_in_the_background_and_says_why(
    tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plan:
        warnings = ()

        def run(self, **options: Any) -> Any:
            raise RuntimeError("CUDA error: device-side assert triggered")

    started: list[list[str]] = []

    async def output_of(words: list[str], timeout: float) -> str:
        started.append(words)
        return f"{run_dir}\n"

    monkeypatch.setattr("tui_trainer.ui.app.output_of", output_of)

    async def work() -> None:
        app = TrainerApp(AppOptions(runs_dir=tmp_path), lambda words: Plan())
        async with app.run_test(size=(100, 30), notifications=True) as pilot:
            app.start(["digits"])
            await until(pilot, lambda: "esc close" in screen_text(app), "the dialog")
            assert "CUDA_LAUNCH_BLOCKING" in screen_text(app)
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.page, "the dialog to close")
            app.start(["digits", "--lr", "1e-4"])
            await until(pilot, lambda: "A CUDA error" in screen_text(app), "the reason")
            assert started == [["--detach", "digits", "--lr", "1e-4"]]
            await until(
                pilot, lambda: app.view is not None and app.view.run_dir == run_dir, "the run on Live"
            )

    drive(work())
