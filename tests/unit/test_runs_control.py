"""Requests to a live run: what is sent is taken once, in order; what is no request does no harm."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.errors import FileError, UsageError
from tui_trainer.runs import control
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.writer import RunWriter


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    """A live run."""
    layout = RunLayout(tmp_path / "run")
    writer = RunWriter.create(layout, {"host": socket.gethostname(), "task": "digits"}, {})
    yield writer
    writer.close(status="stopped")


def drop(layout: RunLayout, name: str, content: bytes | dict[str, Any]) -> Path:
    """A file in the control folder that `send` did not write."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path = layout.control / name
    path.write_bytes(data)
    return path


def test_what_is_sent_is_taken_once_and_in_order(writer: RunWriter) -> None:
    layout = writer.layout
    sent = [
        control.send(layout, "pause", requested_by="me"),
        control.send(layout.root, "set", {"lr": 3e-4}),
        control.send(layout, "pin", "7+120"),
        control.send(layout, "pin"),
        control.send(layout, "stop"),
    ]
    assert control.waiting(layout) == sent
    assert control.take(layout) == sent
    assert control.take(layout) == control.waiting(layout) == []
    assert [request.value for request in sent] == [None, {"lr": 3e-4}, "7+120", None, "now"]
    assert sent[0].requested_by == "me"
    assert sent[1].requested_by.endswith(f"@{socket.gethostname()}")


def test_a_request_waits_is_acknowledged_and_is_done_or_refused(writer: RunWriter) -> None:
    layout = writer.layout
    request = control.send(layout, "save")
    other = {"event": "control", "action": "save", "request": "another"}
    assert control.outcome(layout, request, [other]).status == "waiting"
    control.take(layout)
    assert control.outcome(layout, request.id, [other]).status == "acknowledged"
    done = {"event": "control", "action": "save", "request": request.id, "step": 3}
    assert control.outcome(layout, request, [other, done]) == control.Outcome("done", done)
    assert control.outcome(layout, request, [done | {"error": "full disk"}]).status == "refused"


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("explode", None),
        ("pause", True),
        ("stop", "later"),
        ("stop", ["now"]),
        ("set", None),
        ("set", {"lr": 0}),
        ("set", {"lr": -1e-3}),
        ("set", {"lr": float("nan")}),
        ("set", {"lr": float("inf")}),
        ("set", {"lr": 10**400}),
        ("set", {"lr": True}),
        ("set", {"lr": "1e-3"}),
        ("set", {"lr": 1e-3, "epochs": 3}),
        ("pin", "../../etc"),
        ("pin", 7),
        ("rm", None),
    ],
)
def test_a_wrong_request_is_refused_by_the_sender(writer: RunWriter, action: str, value: Any) -> None:
    with pytest.raises(UsageError):
        control.send(writer.layout, action, value)
    assert not list(writer.layout.control.iterdir())


def test_a_run_that_nobody_trains_is_refused_with_its_status(writer: RunWriter) -> None:
    writer.close(status="finished")
    with pytest.raises(UsageError, match="run is finished") as refused:
        control.send(writer.layout, "pause")
    assert "--resume run" in refused.value.hint


def test_another_machines_run_can_be_asked_while_it_lives(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    writer = RunWriter.create(layout, {"host": "elsewhere"}, {})
    control.send(layout, "pause")
    long_ago = time.time() - 3600
    os.utime(layout.lock, (long_ago, long_ago))
    with pytest.raises(UsageError):
        control.send(layout, "pause")
    writer.heartbeat()
    writer.update(status="stopped")
    with pytest.raises(UsageError, match="stopped"):
        control.send(layout, "pause")
    writer.close()


def test_a_folder_that_cannot_be_written_is_named(writer: RunWriter) -> None:
    writer.layout.control.rmdir()
    writer.layout.control.write_text("a file")
    with pytest.raises(FileError, match="control"):
        control.send(writer.layout, "pause")


def test_what_is_no_request_is_removed_and_reported_and_the_good_one_is_taken(writer: RunWriter) -> None:
    layout = writer.layout
    good = {"action": "save", "value": None, "requested_by": "me", "time": 1.0}
    name = f"{time.time_ns()}-1-ab.json"
    bad = [
        drop(layout, "note.txt", b"hello"),
        drop(layout, "1-1-aa.json", b"{"),
        drop(layout, "1-1-ab.json", b"[" * 4000),
        drop(layout, "1-1-ac.json", b'{"action": "save", "padding": "' + b"x" * 5000 + b'"}'),
        drop(layout, "1-1-ad.json", {**good, "action": "explode"}),
        drop(layout, "1-1-ae.json", {**good, "action": ["save"]}),
        drop(layout, "1-1-af.json", {**good, "action": "set", "value": {"lr": "NaN"}}),
        drop(layout, "1-1-b0.json", b'{"action": "set", "value": {"lr": 1' + b"0" * 3000 + b"}}"),
        drop(layout, "1-1-b1.json", {**good, "action": "rm", "value": "../../home"}),
        drop(layout, "not-a-request.json", good),
        layout.control / "1-1-b2.json",
        layout.control / "1-1-b3.json",
        layout.control / "1-1-b4.json",
    ]
    bad[-3].mkdir()
    os.mkfifo(bad[-2])
    bad[-1].symlink_to(layout.run_json)
    drop(layout, name, good)
    reported: list[str] = []
    taken = control.take(layout, lambda name, why: reported.append(name))
    assert [request.id for request in taken] == [name.removesuffix(".json")]
    assert sorted(reported) == sorted(path.name for path in bad)
    assert not list(layout.control.iterdir())
    assert layout.run_json.is_file()


def test_a_folder_with_content_is_reported_and_left(writer: RunWriter) -> None:
    folder = writer.layout.control / "mine"
    folder.mkdir()
    (folder / "file").write_text("keep")
    reported: list[str] = []
    for _ in range(2):
        assert control.take(writer.layout, lambda name, why: reported.append(name)) == []
    assert reported == ["mine", "mine"]
    assert (folder / "file").read_text() == "keep"


def test_half_written_requests_are_waited_for(writer: RunWriter) -> None:
    layout = writer.layout
    drop(layout, ".1-1-aa.json.77-ff.tmp", b'{"action"')
    reserved = drop(layout, "1-1-ab.json", b"")
    refused: list[str] = []
    now = time.time()
    assert control.take(layout, lambda name, why: refused.append(name), clock=lambda: now) == []
    assert reserved.exists()
    assert control.take(layout, lambda name, why: refused.append(name), clock=lambda: now + 60) == []
    assert refused == ["1-1-ab.json"]
    assert [path.name for path in layout.control.iterdir()] == [".1-1-aa.json.77-ff.tmp"]


def test_who_asked_reaches_the_record_without_what_a_terminal_obeys(writer: RunWriter) -> None:
    drop(writer.layout, "1-1-aa.json", {"action": "save", "requested_by": "me\x1b[2J\n" + "x" * 500})
    (request,) = control.take(writer.layout)
    assert request.requested_by.startswith("me[2Jxxx")
    assert len(request.requested_by) == 100


def test_clearing_leaves_an_empty_folder(writer: RunWriter) -> None:
    layout = writer.layout
    control.send(layout, "pause")
    drop(layout, "junk", b"")
    drop(layout, ".1-1-aa.json.77-ff.tmp", b"")
    control.clear(layout)
    assert not list(layout.control.iterdir())


def test_a_missing_folder_holds_nothing_and_is_made_by_the_next_request(writer: RunWriter) -> None:
    layout = writer.layout
    layout.control.rmdir()
    assert control.waiting(layout) == []
    control.clear(layout)
    with pytest.raises(FileNotFoundError):
        control.take(layout)
    control.send(layout, "pause")
    assert [request.action for request in control.take(layout)] == ["pause"]


def test_taking_hold_of_a_run_throws_old_requests_away_and_keeps_those_that_follow(writer: RunWriter) -> None:
    layout = writer.layout
    control.send(layout, "stop")
    writer.close(status="stopped")
    again = RunWriter.resume(layout, {}, {}, {"rows": 0, "event_bytes": 0})
    assert control.waiting(layout) == []
    request = control.send(layout, "pause")
    assert control.take(layout) == [request]
    again.close()
