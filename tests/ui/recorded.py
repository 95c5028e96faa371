"""Run directories recorded without training, by the real writer and a clock of our own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui_trainer.config.hparams import Hparams
from tui_trainer.runs.checkpoints import add_entry, make_entry
from tui_trainer.runs.layout import RunLayout, checkpoint_tag
from tui_trainer.runs.writer import RunWriter
from tui_trainer.tasks.registry import load_task

START = 1_790_000_000.0
"""Unix seconds at which recorded runs begin."""


class Recorder:
    """Records a run of `digits` as the trainer would.

    Args:
        root: the run directory.
        hparams: that differ from the task's defaults.
        identity: more for run.json.
    """

    def __init__(
        self,
        root: Path,
        hparams: Mapping[str, Any] | None = None,
        identity: Mapping[str, Any] | None = None,
        steps_per_epoch: int = 10,
    ) -> None:
        self.time = START
        task = load_task("digits")
        values: Hparams = task.hparams_class(task="digits", **(hparams or {}))
        self.hparams = values.model_dump(mode="json")
        self.layout = RunLayout(root)
        self.writer = RunWriter.create(
            self.layout,
            {"task": "digits", "host": _host(), "pid": 4242, **(identity or {})},
            self.hparams,
            clock=lambda: self.time,
        )
        self.steps_per_epoch = steps_per_epoch
        self.step = self.epoch = 0
        self.best: dict[str, Any] | None = None

    def event(self, name: str, /, **fields: Any) -> None:
        self.writer.event(name, **fields)

    def start(self, **fields: Any) -> Recorder:
        facts = {
            "run_dir": str(self.layout.root),
            "task": "digits",
            "hparams": self.hparams,
            "epochs": self.hparams["epochs"],
            "device": "cpu",
            "world_size": 1,
            "parameters": 42_762,
            "train_samples": 1437,
            "test_samples": 360,
            "steps_per_epoch": self.steps_per_epoch,
            "total_steps": self.steps_per_epoch * self.hparams["epochs"],
            "monitor": "test/loss",
            "directions": {"train/accuracy": "max", "test/accuracy": "max", "test/loss": "min"},
        }
        self.event("run_start", **{**facts, **fields})
        return self

    def train(self, steps: int, seconds_per_step: float = 0.1, rows: bool = True) -> Recorder:
        """Train inside an epoch; begins it where it has not begun."""
        if self.step % self.steps_per_epoch == 0:
            self.event("epoch_start", epoch=self.epoch + 1, step=self.step)
        for _ in range(steps):
            self.step += 1
            self.time += seconds_per_step
            if rows:
                self.writer.row(self.row())
        self.writer.flush()
        return self

    def row(self) -> dict[str, float]:
        loss = self.loss(self.step)
        return {
            "step": self.step,
            "epoch": self.step / self.steps_per_epoch,
            "lr": self.hparams["lr"],
            "time": self.time,
            "samples_per_s": 640.0,
            "data_wait": 0.02,
            "train/loss": loss,
            "train/loss_min": 0.9 * loss,
            "train/loss_max": 1.1 * loss,
            "train/accuracy": 1.0 - loss / 3.0,
        }

    def loss(self, step: int) -> float:
        return 0.1 + 2.2 * math.exp(-step / (3.0 * self.steps_per_epoch))

    def end_epoch(self, save: bool = True, **metrics: float) -> Recorder:
        """Train what is left of the epoch, evaluate, record, save."""
        left = self.steps_per_epoch - self.step % self.steps_per_epoch
        if left != self.steps_per_epoch or self.step == 0 or self.step == self.epoch * self.steps_per_epoch:
            self.train(left)
        self.epoch += 1
        loss = self.loss(self.step)
        values = {
            "train/loss": loss,
            "train/accuracy": 1.0 - loss / 3.0,
            "test/loss": 1.1 * loss,
            "test/accuracy": 1.0 - loss / 2.8,
            **metrics,
        }
        improved = self.best is None or values["test/loss"] < self.best["value"]
        if improved:
            self.best = {"metric": "test/loss", "value": values["test/loss"], "epoch": self.epoch}
        self.event(
            "epoch_end",
            epoch=self.epoch,
            step=self.step,
            metrics=values,
            lr=self.hparams["lr"],
            seconds=1.0,
            samples_per_s=640.0,
            elapsed=self.time - START,
            best=self.best,
            improved=improved,
        )
        if save:
            self.save(values, improved)
        return self

    def save(self, metrics: Mapping[str, float], best: bool = False, batch: int = 0) -> None:
        """Write a checkpoint's files (their content is not a model) and its entry."""
        tag = checkpoint_tag(self.epoch, batch)
        self.layout.model_file(tag).write_bytes(b"weights " * 100)
        self.layout.trainer_state_file(tag).write_bytes(b"state " * 100)
        self.layout.parameters_file(tag).write_bytes(self.layout.hparams_json.read_bytes())
        self.layout.tensors_file(tag).write_text(
            '{"tensors": [{"name": "0.weight", "shape": [128, 64], "dtype": "float32", "norm": 7.25}]}'
        )
        place = {"step": self.step, "time": self.time, "metrics": metrics}
        add_entry(self.layout, make_entry(self.layout, self.epoch, batch, best=best, **place))
        path = str(self.layout.model_file(tag).relative_to(self.layout.root))
        place = {"epoch": self.epoch, "batch": batch, "step": self.step}
        self.event("checkpoint", **place, path=path, best=best, size=1400)

    def end(self, status: str = "finished", reason: str = "all epochs done") -> RunLayout:
        """Close the record."""
        elapsed = self.time - START
        facts = {"epochs": self.epoch, "steps": self.step, "best": self.best, "elapsed": elapsed}
        self.event("run_end", status=status, reason=reason, **facts)
        self.writer.close(status=status, reason=reason)
        return self.layout

    def crash(self) -> RunLayout:
        """The process is gone without a word: nobody holds the run."""
        self.writer.flush()
        self.writer._lock_file.release()
        return self.layout


def _host() -> str:
    import socket

    return socket.gethostname()


def finished(root: Path, epochs: int = 3, **hparams: Any) -> RunLayout:
    """A run of some epochs that went well."""
    recorder = Recorder(root, {"epochs": epochs, **hparams}).start()
    for _ in range(epochs):
        recorder.end_epoch()
    return recorder.end()
