"""Going on with a run in place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.errors import FileError
from tui_trainer.files import lock_is_held
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.prefix import keep_prefix
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.writer import RunWriter

SCRATCH = {"rows": 0, "event_bytes": 0}


def record(root: Path) -> tuple[RunLayout, dict[str, int]]:
    """A run with 10 events and rows, and the position after 6 of each."""
    layout = RunLayout(root)
    writer = RunWriter.create(layout, {"host": "a", "task": "digits"}, {"epochs": 1}, clock=lambda: 1.0)
    position = SCRATCH
    for number in range(10):
        writer.row({"step": number, "loss": 0.5})
        writer.event("log", number=number)
        if number == 5:
            position = writer.position()
    writer.close(status="stopped", reason="by request")
    return layout, position


def numbers(layout: RunLayout) -> list[int]:
    return [event["number"] for event in RunReader(layout.root).events()]


def test_the_record_is_cut_back_to_the_checkpoint_and_goes_on(tmp_path: Path) -> None:
    layout, position = record(tmp_path / "run")
    writer = RunWriter.resume(layout, {}, {"epochs": 2}, position)
    assert writer.position() == position
    writer.row({"step": 100, "loss": 1, "new": 3})
    writer.event("run_resume", number=100)
    writer.close()
    assert numbers(layout) == [0, 1, 2, 3, 4, 5, 100]
    assert list(RunReader(layout.root).steps()[:, 0]) == [0, 1, 2, 3, 4, 5, 100]
    assert RunReader(layout.root).hparams() == {"epochs": 2}


def test_a_viewer_that_has_the_old_files_open_still_sees_them_whole(tmp_path: Path) -> None:
    layout, position = record(tmp_path / "run")
    mapped = np.memmap(layout.steps, "<f8", mode="r").reshape(-1, 2)
    with open(layout.events, "rb") as old:
        RunWriter.resume(layout, {}, {}, position).close()
        assert len(old.read().splitlines()) == 10
    assert list(mapped[:, 0]) == list(range(10))
    assert len(RunReader(layout.root).steps()) == 6


def test_torn_ends_are_dropped(tmp_path: Path) -> None:
    layout, _ = record(tmp_path / "run")
    with open(layout.events, "ab") as file:
        file.write(b'{"event":"log","num')
    with open(layout.steps, "ab") as file:
        file.write(b"torn")
    writer = RunWriter.resume(layout, {}, {}, {"rows": 10**9, "event_bytes": 10**12})
    writer.event("log", number=10)
    writer.row({"step": 10, "loss": 0})
    writer.close()
    assert numbers(layout) == list(range(11))
    assert len(RunReader(layout.root).steps()) == 11


def test_a_record_that_needs_no_cut_is_not_rewritten(tmp_path: Path) -> None:
    layout, _ = record(tmp_path / "run")
    inodes = layout.events.stat().st_ino, layout.steps.stat().st_ino
    whole = {"rows": 10, "event_bytes": layout.events.stat().st_size}
    RunWriter.resume(layout, {}, {}, whole).close()
    assert inodes == (layout.events.stat().st_ino, layout.steps.stat().st_ino)


def test_starting_again_from_scratch_may_name_other_columns(tmp_path: Path) -> None:
    layout, _ = record(tmp_path / "run")
    writer = RunWriter.resume(layout, {}, {}, SCRATCH)
    assert (numbers(layout), len(RunReader(layout.root).steps())) == ([], 0)
    writer.row({"step": 1, "perplexity": 9})
    writer.close()
    assert RunReader(layout.root).columns() == ["step", "perplexity"]


def test_run_json_keeps_its_identity_and_counts_the_resumes(tmp_path: Path) -> None:
    layout, position = record(tmp_path / "run")
    layout.run_json.write_text(json.dumps(RunReader(layout.root).run() | {"name": "night", "pinned": True}))
    identity = {"host": "b", "name": None, "run_id": "other", "created": 9.0}
    RunWriter.resume(layout, identity, {}, position, clock=lambda: 7.0).close()
    RunWriter.resume(layout, identity, {}, SCRATCH, clock=lambda: 8.0).close()
    run = RunReader(layout.root).run()
    assert (run["host"], run["name"], run["pinned"], run["task"]) == ("b", "night", True, "digits")
    assert (run["run_id"], run["created"], run["status"]) == ("run", 1.0, "running")
    assert "reason" not in run
    assert "ended" not in run
    assert [(resume["time"], resume["rows"]) for resume in run["resumes"]] == [(7.0, 6), (8.0, 0)]


def test_a_copied_run_keeps_the_id_it_was_recorded_with(tmp_path: Path) -> None:
    layout, position = record(tmp_path / "run")
    os.rename(layout.root, tmp_path / "moved")
    writer = RunWriter.resume(RunLayout(tmp_path / "moved"), {}, {}, position)
    assert writer.event("log")["run_id"] == "run"
    writer.close()


def test_without_a_run_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        RunWriter.resume(RunLayout(tmp_path), {}, {}, SCRATCH)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    layout, position = record(tmp_path / "run")
    layout.run_json.write_text('{"schema": 2}')
    with pytest.raises(FileError) as refused:
        RunWriter.resume(layout, {}, {}, position)
    assert "update" in refused.value.hint
    assert not lock_is_held(layout.lock)


def test_a_failed_cut_gives_the_lock_back(tmp_path: Path) -> None:
    layout, position = record(tmp_path / "run")
    layout.events.unlink()
    layout.events.mkdir()
    with pytest.raises(FileError):
        RunWriter.resume(layout, {}, {}, position)
    assert not lock_is_held(layout.lock)


def test_unreadable_columns_start_the_step_series_anew(tmp_path: Path) -> None:
    layout, _ = record(tmp_path / "run")
    layout.steps_header.write_text("{")
    writer = RunWriter.resume(layout, {}, {}, {"rows": 6, "event_bytes": 10**9})
    writer.row({"step": 7})
    writer.close()
    assert RunReader(layout.root).steps().tolist() == [[7.0]]


def test_unfinished_files_of_a_killed_process_are_gone_after_the_next_start(tmp_path: Path) -> None:
    layout, position = record(tmp_path / "run")
    (layout.root / ".run.json.12-ab.tmp").touch()
    (layout.checkpoints / ".model_3.pt.12-ab.tmp").touch()
    RunWriter.resume(layout, {}, {}, position).close()
    assert list(layout.root.rglob("*.tmp")) == []


@given(st.binary(max_size=300), st.integers(0, 400))
def test_the_kept_part_of_any_file_is_its_longest_prefix_of_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, limit: int
) -> None:
    layout = RunLayout(tmp_path_factory.mktemp("run"))
    layout.events.write_bytes(content)
    kept = keep_prefix(layout, 0, limit)["event_bytes"]
    result = layout.events.read_bytes()
    assert kept == len(result)
    assert content.startswith(result)
    assert result == b"" or result.endswith(b"\n")
    assert b"\n" not in content[len(result) : limit]


def test_what_a_killed_first_save_left_is_cleared_away(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    RunWriter.create(layout, {"host": "a"}, {}).close()
    for path in (layout.model_file("0+3"), layout.trainer_state_file("0+3")):
        path.write_bytes(b"whole, but no entry names it")
    RunWriter.resume(layout, {}, {}, SCRATCH).close()
    assert [path.name for path in layout.checkpoints.iterdir()] == [layout.checkpoints_index.name]
