"""Turning whatever a run dies of into an error that a person can act on."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tui_trainer.engine import shortage
from tui_trainer.engine.frames import place, user_frame, user_traceback, worker_place, worker_traceback
from tui_trainer.engine.hints import hint, hint_for
from tui_trainer.engine.scene import Scene, look
from tui_trainer.errors import TrainerError

__all__ = [
    "device_is_lost",
    "during",
    "explain",
    "happened_in",
    "is_out_of_memory",
    "out_of_memory",
    "user_traceback",
]

T = TypeVar("T")

WORKER_HINT = "num_workers 0 loads in the training process itself, where a debugger reaches"
_MEMORY_HINT = "a smaller batch_size (with more grad_accumulation) or precision bfloat16 needs less"
_LOST_HINT = (
    "usual is a class or an index beyond its table: --device cpu names it; CUDA_LAUNCH_BLOCKING=1 names the "
    "failing call"
)
_WHATEVER_THE_BATCH = ("loading data", "building the model", "preparing batches", "building the optimizer")
"""Phases that need the same memory with any batch size."""
_LONG = 160
"""Characters of an error's first line from which on its first sentence is enough beside a hint."""

_NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory: you tried|bad_alloc|_ALLOC_FAILED", re.IGNORECASE
)


_FUNCTION = re.compile(r"^  File .*, in (.+)$", re.MULTILINE)


@contextmanager
def during(phase: str) -> Iterator[None]:
    """Whatever is raised inside is told to have happened in this phase, unless in one inside of it."""
    try:
        yield
    except BaseException as error:
        happened_in(error, phase)
        raise


def happened_in(error: BaseException, phase: str) -> None:
    """Note in which phase an error came up. The first note counts: it is the innermost."""
    if not hasattr(error, "phase"):
        error.phase = phase  # type: ignore[attr-defined]


def explain(error: BaseException) -> TrainerError:
    """The error as a `TrainerError`. One that is one already stays as it is."""
    if isinstance(error, TrainerError):
        return error
    phase = getattr(error, "phase", None)
    where = f" {_preposition(phase)} {phase}" if phase else ""
    worker = worker_traceback(error)
    if worker is not None:
        # torch re-raises it with the worker's whole traceback as its text.
        return _explain_worker(worker, where)
    kind = type(error).__name__
    text = str(error).strip().split("\n", 1)[0] or "no message"
    if is_out_of_memory(error):
        any_batch = phase in _WHATEVER_THE_BATCH
        todo = "no batch size helps here: take a smaller model or data set" if any_batch else _MEMORY_HINT
        return out_of_memory(shortage.describe(error), where, todo)
    scene = _safely(lambda: look(error), Scene())
    todo = _LOST_HINT if device_is_lost(error) else _safely(lambda: hint(error, scene), "")
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        text, todo = f"the task {_left_by(error)}", "raise an exception that says what is wrong"
    if todo and len(text) > _LONG:
        text = text.split(". ")[0]
    layer = _safely(scene.where, "")
    where += f", {layer}" if layer else ""
    at = _place(error, scene)
    lines: list[str] = _safely(scene.lines, [])
    if not todo and not at and not lines:
        todo = "--traceback shows where"
    message = f"{kind}{where}: {text}{f' ({at})' if at else ''}"
    return TrainerError("training failed", "\n".join([message, *lines]), todo)


def _safely(tell: Callable[[], T], otherwise: T) -> T:
    """What is told of objects of the user's, which may raise anything when they are looked at."""
    try:
        return tell()
    except Exception:
        return otherwise


def _preposition(phase: str) -> str:
    """`while loading data`, `in the first batch`, `in step 3`."""
    if phase.split()[0].endswith("ing"):
        return "while"
    return "in" if phase[-1].isdigit() else "in the"


def _left_by(error: SystemExit | KeyboardInterrupt) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "raised it by itself: nobody pressed Ctrl-C"
    return "called sys.exit()" if error.code is None else f"called sys.exit({error.code!r})"


def _place(error: BaseException, scene: Scene) -> str:
    """Where to look in the user's code: its innermost frame, else the method that made what failed."""
    frame = user_frame(error)
    if frame is not None:
        return place(frame.filename, frame.lineno)
    if scene.task is None or not scene.layer_name:
        return ""
    return _definition(scene.task, "model")


def _definition(task: Any, method: str) -> str:
    """`model() at my_task.py:12`; empty where the method has no source."""
    function = getattr(type(task), method, None)
    code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
    return f"{method}() at {place(code.co_filename, code.co_firstlineno)}" if code is not None else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a device or on the host; with less to hold the same work may go through."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def out_of_memory(told: str, where: str, hint: str) -> TrainerError:
    """The error for memory that ran out.

    Args:
        told: how much was asked for, and how much there is.
        where: as the message goes on, such as ` while building the model`.
        hint: what to change.
    """
    return TrainerError("out of memory", f"{told}{where}", hint)


def device_is_lost(error: BaseException) -> bool:
    """Whether the CUDA context of this process is unusable from here on, whatever runs in it next.

    An illegal access or a failed assertion on the device ruins it; running out of memory does not.
    """
    text = str(error).lower()
    return "cuda error" in text and "out of memory" not in text and "ordinal" not in text


def _explain_worker(listing: str, where: str) -> TrainerError:
    last = next((line for line in reversed(listing.splitlines()) if line and not line.startswith(" ")), "")
    kind, _, text = last.partition(": ")
    at = worker_place(listing)
    where = f"{where}," if where else ""
    message = f"{kind}{where} in a loader process: {text}{f' ({at})' if at else ''}"
    function = _FUNCTION.findall(listing)
    scene = Scene(function=function[-1] if function else "")
    return TrainerError("training failed", message, hint_for(last, scene) or WORKER_HINT)
