"""What a prediction must know of the data, kept beside the weights as JSON. Light to import."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tui_trainer.engine.describe import a
from tui_trainer.errors import FileError, TrainerError
from tui_trainer.files import os_failure
from tui_trainer.runs.json_values import plain, read_object, write_object
from tui_trainer.runs.layout import SCHEMA, RunLayout, is_newer

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

LARGEST = 16 << 20
"""Characters of JSON: whoever keeps the samples themselves is asked for the data again instead."""


def facts_of(task: Task) -> dict[str, Any] | None:
    """What a task says of its data, as JSON values.

    Returns:
        None where it says nothing, or too much to be kept.

    Raises:
        TrainerError: it says what JSON can't hold.
    """
    facts = task.data_facts()
    if facts is None:
        return None
    if not isinstance(facts, Mapping):
        message = f"data_facts() returned {a(facts)}"
        raise TrainerError("data facts are no dict", message, "return a dict of JSON values, or None")
    try:
        text = json.dumps(facts)
    except (TypeError, ValueError, RecursionError) as error:
        raise TrainerError(
            "data facts are no JSON",
            f"data_facts(): {error}",
            "numbers, texts, lists and dicts only: .tolist() and float(x) make them of arrays and scalars",
        ) from error
    kept: dict[str, Any] = plain(json.loads(text))
    return kept if len(text) <= LARGEST else None


def keep_facts(layout: RunLayout, task: str, facts: Mapping[str, Any] | None) -> None:
    """Write them beside the weights.

    Raises:
        FileError: the file can't be written.
    """
    try:
        layout.checkpoints.mkdir(exist_ok=True)
        write_object(layout.data_facts, {"schema": SCHEMA, "task": task, "facts": facts})
    except OSError as error:
        raise FileError("data facts can't be written", os_failure(error, layout.data_facts)) from error


def kept_facts(layout: RunLayout) -> dict[str, Any] | None:
    """What a run keeps of its data; None where that is nothing, as in runs of earlier versions."""
    content = read_object(layout.data_facts)
    facts = content.get("facts")
    return facts if isinstance(facts, dict) and not is_newer(content.get("schema")) else None


def differences(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> list[str]:
    """Names of the facts that are others now; none where one of the two is unknown."""
    if before is None or now is None:
        return []
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
