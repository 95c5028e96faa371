"""`--detach`: start a run in the background, and return when it is known to live."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tui_trainer.cli.app import run_words
from tui_trainer.cli.streams import say
from tui_trainer.cli.train import Plan, plan, print_beforehand
from tui_trainer.errors import Exit, FileError
from tui_trainer.files import lock_is_held, os_failure, read_owner
from tui_trainer.runs.layout import RunLayout, create_run_dir

_LOOK_S = 0.05
_LAST_LINES = 20


def detach(argv: Sequence[str]) -> int:
    """Start a run in the background and print its directory.

    Args:
        argv: the words of the main command.

    Returns:
        0 once the run has taken hold of its directory; the exit code of a run that ended before that.

    Raises:
        TrainerError: what is wrong with the command line, or that nothing can be started.
    """
    from tui_trainer.engine.detached import start_detached

    words = [word for word in run_words(argv) if word.partition("=")[0] != "--detach"]
    planned = plan(words)
    print_beforehand(planned)
    if planned.nothing_to_do is not None:
        say(planned.nothing_to_do)
        return Exit.OK
    try:
        layout = _directory(planned)
        begin = _size(layout.console_log)
        process = start_detached(words, layout.root)
    except OSError as error:
        message = os_failure(error, planned.order.runs_dir)
        raise FileError(
            "can't start in the background", message, "--runs-dir DIR chooses another folder"
        ) from error
    if not _takes_hold(process, layout) and process.returncode != 0:
        return _ended_early(process.returncode, layout, begin)
    print(layout.root)
    # It is on its own from here.
    process.returncode = 0
    return Exit.OK


def _directory(planned: Plan) -> RunLayout:
    if planned.resume is not None and not planned.resume.forks:
        return planned.resume.layout
    if planned.order.run_dir is not None:
        planned.order.run_dir.mkdir(parents=True, exist_ok=True)
        return RunLayout(planned.order.run_dir)
    return create_run_dir(planned.order.runs_dir, planned.task.name)


def _takes_hold(process: subprocess.Popen[bytes], layout: RunLayout) -> bool:
    """Wait until the run's process holds its record. False if it ended before that was seen."""
    while process.poll() is None:
        held = lock_is_held(layout.lock) and read_owner(layout.lock).get("pid") == process.pid
        if held and layout.run_json.is_file():
            return True
        time.sleep(_LOOK_S)
    return False


def _ended_early(code: int, layout: RunLayout, begin: int) -> int:
    """Say what a run died of before it held its record, and clear away what it left."""
    with suppress(OSError), open(layout.console_log, errors="replace") as log:
        log.seek(begin)
        say("".join(log.readlines()[-_LAST_LINES:]).rstrip())
    if code < 0:
        say(f"error: the run was ended by signal {-code} at once")
    if layout.run_json.exists():
        say(f"log: {layout.console_log}")
    else:
        with suppress(OSError):
            layout.console_log.unlink()
            layout.root.rmdir()
    return 128 - code if code < 0 else code


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
