"""Processes beside a run that feed its record to loggers. Nothing that becomes of them touches training."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.writer import RunWriter

_NICE = 10


def start_followers(loggers: Sequence[str], writer: RunWriter) -> None:
    """Start `tui-train log RUN --to LOGGER --follow` for each logger.

    Each has a session of its own and a low priority, writes to the run's console.log, and leaves when it has
    taken all of a run that is over. One that ends before that is told by an alert.

    Args:
        loggers: names that were found to be installed.
        writer: the record of the run.
    """
    for logger in loggers:
        try:
            process = _start(logger, writer.layout)
        except OSError as error:
            _alert(writer, logger, f"no process can be started: {error.strerror or error}")
            continue
        threading.Thread(
            target=_wait, args=(process, logger, writer), name=f"follower {logger}", daemon=True
        ).start()


def _start(logger: str, layout: RunLayout) -> subprocess.Popen[bytes]:
    root = str(layout.root.absolute())
    with open(layout.console_log, "ab") as log:
        process = subprocess.Popen(
            # Without -P the working directory would come before the standard library.
            [sys.executable, "-P", "-m", "tui_trainer", "log", root, "--to", logger, "--follow"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
    return process


def _wait(process: subprocess.Popen[bytes], logger: str, writer: RunWriter) -> None:
    code = process.wait()
    if code:
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        _alert(writer, logger, f"its process {ended}; console.log tells why")


def _alert(writer: RunWriter, logger: str, message: str) -> None:
    # After the run's end nothing is recorded any more, and nobody has to know.
    hint = f"training goes on; tui-train log {writer.run_id} --to {logger} fills it at any time"
    writer.event("alert", level="warning", title=f"{logger} gets no more", message=message, hint=hint)
