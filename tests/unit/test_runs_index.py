"""Listing and finding runs."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.errors import Exit, FileError, UsageError
from tui_trainer.runs.checkpoints import add_entry, make_entry
from tui_trainer.runs.index import find_checkpoint, find_run, list_runs, summarise
from tui_trainer.runs.layout import RunLayout, checkpoint_tag
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state
from tui_trainer.runs.writer import RunWriter

OLD, NEW = "20261122-101010-digits-0a77", "20261123-031415-digits-7f3a"
BEST = {"metric": "test/loss", "value": 0.25, "epoch": 1}


def make(
    runs: Path, folder: str, created: float = 1.0, status: str | None = "finished", **run: Any
) -> RunLayout:
    layout = RunLayout(runs / folder)
    writer = RunWriter.create(layout, {"task": "digits", **run}, {"epochs": 3}, clock=lambda: created)
    writer.event("run_start")
    writer.event("epoch_end", epoch=1, step=23, metrics={"test/loss": 0.25}, best=BEST)
    if status:
        writer.event("run_end", status=status, reason="", epochs=1, steps=30, best=BEST)
        writer.close(status=status)
    else:
        writer.close()
    return layout


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    make(tmp_path / "runs", OLD, 1.0, name="night")
    make(tmp_path / "runs", NEW, 2.0)
    return tmp_path / "runs"


def test_runs_are_listed_newest_first_with_what_is_promised(runs: Path) -> None:
    (runs / "empty").mkdir()
    (runs / "note.txt").touch()
    listed = list_runs(runs)
    assert [run["run_id"] for run in listed] == [NEW, OLD]
    promised = {"run_id", "name", "run_dir", "task", "status", "epoch", "step", "best"}
    assert promised | {"created", "duration_s", "epochs", "device", "pinned"} <= set(listed[0])
    assert (listed[1]["name"], listed[1]["task"], listed[1]["status"]) == ("night", "digits", "finished")
    assert (listed[1]["epoch"], listed[1]["epochs"], listed[1]["step"], listed[1]["best"]) == (1, 3, 30, BEST)
    assert list_runs(runs / "none") == []


def test_a_run_whose_process_is_gone_is_crashed(runs: Path) -> None:
    layout = make(runs, "20261123-040000-digits-55d0", 3.0, status=None)
    run = summarise(layout.root)
    assert (run["status"], run["epoch"], run["step"], run["best"]) == ("crashed", 1, 23, BEST)
    assert run["duration_s"] == 0.0


def test_a_broken_run_is_listed_as_unknown(runs: Path) -> None:
    (runs / "broken").mkdir()
    (runs / "broken" / "run.json").write_text("{")
    assert {run["run_id"]: run["status"] for run in list_runs(runs)}["broken"] == "unknown"


def test_the_summary_agrees_with_the_state_after_every_event(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    writer = RunWriter.create(layout, {"task": "digits"}, {"epochs": 3})
    moves: list[tuple[str, dict[str, Any]]] = [
        ("phase", {"name": "loading data"}),
        ("run_start", {"monitor": "test/loss"}),
        ("epoch_start", {"epoch": 1, "step": 0}),
        (
            "evaluation",
            {"epoch": 1, "step": 10, "metrics": {"test/loss": 0.5}, "best": BEST | {"value": 0.5}},
        ),
        ("checkpoint", {"epoch": 0, "step": 10, "path": "checkpoints/model_0+10.pt", "best": True}),
        ("control", {"action": "pause", "step": 12}),
        ("system", {"cpu": 1}),
        ("control", {"action": "unpause", "step": 12}),
        ("epoch_end", {"epoch": 1, "step": 23, "metrics": {"test/loss": 0.25}, "best": BEST}),
        *[("system", {"text": "x" * 900})] * 60,
        ("log", {"message": "x" * 40_000}),
        ("checkpoint", {"epoch": 1, "step": 23, "path": "checkpoints/model_1.pt", "best": True}),
        ("epoch_start", {"epoch": 2, "step": 23}),
        ("control", {"action": "pause", "step": 24}),
        ("run_end", {"status": "stopped", "reason": "by request", "epochs": 1, "steps": 25, "best": BEST}),
        ("run_resume", {"epoch": 1, "step": 25, "checkpoint": "checkpoints/model_1.pt"}),
    ]
    for name, fields in moves:
        writer.event(name, **fields)
        if name == "run_end":
            position = writer.position()
            writer.close()
            writer = RunWriter.resume(layout, {}, {}, position)
            continue
        state, run = read_state(RunReader(layout.root)), summarise(layout.root)
        assert (run["status"], run["epoch"], run["step"]) == (state.status, state.epoch, state.step), name
        best = run["best"]
        assert (best and (best["value"], best["epoch"])) == (
            state.best and (state.best.value, state.best.epoch)
        )
    with open(layout.events, "ab") as file:
        file.write(b'{"event":"epoch_end","epoch":9' + b" " * 40_000)
    assert summarise(layout.root)["epoch"] == 1
    writer.close()
    assert summarise(layout.root)["status"] == "crashed"


def test_a_fork_is_where_its_parent_was_until_it_goes_on(tmp_path: Path) -> None:
    parent = {"run_id": "digits-7f3a", "run_dir": "../digits-7f3a", "checkpoint": "2+5", "step": 51}
    writer = RunWriter.create(
        RunLayout(tmp_path / "run"), {"task": "digits", "parent": parent}, {"epochs": 3}
    )
    assert summarise(tmp_path / "run")["step"] == 0
    writer.event("run_start", parent=parent, step=51, epoch=2, batch=5)
    run = summarise(tmp_path / "run")
    assert (run["step"], run["epoch"], run["parent"]) == (51, 2, parent)
    writer.event("run_end", status="stopped", reason="by request", steps=60, epochs=2)
    writer.close(status="stopped")
    assert summarise(tmp_path / "run")["step"] == 60


def test_an_end_that_run_json_missed_counts(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    writer = RunWriter.create(layout, {}, {})
    writer.event("run_end", status="failed", reason="NaN")
    writer.close()
    assert (summarise(layout.root)["status"], summarise(layout.root)["reason"]) == ("failed", "NaN")


def test_only_the_end_of_a_long_record_is_read(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    writer = RunWriter.create(layout, {}, {})
    for _ in range(30_000):
        writer.event("alert", message="x" * 100)
    writer.event("epoch_end", epoch=7, step=70, best=BEST)
    writer.close(status="finished")
    begin = time.process_time()
    for _ in range(50):
        assert summarise(layout.root)["epoch"] == 7
    assert time.process_time() - begin < 1


@pytest.mark.slow
def test_two_thousand_runs_are_listed_quickly(tmp_path: Path) -> None:
    model = make(tmp_path / "model", OLD)
    for number in range(2000):
        root = tmp_path / "runs" / f"20261122-101010-digits-{number:04x}"
        root.mkdir(parents=True)
        for path in (model.run_json, model.hparams_json, model.events):
            os.link(path, root / path.name)
    begin = time.process_time()
    assert len(list_runs(tmp_path / "runs")) == 2000
    assert time.process_time() - begin < 3


@pytest.mark.parametrize("word", [NEW, NEW[:15], "7f3a", "last"])
def test_a_run_is_found_by_id_prefix_end_and_last(runs: Path, word: str) -> None:
    assert find_run(word, runs) == runs / NEW


def test_a_run_is_found_by_name_and_by_path(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_run("night", runs) == runs / OLD
    assert find_run(str(runs / OLD), tmp_path / "elsewhere") == runs / OLD
    monkeypatch.chdir(runs)
    assert find_run(NEW, tmp_path / "elsewhere") == Path(NEW)
    assert find_run(f"./{NEW}", tmp_path / "elsewhere") == Path(NEW)


def test_a_folder_in_sight_goes_before_a_name(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(runs.parent, "night")
    monkeypatch.chdir(runs.parent)
    assert find_run("night", runs) == Path("night")


def test_an_ambiguous_word_is_refused_with_the_candidates(runs: Path) -> None:
    with pytest.raises(UsageError) as refused:
        find_run("2026", runs)
    assert OLD in refused.value.message
    assert NEW in refused.value.message
    assert refused.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("word", ["", "nihgt", "none/there", "~nobody/x", "a\0b"])
def test_a_word_that_means_no_run_is_refused_with_a_hint(runs: Path, word: str) -> None:
    with pytest.raises(UsageError) as refused:
        find_run(word, runs)
    assert "tui-train runs" in refused.value.hint
    assert ("did you mean night" in refused.value.message) == (word == "nihgt")


def test_without_runs_there_is_no_last(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        find_run("last", tmp_path / "none")


def test_a_folder_that_is_no_run_is_named_as_such(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        find_run(str(tmp_path), runs)
    assert "run.json" in refused.value.message


@pytest.fixture
def saved(runs: Path) -> RunLayout:
    layout = RunLayout(runs / NEW)
    for epoch, batch in ((5, 0), (7, 0), (7, 120)):
        layout.model_file(checkpoint_tag(epoch, batch)).touch()
        best = epoch == 5
        add_entry(layout, make_entry(layout, epoch, batch, step=1, time=1.0, metrics={}, best=best))
    return layout


@pytest.mark.parametrize(
    ("word", "tag"),
    [("7f3a", "7+120"), ("7f3a@last", "7+120"), ("last@best", "5"), ("7f3a@7", "7"), ("7f3a@7+120", "7+120")],
)
def test_a_checkpoint_is_found_by_run_and_mark(saved: RunLayout, runs: Path, word: str, tag: str) -> None:
    assert find_checkpoint(word, runs) == (saved.root, tag)


def test_a_checkpoint_is_found_by_its_file(saved: RunLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Path("none")
    assert find_checkpoint(str(saved.model_file("7")), nowhere) == (saved.root, "7")
    monkeypatch.chdir(saved.checkpoints)
    assert find_checkpoint("model_7+120.pt", nowhere) == (saved.root, "7+120")


def test_a_run_folder_with_an_at_sign_is_still_a_run(saved: RunLayout, tmp_path: Path) -> None:
    os.rename(saved.root, tmp_path / "me@home")
    assert find_checkpoint(str(tmp_path / "me@home"), tmp_path) == (tmp_path / "me@home", "7+120")


@pytest.mark.parametrize("word", ["7f3a@6", "0a77", "0a77@best", "none.pt", "model_5.pt"])
def test_a_checkpoint_that_is_not_there_is_a_file_error(saved: RunLayout, runs: Path, word: str) -> None:
    with pytest.raises(FileError) as refused:
        find_checkpoint(word, runs)
    assert refused.value.exit_code == Exit.FILE


def test_a_pt_file_that_is_no_checkpoint_of_a_run_is_a_file_error(saved: RunLayout, tmp_path: Path) -> None:
    stray = tmp_path / "model_7.pt"
    unlisted = saved.model_file("9")
    other = saved.trainer_state_file("7")
    for path in (stray, unlisted, other):
        path.touch()
        with pytest.raises(FileError):
            find_checkpoint(str(path), tmp_path)


@pytest.mark.parametrize("word", ["7f3a@newest", "nothing@best", "7f3a@-1"])
def test_a_wrong_mark_or_run_is_a_usage_error(saved: RunLayout, runs: Path, word: str) -> None:
    with pytest.raises(UsageError):
        find_checkpoint(word, runs)


def test_no_mark_of_best_is_a_file_error(saved: RunLayout, runs: Path) -> None:
    content = json.loads(saved.checkpoints_index.read_text())
    for entry in content["checkpoints"]:
        entry["best"] = entry["last"] = False
    saved.checkpoints_index.write_text(json.dumps(content))
    assert find_checkpoint("7f3a@last", runs)[1] == "7+120"
    with pytest.raises(FileError):
        find_checkpoint("7f3a@best", runs)
