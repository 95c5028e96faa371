"""Folders: whether they can be written to, have room and keep locks."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from tui_trainer.cli.doctor.check import Check
from tui_trainer.cli.doctor.facts import read
from tui_trainer.cli.tables import size

_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "glusterfs",
    "afs",
    "9p",
    "virtiofs",
}


def look_at_folder(name: str, folder: Path, locks: bool = False) -> Check:
    """Try a folder that may not exist yet, by what can be written where it would be."""
    place = Path(os.path.abspath(folder))
    there = place
    while not there.exists() and there != there.parent:
        there = there.parent
    error = ""
    if not there.is_dir():
        error = f"{there} is not a folder"
    elif there == place:
        error = _try_write(there, locks)
    elif not os.access(there, os.W_OK | os.X_OK):
        error = f"it can't be created in {there}"
    usage = shutil.disk_usage(there)
    inodes = os.statvfs(there)
    kind = file_system(read("/proc/mounts"), there)
    free_inodes = inodes.f_favail if inodes.f_files else None
    return check_folder(name, str(place), error, usage.free, kind, free_inodes)


def _try_write(folder: Path, locks: bool) -> str:
    """Why files or locks don't work in a folder; empty when they do."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"x")
            file.flush()
            return _try_locks(Path(file.name)) if locks else ""
    except OSError as error:
        return error.strerror or str(error)


def _try_locks(path: Path) -> str:
    """Why a lock on this file doesn't work; empty when it does."""
    from tui_trainer.files import FileLock, lock_is_held

    lock = FileLock(path)
    try:
        lock.acquire()
        held = lock_is_held(path)
    except OSError as error:
        return f"file locks fail: {error.strerror or error}"
    finally:
        with suppress(Exception):
            lock.release()
    return "" if held else "file locks have no effect"


def check_folder(
    name: str, place: str, error: str, free: int, kind: str = "", free_inodes: int | None = None
) -> Check:
    """A folder: writable, with room, with locks.

    Args:
        name: what it is for.
        place: its path.
        error: why it can't be used; empty when it can.
        free: bytes.
        kind: type of its file system; empty where unknown.
        free_inodes: files that can still be made; None where the file system does not count.
    """
    if error:
        fix = (
            "choose another folder with --runs-dir or $TUI_TRAIN_RUNS"
            if name == "runs folder"
            else f"make {place} writable"
        )
        return Check(name, "bad" if name == "runs folder" else "warn", f"{place}: {error}", fix)
    network = kind.lower() in _NETWORK or kind.startswith("fuse.")
    found = f"{place}, {size(free)} free" + (
        f", on {kind}: other machines may see changes late" if network else ""
    )
    if name != "runs folder":
        return Check(name, "ok" if free > 1 << 20 else "warn", found, "" if free > 1 << 20 else "make room")
    if free < 200 << 20 or free_inodes == 0:
        return Check(
            name,
            "bad",
            found if free_inodes != 0 else f"{found}, but no inodes: no file can be made",
            "make room, or saving a checkpoint fails",
        )
    if free < 5 << 30:
        return Check(name, "warn", found, "make room, or keep fewer checkpoints (--keep_checkpoints 3)")
    return Check(name, "ok", found)


def file_system(mounts: str, path: Path) -> str:
    """The type of the file system that holds `path`, from the text of /proc/mounts; empty where unknown."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1])
        # Later mounts on the same point cover earlier ones.
        if len(point) >= len(best) and (path == Path(point) or path.is_relative_to(point)):
            best, kind = point, fields[2]
    return kind
