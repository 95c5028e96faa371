"""Writing what training can't go on without, also where the disk is full."""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.engine.controls import Controls
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.engine.saving import PAUSE_S
from tui_trainer.errors import FileError


def with_room(
    write: Callable[[], None], stop: StopRequest, controls: Controls, waits: Callable[[str], None]
) -> None:
    """Write; while the disk does not take it, wait for room or for a stop, and write again.

    Args:
        write: leaves nothing half done when it fails.
        stop: ends the waiting.
        controls: a request ends a pause between two tries.
        waits: told once why.

    Raises:
        FileError: somebody wants the run to end.
    """
    told = False
    while True:
        try:
            return write()
        except FileError as error:
            if stop.reason is not None:
                raise
            if not told:
                waits(error.message)
            told = True
        controls.inbox.arrived.wait(PAUSE_S)
        controls.inbox.arrived.clear()
