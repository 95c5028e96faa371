"""Writing a run."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.errors import Exit, FileError, UsageError
from tui_trainer.files import FileLock, lock_is_held
from tui_trainer.runs.append import AppendFile
from tui_trainer.runs.claim import owned
from tui_trainer.runs.events import decode
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.writer import RunWriter


class Timer:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Disk:
    """A disk that takes only so many bytes, and may write less than it was asked to."""

    def __init__(self, room: float = math.inf, most: int = 1 << 30) -> None:
        self.room = room
        self.most = most
        self.calls = 0

    def __call__(self, fd: int, data: bytes, offset: int) -> int:
        self.calls += 1
        size = int(min(len(data), self.most, self.room))
        if size == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= size
        return os.pwrite(fd, data[:size], offset)


def test_a_run_in_a_folder_whose_name_is_no_text_is_recorded(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / os.fsdecode(b"caf\xe9") / "20261123-031415-digits-7f3a")
    identity = {"command": ["tui-train", str(layout.root)]}
    RunWriter.create(layout, identity, {"data": str(layout.root)}).close(status="finished")
    run = RunReader(layout.root).run()
    assert run["command"] == identity["command"]
    assert RunReader(layout.root).hparams() == {"data": str(layout.root)}


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(tmp_path / "20261123-031415-digits-7f3a")


@pytest.fixture
def writer(layout: RunLayout) -> Iterator[RunWriter]:
    writer = RunWriter.create(layout, {"task": "digits"}, {"lr": 0.1}, clock=lambda: 5.0, timer=Timer())
    yield writer
    writer.close()


def test_a_new_run_has_its_identity_and_hparams(writer: RunWriter, layout: RunLayout) -> None:
    run = json.loads(layout.run_json.read_text())
    expected = {
        "schema": 1,
        "run_id": layout.root.name,
        "status": "running",
        "created": 5.0,
        "task": "digits",
    }
    assert run == expected
    assert json.loads(layout.hparams_json.read_text()) == {"lr": 0.1}
    assert layout.checkpoints.is_dir()
    assert layout.control.is_dir()


def test_an_event_is_stamped_written_at_once_and_returned(writer: RunWriter, layout: RunLayout) -> None:
    event = writer.event("phase", name="loading data")
    stamps = {"event": "phase", "time": 5.0, "run_id": layout.root.name}
    assert event == {**stamps, "name": "loading data"}
    assert json.loads(layout.events.read_bytes()) == event


def test_rows_have_the_columns_of_the_first_one(writer: RunWriter, layout: RunLayout) -> None:
    writer.row({"step": 1, "loss": 0.5})
    writer.row({"loss": np.float32(0.25), "step": 2, "new": 9})
    writer.row({"step": 3})
    writer.row({"step": None, "loss": "abc"})  # type: ignore[dict-item]
    writer.row({"step": 10**400, "loss": math.inf})
    writer.flush()
    header = json.loads(layout.steps_header.read_text())
    assert header == {"schema": 1, "run_id": layout.root.name, "dtype": "<f8", "columns": ["step", "loss"]}
    rows = np.fromfile(layout.steps, "<f8").reshape(-1, 2)
    expected = [[1, 0.5], [2, 0.25], [3, np.nan], [np.nan, np.nan], [np.inf, np.inf]]
    np.testing.assert_array_equal(rows, expected)


def test_rows_wait_for_50_ms_or_an_event(layout: RunLayout) -> None:
    timer = Timer()
    writer = RunWriter.create(layout, {}, {}, timer=timer)
    writer.row({"a": 1})
    assert layout.steps.stat().st_size == 0
    timer.now = 0.051
    writer.row({"a": 2})
    assert layout.steps.stat().st_size == 16
    writer.row({"a": 3})
    assert layout.steps.stat().st_size == 16
    writer.event("log", message="x")
    assert layout.steps.stat().st_size == 24
    for value in range(8192):
        writer.row({"a": value})
    assert layout.steps.stat().st_size == 24 + 65536
    writer.close()


def test_an_empty_row_is_nothing(writer: RunWriter, layout: RunLayout) -> None:
    writer.row({})
    assert writer.position() == {"rows": 0, "event_bytes": 0}
    assert not layout.steps_header.exists()


def test_the_position_counts_rows_and_bytes(writer: RunWriter, layout: RunLayout) -> None:
    for value in range(3):
        writer.row({"a": value, "b": 0})
    writer.event("log")
    assert writer.position() == {"rows": 3, "event_bytes": layout.events.stat().st_size}
    writer.sync()
    assert writer.trouble is None


def test_threads_write_whole_lines_and_rows(writer: RunWriter, layout: RunLayout) -> None:
    def work(number: int) -> None:
        for value in range(200):
            writer.event("log", number=number, text="x" * 50)
            writer.row({"number": number, "value": value})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.flush()
    reader = RunReader(layout.root)
    assert len(reader.events()) == 1200
    rows = reader.steps()
    assert sorted(map(tuple, rows)) == [(n, v) for n in range(6) for v in range(200)]


def test_a_second_writer_is_refused_with_the_owner_named(writer: RunWriter, layout: RunLayout) -> None:
    for attempt in (
        lambda: RunWriter.create(layout, {}, {}),
        lambda: RunWriter.resume(layout, {}, {}, {"rows": 0, "event_bytes": 0}),
        lambda: owned(layout).__enter__(),
    ):
        with pytest.raises(UsageError) as refused:
            attempt()
        assert str(os.getpid()) in refused.value.message
        assert refused.value.exit_code == Exit.USAGE
    writer.event("log")
    assert writer.trouble is None


def test_a_folder_with_a_run_is_refused_with_the_hint_of_resume(writer: RunWriter, layout: RunLayout) -> None:
    writer.close()
    with pytest.raises(UsageError) as refused:
        RunWriter.create(layout, {}, {})
    assert "--resume" in refused.value.hint
    assert not lock_is_held(layout.lock)


def test_someone_elses_events_file_is_not_written_to(layout: RunLayout) -> None:
    layout.root.mkdir()
    layout.events.write_text("mine")
    with pytest.raises(UsageError):
        RunWriter.create(layout, {}, {})
    assert layout.events.read_text() == "mine"


def test_a_folder_that_can_not_be_made_is_a_file_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError) as refused:
        RunWriter.create(RunLayout(tmp_path / "file" / "run"), {}, {})
    assert refused.value.exit_code == Exit.FILE


def test_a_start_that_fails_leaves_no_run_behind(layout: RunLayout) -> None:
    layout.root.mkdir()
    layout.hparams_json.mkdir()
    with pytest.raises(FileError):
        RunWriter.create(layout, {}, {})
    assert not layout.run_json.exists()
    assert not lock_is_held(layout.lock)


def test_run_json_is_merged_not_replaced(writer: RunWriter, layout: RunLayout) -> None:
    writer.update(pinned=True, loss=math.nan)
    writer.close(status="finished", reason="all epochs done")
    writer.close(status="failed")
    run = json.loads(layout.run_json.read_text())
    assert (run["task"], run["pinned"], run["loss"]) == ("digits", True, "NaN")
    assert (run["status"], run["reason"], run["ended"]) == ("finished", "all epochs done", 5.0)
    assert not lock_is_held(layout.lock)


def test_an_ended_run_can_be_held_while_its_files_are_changed(writer: RunWriter, layout: RunLayout) -> None:
    writer.close(status="finished")
    with owned(layout):
        assert lock_is_held(layout.lock)
    assert not lock_is_held(layout.lock)
    with pytest.raises(FileError), owned(RunLayout(layout.root / "none")):
        pass


def test_writing_after_the_end_is_harmless(writer: RunWriter, layout: RunLayout) -> None:
    writer.event("run_end")
    writer.close()
    before = layout.events.read_bytes()
    writer.event("system")
    writer.row({"a": 1})
    writer.heartbeat()
    writer.sync()
    writer.update(status="running")
    assert layout.events.read_bytes() == before


def test_the_heartbeat_touches_the_lock_and_writes_waiting_rows(writer: RunWriter, layout: RunLayout) -> None:
    writer.row({"a": 1})
    os.utime(layout.lock, (1, 1))
    writer.heartbeat()
    assert layout.lock.stat().st_mtime > 1
    assert layout.steps.stat().st_size == 8


def test_a_full_disk_never_raises_and_nothing_is_lost_or_doubled(layout: RunLayout) -> None:
    disk = Disk()
    writer = RunWriter.create(layout, {}, {}, write=disk, timer=Timer())
    writer.event("log", number=0)
    disk.room = 30
    for number in range(1, 50):
        writer.event("log", number=number)
        writer.row({"number": number, "other": 0})
    assert writer.trouble is not None
    assert "No space left" in writer.trouble
    assert [event["number"] for event in RunReader(layout.root).events()] == [0]
    disk.room = math.inf
    writer.event("log", number=50)
    writer.flush()
    assert writer.trouble is None
    assert [event["number"] for event in RunReader(layout.root).events()] == list(range(51))
    assert list(RunReader(layout.root).steps()[:, 0]) == list(range(1, 50))
    writer.close()


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.integers(0, 12)), max_size=40))
def test_short_and_failed_writes_leave_a_prefix_and_then_everything(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[bytes, int]]
) -> None:
    path = tmp_path_factory.mktemp("append") / "file"
    disk = Disk(room=0, most=3)
    file = AppendFile(path, write=disk)
    whole = b""
    for record, room in moves:
        disk.room = room
        file.add(record)
        file.drain()
        whole += record
        assert whole.startswith(path.read_bytes())
        assert file.end == len(whole)
    disk.room = math.inf
    file.drain()
    file.close()
    assert path.read_bytes() == whole


def test_a_long_outage_drops_new_records_whole_and_counts_them(tmp_path: Path) -> None:
    disk = Disk(room=5)
    file = AppendFile(tmp_path / "file", limit=20, write=disk)
    for _ in range(5):
        file.add(b"12345678")
        file.drain()
    assert file.dropped == 2
    disk.room = math.inf
    file.drain()
    assert (tmp_path / "file").read_bytes() == b"12345678" * 3


def test_a_signal_handler_may_write_an_event_in_the_middle_of_a_write(layout: RunLayout) -> None:
    def interrupted(fd: int, data: bytes, offset: int) -> int:
        count = os.pwrite(fd, data, offset)
        if b"handler" not in data:
            writer.event("control", action="from a handler")
        return count

    writer = RunWriter.create(layout, {}, {}, write=interrupted, timer=Timer())
    writer.event("log")
    assert [event["event"] for event in RunReader(layout.root).events()] == ["log", "control"]
    writer.close()


def test_run_json_that_could_not_be_written_is_tried_again(writer: RunWriter, layout: RunLayout) -> None:
    layout.run_json.unlink()
    layout.run_json.mkdir()
    writer.update(status="paused")
    assert writer.trouble is not None
    assert "run.json" in writer.trouble
    layout.run_json.rmdir()
    writer.heartbeat()
    assert writer.trouble is None
    assert RunReader(layout.root).run()["status"] == "paused"


def test_rows_wait_until_their_header_can_be_written(writer: RunWriter, layout: RunLayout) -> None:
    layout.steps_header.mkdir()
    writer.row({"a": 1})
    writer.flush()
    assert writer.trouble is not None
    assert layout.steps.stat().st_size == 0
    layout.steps_header.rmdir()
    writer.flush()
    assert writer.trouble is None
    assert RunReader(layout.root).last_row() == {"a": 1}


def test_discarding_leaves_only_a_log(writer: RunWriter, layout: RunLayout, tmp_path: Path) -> None:
    layout.console_log.write_text("a warning\n")
    writer.event("phase", name="loading data")
    log = writer.discard(tmp_path / "logs", "no such file: x.csv")
    assert log == tmp_path / "logs" / f"{layout.root.name}.log"
    assert log.read_text() == "no such file: x.csv\na warning\n"
    assert not layout.root.exists()


def test_discarding_spares_files_that_are_not_the_records(
    writer: RunWriter, layout: RunLayout, tmp_path: Path
) -> None:
    (layout.root / "thesis.tex").write_text("years of work")
    (tmp_path / "file").touch()
    log = writer.discard(tmp_path / "file", "no")
    assert log.read_text() == "no\n"
    log.unlink()
    assert [path.name for path in layout.root.iterdir()] == ["thesis.tex"]


def test_a_resumed_run_that_is_discarded_is_kept_as_failed(
    writer: RunWriter, layout: RunLayout, tmp_path: Path
) -> None:
    writer.event("epoch_end", epoch=1)
    writer.close()
    again = RunWriter.resume(layout, {}, {}, {"rows": 9, "event_bytes": 10**9})
    again.discard(tmp_path / "logs", "out of memory\nmore")
    run = RunReader(layout.root).run()
    assert (run["status"], run["reason"]) == ("failed", "out of memory")
    assert len(RunReader(layout.root).events()) == 1


def test_a_kill_leaves_every_event_that_was_written(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from tui_trainer.runs.layout import RunLayout\n"
        "from tui_trainer.runs.writer import RunWriter\n"
        "writer = RunWriter.create(RunLayout(pathlib.Path(sys.argv[1])), {}, {})\n"
        "for n in range(100): writer.row({'n': n}); writer.event('log', n=n)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=False)
    reader = RunReader(tmp_path / "run")
    assert [event["n"] for event in reader.events()] == list(range(100))
    assert len(reader.steps()) == 100
    assert reader.liveness() == "dead"


def test_a_lock_on_a_folder_without_a_run_is_respected(layout: RunLayout) -> None:
    layout.root.mkdir()
    lock = FileLock(layout.lock).acquire()
    with pytest.raises(UsageError):
        RunWriter.create(layout, {}, {})
    lock.release()


def test_the_record_imports_nothing_heavy() -> None:
    code = (
        "import sys, pkgutil, importlib, tui_trainer.runs as runs\n"
        "for module in pkgutil.iter_modules(runs.__path__):\n"
        "    importlib.import_module('tui_trainer.runs.' + module.name)\n"
        "print(sorted({'numpy', 'torch', 'textual', 'rich', 'pydantic'} & set(sys.modules)))\n"
    )
    done: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_run_end_stays_the_last_line_whatever_comes_late(tmp_path: Path) -> None:
    writer = RunWriter.create(RunLayout(tmp_path / "run"), {}, {})
    writer.event("run_end", status="finished")
    writer.event("system", cpu=1.0)
    writer.close()
    lines = (tmp_path / "run/events.jsonl").read_bytes().splitlines()
    assert [event["event"] for line in lines if (event := decode(line))] == ["run_end"]


def test_a_folder_becomes_a_run_when_all_is_there_that_a_resume_needs(
    layout: RunLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, there = os.replace, []

    def replacing(source: Any, target: Any) -> None:
        if target == layout.run_json:
            there.extend(path.name for path in layout.root.rglob("*.json"))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replacing)
    RunWriter.create(layout, {"host": "a"}, {"epochs": 2}).close()
    assert sorted(there) == ["checkpoints.json", "hparams.json"]


def test_what_a_killed_start_left_unfinished_is_cleared_away(layout: RunLayout) -> None:
    layout.root.mkdir()
    for name in (".hparams.json.7-a1.tmp", ".run.json.7-b2.tmp"):
        (layout.root / name).write_bytes(b"{")
    RunWriter.create(layout, {"host": "a"}, {"epochs": 2}).close()
    assert not list(layout.root.rglob(".*"))


def test_a_row_with_too_many_columns_is_cut_to_what_readers_take(layout: RunLayout) -> None:
    with_many = RunWriter.create(layout, {}, {})
    with_many.row({f"c{number}": float(number) for number in range(3000)})
    with_many.close()
    reader = RunReader(layout.root)
    assert (len(reader.columns()), reader.steps().shape) == (2048, (1, 2048))
