"""Which hparams of a run were changed: what one wants to know of it first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tui_trainer.errors import TrainerError
from tui_trainer.tasks.registry import BUILT_IN, load_task

_LENGTH = ("task", "epochs", "device", "num_workers")
"""Shown elsewhere, or not part of what is trained."""


def changed_hparams(run: Mapping[str, Any], hparams: Mapping[str, Any]) -> dict[str, Any]:
    """The hparams that were typed beside the preset; for a run started from Python, those that differ from the
    defaults.

    Args:
        run: the content of run.json.
        hparams: the content of hparams.json.
    """
    command = run.get("command")
    words = [str(word) for word in command] if isinstance(command, list) else []
    program = words[0].rpartition("/")[2] if words else ""
    if program.startswith("tui-train") or program == "__main__.py":
        typed = {word[2:].partition("=")[0].replace("-", "_").removeprefix("no_") for word in words if word[:2] == "--"}
        return {name: hparams[name] for name in hparams if name in typed and name not in _LENGTH}
    defaults = _defaults(str(hparams.get("task") or ""))
    return {
        name: value
        for name, value in hparams.items()
        if name in defaults and value != defaults[name] and name not in _LENGTH
    }


@lru_cache(maxsize=64)
def _defaults(task: str) -> dict[str, Any]:
    """Defaults of a built-in task; of another one those that all tasks share, since its code is not run here."""
    from tui_trainer.config.hparams import Hparams

    schema = Hparams
    if task in BUILT_IN:
        try:
            schema = load_task(task).hparams_class
        except TrainerError:
            pass
    return {name: spec.default for name, spec in schema.specs().items() if not spec.required}
