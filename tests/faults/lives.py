"""Processes that are killed: importing torch once, and forking a child for each life.

`Lives` is the near side. The far side, `python -m tests.faults.lives`, loads what a trainer needs and then
reads orders from stdin, one JSON object a line; for each it forks, lets the child do what it is told in a
session of its own, and answers with how that ended.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.faults.tracing import Operation, traced

COMMAND_LINE = "tui_trainer.cli.main:main"

_LOADED = (
    "torch",
    # The first optimizer of a process imports it.
    "torch._dynamo",
    "sklearn.datasets",
    "tui_trainer.engine.experiment",
    "tui_trainer.engine.system",
    "tui_trainer.cli.train",
)


@dataclass(frozen=True)
class Death:
    """When a life is cut off by SIGKILL: at a moment of its own, or after a time.

    Attributes:
        moment: `call` (a file system operation), `save` (one in the checkpoints folder), `rotate` (a deletion
            there), `train` or `test` (a batch's forward pass).
        count: at which of them, from 1.
        seconds: after this long instead, by the clock.
    """

    moment: str = ""
    count: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Life:
    """How a life ended.

    Attributes:
        code: exit code; -9 of one that was killed.
        output: what it wrote to stdout and stderr.
        seconds: how long it lasted.
        strays: files in the run directory that nothing names, seen at the first training batch.
        reached: moments that came to pass, and how often.
    """

    code: int
    output: str
    seconds: float
    strays: list[str]
    reached: dict[str, int]

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Lives:
    """The process that forks.

    Args:
        folder: where the outputs go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.lives"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def live(
        self,
        call: str,
        *args: Any,
        death: Death | None = None,
        run_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        trace: Path | None = None,
        settled: bool = False,
    ) -> Life:
        """Call a function in a child.

        Args:
            call: `module:function`; what it returns is the exit code.
            args: JSON values.
            death: when it is killed.
            run_dir: the run that is looked over for strays.
            environment: what the child's has beside the server's.
            trace: gets the child's file system operations, for `read_trace`.
            settled: no step is made before the checkpoint that was due is written, so that a number of steps
                tells which checkpoints there are.
        """
        order = {
            "call": call,
            "args": args,
            "death": vars(death) if death is not None else None,
            "run_dir": str(run_dir) if run_dir is not None else None,
            "environment": dict(environment or {}),
            "trace": str(trace) if trace is not None else None,
            "settled": settled,
            "folder": str(self._folder),
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        output = (self._folder / "output").read_text(errors="replace")
        told: dict[str, Any] = {"strays": [], "reached": {}}
        with suppress(FileNotFoundError):
            for line in (self._folder / "told").read_text().splitlines():
                told |= json.loads(line)
        return Life(answer["code"], output, answer["seconds"], told["strays"], told["reached"])

    def command(self, *words: object, **options: Any) -> Life:
        """Run a `tui-train` command line in a child."""
        return self.live(COMMAND_LINE, [str(word) for word in words], **options)

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()


def strays(run_dir: Path) -> list[str]:
    """Files of a run that nothing names: what a killed process left, relative to the run directory."""
    from tui_trainer.runs.checkpoints import read_index
    from tui_trainer.runs.layout import RunLayout

    layout = RunLayout(run_dir)
    ours = (
        layout.run_json, layout.hparams_json, layout.events, layout.steps, layout.steps_header,
        layout.console_log, layout.lock, layout.checkpoints_index, layout.data_facts,
    )  # fmt: skip
    named = {run_dir / name for entry in read_index(layout) for name in entry["files"]}
    known = {*ours, *named}
    found = {path for path in run_dir.rglob("*") if path.is_file()} - known
    sources = {path for path in found if path.parent == layout.task_source and path.suffix != ".tmp"}
    return sorted(str(path.relative_to(run_dir)) for path in found - sources)


def read_trace(trace: Path) -> list[Operation]:
    """The operations of a life, in order."""
    operations = []
    with open(trace, "rb") as file, suppress(EOFError):
        while True:
            operations.append(pickle.load(file))
    return operations


# ---------------------------------------------------------------------- the far side


def _serve() -> None:
    for name in _LOADED:
        importlib.import_module(name)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        order = json.loads(line)
        folder = Path(order["folder"])
        for name in ("output", "told"):
            (folder / name).unlink(missing_ok=True)
        begin = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _be_born(order, folder)
        code = _wait(pid, (order["death"] or {}).get("seconds"))
        print(json.dumps({"code": code, "seconds": time.monotonic() - begin}), flush=True)


def _wait(pid: int, seconds: float | None) -> int:
    if seconds is not None and signal.sigtimedwait({signal.SIGCHLD}, seconds) is None:
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _be_born(order: dict[str, Any], folder: Path) -> None:
    """The child's whole life."""
    code = 1
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        os.environ.update(order["environment"])
        module, _, name = order["call"].partition(":")
        function = getattr(importlib.import_module(module), name)
        with _watched(order, folder / "told"):
            code = int(function(*order["args"]) or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _watched(order: dict[str, Any], told: Path) -> ExitStack:
    """Count moments, and end the life at the one that was ordered."""
    from tui_trainer.engine.forward import Forward
    from tui_trainer.engine.saving import Saver
    from tui_trainer.runs.writer import RunWriter

    wanted = Death(**order["death"]) if order["death"] else Death()
    run_dir = Path(order["run_dir"]) if order["run_dir"] else None
    # Checkpoints are written in a thread of their own; loader processes are none of this life.
    counting, life = threading.Lock(), os.getpid()
    reached = dict.fromkeys(("call", "save", "rotate", "train", "test"), 0)
    forward, own_step, save = Forward.__call__, Forward.own_step, Saver.save
    tell_file, trace_file = (
        os.open(path or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for path in (told, order["trace"])
    )
    write: Callable[[int, bytes], int] = os.write

    def tell(**facts: Any) -> None:
        write(tell_file, json.dumps(facts).encode() + b"\n")

    def reach(*moments: str) -> None:
        with counting:
            for moment in moments:
                reached[moment] += 1
                if moment == wanted.moment and reached[moment] == wanted.count:
                    tell(reached=reached)
                    os.kill(life, signal.SIGKILL)

    def operated(operation: Operation) -> None:
        if os.getpid() != life:
            return
        write(trace_file, pickle.dumps(operation))
        saving = "/checkpoints/" in operation.path
        rotating = saving and operation.kind == "unlink"
        reach("call", *["save"] * saving, *["rotate"] * rotating)

    def begin(training: bool) -> None:
        if training and reached["train"] == 0 and run_dir is not None:
            tell(strays=strays(run_dir))
        reach("train" if training else "test")

    def forwarded(self: Any, model: Any, batch: Any) -> Any:
        begin(model.training)
        return forward(self, model, batch)

    def stepped(self: Any, context: Any, batch: Any) -> Any:
        begin(training=True)
        return own_step(self, context, batch)

    def save_and_wait(self: Saver, *args: Any, **options: Any) -> None:
        save(self, *args, **options)
        self.settle()

    watching = ExitStack()
    watching.enter_context(patch.object(Forward, "__call__", forwarded))
    watching.enter_context(patch.object(Forward, "own_step", stepped))
    if order["settled"]:
        watching.enter_context(patch.object(Saver, "save", save_and_wait))
    watching.enter_context(traced(operated))
    for opening in (RunWriter.create, RunWriter.resume):
        # They took the system call when they were defined.
        watching.enter_context(patch.dict(opening.__func__.__kwdefaults__, write=os.pwrite))
    watching.callback(lambda: tell(reached=reached))
    return watching


if __name__ == "__main__":
    _serve()
