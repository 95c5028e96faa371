"""Command lines in processes of their own that are there at once, forked from one that has imported torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.pseudo import process_state, wait_until

ORIGIN = """
import atexit, json, os, signal, sys
import torch, torch._dynamo
import tui_trainer.cli.train, tui_trainer.engine.experiment, tui_trainer.headless.plain
from tui_trainer.__main__ import main

for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        continue
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["folder"])
    os.environ.update(order["env"])
    for fd, path in enumerate(order["streams"]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666), fd)
    sys.argv = ["tui-train", *order["words"]]
    try:
        code = main()
    except SystemExit as leaving:
        code = leaving.code
    # All of an exit but the interpreter's own end, which takes seconds after these imports.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)
"""


@dataclass
class Forked:
    """A `tui-train` that runs.

    Attributes:
        pid: of its process.
        folder: its working directory, with `out` and `err`.
    """

    pid: int
    folder: Path
    origin: Origin

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()

    def kill(self, number: int) -> None:
        """Send a signal, and wait until it is delivered: two of a kind that wait are one."""
        os.kill(self.pid, number)
        wait_until(lambda: number not in _waiting(self.pid), "the delivery")

    def exit_code(self) -> int:
        """Wait for its end. The code as a shell shows it: 128 + n if signal n ended it."""
        code = self.origin.wait(self.pid)
        self.pid = 0
        return 128 - code if code < 0 else code

    def end(self) -> None:
        """End it and all that it started, if it still lives."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.exit_code()


def _waiting(pid: int) -> set[int]:
    """Signals to a process that it has not got yet, and may get; Linux tells."""
    if process_state(pid) == "Z":
        return set()
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return set()
    masks = [
        int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))
    ]
    return {number for number in range(1, 65) if any(mask >> (number - 1) & 1 for mask in masks)}


class Origin:
    """The process that others are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", ORIGIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def start(
        self,
        folder: Path,
        *words: object,
        env: Mapping[str, str] | None = None,
        out: str = "out",
        err: str = "err",
    ) -> Forked:
        """Start `tui-train` with these words in a folder, which has its runs, logs and output."""
        own = {"TUI_TRAIN_RUNS": str(folder / "runs"), "XDG_STATE_HOME": str(folder / "state"), **(env or {})}
        streams = [os.devnull, out, err]
        order = {
            "folder": str(folder),
            "env": own,
            "streams": streams,
            "words": [str(word) for word in words],
        }
        return Forked(self._ask(order), folder, self)

    def wait(self, pid: int) -> int:
        return self._ask({"wait": pid})

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, order: Mapping[str, object]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())
