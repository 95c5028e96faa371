"""The subcommands. Each is a module of this package, loaded when it is named. Imports nothing."""

from __future__ import annotations

COMMANDS = {
    "attach": "show a run in the app, live or ended",
    "runs": "list runs",
    "show": "show one run",
    "pause": "hold a live run at the end of its step",
    "unpause": "let a paused run go on",
    "stop": "end a live run and save",
    "save": "save a checkpoint of a live run",
    "set": "change the learning rate of a live run",
    "checkpoints": "list, verify, pin and delete checkpoints",
    "evaluate": "metrics of a checkpoint, per class too",
    "predict": "what a checkpoint makes of new data",
    "export": "write a checkpoint for other tools",
    "log": "feed a run to TensorBoard, W&B, MLflow or CSV",
    "presets": "list, show, check and save presets",
    "tasks": "list and show tasks, write a task file",
    "data": "report on a data set before training: balance, gaps, samples, problems",
    "doctor": "what is wrong with this machine, and how to fix it",
}

MODULES = dict.fromkeys(("pause", "unpause", "stop", "save", "set"), "control")
"""Commands that share a module; the others have one of their own name."""
