"""What is known of a run, as a snapshot folded from its events. The fold is pure: no clock, no files."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tui_trainer.runs.directions import better_direction
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.layout import run_id, short_id
from tui_trainer.runs.reader import Liveness, RunReader

__all__ = [
    "ACTIVE",
    "ENDED",
    "Alert",
    "Best",
    "EpochSummary",
    "Evaluation",
    "Parent",
    "RunState",
    "better_direction",
    "fold",
    "fold_all",
    "identify",
    "read_state",
    "with_liveness",
]

ACTIVE = frozenset({"starting", "running", "paused"})
ENDED = frozenset({"finished", "stopped", "failed"})
SILENT_S = 60.0
CRASHED_REASON = "process ended without a word"


@dataclass(frozen=True)
class Best:
    """The best value of a metric. `epoch` counts from 1; 0 where it isn't known."""

    metric: str
    value: float
    epoch: int


@dataclass(frozen=True)
class EpochSummary:
    """One finished epoch.

    Attributes:
        epoch: from 1.
        step: optimizer steps done at its end.
        metrics: all metrics of the epoch.
        lr: step size at its end; NaN where it isn't known.
        seconds: wall time with the evaluation; NaN where it isn't known.
        samples_per_s: training samples a second; NaN where it isn't known.
        time: unix seconds of its end.
        best: whether it was the best so far.
    """

    epoch: int
    step: int
    metrics: Mapping[str, float]
    lr: float
    seconds: float
    samples_per_s: float
    time: float
    best: bool


@dataclass(frozen=True)
class Evaluation:
    """One evaluation inside an epoch.

    Attributes:
        step: optimizer steps done.
        time: unix seconds; NaN where it isn't known.
        metrics: what was measured.
        epoch: finished epochs and the part of the one in training; NaN where an epoch's length isn't known.
    """

    step: int
    time: float
    metrics: Mapping[str, float]
    epoch: float


@dataclass(frozen=True)
class Parent:
    """Where a run came from: the checkpoint that it goes on from, or has its first weights from.

    Attributes:
        run_id: of the checkpoint's run; empty for a file that is none of a run.
        run_dir: its folder, relative to the child's where they lie side by side.
        checkpoint: tag of the checkpoint.
        step: optimizer steps done there.
        kind: "fork": training goes on from there, epochs and steps too; "init": only weights are from there.
        file: a file that is no checkpoint of a run; empty for one that is.
    """

    run_id: str = ""
    run_dir: str = ""
    checkpoint: str = ""
    step: int = 0
    kind: str = "fork"
    file: str = ""

    @property
    def label(self) -> str:
        """`7f3a@12`: the end of the run's id, and the checkpoint; or the file's name."""
        return f"{short_id(self.run_id)}@{self.checkpoint}" if self.run_id else os.path.basename(self.file)

    @property
    def origin(self) -> str:
        """How a run came from there: `forked from 7f3a@12, step 690`, or `weights from 7f3a@12`."""
        if self.kind == "init":
            return f"weights from {self.label}"
        return f"forked from {self.label}, step {self.step:,}"


def parent_of(value: Any) -> Parent | None:
    """What the record says of a parent; None where it names none."""
    if not isinstance(value, Mapping) or not (value.get("run_id") or value.get("file")):
        return None
    texts = {key: str(value.get(key) or "") for key in ("run_id", "run_dir", "checkpoint", "file")}
    # Records from before there were two kinds tell of forks.
    kind = "init" if value.get("kind") == "init" else "fork"
    return Parent(**texts, step=_count(value.get("step")), kind=kind)


@dataclass(frozen=True)
class Alert:
    """Something a person should know, and what to do about it. `step` is 0 where it does not apply."""

    level: str
    title: str
    message: str
    step: int
    time: float
    hint: str = ""


@dataclass(frozen=True)
class RunState:
    """A run at one moment. Mappings are not to be changed.

    Attributes:
        run_id: from run.json; the folder's name without one.
        name: the human name; empty without one.
        run_dir: the folder it was read from.
        task: as it was named at the start.
        status: starting, running, paused, finished, stopped, failed, crashed or unknown.
        reason: why it ended; empty before.
        stopping: "now" or "epoch_end" from when a request to stop so was heard to the end; else empty.
        epoch: finished epochs.
        current_epoch: the epoch in training, from 1; equal to `epoch` between epochs, 0 before the first.
        epochs: epochs asked for; 0 where unknown.
        step: optimizer steps done, as far as is known.
        total_steps: optimizer steps in all; 0 where unknown.
        steps_per_epoch: optimizer steps an epoch; 0 where unknown.
        batch_size: global batch size, in samples; 0 where unknown.
        world_size: number of ranks.
        device: as the trainer named it.
        parameters: number of parameters; None where unknown.
        trained_parameters: those of them that are not frozen.
        train_samples: None where unknown (an iterable data set).
        test_samples: None where unknown or without a test set.
        hparams: as recorded.
        monitor: the metric that decides what is best; empty where unknown.
        directions: "min" or "max" by metric, as the task declared them.
        metrics: the latest value of each.
        best: of the monitored metric; None before there is one.
        bests: the best of each metric.
        history: finished epochs, oldest first.
        evaluations: the newest 2,000 inside epochs, oldest first. Those at the end of one are in `history`.
        lr: the latest step size; NaN where it isn't known.
        phase: what it is busy with (loading data, evaluating); empty while it trains.
        phase_began: unix seconds of its begin; None outside of a phase.
        phases: seconds of each phase that is over.
        system: the latest `system` event.
        row: the latest row of the step series.
        alerts: the newest 200, oldest first.
        alert_count: how many there were.
        controls: the newest 100 `control` events, oldest first.
        logs: the newest 500 `log` events, oldest first.
        checkpoints: `checkpoint` events, oldest first. Files may be gone since: the index decides.
        resumes: how often it was resumed.
        parent: where it came from; None for one that began with random weights.
        elapsed: seconds of training, all processes of the run together; NaN where it isn't known.
        started: unix seconds; None before run_start.
        ended: unix seconds; None before run_end.
        updated: unix seconds of the latest event; None before the first.
    """

    run_id: str = ""
    name: str = ""
    run_dir: str = ""
    task: str = ""
    status: str = "starting"
    reason: str = ""
    stopping: str = ""
    epoch: int = 0
    current_epoch: int = 0
    epochs: int = 0
    step: int = 0
    total_steps: int = 0
    steps_per_epoch: int = 0
    batch_size: int = 0
    world_size: int = 1
    device: str = ""
    parameters: int | None = None
    trained_parameters: int | None = None
    train_samples: int | None = None
    test_samples: int | None = None
    hparams: Mapping[str, Any] = field(default_factory=dict)
    monitor: str = ""
    directions: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    best: Best | None = None
    bests: Mapping[str, Best] = field(default_factory=dict)
    history: tuple[EpochSummary, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    lr: float = float("nan")
    phase: str = ""
    phase_began: float | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    system: Mapping[str, Any] = field(default_factory=dict)
    row: Mapping[str, float] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    alert_count: int = 0
    controls: tuple[Mapping[str, Any], ...] = ()
    logs: tuple[Mapping[str, Any], ...] = ()
    checkpoints: tuple[Mapping[str, Any], ...] = ()
    resumes: int = 0
    parent: Parent | None = None
    elapsed: float = float("nan")
    started: float | None = None
    ended: float | None = None
    updated: float | None = None


def fold(state: RunState, event: Mapping[str, Any]) -> RunState:
    """The state after one more event. Events and fields that are not understood change nothing."""
    return fold_all(state, (event,))


def fold_all(state: RunState, events: Iterable[Mapping[str, Any]]) -> RunState:
    """The state after a batch of events, in time linear in their number."""
    from tui_trainer.runs.folding import Builder

    builder = Builder(state)
    for event in events:
        builder.add(event)
    return builder.state()


def identify(state: RunState, reader: RunReader) -> RunState:
    """Fill in what run.json, hparams.json and the newest step row say. Events win where both speak."""
    run = reader.run()
    hparams = state.hparams or reader.hparams()
    if not run:
        return replace(state, run_id=state.run_id or run_id(reader.layout), run_dir=str(reader.layout.root))
    row = reader.last_row() or {}
    status, reason = state.status, state.reason
    # On a disk that was full to the end run.json may know of an end that the events don't.
    if status in ACTIVE and str(run.get("status")) in ENDED:
        status, reason = str(run["status"]), str(run.get("reason") or "")
    return replace(
        state,
        run_id=str(run.get("run_id") or state.run_id or run_id(reader.layout)),
        name=str(run.get("name") or ""),
        run_dir=str(reader.layout.root),
        task=state.task or str(run.get("task") or ""),
        device=state.device or str(run.get("device") or ""),
        status=status,
        reason=reason,
        hparams=hparams,
        parent=state.parent or parent_of(run.get("parent")),
        epochs=state.epochs or _count(hparams.get("epochs")),
        batch_size=state.batch_size or _count(hparams.get("batch_size")),
        step=max(state.step, _count(row.get("step"))),
        row=row,
    )


def _count(value: Any) -> int:
    number = as_number(value)
    return int(number) if math.isfinite(number) else 0


def with_liveness(state: RunState, liveness: Liveness, heartbeat_age_s: float = 0.0) -> RunState:
    """Correct the status of a run whose writer is gone.

    Args:
        state: as folded from events that were read after `liveness` was asked.
        liveness: of the reader.
        heartbeat_age_s: seconds since the writer's last sign of life.

    Returns:
        The state as `crashed` when it should be active but no process holds it, `unknown` when another
        machine's run has been silent for more than a minute, else as it was.
    """
    if state.status not in ACTIVE:
        return state
    if liveness == "dead":
        return replace(state, status="crashed", reason=state.reason or CRASHED_REASON)
    if liveness == "remote" and heartbeat_age_s > SILENT_S:
        return replace(state, status="unknown", reason="no sign of life from another machine")
    return state


def read_state(reader: RunReader) -> RunState:
    """The state of a run as it is now, from its files. Leaves the reader's `poll` position alone."""
    liveness = reader.liveness()
    state = identify(fold_all(RunState(), reader.each_event()), reader)
    return with_liveness(state, liveness, reader.heartbeat_age_s())
