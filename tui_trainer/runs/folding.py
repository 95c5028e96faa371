"""One event after another into a `RunState`: the mutable half of the fold."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from tui_trainer.runs.directions import better_direction, is_better
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.state import ENDED, Alert, Best, EpochSummary, Evaluation, RunState, parent_of

Event = Mapping[str, Any]

STARTS_WITH = "importing torch"
"""The phase that every process of a run begins with."""
_LARGEST = 2**63
"""Beyond this a number counts nothing, and arithmetic with fractions fails."""
_ALERTS, _CONTROLS, _LOGS, _EVALUATIONS = 200, 100, 500, 2000
_COUNTS = (
    "epochs",
    "total_steps",
    "steps_per_epoch",
    "batch_size",
    "world_size",
    "parameters",
    "trained_parameters",
    "train_samples",
    "test_samples",
)
_TEXTS = ("run_id", "run_dir", "name", "task", "device", "monitor")


class Builder:
    """Takes a state apart, adds events, and gives the new state. The first state is not changed."""

    def __init__(self, state: RunState) -> None:
        self._values = {item.name: getattr(state, item.name) for item in fields(state)}
        self._history = list(state.history)
        self._evaluations = deque(state.evaluations, _EVALUATIONS)
        self._checkpoints = list(state.checkpoints)
        self._alerts = deque(state.alerts, _ALERTS)
        self._controls = deque(state.controls, _CONTROLS)
        self._logs = deque(state.logs, _LOGS)
        self._metrics = dict(state.metrics)
        self._bests = dict(state.bests)
        self._phases = dict(state.phases)
        self._handlers: dict[str, Callable[[Event], None]] = {
            "run_start": self._run_start,
            "run_resume": self._run_resume,
            "phase": self._phase,
            "directions": self._directions,
            "epoch_start": self._epoch_start,
            "evaluation": self._evaluation,
            "epoch_end": self._epoch_end,
            "checkpoint": self._checkpoint,
            "control": self._control,
            "system": self._system,
            "log": self._log,
            "alert": self._alert,
            "run_end": self._run_end,
        }

    def add(self, event: Event) -> None:
        """Fold one event. Unknown ones only count as a sign of life."""
        time = _time(event)
        if time is not None:
            self._values["updated"] = time
        name = event.get("event")
        handler = self._handlers.get(name) if isinstance(name, str) else None
        if handler is not None:
            handler(event)

    def state(self) -> RunState:
        """The state after all events so far."""
        return RunState(
            **self._values
            | {
                "history": tuple(self._history),
                "evaluations": tuple(self._evaluations),
                "checkpoints": tuple(self._checkpoints),
                "alerts": tuple(self._alerts),
                "controls": tuple(self._controls),
                "logs": tuple(self._logs),
                "metrics": dict(self._metrics),
                "bests": dict(self._bests),
                "phases": dict(self._phases),
            }
        )

    def _run_start(self, event: Event) -> None:
        self._facts(event)
        self._values |= {"started": _time(event), "ended": None, "reason": ""}
        self._values["parent"] = parent_of(event.get("parent"))
        self._place(event)

    def _run_resume(self, event: Event) -> None:
        self._facts(event)
        values = self._values
        values |= {"status": "running", "reason": "", "stopping": "", "ended": None}
        self._no_phase()
        values["resumes"] += 1
        self._place(event)
        step, epoch = values["step"], values["epoch"]
        later_epochs = self._history and self._history[-1].epoch > epoch
        if later_epochs or (self._evaluations and self._evaluations[-1].step > step):
            self._rewind(epoch, step)

    def _place(self, event: Event) -> None:
        """Take over where training goes on."""
        self._stepped(event)
        epoch = _count(event.get("epoch"))
        if epoch is not None:
            self._values["epoch"] = self._values["current_epoch"] = epoch

    def _rewind(self, epoch: int, step: int) -> None:
        history = [summary for summary in self._history if summary.epoch <= epoch]
        evaluations = [evaluation for evaluation in self._evaluations if evaluation.step <= step]
        self._history = history
        self._evaluations = deque(evaluations, _EVALUATIONS)
        self._bests.clear()
        self._metrics.clear()
        kept: list[EpochSummary | Evaluation] = [*history, *evaluations]
        for measured in sorted(kept, key=lambda measured: measured.step):
            self._measured(measured.metrics, _whole_epoch(measured.epoch))
        self._values["best"] = self._bests.get(self._values["monitor"])

    def _facts(self, event: Event) -> None:
        values = self._values
        hparams = event.get("hparams")
        if isinstance(hparams, Mapping):
            values["hparams"] = dict(hparams)
            for key in ("epochs", "batch_size"):
                values[key] = _count(hparams.get(key)) or values[key]
        for key in _COUNTS:
            count = _count(event.get(key))
            if count is not None:
                values[key] = count
        for key in _TEXTS:
            if isinstance(event.get(key), str):
                values[key] = event[key]
        values["directions"] = {}
        self._directions(event)

    def _directions(self, event: Event) -> None:
        told = event.get("directions")
        if isinstance(told, Mapping):
            known = {str(k): v for k, v in told.items() if v in ("min", "max")}
            self._values["directions"] = {**self._values["directions"], **known}

    def _phase(self, event: Event) -> None:
        name = str(event.get("name", ""))
        if "seconds" not in event:
            self._values |= {"phase": name, "phase_began": _time(event)}
            if name == STARTS_WITH and self._values["status"] not in ENDED:
                # A process begins: what was asked of the one before it is over.
                self._values |= {"status": "starting", "stopping": ""}
            return
        self._phases[name] = as_number(event["seconds"])
        if self._values["phase"] == name:
            self._no_phase()

    def _no_phase(self) -> None:
        self._values |= {"phase": "", "phase_began": None}

    def _epoch_start(self, event: Event) -> None:
        epoch = _count(event.get("epoch"))
        self._values["current_epoch"] = self._values["epoch"] + 1 if epoch is None else epoch
        self._no_phase()
        self._going(event)

    def _evaluation(self, event: Event) -> None:
        self._going(event)
        epoch, metrics = _count(event.get("epoch")), _metrics(event)
        if epoch is None:
            epoch = self._values["current_epoch"]
        self._measured(metrics, epoch)
        self._take_best(event)
        step, length = self._values["step"], self._values["steps_per_epoch"]
        part = min(1.0, max(0.0, step / length - (epoch - 1))) if length else math.nan
        time = as_number(event.get("time"))
        self._evaluations.append(Evaluation(step, time, metrics, epoch - 1 + part))

    def _epoch_end(self, event: Event) -> None:
        self._going(event)
        values = self._values
        epoch = _count(event.get("epoch"))
        if epoch is None:
            epoch = values["epoch"] + 1
        values["epoch"] = values["current_epoch"] = epoch
        self._no_phase()
        metrics = _metrics(event)
        self._measured(metrics, epoch)
        self._take_best(event)
        values["lr"] = as_number(event.get("lr"))
        self._take_elapsed(event)
        best = values["best"]
        self._history.append(
            EpochSummary(
                epoch=epoch,
                step=values["step"],
                metrics=metrics,
                lr=values["lr"],
                seconds=as_number(event.get("seconds")),
                samples_per_s=as_number(event.get("samples_per_s")),
                time=as_number(event.get("time")),
                best=best is not None and best.epoch == epoch,
            )
        )

    def _measured(self, metrics: Mapping[str, float], epoch: int) -> None:
        self._metrics.update(metrics)
        for metric, value in metrics.items():
            self._keep_best(Best(metric, value, epoch))

    def _keep_best(self, best: Best) -> None:
        old = self._bests.get(best.metric)
        direction = self._values["directions"].get(best.metric) or better_direction(best.metric)
        if old is None or is_better(best.value, old.value, direction):
            self._bests[best.metric] = best

    def _take_best(self, event: Event) -> None:
        best = event.get("best")
        if isinstance(best, Mapping) and isinstance(best.get("metric"), str):
            metric, epoch = best["metric"], _count(best.get("epoch")) or 0
            self._values["best"] = Best(metric, as_number(best.get("value")), epoch)
            # A fork goes on with the best of its parent, whose evaluations are not in this record.
            self._keep_best(self._values["best"])
            self._values["monitor"] = self._values["monitor"] or best["metric"]
        else:
            self._values["best"] = self._bests.get(self._values["monitor"], self._values["best"])

    def _checkpoint(self, event: Event) -> None:
        self._stepped(event)
        self._checkpoints.append(event)

    def _control(self, event: Event) -> None:
        self._stepped(event)
        self._controls.append(event)
        self._take_elapsed(event)
        values, action = self._values, event.get("action")
        if values["status"] in ENDED or "error" in event:
            return
        if action == "pause":
            values["status"] = "paused"
        elif action in ("unpause", "resume"):
            values["status"] = "running"
        elif action == "stop" and values["stopping"] != "now":
            at_the_end = event.get("value") == "epoch_end"
            values["stopping"] = "epoch_end" if at_the_end else "now"
            if at_the_end and values["status"] == "paused":
                # It goes on to the end of its epoch.
                values["status"] = "running"

    def _system(self, event: Event) -> None:
        self._values["system"] = event

    def _log(self, event: Event) -> None:
        self._logs.append(event)

    def _alert(self, event: Event) -> None:
        level, title, message = (str(event.get(key, "")) for key in ("level", "title", "message"))
        step = _count(event.get("step")) or 0
        hint = str(event.get("hint") or "")
        self._alerts.append(Alert(level, title, message, step, as_number(event.get("time")), hint))
        self._values["alert_count"] += 1

    def _run_end(self, event: Event) -> None:
        status = str(event.get("status"))
        values = self._values
        values["status"] = status if status in ENDED else "unknown"
        values |= {"reason": str(event.get("reason") or ""), "ended": _time(event)}
        values["stopping"] = ""
        self._no_phase()
        steps, epochs = _count(event.get("steps")), _count(event.get("epochs"))
        values["step"] = values["step"] if steps is None else steps
        values["epoch"] = values["epoch"] if epochs is None else epochs
        self._take_best(event)
        self._take_elapsed(event)

    def _take_elapsed(self, event: Event) -> None:
        if "elapsed" in event:
            self._values["elapsed"] = as_number(event["elapsed"])

    def _going(self, event: Event) -> None:
        self._stepped(event)
        if self._values["status"] != "paused":
            self._values["status"] = "running"

    def _stepped(self, event: Event) -> None:
        step = _count(event.get("step"))
        if step is not None:
            self._values["step"] = step


def _whole_epoch(epoch: float) -> int:
    """The number, from 1, of the epoch that a place lies in; 0 where it isn't known."""
    return math.ceil(epoch) if math.isfinite(epoch) else 0


def _metrics(event: Event) -> dict[str, float]:
    metrics = event.get("metrics")
    if not isinstance(metrics, Mapping):
        return {}
    return {str(name): as_number(value) for name, value in metrics.items() if value is not None}


def _count(value: Any) -> int | None:
    """A whole number that was recorded as one and can be a count; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if -_LARGEST < value < _LARGEST else None


def _time(event: Event) -> float | None:
    time = as_number(event.get("time"))
    return time if math.isfinite(time) else None
