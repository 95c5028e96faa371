"""Which hparams of a run were changed: what one wants to know of it first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tui_trainer.tasks.registry import BUILT_IN, load_task

_SHOWN_ELSEWHERE = ("task", "epochs", "device", "num_workers")


def changed_hparams(run: Mapping[str, Any], hparams: Mapping[str, Any]) -> dict[str, Any]:
    """The hparams that were typed beside the preset; of a run started from Python, those that are no default.

    Args:
        run: the content of run.json.
        hparams: the content of hparams.json.
    """
    command = run.get("command")
    words = [str(word) for word in command] if isinstance(command, list) else []
    program = words[0].rpartition("/")[2] if words else ""
    if program.startswith("tui-train") or program == "__main__.py":
        flags = [word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")]
        typed = {flag.removeprefix("no_") for flag in flags} - set(_SHOWN_ELSEWHERE)
        return {name: value for name, value in hparams.items() if name in typed}
    defaults = _defaults(str(hparams.get("task") or ""))
    return {
        name: value
        for name, value in hparams.items()
        if name in defaults and value != defaults[name] and name not in _SHOWN_ELSEWHERE
    }


@lru_cache(maxsize=64)
def _defaults(task: str) -> dict[str, Any]:
    """Defaults of a built-in task; of another one, whose code is not run here, those that all tasks share."""
    from tui_trainer.config.hparams import Hparams

    schema = Hparams
    if task in BUILT_IN:
        schema = load_task(task).hparams_class
    return {name: spec.default for name, spec in schema.specs().items() if not spec.required}
