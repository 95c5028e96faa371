"""Launch, watch and resume PyTorch training from one terminal.

The public Python API. Names are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "Task": "tui_trainer.tasks.base",
    "Hparams": "tui_trainer.config.hparams",
    "Field": "tui_trainer.config.hparams",
    "TrainerError": "tui_trainer.errors",
    "train": "tui_trainer.engine.launch",
    "Result": "tui_trainer.engine.closing",
    "load_run": "tui_trainer.engine.load",
    "Reducer": "tui_trainer.engine.metrics",
    "Mean": "tui_trainer.engine.metrics",
    "Sum": "tui_trainer.engine.metrics",
    "Ratio": "tui_trainer.engine.metrics",
    "Last": "tui_trainer.engine.metrics",
    "R2": "tui_trainer.engine.metrics",
    "ConfusionMatrix": "tui_trainer.engine.metrics",
    "load_weights": "tui_trainer.engine.pretrained",
}

__all__ = [
    "R2",
    "ConfusionMatrix",
    "Field",
    "Hparams",
    "Last",
    "Mean",
    "Ratio",
    "Reducer",
    "Result",
    "Sum",
    "Task",
    "TrainerError",
    "__version__",
    "load_run",
    "load_weights",
    "train",
]

if TYPE_CHECKING:
    from tui_trainer.config.hparams import Field, Hparams
    from tui_trainer.engine.closing import Result
    from tui_trainer.engine.launch import train
    from tui_trainer.engine.load import load_run
    from tui_trainer.engine.metrics import R2, ConfusionMatrix, Last, Mean, Ratio, Reducer, Sum
    from tui_trainer.engine.pretrained import load_weights
    from tui_trainer.errors import TrainerError
    from tui_trainer.tasks.base import Task


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
