"""The lines of events.jsonl: one JSON object each, `{"event": NAME, "time": unix seconds, "run_id": …}` plus fields.

| event      | fields |
|------------|--------|
| run_start  | run_dir, task, hparams, device, world_size, parameters, train_samples, test_samples, steps_per_epoch, total_steps, monitor, directions {metric: "min" or "max"} |
| run_resume | step, epoch, checkpoint; and any of run_start's that changed |
| phase      | name; seconds once the phase is over |
| directions | directions {metric: "min" or "max"} of what a task's own training step records |
| epoch_start| epoch (from 1), step |
| evaluation | epoch, step, metrics, best, improved; an evaluation that is not at an epoch's end |
| epoch_end  | epoch (from 1), step, metrics {"train/loss": …, "test/loss": …, …}, lr, seconds (with its evaluation), samples_per_s, best {metric, value, epoch}, improved (bool) |
| checkpoint | epoch, batch, step, path (relative to the run directory), best (bool), size (bytes), seconds |
| control    | action, value, requested_by, request (id), step at which it took effect; set: old; save: path; pause, unpause: elapsed; error (refused: nothing else happened) |
| system     | device and host load, at most one a second |
| log        | name, epoch, step, and text or image (a file, relative to the run directory) |
| alert      | level, title, message, hint, step, fatal (the run ends by it) |
| run_end    | status (finished, stopped, failed), reason, epochs, steps, best {metric, value, epoch}; always the last line |

Metrics that a task does not define are absent. Non-finite numbers are the strings "NaN", "Infinity", "-Infinity".
"""  # noqa: E501

from __future__ import annotations

import json
import re
from typing import Any

from tui_trainer.runs.json_values import as_number, loads, plain, scalar

__all__ = ["CHANGED_HPARAMS", "CHANGED_SOURCE", "ROLLED_BACK", "as_number", "decode", "encode"]

CHANGED_HPARAMS = "changed hparams"
"""Title of the alerts that tell what is different about the hparams that a run goes on with."""
CHANGED_SOURCE = "task file has changed"
"""Title of the alerts that tell that a run goes on with another source of its task than it began with."""
ROLLED_BACK = "rolled back"
"""Title of the alerts that tell that training went back to a checkpoint. They outlast what is taken back."""

_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029]")
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=scalar)


def encode(event: dict[str, Any]) -> bytes:
    """An event as one line with its newline. Never raises: what JSON can't hold becomes text."""
    try:
        text = _ENCODER.encode(event)
    except (ValueError, TypeError, RecursionError):
        text = _ENCODER.encode(plain(event))
    # JSON lets these through, but a terminal obeys some of them and `splitlines` breaks a line at others.
    text = _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # A lone surrogate (an undecodable file name) becomes \udcXX, which JSON reads back.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def decode(line: bytes | str) -> dict[str, Any] | None:
    """The event of one line, or None for a torn or foreign line."""
    try:
        event = loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None
