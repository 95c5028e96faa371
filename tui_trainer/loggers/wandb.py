"""Weights & Biases, online or offline (`WANDB_MODE=offline`, then `wandb sync`)."""

from __future__ import annotations

import html
import os
import re
import shutil
from pathlib import Path
from typing import Any

from tui_trainer.loggers.records import (
    End,
    Image,
    Measured,
    Record,
    Rows,
    Start,
    Text,
    scalars,
    step_scalars,
)

PROJECT = "tui-trainer"


class Sink:
    """A W&B run whose id is the run's own, so that filling again replaces it. Its x axis is `step`."""

    def __init__(self, start: Start, root: Path, out: Path | None) -> None:
        import wandb

        self._wandb = wandb
        name = re.sub(r"[^A-Za-z0-9_-]", "-", start.run_id)[-64:]
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        _remove_offline(out or Path(os.environ.get("WANDB_DIR") or "."), name)
        self._run = wandb.init(
            id=name,
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=start.name,
            config=dict(start.hparams),
            job_type=start.task or None,
            dir=None if out is None else str(out),
            # The machine, the console and the code are the trainer's, not this process's.
            settings=wandb.Settings(
                console="off", silent=True, disable_git=True, save_code=False, x_disable_stats=True
            ),
        )
        self._exit_code = 0
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        self.where = str(Path(self._run.dir).parent if self._run.offline else self._run.url)
        self.viewer = f"wandb sync {self.where}" if self._run.offline else ""

    def write(self, record: Record) -> None:
        match record:
            case Rows(_, values):
                names, taken, step, time = step_scalars(record)
                for row in values.tolist():
                    self._log(
                        row[time], int(row[step]), dict(zip(names, [row[k] for k in taken], strict=True))
                    )
            case Measured(epoch, step, time, _, _):
                self._log(time, step, {"epoch": epoch, **scalars(record)})
            case Text(name, text, _, step, time):
                shown = self._wandb.Html(f"<pre>{html.escape(text)}</pre>", inject=False)
                self._log(time, step, {name: shown})
            case Image(name, path, _, step, time):
                self._log(time, step, {name: self._wandb.Image(str(path))})
            case End(status, reason, _, _):
                self._run.summary.update({"run/status": status, "run/reason": reason})
                self._exit_code = 0 if status in ("finished", "stopped") else 1

    def flush(self) -> None:
        """W&B sends by itself."""

    def close(self) -> None:
        self._run.finish(exit_code=self._exit_code)

    def abandon(self) -> None:
        self._run.finish(exit_code=1)

    def _log(self, time: float, step: int, values: dict[str, Any]) -> None:
        self._run.log({"step": step, "_timestamp": time, **values})


def _remove_offline(folder: Path, name: str) -> None:
    """Remove what an earlier filling left offline: with it `wandb sync` would send the run twice."""
    for path in (folder / "wandb").glob(f"offline-run-*-{name}"):
        if (path / f"run-{name}.wandb").is_file():
            shutil.rmtree(path, ignore_errors=True)
