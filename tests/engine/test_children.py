"""Ending child processes: none is left, but for those that were let go on purpose."""

from __future__ import annotations

import subprocess
import sys

# The sleeper of its own session stands for a command at a run's end that takes long.
SCRIPT = """
import os, subprocess, sys
from tui_trainer.engine.children import end_children

def sleeper(**options):
    return subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, **options)

mine = sleeper()
let_go = sleeper(start_new_session=True)
# As the app does when it leaves its terminal: its children stay in the session before.
os.setsid()
later = sleeper()
end_children()
print(mine.wait(20), later.wait(20), let_go.poll())
let_go.kill()
"""


def test_children_are_ended_except_those_in_a_session_of_their_own() -> None:
    # Not the leader of a group, so that it may begin a session.
    command = [sys.executable, "-c", f"import os\nif os.fork():\n    os.wait()\nelse:\n  exec({SCRIPT!r})"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, start_new_session=True, timeout=100
    )
    assert done.stdout == "-9 -9 None\n", done.stderr
