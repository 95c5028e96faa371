"""Processes that this one has started: none may outlive it. Light to import."""

from __future__ import annotations

import multiprocessing
import os
from contextlib import suppress

_PATIENCE_S = 0.5
_TRACKER = "multiprocessing.resource_tracker"


def end_workers_left() -> None:
    """End loader processes that a loop left behind when it was interrupted while it started or ended them.

    They ignore signals to the whole group, so the interpreter would wait for them at its exit, maybe for
    ever.
    """
    for worker in multiprocessing.active_children():
        # torch takes a worker that was killed for a failure, and says so here.
        with suppress(RuntimeError):
            worker.kill()
            worker.join(_PATIENCE_S)


def end_children() -> None:
    """End the processes below this one, for one that will not tidy up any more.

    Those in a session that began below this one go on: they were let go on purpose, such as a run's command
    at its end that takes long.
    """
    import psutil

    with suppress(psutil.Error):
        below = psutil.Process().children(recursive=True)
        # Not "another session than this one's": this one's changes when it leaves its terminal.
        sessions = {child.pid for child in below}
        for child in [child for child in below if _session(child.pid) not in sessions]:
            with suppress(psutil.Error):
                # It ends by itself, after it has cleared away what the others left.
                if not any(_TRACKER in word for word in child.cmdline()):
                    child.kill()


def _session(pid: int) -> int:
    """The process that began the session of another; 0 for one that has ended."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0
