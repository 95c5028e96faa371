"""Processes that this one has started: none may outlive it. Light to import."""

from __future__ import annotations

import multiprocessing
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
    """End every process below this one, for one that will not tidy up any more."""
    import psutil

    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                # It ends by itself, after it has cleared away what the others left.
                if not any(_TRACKER in word for word in child.cmdline()):
                    child.kill()
