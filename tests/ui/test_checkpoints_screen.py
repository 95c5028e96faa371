"""The Checkpoints screen, over recorded runs."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.pseudo import wait_until
from tests.ui.browsing import Browser, browse, type_text
from tests.ui.driving import check_snapshot, screen_text, until
from tests.ui.recorded import START, Recorder, finished
from tui_trainer.runs.checkpoints import read_index
from tui_trainer.runs.layout import RunLayout
from tui_trainer.ui.dialogs.checkpoint import CheckpointDialog
from tui_trainer.ui.dialogs.message import ConfirmDialog
from tui_trainer.ui.saved import Verifier, read_saved

ONE, TWO = "20261123-031415-digits-91c2", "20261123-041415-digits-0a77"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs"
    recorder = Recorder(folder / ONE, {"epochs": 9}).start()
    for _ in range(3):
        recorder.end_epoch()
    recorder.train(4)
    recorder.save({"train/loss": 0.5}, batch=4)
    recorder.end("stopped", "by request")
    finished(folder / TWO, epochs=2)
    return folder


def shown(app: Browser) -> list[str]:
    return [f"{saved.root.name[-4:]} {saved.file.name}" for saved in app.list.table.rows]


async def of_run(app: Browser, pilot: Pilot[Any], root: Path, rows: int) -> None:
    app.open_checkpoints(root)
    await until(pilot, lambda: len(app.list.table.rows) == rows, f"{rows} checkpoints")


def test_rows_are_what_the_index_says(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: START + 600)

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, runs / ONE, 4)
        entries = read_index(RunLayout(runs / ONE))
        assert [saved.tag for saved in app.list.table.rows] == [e["tag"] for e in reversed(entries)]
        lines = screen_text(app).splitlines()
        for entry in entries:
            line = next(line for line in lines if f" model_{entry['tag']}.pt " in line)
            assert line.lstrip(" ▸").startswith("model_")
            for mark in ("best", "last"):
                assert (mark in line) == entry[mark]
            assert f" {entry['metrics']['train/loss']:.4f} " in line
            assert line.rstrip().endswith("ok")
        check_snapshot("checkpoints_80x24", screen_text(app))

    browse(runs, steps, page="checkpoints")


def test_all_runs_or_one(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        assert {name[:4] for name in shown(app)} == {"91c2", "0a77"}
        await pilot.press("A")
        assert "no run is chosen" in app.told
        await of_run(app, pilot, runs / TWO, 2)
        assert shown(app) == ["0a77 model_2.pt", "0a77 model_1.pt"]
        await pilot.press("A")
        await until(pilot, lambda: len(shown(app)) == 6, "all checkpoints")
        await pilot.press("A")
        await until(pilot, lambda: len(shown(app)) == 2, "those of the run")

    browse(runs, steps, page="checkpoints", rows=6)


def test_the_run_on_live_comes_first(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        app.open_run(runs / TWO)
        await pilot.press("f5")
        await until(pilot, lambda: shown(app) == ["0a77 model_2.pt", "0a77 model_1.pt"], "its checkpoints")

    browse(runs, steps)


def test_nothing_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: "no checkpoints in runs yet" in screen_text(app), "the empty list")
        check_snapshot("checkpoints_empty_80x24", screen_text(app))
        await pilot.press("R", "l", "p", "v", "enter", "y", "delete", "s", "S", "escape")
        assert app.asked == []

    browse(Path("runs"), steps, page="checkpoints")


@pytest.mark.parametrize("size", [(160, 48), (100, 30), (40, 12), (20, 5)])
def test_the_file_is_seen_at_every_size(runs: Path, size: tuple[int, int]) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        assert "model_3" in screen_text(app)
        await pilot.press("down", "enter", "escape", "s")

    browse(runs, steps, page="checkpoints", rows=6, size=size)


def test_a_new_checkpoint_appears_and_the_cursor_stays(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "runs" / ONE, {"epochs": 9}).start()
    recorder.end_epoch()
    recorder.end_epoch()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, recorder.layout.root, 2)
        await pilot.press("down")
        recorder.end_epoch()
        await until(pilot, lambda: "91c2 model_3.pt" in shown(app), "the new one")
        assert app.list.table.current.tag == "1"

    browse(tmp_path / "runs", steps, page="checkpoints")
    recorder.end()


def test_the_cursor_stays_on_the_newest_once_it_was_acted_on(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "runs" / ONE, {"epochs": 9}).start()
    recorder.end_epoch()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, recorder.layout.root, 1)
        await pilot.press("y")
        recorder.end_epoch()
        await until(pilot, lambda: "91c2 model_2.pt" in shown(app), "the new one")
        assert app.list.table.current.tag == "1"

    browse(tmp_path / "runs", steps, page="checkpoints")
    recorder.end()


def test_missing_and_cut_files_are_seen_in_the_list(runs: Path) -> None:
    layout = RunLayout(runs / ONE)
    layout.model_file("2").unlink()
    layout.trainer_state_file("1").write_bytes(b"cut")

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        lines = screen_text(app).splitlines()
        assert "MISSING" in next(line for line in lines if "model_2.pt" in line and "91c2" in line)
        assert "SIZE" in next(line for line in lines if "model_1.pt" in line and "91c2" in line)

    browse(runs, steps, page="checkpoints", rows=6, size=(100, 30))


def test_verifying_finds_a_flipped_bit(runs: Path) -> None:
    path = RunLayout(runs / ONE).model_file("3")
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, runs / ONE, 4)
        await pilot.press("v")
        await until(pilot, lambda: "sha ok" in screen_text(app), "the good one")
        await pilot.press("down", "v")
        await until(pilot, lambda: "BAD" in screen_text(app), "the bad one")
        assert "model_3.pt differs from its SHA-256" in screen_text(app)

    browse(runs, steps, page="checkpoints")


def test_a_file_that_goes_while_the_list_is_open_is_seen_by_the_next_look(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trainer.ui.screens.checkpoints.LOOK_AGAIN_S", 0.0)

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, runs / ONE, 4)
        before = {saved.tag: saved for saved in app.list.table.rows}
        RunLayout(runs / ONE).model_file("2").unlink()

        def seen() -> bool:
            app.update()
            return any("model_2.pt is missing" in saved.problem for saved in app.list.table.rows)

        await until(pilot, seen, "the gap")
        kept = {saved.tag for saved in app.list.table.rows if saved is before[saved.tag]}
        assert kept == {"1", "3", "3+4"}, "what has not changed is not drawn anew"

    browse(runs, steps, page="checkpoints")


def test_a_verdict_is_not_that_of_a_later_checkpoint_of_the_same_name(runs: Path) -> None:
    saved = read_saved(runs / ONE)[0]
    verifier = Verifier(lambda: None)
    assert verifier.found(saved) is None
    verifier.verify(saved)
    wait_until(lambda: verifier.found(saved) is not None, "the verdict")
    assert verifier.found(saved) == ""
    again = replace(saved, entry={**saved.entry, "time": saved.time + 60})
    assert verifier.found(again) is None


def test_details_show_hparams_metrics_and_tensors_without_the_pt(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, runs / ONE, 4)
        RunLayout(runs / ONE).model_file("3").unlink()
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, CheckpointDialog), "the details")
        await until(pilot, lambda: "128 × 64" in screen_text(app), "the tensors")
        text = screen_text(app)
        for words in ("test/accuracy", "0.weight", "float32", "7.25"):
            assert words in text
        await pilot.press("end")
        assert "dropout" in screen_text(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, CheckpointDialog)

    browse(runs, steps, page="checkpoints", size=(100, 40))


def test_only_the_newest_is_resumed_in_place(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, runs / ONE, 4)
        await pilot.press("home", "R")
        assert app.asked == [("start", ["--resume", str(runs / ONE)])]
        await of_run(app, pilot, runs / TWO, 2)
        await pilot.press("home", "R")
        assert app.asked[-1] == ("start", ["--resume", str(runs / TWO), "--epochs", "4"])

    browse(runs, steps, page="checkpoints")


@pytest.mark.parametrize("here", [True, False])
def test_an_earlier_one_goes_on_in_a_new_run(
    runs: Path, here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUI_TRAIN_RUNS", str(runs if here else tmp_path / "elsewhere"))
    where = [] if here else ["--runs-dir", str(runs)]

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        for root, last, first in ((ONE, 4, "1"), (TWO, 2, "1")):
            await of_run(app, pilot, runs / root, last)
            await pilot.press("end", "R")
            path = RunLayout(runs / root).model_file(first)
            assert app.asked[-1] == ("start", ["--fork", str(path), *where])
            assert f"a new run goes on from model_1.pt of {root[-4:]}" in app.told

    browse(runs, steps, page="checkpoints")


def test_a_damaged_one_is_not_forked(runs: Path) -> None:
    RunLayout(runs / ONE).trainer_state_file("1").unlink()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, runs / ONE, 4)
        await pilot.press("end", "R")
        assert "trainer_state_1.pt is missing" in app.told
        assert app.asked == []

    browse(runs, steps, page="checkpoints")


def test_where_the_newest_is_bad_the_one_before_is_resumed(runs: Path) -> None:
    RunLayout(runs / ONE).model_file("3+4").unlink()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, runs / ONE, 4)
        await pilot.press("R")
        assert "model_3+4.pt is missing" in app.told
        await pilot.press("down", "R")
        assert app.asked == [("start", ["--resume", str(runs / ONE)])]

    browse(runs, steps, page="checkpoints")


def test_hparams_are_loaded_and_the_path_is_copied(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, runs / ONE, 4)
        await pilot.press("down", "l")
        layout = RunLayout(runs / ONE)
        assert app.asked == [("setup", ["--preset", str(layout.parameters_file("3"))])]
        app.action_show("checkpoints")
        await pilot.press("y")
        assert app.asked[-1] == ("copy", str(layout.model_file("3").absolute()))

    browse(runs, steps, page="checkpoints")


def test_a_pinned_checkpoint_is_not_deleted_and_others_only_after_a_yes(runs: Path) -> None:
    layout = RunLayout(runs / ONE)

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, runs / ONE, 4)
        await pilot.press("end", "p")
        await until(pilot, lambda: read_index(layout)[0]["pinned"], "the pin")
        await until(pilot, lambda: " pin " in screen_text(app), "its mark")
        await pilot.press("delete")
        assert "model_1.pt is pinned" in app.told
        await pilot.press("home", "delete")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog), "the question")
        assert "the last checkpoint" in screen_text(app)
        await pilot.press("escape")
        assert len(read_index(layout)) == 4
        await pilot.press("delete", "y")
        await until(pilot, lambda: len(shown(app)) == 3, "the shorter list")
        assert [entry["tag"] for entry in read_index(layout)] == ["1", "2", "3"]
        assert not layout.model_file("3+4").exists()
        assert read_index(layout)[-1]["last"] is True

    browse(runs, steps, page="checkpoints")


def test_the_trainer_of_a_live_run_is_asked(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "runs" / ONE, {"epochs": 9}).start()
    recorder.end_epoch()
    recorder.end_epoch()

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await of_run(app, pilot, recorder.layout.root, 2)
        await pilot.press("R")
        assert "training already" in app.told
        await pilot.press("end", "p", "delete", "y")
        wanted = lambda: len(list(recorder.layout.control.glob("*.json"))) == 2  # noqa: E731
        await until(pilot, wanted, "the requests")
        found = [json.loads(path.read_text()) for path in sorted(recorder.layout.control.glob("*.json"))]
        assert [(request["action"], request["value"]) for request in found] == [("pin", "1"), ("rm", "1")]
        assert recorder.layout.model_file("1").is_file()

    browse(tmp_path / "runs", steps, page="checkpoints")
    recorder.end()


def test_the_list_is_filtered_and_sorted(runs: Path) -> None:
    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await pilot.press("slash")
        await type_text(pilot, "epoch=2 run=91c2")
        assert shown(app) == ["91c2 model_2.pt"]
        await pilot.press("escape", "s", "S")
        assert app.list.table.rows[0].place == (1, 0)

    browse(runs, steps, page="checkpoints", rows=6, size=(100, 30))


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"checkpoints": 3}',
        '{"checkpoints": [{"tag": "x"}]}',
        '{"checkpoints": [{"tag": "1", "files": {"../../x": 3}, "metrics": [], "size": "big"}]}',
        '{"checkpoints": [{"tag": "1"}]}',
    ],
    ids=["torn", "list", "number", "tag", "outside", "bare"],
)
def test_a_damaged_index_breaks_nothing(runs: Path, content: str) -> None:
    RunLayout(runs / ONE).checkpoints_index.write_text(content)

    async def steps(app: Browser, pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: "0a77 model_2.pt" in shown(app), "the other run's")
        app.open_checkpoints(runs / ONE)
        await pilot.pause()
        await pilot.press("v", "enter", "escape", "R", "l", "s", "s", "s", "s", "s", "s", "s")

    browse(runs, steps, page="checkpoints", size=(160, 48))


def test_an_index_that_names_impossible_files_is_read(tmp_path: Path) -> None:
    layout = finished(tmp_path / "run")
    index = json.loads(layout.checkpoints_index.read_text())
    index["checkpoints"][0]["files"] = {"checkpoints/\ud800.pt": {"size": 1}}
    index["checkpoints"][1]["files"]["checkpoints/model_2.pt"]["size"] = "\x1b[31m9"
    layout.checkpoints_index.write_text(json.dumps(index))
    first, second, third = read_saved(layout.root)
    assert first.problem.endswith("not a file of this checkpoint")
    assert second.problem.endswith("expected 9")
    assert third.problem == ""
