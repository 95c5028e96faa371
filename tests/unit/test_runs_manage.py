"""Pinning and deleting runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ui.recorded import Recorder, finished
from tui_trainer.errors import FileError, UsageError
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.manage import contents, delete_run, set_run_pinned


def test_a_run_is_deleted_with_its_checkpoints(tmp_path: Path) -> None:
    layout = finished(tmp_path / "run", epochs=3)
    found = contents(layout)
    assert found.checkpoints == 3
    assert found.size == sum(path.stat().st_size for path in layout.root.rglob("*") if path.is_file())
    assert found.foreign == ()
    assert delete_run(layout)
    assert not layout.root.exists()


def test_what_is_not_the_records_stays(tmp_path: Path) -> None:
    layout = finished(tmp_path / "run", epochs=1)
    (layout.root / "notes.txt").write_text("mine")
    (layout.root / "plots").mkdir()
    (layout.root / "plots" / "a.png").write_text("mine too")
    assert contents(layout).foreign == ("notes.txt", "plots")
    assert not delete_run(layout)
    left = sorted(path.name for path in layout.root.rglob("*"))
    assert left == ["a.png", "notes.txt", "plots"]


def test_a_link_in_place_of_a_folder_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    layout = finished(tmp_path / "run", epochs=1)
    (layout.root / "task").symlink_to(outside)
    assert contents(layout).foreign == ("task",)
    with pytest.raises(FileError, match="is a link"):
        delete_run(layout)
    assert (outside / "precious").is_file()


def test_a_pinned_run_is_not_deleted(tmp_path: Path) -> None:
    layout = finished(tmp_path / "run", epochs=1)
    before = json.loads(layout.run_json.read_text())
    set_run_pinned(layout, True)
    assert json.loads(layout.run_json.read_text()) == {**before, "pinned": True}
    with pytest.raises(UsageError, match="pinned"):
        delete_run(layout)
    assert layout.model_file("1").is_file()
    set_run_pinned(layout, False)
    assert delete_run(layout)


def test_a_run_that_trains_is_neither_pinned_nor_deleted(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run").start()
    recorder.end_epoch()
    for change in (lambda: delete_run(recorder.layout), lambda: set_run_pinned(recorder.layout, True)):
        with pytest.raises(UsageError, match="in use"):
            change()
    assert recorder.layout.model_file("1").is_file()
    recorder.end()


def test_a_damaged_record_is_not_overwritten_by_a_pin(tmp_path: Path) -> None:
    layout = finished(tmp_path / "run", epochs=1)
    layout.run_json.write_text("{ torn")
    with pytest.raises(FileError, match="unreadable"):
        set_run_pinned(layout, True)
    assert layout.run_json.read_text() == "{ torn"


def test_there_must_be_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="not a run"):
        delete_run(RunLayout(tmp_path))
    assert tmp_path.exists()
