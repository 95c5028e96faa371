"""A run's record for other tools. They are fed from the run directory, so training never waits for them.

A logger is a module of this package of the same name with a `Sink`. Light to import: what a sink needs is
imported when it is opened.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.errors import UsageError, did_you_mean
from tui_trainer.runs.layout import RunLayout

if TYPE_CHECKING:
    from tui_trainer.loggers.records import Sink, Start

LOGGERS = {
    "csv": "steps.csv, epochs.csv, log.csv and hparams.json",
    "tensorboard": "event files for tensorboard --logdir",
    "wandb": "Weights & Biases, also offline",
    "mlflow": "an MLflow store or server",
}
"""What can be fed, and what that is. All but csv need the package of the same name, an extra of ours."""


def named(text: str) -> list[str]:
    """The loggers of a list with commas, each once.

    Raises:
        UsageError: one is unknown, or what it needs is not installed.
    """
    names = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not names:
        raise UsageError("no logger", "the list is empty", f"loggers: {', '.join(LOGGERS)}")
    for name in names:
        _require(name)
    return names


def _require(name: str) -> None:
    if name not in LOGGERS:
        near = did_you_mean(name, list(LOGGERS))
        raise UsageError("unknown logger", f"{name}{near}", f"loggers: {', '.join(LOGGERS)}")
    if name == "csv":
        return
    spec = importlib.util.find_spec(name)
    # A folder of that name in the working directory, such as wandb leaves, is found without an origin.
    if spec is None or spec.origin is None:
        message = f"the package {name} is not installed"
        raise UsageError(f"{name} is missing", message, f"pip install 'tui-trainer[{name}]'")


def open_sink(name: str, start: Start, root: Path, out: Path | None) -> Sink:
    """Open a logger for a run.

    Args:
        name: of LOGGERS.
        start: what the run is.
        root: the run directory.
        out: the folder to write to, shared by several runs; None: the logger's own default.
    """
    sink: Sink = importlib.import_module(f"tui_trainer.loggers.{name}").Sink(start, root, out)
    return sink


def own_folder(name: str, start: Start, root: Path, out: Path | None) -> Path:
    """Where a logger that writes files keeps those of a run: inside of it, or under `out` by its id."""
    if out is None:
        return RunLayout(root).logs / name
    # A stranger's run may call itself `../..`.
    return out / (re.sub(r"[^\w.+-]", "-", start.run_id).lstrip(".") or "run")
