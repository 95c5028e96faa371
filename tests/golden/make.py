"""Makes the golden run directory of this version: `python -m tests.golden.make`.

It is made once for each version of the format and then kept: `tests/engine/test_golden.py` resumes all of
them, so that no later version fails to read what an earlier one wrote. Clock, host and place are constants:
the same code on the same torch makes the same bytes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import torch

VALUES = {
    "epochs": 2,
    "batch_size": 6,
    "device": "cpu",
    "optimizer": "Adam",
    "lr": 0.05,
    "scheduler": "cosine",
    "ema_decay": 0.9,
    "precision": "float16",
    "log_rate": 0.0,
}
STOP_AT = 9
"""Batches after which the run is stopped: inside its second epoch."""

FOLDER = Path(__file__).parent
NOW = 1_800_000_000.0


def main() -> None:
    torch.set_num_threads(1)
    made_in = Path(tempfile.gettempdir()) / "tui-trainer-golden"
    shutil.rmtree(made_in, ignore_errors=True)
    with ExitStack() as constants:
        for name in ("time", "monotonic", "perf_counter"):
            # Before the modules are imported that take a clock as a default.
            constants.enter_context(mock.patch.object(time, name, return_value=NOW))
        constants.enter_context(mock.patch("socket.gethostname", return_value="golden"))
        constants.enter_context(mock.patch("os.getpid", return_value=1))
        from tui_trainer.engine import launch, saving, system
        from tui_trainer.runs.layout import SCHEMA

        facts = {"task": "golden", "host": "golden", "pid": 1, "world_size": 1}
        constants.enter_context(mock.patch.object(launch, "identity", return_value=facts))
        constants.enter_context(mock.patch.object(launch, "keep_task_source", return_value=None))
        constants.enter_context(mock.patch.object(system.SystemSampler, "start"))
        constants.enter_context(mock.patch.object(saving.Saver, "save", _settled(saving.Saver.save)))
        run, whole = _train(made_in / f"v{SCHEMA}"), _train(made_in / "whole", stop_at=None)
        _keep(run, whole, FOLDER / run.name)
    shutil.rmtree(made_in)


def _settled(save: Any) -> Any:
    """Saving whose lines stand in the record in the same order each time."""

    def save_and_wait(saver: Any, *arguments: Any) -> None:
        save(saver, *arguments)
        saver.settle()

    return save_and_wait


def _train(root: Path, stop_at: int | None = STOP_AT) -> Path:
    from tests.golden.task import Golden
    from tui_trainer.engine.interrupt import StopRequest
    from tui_trainer.engine.launch import launch

    stop = StopRequest()

    class Stopping(Golden):
        trained = 0

        def compute_loss(self, model: Any, batch: Any, criterion: Any) -> Any:
            self.trained += model.training
            if self.trained == stop_at:
                stop.request("golden")
            return super().compute_loss(model, batch, criterion)

    hparams = Golden.hparams_class(task="golden", **VALUES)
    return launch(Stopping(), hparams, runs_dir=root.parent, run_dir=root, stop=stop).run_dir


def made_with() -> str:
    """What decides the last bits of a sum."""
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def _keep(run: Path, whole: Path, target: Path) -> None:
    """Keep the run that was stopped, and what the one that was not says of the same training."""
    from tests.helpers import events, rows, weights

    for passing in ("control", "media", "task"):
        shutil.rmtree(run / passing, ignore_errors=True)
    for passing in ("run.lock", "console.log"):
        (run / passing).unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(run, target)
    series = rows(whole)
    expected = {
        "made_with": made_with(),
        "rows": {name: series[name].tolist() for name in ("step", "train/loss", "lr")},
        "epochs": [event["metrics"] for event in events(whole, "epoch_end")],
        "weights": {name: tensor.tolist() for name, tensor in weights(whole, 2).items()},
    }
    (target / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
