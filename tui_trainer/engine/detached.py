"""Starting a run in a session of its own, so that it outlives the terminal and whoever started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tui_trainer.runs.layout import RunLayout

_TYPED = "TUI_TRAIN_TYPED"
"""Environment variable with the words that a person would type for the same run, for its record."""


def start_detached(words: Sequence[str], run_dir: Path) -> subprocess.Popen[bytes]:
    """Start a run in the background: its own session, no stdin, its output in the run's console.log.

    Args:
        words: of a command line, validated, without options of the app.
        run_dir: its directory, which exists; the one of the run that goes on where the words resume one.

    Raises:
        OSError: the directory can't be written, or no process can be started.
    """
    resumes = any(word.partition("=")[0] == "--resume" for word in words)
    where = [] if resumes else ["--run-dir", str(run_dir)]
    # Without -P the working directory would come before the standard library.
    command = [sys.executable, "-P", "-m", "tui_trainer", "--no-ui", *words, *where]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", _TYPED: json.dumps(list(words))}
    with open(RunLayout(run_dir).console_log, "ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )


def typed_words(argv: Sequence[str]) -> list[str]:
    """What a person typed, or would have typed, to start this process. Asked once.

    Args:
        argv: this process's own words.
    """
    # Taken out of the environment: a command that the task starts is not this one.
    text = os.environ.pop(_TYPED, None)
    return list(argv) if text is None else [str(word) for word in json.loads(text)]
