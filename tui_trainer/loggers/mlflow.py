"""MLflow: a store in a folder, or what MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
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

EXPERIMENT = "tui-trainer"
_TAG = "tui_trainer.run_id"
_MOST_METRICS = 1000
_MOST_PARAMS = 100
_LONGEST_PARAM = 500
_STATUS = {"finished": "FINISHED", "stopped": "KILLED"}


class Sink:
    """An MLflow run that carries the run's id as a tag; filling again deletes the one before."""

    def __init__(self, start: Start, root: Path, out: Path | None) -> None:
        import mlflow
        from mlflow.entities import Param

        uri = artifacts = None
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            uri, artifacts = (
                f"sqlite:///{out.resolve() / 'mlflow.db'}",
                (out.resolve() / "artifacts").as_uri(),
            )
        self._client = mlflow.MlflowClient(uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        experiment = (
            found.experiment_id if found is not None else self._client.create_experiment(name, artifacts)
        )
        quoted = start.run_id.replace("'", "")
        for old in self._client.search_runs([experiment], f"tags.`{_TAG}` = '{quoted}'"):
            self._client.delete_run(old.info.run_id)
        tags = {_TAG: quoted, "task": start.task, "run_dir": str(root.absolute())}
        run = self._client.create_run(experiment, _milliseconds(start.time), tags, start.name)
        self._run = run.info.run_id
        uri = uri or mlflow.get_tracking_uri()
        self.where = f"{uri} run {self._run}"
        self.viewer = "" if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"
        params = [Param(key, str(value)[:_LONGEST_PARAM]) for key, value in start.hparams.items()]
        for first in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self._run, params=params[first : first + _MOST_PARAMS])
        self._waiting: list[Any] = []
        self._texts = 0

    def write(self, record: Record) -> None:
        match record:
            case Rows(_, values):
                names, taken, step, time = step_scalars(record)
                for row in values.tolist():
                    self._metrics(row[time], int(row[step]), zip(names, [row[k] for k in taken], strict=True))
            case Measured(_, step, time, _, _):
                self._metrics(time, step, scalars(record).items())
            case Text(name, text, _, step, _):
                self._client.log_text(self._run, text, f"{_file(name)}/{step}-{self._number()}.txt")
            case Image(_, path, _, _, _):
                self._client.log_artifact(self._run, str(path), "media")
            case End(status, _, _, time):
                self.flush()
                self._client.set_terminated(self._run, _STATUS.get(status, "FAILED"), _milliseconds(time))

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), _MOST_METRICS):
            self._client.log_batch(self._run, metrics=waiting[first : first + _MOST_METRICS])

    def close(self) -> None:
        self.flush()

    def abandon(self) -> None:
        self._client.set_terminated(self._run, "FAILED")

    def _metrics(self, time: float, step: int, values: Iterable[tuple[str, float]]) -> None:
        from mlflow.entities import Metric

        at = _milliseconds(time)
        self._waiting += [Metric(_name(name), value, at, step) for name, value in values]
        if len(self._waiting) >= _MOST_METRICS:
            self.flush()

    def _number(self) -> int:
        """Tells texts of one step apart."""
        self._texts += 1
        return self._texts


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _name(name: str) -> str:
    """A metric's name in the letters that MLflow takes."""
    return re.sub(r"[^A-Za-z0-9_\-. :/]", "-", name)


def _file(name: str) -> str:
    """A text's name as a folder of artifacts."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)
