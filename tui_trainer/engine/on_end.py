"""A command of the user's that is run when a run has ended: a notification, a copy, the next job."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

from tui_trainer.runs.layout import RunLayout

PATIENCE_S = 60.0


def run_on_end(
    command: str, layout: RunLayout, facts: Mapping[str, str], patience_s: float = PATIENCE_S
) -> None:
    """Run a shell command with TUI_TRAIN_RUN_DIR, and each fact as TUI_TRAIN_<NAME>, in its environment.

    Its output goes to the run's console.log, and what goes wrong with it is a line on stderr: it changes
    nothing about how the run ended. It has a session of its own, and one that takes too long is left alone.

    Args:
        command: for the shell.
        layout: the run's paths.
        facts: RUN_ID, TASK, STATUS, REASON, EXIT_CODE.
        patience_s: how long it is waited for.
    """
    told = {"RUN_DIR": str(layout.root.absolute()), **facts}
    environment = {
        **os.environ,
        **{f"TUI_TRAIN_{name}": text.replace("\0", "") for name, text in told.items()},
    }
    log = None
    with suppress(OSError):
        log = open(layout.console_log, "ab")
    try:
        trouble = _run(command, environment, log, patience_s)
    except (OSError, ValueError) as error:
        trouble = str(error)
    finally:
        if log is not None:
            log.close()
    if trouble:
        with suppress(OSError, ValueError):
            print(f"warning: --on-end: {command}: {trouble}", file=sys.stderr, flush=True)


def _run(command: str, environment: dict[str, str], log: IO[bytes] | None, patience_s: float) -> str:
    """Returns what went wrong; empty where nothing did."""
    output = log if log is not None else subprocess.DEVNULL
    process = subprocess.Popen(
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=True,
    )
    try:
        code = process.wait(patience_s)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        # Popen's finalizer would warn of a child that goes on, which is meant here.
        process.returncode = 0
        return "it goes on without tui-train waiting for it"
    return f"it ended with exit code {code}; its output is in console.log" if code else ""
