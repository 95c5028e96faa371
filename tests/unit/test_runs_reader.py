"""Reading a run that grows, is replaced, or is broken."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.runs.follow import RunFollower
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader, is_run
from tui_trainer.runs.state import read_state
from tui_trainer.runs.writer import RunWriter


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(tmp_path / "run")


def line(number: int) -> bytes:
    return json.dumps({"event": "log", "number": number}).encode() + b"\n"


def numbers(events: list[dict[str, int]]) -> list[int]:
    return [event["number"] for event in events]


def test_a_folder_that_is_missing_is_an_empty_run(tmp_path: Path) -> None:
    reader = RunReader(tmp_path / "none")
    assert (reader.run(), reader.hparams(), reader.poll(), reader.events()) == ({}, {}, [], [])
    assert (reader.columns(), reader.last_row(), reader.checkpoints()) == ([], None, [])
    assert reader.steps().shape == (0, 0)
    assert reader.liveness() == "dead"
    assert reader.heartbeat_age_s() == math.inf
    assert not is_run(tmp_path / "none")
    assert not is_run(tmp_path)
    assert not is_run(Path("a\0b"))


def test_polling_gives_each_event_once_and_waits_for_torn_lines(layout: RunLayout) -> None:
    layout.root.mkdir()
    reader = RunReader(layout.root)
    assert reader.poll() == []
    with open(layout.events, "ab", buffering=0) as file:
        file.write(line(1) + line(2)[:5])
        assert numbers(reader.poll()) == [1]
        assert reader.poll() == []
        file.write(line(2)[5:] + b"garbage\n" + line(3))
        assert numbers(reader.poll()) == [2, 3]
    assert reader.generation == 0
    assert numbers(reader.events()) == [1, 2, 3]


@given(st.lists(st.integers(1, 30), max_size=30))
def test_any_way_of_growing_gives_every_event_once(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[int]
) -> None:
    layout = RunLayout(tmp_path_factory.mktemp("run"))
    content = b"".join(line(number) for number in range(20))
    reader, seen, at = RunReader(layout.root), [], 0
    with open(layout.events, "ab", buffering=0) as file:
        for size in [*pieces, len(content)]:
            file.write(content[at : at + size])
            at += size
            seen += numbers(reader.poll())
    assert seen == list(range(20))
    assert reader.generation == 0


@pytest.mark.parametrize("content", [line(7), line(7) + line(8) + line(9) * 9])
def test_a_replaced_file_is_read_again_from_its_beginning(layout: RunLayout, content: bytes) -> None:
    layout.root.mkdir()
    layout.events.write_bytes(line(1) + line(2))
    reader = RunReader(layout.root)
    reader.poll()
    new = layout.root / "new"
    new.write_bytes(content)
    os.replace(new, layout.events)
    assert numbers(reader.poll())[0] == 7
    assert reader.generation == 1
    assert reader.poll() == []


def test_a_copy_that_was_overwritten_in_place_is_noticed(layout: RunLayout) -> None:
    layout.root.mkdir()
    layout.events.write_bytes(line(1) + line(2))
    reader = RunReader(layout.root)
    reader.poll()
    with open(layout.events, "r+b") as file:
        file.write(line(3) + line(4) + line(5))
    assert numbers(reader.poll()) == [3, 4, 5]
    assert reader.generation == 1


def test_a_deleted_run_has_no_news(layout: RunLayout) -> None:
    layout.root.mkdir()
    layout.events.write_bytes(line(1))
    reader = RunReader(layout.root)
    reader.poll()
    shutil.rmtree(layout.root)
    assert reader.poll() == []


def test_steps_are_whole_rows_from_where_one_asks(layout: RunLayout) -> None:
    writer = RunWriter.create(layout, {}, {})
    reader = RunReader(layout.root)
    for value in range(5):
        writer.row({"step": value, "loss": -value})
    writer.close()
    with open(layout.steps, "ab") as file:
        file.write(b"123")
    assert reader.steps().tolist() == [[0, 0], [1, -1], [2, -2], [3, -3], [4, -4]]
    assert reader.steps(3).tolist() == [[3, -3], [4, -4]]
    assert reader.steps(1, 3).tolist() == [[1, -1], [2, -2]]
    assert reader.steps(4, 99).tolist() == [[4, -4]]
    assert reader.steps(3, 1).shape == (0, 2)
    assert reader.steps(99).shape == (0, 2)
    assert reader.steps(-1).shape == (5, 2)
    assert reader.steps().dtype == np.float64
    assert reader.last_row() == {"step": 4, "loss": -4}
    layout.steps.unlink()
    assert reader.steps().shape == (0, 2)
    assert reader.last_row() is None


@pytest.mark.parametrize(
    "header",
    ["", "[]", '{"dtype":"<f4","columns":["a"]}', '{"dtype":"<f8","columns":[1]}', '{"dtype":"<f8"}'],
)
def test_a_header_that_is_not_understood_means_no_rows(layout: RunLayout, header: str) -> None:
    layout.root.mkdir()
    layout.steps.write_bytes(b"\0" * 64)
    layout.steps_header.write_text(header)
    assert RunReader(layout.root).steps().shape == (0, 0)
    assert RunReader(layout.root).last_row() is None


def test_broken_files_are_empty_results(layout: RunLayout) -> None:
    layout.checkpoints.mkdir(parents=True)
    for path in (layout.run_json, layout.hparams_json, layout.checkpoints_index, layout.events):
        path.write_bytes(b"\xff{")
    reader = RunReader(layout.root)
    assert (reader.run(), reader.hparams(), reader.poll(), reader.checkpoints()) == ({}, {}, [], [])
    assert read_state(reader).run_id == "run"


def test_liveness_follows_the_lock_and_the_host(layout: RunLayout) -> None:
    writer = RunWriter.create(layout, {"host": "here"}, {})
    reader = RunReader(layout.root, host="here")
    assert reader.liveness() == "live"
    assert RunReader(layout.root, host="elsewhere").liveness() == "remote"
    writer.close()
    assert reader.liveness() == "dead"


def test_the_heartbeat_has_an_age(layout: RunLayout) -> None:
    writer = RunWriter.create(layout, {}, {})
    os.utime(layout.lock, (1000, 1000))
    assert RunReader(layout.root, clock=lambda: 1240.0).heartbeat_age_s() == 240.0
    assert RunReader(layout.root, clock=lambda: 0.0).heartbeat_age_s() == 0.0
    writer.close()


def test_a_follower_hands_out_a_long_series_piece_by_piece(layout: RunLayout) -> None:
    writer = RunWriter.create(layout, {}, {})
    for value in range(7):
        writer.row({"step": value})
    writer.close()
    follower = RunFollower(layout.root)
    follower.refresh()
    pieces = [follower.new_steps(3)[:, 0].tolist() for _ in range(4)]
    assert pieces == [[0, 1, 2], [3, 4, 5], [6], []]


def test_a_follower_sees_what_a_reader_of_the_whole_run_sees(layout: RunLayout) -> None:
    writer = RunWriter.create(layout, {"task": "digits"}, {"epochs": 9})
    follower = RunFollower(layout.root)
    assert follower.refresh().status == "starting"
    rows = 0
    position = writer.position()
    for epoch in range(1, 5):
        writer.row({"step": epoch})
        writer.event("epoch_end", epoch=epoch, step=epoch, metrics={"test/loss": 1 / epoch})
        assert follower.refresh() == read_state(RunReader(layout.root))
        rows += len(follower.new_steps())
        if epoch == 2:
            position = writer.position()
    assert rows == 4
    writer.close()
    writer = RunWriter.resume(layout, {}, {"epochs": 9}, position)
    state = follower.refresh()
    assert follower.generation == 1
    assert (state.epoch, state.step, len(state.history)) == (2, 2, 2)
    assert len(follower.new_steps()) == 2
    writer.close()


def test_a_long_record_is_read_piece_by_piece_and_its_state_is_the_same_in_the_end(tmp_path: Path) -> None:
    from tui_trainer.runs.follow import RunFollower

    layout = RunLayout(tmp_path / "run")
    writer = RunWriter.create(layout, {"task": "digits", "host": socket.gethostname()}, {"epochs": 300})
    for epoch in range(1, 301):
        writer.event("epoch_end", epoch=epoch, step=epoch, metrics={"test/loss": 1.0 / epoch})
    writer.event("run_end", status="finished", reason="all epochs done", epochs=300, steps=300)
    writer.close(status="finished", reason="all epochs done")
    slow = RunFollower(layout.root, most=1000)
    state, calls = slow.refresh(), 1
    while slow.behind:
        assert state.status != "crashed"
        state, calls = slow.refresh(), calls + 1
    assert calls > 10
    assert state == RunFollower(layout.root).refresh()
    gone = RunFollower(layout.root, most=1000)
    gone.refresh()
    assert gone.behind
    layout.events.unlink()
    gone.refresh()
    assert not gone.behind, "of a run that was deleted nothing is left to be read"


def test_what_follows_a_very_long_line_is_no_record(layout: RunLayout) -> None:
    layout.root.mkdir()
    with open(layout.events, "wb") as file:
        file.write(line(1) + line(2))
        file.truncate(1 << 40)
    assert numbers(RunReader(layout.root).events()) == [1, 2]
    assert numbers(RunReader(layout.root).poll(1 << 20)) == [1, 2]


def test_a_header_with_too_many_columns_is_none(layout: RunLayout) -> None:
    layout.root.mkdir()
    header = {"dtype": "<f8", "columns": [f"c{number}" for number in range(2049)]}
    layout.steps_header.write_text(json.dumps(header))
    os.truncate(os.open(layout.steps, os.O_CREAT | os.O_WRONLY), 1 << 40)
    assert RunReader(layout.root).columns() == []
    assert RunReader(layout.root).steps().shape == (0, 0)
