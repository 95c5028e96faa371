"""Turning whatever a run dies of into an error that a person can act on."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from tui_trainer.engine import shortage
from tui_trainer.errors import TrainerError

WORKER_HINT = "num_workers 0 loads in the training process itself, where a debugger reaches"
_MEMORY_HINT = "a smaller batch_size (with more grad_accumulation) or precision bfloat16 needs less"
_WHATEVER_THE_BATCH = ("loading data", "building the model", "preparing batches", "building the optimizer")
"""Phases that need the same memory with any batch size."""

_NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory: you tried|bad_alloc|_ALLOC_FAILED", re.IGNORECASE
)
_FRAME = re.compile(r'File "(.+?)", line (\d+)')
_OURS = str(Path(__file__).resolve().parent.parent)


def explain(error: BaseException) -> TrainerError:
    """The error as a `TrainerError`. One that is one already stays as it is."""
    if isinstance(error, TrainerError):
        return error
    phase = getattr(error, "phase", None)
    where = f" {'while' if phase.split()[0].endswith('ing') else 'in the'} {phase}" if phase else ""
    worker = worker_traceback(error)
    if worker is not None:
        # torch re-raises it with the worker's whole traceback as its text.
        return _explain_worker(worker, where)
    kind = type(error).__name__
    text = str(error).strip().split("\n", 1)[0] or "no message"
    if is_out_of_memory(error):
        any_batch = phase in _WHATEVER_THE_BATCH
        hint = "no batch size helps here: take a smaller model or data set" if any_batch else _MEMORY_HINT
        return out_of_memory(shortage.describe(error), where, hint)
    frame = user_frame(error)
    if isinstance(error, SystemExit):
        text, where = f"the task called sys.exit({text})", where
    at = f" ({frame.filename}:{frame.lineno})" if frame is not None else ""
    hint = _hint(kind, text) or ("" if frame is not None else "--traceback shows where")
    return TrainerError("training failed", f"{kind}{where}: {text}{at}", hint)


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


def worker_traceback(error: BaseException) -> str | None:
    """The traceback of an exception that a loader process died of; None for any other exception."""
    text = str(error)
    head, found, listing = text.partition("Original Traceback (most recent call last):\n")
    return listing.rstrip() if found and head.startswith("Caught ") else None


def _explain_worker(listing: str, where: str) -> TrainerError:
    last = next((line for line in reversed(listing.splitlines()) if line and not line.startswith(" ")), "")
    kind, _, text = last.partition(": ")
    frames = [(name, line) for name, line in _FRAME.findall(listing) if not _is_library(name)]
    at = f" ({frames[-1][0]}:{frames[-1][1]})" if frames else ""
    return TrainerError(
        "training failed", f"{kind} in a loader process{where}: {text}{at}", _hint(kind, text) or WORKER_HINT
    )


def user_frame(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost frame that is the user's: neither ours nor a library's."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_library(f.filename)]
    return frames[-1] if frames else None


def user_traceback(error: BaseException) -> str | None:
    """The traceback from the user's first frame on; None where no frame is the user's."""
    worker = worker_traceback(error)
    if worker is not None:
        lines = worker.splitlines()
        starts = [i for i, line in enumerate(lines) if (m := _FRAME.search(line)) and not _is_library(m[1])]
        return "\n".join(["Traceback (most recent call last):", *lines[starts[0] :]]) if starts else worker
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, frame in enumerate(frames) if not _is_library(frame.filename)), None)
    if first is None:
        return None
    listing = "".join(traceback.format_list(frames[first:]))
    return f"Traceback (most recent call last):\n{listing}{type(error).__name__}: {error}"


def _is_library(filename: str) -> bool:
    return (
        filename.startswith((_OURS, "<"))
        or "site-packages" in filename
        or f"{Path(traceback.__file__).parent}" in filename
    )


def _hint(kind: str, text: str) -> str:
    lower = text.lower()
    if device_is_lost(RuntimeError(text)):
        return "CUDA_LAUNCH_BLOCKING=1 names the failing call; often a class index beyond the model's outputs"
    if "shapes cannot be multiplied" in lower or "size mismatch" in lower or "expected input" in lower:
        return (
            "the model's input or output size does not fit the data: compare shapes in datasets() and model()"
        )
    if "out of bounds" in lower or "out of range" in lower:
        return "a class index is as large as the number of outputs, or an index lies outside of a table"
    if "dtype" in lower or "scalar type" in lower or "same type" in lower:
        return "inputs and weights, or outputs and targets, differ in dtype: usual are float32 and int64"
    if "same device" in lower:
        return "a tensor was created on another device: use inputs.device in the model"
    return ""
