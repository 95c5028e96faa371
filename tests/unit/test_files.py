"""Files that survive a kill."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tui_trainer.files import (
    FileLock,
    LockHeld,
    create_only,
    lock_is_held,
    open_plain,
    read_owner,
    read_plain,
    remove_temporaries,
    replacing,
    sha256_file,
    write_bytes,
    write_json,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_replacing_swaps_in_the_whole_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"x": "ü"})
    write_json(target, {"x": 2}, durable=False)
    assert json.loads(target.read_text()) == {"x": 2}
    assert names(tmp_path) == ["a.json"]


def test_an_exception_while_replacing_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_bytes(target, b"old")

    def fail_halfway() -> None:
        with replacing(target) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_reader_that_has_the_old_file_open_keeps_it(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_bytes(target, b"old")
    with open(target, "rb") as file:
        write_bytes(target, b"new!")
        assert file.read() == b"old"


def test_what_a_killed_process_left_half_written_can_be_cleared_away(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from tui_trainer.files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as f:\n"
        "    f.write(b'half'); f.flush(); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.bin")], check=False)
    (tmp_path / ".mine.tmp").touch()
    assert len(names(tmp_path)) == 2
    assert len(remove_temporaries(tmp_path)) == 1
    assert names(tmp_path) == [".mine.tmp"]
    assert remove_temporaries(tmp_path / "missing") == []


def test_create_only_lets_exactly_one_win(tmp_path: Path) -> None:
    target = tmp_path / "request"
    assert create_only(target, b"first")
    assert not create_only(target, b"second")
    assert target.read_bytes() == b"first"
    assert names(tmp_path) == ["request"]


def test_create_only_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links on this file system")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "request"
    assert create_only(target, b"first")
    assert not create_only(target, b"second")
    assert target.read_bytes() == b"first"
    assert names(tmp_path) == ["request"]


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"abc")
    assert sha256_file(target) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_held_lock_refuses_others_and_names_its_owner(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock").acquire()
    with pytest.raises(LockHeld) as held:
        FileLock(tmp_path / "lock").acquire(patience_s=0)
    assert held.value.owner["pid"] == os.getpid()
    assert lock_is_held(tmp_path / "lock")
    lock.release()
    lock.release()
    assert not lock_is_held(tmp_path / "lock")
    FileLock(tmp_path / "lock").acquire(patience_s=0).release()


def test_a_lock_file_that_is_missing_or_unreadable_is_nobodys(tmp_path: Path) -> None:
    assert not lock_is_held(tmp_path / "none")
    assert read_owner(tmp_path / "none") == {}
    (tmp_path / "lock").write_text("[1]")
    assert read_owner(tmp_path / "lock") == {}


def test_a_probe_for_an_instant_does_not_refuse_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = FileLock(path).acquire()
    ticks = iter(range(100))

    def clock() -> float:
        tick = next(ticks)
        if tick == 3:
            other.release()
        return tick * 0.01

    FileLock(path).acquire(patience_s=1.0, clock=clock).release()


def test_an_error_other_than_being_held_is_not_taken_for_a_holder(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        FileLock(tmp_path / "missing" / "lock").acquire()


def test_the_lock_of_a_killed_process_is_free_even_if_its_forked_child_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import os, sys, pathlib\n"
        "from tui_trainer.files import FileLock\n"
        "lock = FileLock(pathlib.Path(sys.argv[1])).acquire()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print('forked', flush=True)\n"
        "    sys.stdin.read()\n"
        "    os._exit(0)\n"
        "sys.stdin.readline()\n"
        "os._exit(9)\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=pipe, stdout=pipe, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "forked\n"
        assert lock_is_held(path)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        # The grandchild still waits on its stdin.
        assert not lock_is_held(path)


def test_touching_is_a_heartbeat(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = FileLock(path).acquire()
    os.utime(path, (1, 1))
    lock.touch()
    assert path.stat().st_mtime > 1
    lock.release()
    lock.touch()


def test_only_plain_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "no", tmp_path / "a\0b"):
        with pytest.raises(OSError):
            open_plain(path)
    assert read_plain(tmp_path / "link", 7) == b"content"
    with pytest.raises(OSError, match="larger than 6 bytes"):
        read_plain(tmp_path / "file", 6)
    with pytest.raises(OSError):
        read_plain(tmp_path / "link", 7, follow=False)
