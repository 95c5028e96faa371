"""The experiment: the epoch loop, its record and its checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tui_trainer.config.changes import asks_for_more
from tui_trainer.config.every import Every
from tui_trainer.config.hparams import Hparams
from tui_trainer.engine import checkpoint, rng
from tui_trainer.engine.batch_looper import Waiting, train_batch_looper
from tui_trainer.engine.context import EpochContext, call_hook
from tui_trainer.engine.controls import Controls
from tui_trainer.engine.diagnosis import Start, find_cause, first_state
from tui_trainer.engine.evaluation import Evaluations
from tui_trainer.engine.facts import differences, facts_of, keep_facts, kept_facts
from tui_trainer.engine.failure import during, explain, happened_in
from tui_trainer.engine.forecast import SAVED_BYTES_PER_S, check_disk, checkpoint_bytes
from tui_trainer.engine.health import LossWatch
from tui_trainer.engine.heap import few_full_collections
from tui_trainer.engine.initial import InitialWeights
from tui_trainer.engine.interrupt import TIME_LIMIT, WITHOUT_SAVING, StopNow, StopRequest
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.monitor import no_such_metric
from tui_trainer.engine.nonfinite import NonFinite
from tui_trainer.engine.prepare import prepare
from tui_trainer.engine.progress import Ending, Progress
from tui_trainer.engine.resuming import ResumePoint, drop_newer, record_of, seconds_of_save
from tui_trainer.engine.room import with_room
from tui_trainer.engine.rows import RowLogger
from tui_trainer.engine.saving import Saver, model_path, path_here
from tui_trainer.engine.trainer_state import restoring
from tui_trainer.engine.warned import warnings_told
from tui_trainer.errors import FileError, TrainerError
from tui_trainer.runs.checkpoints import newest_good, read_index
from tui_trainer.runs.directions import loss_direction
from tui_trainer.runs.events import ROLLED_BACK
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task


STOP_NOW_PATIENCE_S = 1.0
"""How long somebody who wants to leave at once waits for a checkpoint that is being written."""


class Experiment:
    """One run of a task.

    Args:
        task: what is trained.
        hparams: validated.
        writer: the record.
        stop: polled at step boundaries.
        controls: what front ends ask for; its clock is the run's.
        resume: where to go on.
        weights: what the model of a run that begins here starts from.
        on_device: called once the device is chosen.

    Attributes:
        progress: where training is.
        metrics: of the latest epoch or evaluation.
        latest: the latest value of each metric.
        best: {metric, value, epoch} of the best evaluation; None before the first.
        seconds: time spent, including earlier processes of this run; set at the end.
        slowest_step: seconds of the slowest step of this process.
    """

    def __init__(
        self,
        task: Task,
        hparams: Hparams,
        writer: RunWriter,
        stop: StopRequest,
        controls: Controls,
        resume: ResumePoint | None = None,
        weights: InitialWeights | None = None,
        on_device: Callable[[torch.device], None] = lambda device: None,
    ) -> None:
        self.task = task
        self.hparams = hparams
        self.writer = writer
        self.stop = stop
        self.controls = controls
        self.progress = Progress()
        self.metrics: dict[str, float] = {}
        self.latest: dict[str, float] = {}
        self.best: dict[str, Any] | None = None
        self.seconds = 0.0
        self.slowest_step = 0.0
        self._expected_save = 0.0
        self._clock = controls.clock
        self._requests = controls.inbox.requests
        self._began = self._clock()
        self._resume = resume
        self._weights = weights
        self._parent = resume.parent(writer.layout) if resume is not None else None
        entry = resume.entry if resume is not None else None
        origin = entry["tag"] if entry is not None else None
        self._saver = Saver(writer, hparams, self._clock, origin)
        if entry is not None and self._parent is None:
            # Until the checkpoint is loaded: a start that fails says how far the run had come.
            self.progress = Progress(entry["epoch"], entry["batch"], entry["step"])
            self.latest = dict(entry["metrics"])
        self._on_device = on_device
        self._first_state: Start | None = None
        self._directions_told = False
        self._save_every = Every.parse(hparams.checkpoint_every)

    def run(self) -> Ending:
        """Train.

        prepare: device, seed, data, model, criterion, optimizer, scheduler
        until all epochs are done, a limit is reached or somebody asks for a stop:
            train on every batch of the epoch        (rows, saves, stops and requests at step boundaries)
            evaluate on the validation and test sets
            record the epoch, move the scheduler, save
        save, and wait until that is written

        Raises:
            TrainerError: what went wrong, in the user's words.
        """
        with warnings_told(self._tell):
            return self._run()

    def _run(self) -> Ending:
        load_weights = self._load_weights if self._weights is not None else None
        self._ready = prepare(self.task, self.hparams, self._phase, self._on_device, self._warn, load_weights)
        patience = None
        try:
            with few_full_collections():
                self._begin()
                while (ending := self._try_to_the_end()) is None:
                    pass
                self._rows.close()
                self._finish_saving(ending)
            if ending.status == "stopped":
                self.controls.settle(self.progress.step)
            return ending
        except StopNow:
            patience = STOP_NOW_PATIENCE_S
            raise
        except Exception as error:
            happened_in(error, f"step {self.progress.step + 1:,}")
            # The steps before a failure are what one looks at; after a device's failure they can't be read.
            with suppress(Exception):
                self._flush_rows()
            raise
        finally:
            self._saver.close(patience)
            if self._saver.saved(self.progress) and not self._saver.pending:
                # Whoever wanted to leave without saving came too late for that.
                self.stop.last_words = self.stop.last_words.removesuffix(f", {WITHOUT_SAVING}")
            self.seconds = self._seconds()
            self._close()

    def _begin(self) -> None:
        ready, hparams = self._ready, self.hparams
        self._meter = Meter(ready.device.torch, tolerant=hparams.on_nonfinite == "skip")
        self._evaluations = Evaluations(ready, Every.parse(hparams.eval_every), self._clock)
        self._rows = self._build_rows()
        resumed = self._resume.entry if self._resume is not None else None
        if self._resume is not None and resumed is not None:
            with self._phase("loading the checkpoint"):
                self._restore(self._resume.layout, resumed["tag"])
                if self._parent is None:
                    self._saver.place = (self.progress.epoch, self.progress.batch)
                else:
                    # Time is what this run takes.
                    self.progress = replace(self.progress, seconds=0.0, epoch_seconds=0.0)
        layout, each = self.writer.layout, checkpoint_bytes(ready)
        if not self._expected_save:
            self._expected_save = each / SAVED_BYTES_PER_S
            if hparams.max_minutes is not None:
                # A guess must not take the time that is there to train.
                self._expected_save = min(self._expected_save, 6.0 * hparams.max_minutes)
        own = None if resumed is None else sum(not entry["pinned"] for entry in read_index(layout))
        room = check_disk(
            layout.root,
            each,
            hparams,
            ready.steps_per_epoch,
            self.progress.epoch,
            own,
        )
        splits = ("train", *ready.splits.evaluated())
        told = {**dict.fromkeys(ready.forward.parts, "min"), **self.task.directions}
        directions = {f"{split}/{name}": mode for name, mode in told.items() for split in splits}
        facts = {
            "run_dir": str(self.writer.layout.root.absolute()),
            "task": self.task.name,
            "hparams": hparams.model_dump(mode="json"),
            "epochs": hparams.epochs,
            **ready.facts(),
            "directions": {**directions, ready.monitor.metric: ready.monitor.mode},
        }
        changed = self._resume.changes(hparams) if self._resume is not None else []
        if changed:
            facts["changed"] = {change.name: [change.before, change.now] for change in changed}
        if self._weights is not None:
            facts["parent"] = self._weights.parent(self.writer.layout)
        if resumed is None:
            self.writer.event("run_start", **facts)
        elif self._parent is not None:
            self.writer.event("run_start", parent=self._parent, **self._here(), **facts)
        else:
            path = model_path(self.writer.layout, resumed["tag"])
            self.writer.event("run_resume", **self._here(), checkpoint=path, **facts)
        if room is not None:
            self._alert("warning", "the disk may fill up", room)
        self._keep_data_facts()
        self.stop.saves = self.progress.step > 0
        self._began = self._epoch_began = self._saver.time = self._clock()
        self._evaluations.start_over()
        if self._parent is not None:
            # From here on the run needs its parent no more: that one may be deleted.
            self._save(best=self._is_best_here())
        elif resumed is None and hparams.on_nonfinite == "rollback":
            # Something to go back to before the first epoch is over.
            self._save()
        elif resumed is None:
            self._first_state = first_state(ready, self._trainer_state, self.writer.layout.root)

    def _keep_data_facts(self) -> None:
        """Keep what a prediction must know of the data; tell where a resumed run kept something else."""
        facts = facts_of(self.task)
        if self._resume is not None:
            changed = differences(kept_facts(self._resume.layout), facts)
            if changed:
                message = f"{', '.join(changed)}: not as in the run that goes on; the new ones are kept"
                self._alert("warning", "the data have changed", message)
        keep_facts(self.writer.layout, self.task.name, facts)

    # ------------------------------------------------------------------ the loop

    def _try_to_the_end(self) -> Ending | None:
        """Train to the end and save it; None where training went back to a checkpoint on the way."""
        try:
            while (ending := self._ending()) is None:
                finished_epoch = self._train_epoch()
                if finished_epoch:
                    self._end_epoch()
            return self._save_end(ending)
        except NonFinite as found:
            self._roll_back(found)
            return None

    def _train_epoch(self) -> bool:
        """Train on what is left of the epoch. False if it was left in the middle."""
        progress, ready = self.progress, self._ready
        if progress.batch == 0:
            self._meter.reset()
        self._meter.step = progress.step + 1
        ready.updater.epoch = progress.epoch
        self._epoch_began, self._samples_before = self._clock(), progress.samples
        self._left_early = False
        batches = ready.splits.train.epoch(progress.epoch, progress.batch)
        self._batches = Waiting(batches, progress.samples, self._clock)
        self.writer.event("epoch_start", epoch=progress.epoch + 1, step=progress.step)
        self._rows.begin(progress.samples)
        if progress.evaluation_due:
            self._evaluate_midway()
            if self._ending() is not None:
                return False
        train_batch_looper(
            self._batches,
            ready.model,
            ready.forward,
            self._meter,
            ready.updater,
            self.hparams.grad_accumulation,
            self._after_window,
        )
        if progress.batch == 0:
            raise TrainerError(
                "empty data set",
                f"the training loader yields no batch in epoch {progress.epoch + 1}",
                "check datasets() or dataloader(); a generator can be read only once",
            )
        self._flush_rows()
        return not self._left_early

    def _after_window(self, batches: int) -> bool:
        """Called at each step boundary. False leaves the epoch here."""
        progress = self.progress
        if progress.step == 0:
            self._check_monitor()
        if self._ready.forward.trains_itself and not self._directions_told:
            self._tell_directions()
        progress.step += 1
        self._meter.step = progress.step + 1
        progress.batch += batches
        progress.samples = self._batches.samples
        self.stop.saves = True
        progress.lr = float(self._ready.optimizer.param_groups[0]["lr"])
        self._ready.schedule.after_step()
        self._rows.step(self._place, self._batches.samples, self._batches.seconds)
        self.slowest_step = self._rows.slowest
        known = self._ready.splits.train.batches
        if progress.batch == known or (known is None and self._batches.at_end()):
            # What is due here is done at the epoch's end.
            return True
        if self._evaluations.due(progress.step):
            self._evaluate_midway()
        elif self._save_due():
            self._between_steps(self._save)
        if self._requests:
            self._between_steps(lambda: self.controls.attend(self))
        self._left_early = self._ending() is not None
        return not self._left_early

    def _end_epoch(self) -> None:
        """Evaluate, record and save a finished epoch.

        A stop during the evaluation leaves the epoch before it, so that a resumed run evaluates what this one
        would have.
        """
        progress, batches = self.progress, self._batches
        training_seconds = self._clock() - self._epoch_began
        metrics = {f"train/{name}": value for name, value in self._meter.means().items()}
        rate = (batches.samples - self._samples_before) / max(training_seconds, 1e-9)
        before = replace(progress)
        progress.epoch, progress.batch, progress.samples = progress.epoch + 1, 0, 0
        evaluated = self._evaluation_due()
        if evaluated:
            try:
                tested = self._evaluate()
            except Exception:
                # An epoch's work must not be lost to a bad test sample.
                self.progress = before
                self._save_what_is_left()
                raise
            if tested is None:
                self.progress = before
                return
            metrics |= tested
        self.metrics = metrics
        # Before the epoch is judged: what the hook measures may be what decides.
        self._call_hook()
        improved = (evaluated or self._evaluations.of_training) and self._judge(progress.epoch)
        self.latest |= self.metrics
        seconds = progress.epoch_seconds + self._clock() - self._epoch_began
        progress.epoch_seconds = 0.0
        place = {"epoch": progress.epoch, "step": progress.step}
        timing = {"lr": progress.lr, "seconds": seconds, "samples_per_s": rate, "elapsed": self._seconds()}
        self.writer.event(
            "epoch_end", **place, metrics=self.metrics, **timing, best=self.best, improved=improved
        )
        if self._save_due(progress.epoch) or (improved and self._save_every.amount > 0):
            self._save(best=improved)
        if self._requests:
            self.controls.attend(self)

    def _ending(self) -> Ending | None:
        """Whether the run ends here, and why."""
        hparams, progress = self.hparams, self.progress
        if progress.epoch >= hparams.epochs:
            return Ending("finished", "all epochs done")
        if self._ready.monitor.exhausted:
            metric, waited = self._ready.monitor.metric, hparams.early_stopping_patience
            return Ending("finished", f"early stopping: {metric} has not improved in {waited} evaluations")
        if self.stop.reason is not None:
            # Before the limits: a stop may have cut off the evaluation that a finished run ends with.
            return Ending("stopped", self.stop.reason)
        if hparams.max_steps is not None and progress.step >= hparams.max_steps:
            return Ending("finished", f"max_steps {hparams.max_steps} reached")
        if hparams.max_minutes is not None and self._after_closing() >= 60.0 * hparams.max_minutes:
            return Ending("finished", f"max_minutes {hparams.max_minutes:g} reached")
        if self.controls.stop_reason is not None and progress.batch == 0:
            return Ending("stopped", self.controls.stop_reason)
        return None

    def closing_s(self) -> float:
        """Seconds that the step under way and a save after it may take. Any thread may ask."""
        # Before its first steps a process has nothing to save, and must not end by a guess.
        expected = self._expected_save if self.slowest_step else 0.0
        return 2.0 * (self.slowest_step + (self._saver.slowest or expected))

    def _after_closing(self) -> float:
        """Seconds of training by the time that the run is measured and saved, if it ends here."""
        return self._seconds() + self.closing_s() + self._evaluations.slowest

    def _save_due(self, finished_epoch: int | None = None) -> bool:
        """Whether a save is due here, at the end of an epoch or inside of one."""
        every = self._save_every
        if finished_epoch is not None and every.due_epoch(finished_epoch):
            return True
        return every.due_inside(self.progress.step, self._clock() - self._saver.time)

    def _between_steps(self, work: Callable[[], object]) -> None:
        """Do something at a step boundary; its time counts for the epoch but is nobody's training time."""
        self._flush_rows()
        begin = self._clock()
        work()
        spent = self._clock() - begin
        self._epoch_began += spent
        self.progress.epoch_seconds += spent
        self._rows.begin(self._batches.samples)

    # ------------------------------------------------------------------ what front ends may ask for

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.progress.step

    @property
    def epoch_in_training(self) -> int:
        """From 1; between two epochs the one that is over."""
        return self.progress.epoch + (self.progress.batch > 0)

    def elapsed(self) -> float:
        """Seconds of training, all processes of the run together."""
        return self._seconds()

    def save_here(self) -> str:
        """Save a checkpoint of this place, unless there is one. Returns its path.

        Raises:
            FileError: it can't be written.
            TrainerError: the weights are poisoned, and must not take a good checkpoint's place.
        """
        if not self._saver.saved(self.progress):
            self._save(best=self._evaluations.best_step == self.progress.step)
        self._saver.settle()
        return path_here(self.writer.layout, self.progress)

    def saving_stands(self) -> AbstractContextManager[None]:
        """While inside, no checkpoint is written: the index is the caller's to change."""
        return self._saver.standing()

    def set_lr(self, lr: float) -> float:
        """Train on with this rate. Returns the one that the next step would have used."""
        return self._ready.schedule.set_lr(lr)

    # ------------------------------------------------------------------ evaluation

    def _evaluation_due(self) -> bool:
        """Whether an epoch that just ended is evaluated."""
        if self._evaluations.due(self.progress.step, self.progress.epoch):
            return True
        # A run that finishes is always measured: its result must not depend on the interval.
        ending = self._ending() if self._evaluations.wanted else None
        return ending is not None and ending.status == "finished"

    def _evaluate(self) -> dict[str, float] | None:
        """Metrics of the evaluated splits; None if a stop was asked for on the way.

        Training goes on as if it had not happened.
        """

        def goes_on() -> bool:
            if self._requests:
                self.controls.attend(self, evaluating=True)
            return self.stop.reason is None

        return self._evaluations.measure(goes_on)

    def _evaluate_midway(self) -> None:
        """Evaluate at a step boundary inside an epoch, and save what is due there."""

        def work() -> None:
            trained = {f"train/{name}": value for name, value in self._meter.means().items()}
            self.progress.evaluation_due = True
            try:
                tested = self._evaluate()
            except Exception:
                self._save_what_is_left()
                raise
            self.progress.evaluation_due = tested is None
            if tested is None:
                return
            self._evaluations.step = self.progress.step
            self.metrics = {**trained, **tested}
            self.latest |= self.metrics
            epoch = self.progress.epoch + 1
            improved = self._judge(epoch)
            place = {"epoch": epoch, "step": self.progress.step}
            self.writer.event("evaluation", **place, metrics=self.metrics, best=self.best, improved=improved)
            if (improved and self._save_every.amount > 0) or self._save_due():
                self._save(best=improved)

        self._between_steps(work)

    def _check_monitor(self) -> None:
        """Refuse a monitored training metric that the first step did not show: an epoch later is too late."""
        metric = self._ready.monitor.metric
        shown = [f"train/{name}" for name in self._meter.names]
        if self._evaluations.of_training and metric not in shown and not self._ready.monitor.from_hook:
            raise no_such_metric(metric, shown)

    def _tell_directions(self) -> None:
        """What a task's own step records are losses, unless the task or the name says otherwise."""
        own = self.task.directions
        told = {f"train/{name}": own.get(name) or loss_direction(name) for name in self._meter.names}
        self.writer.event("directions", directions=told)
        self._directions_told = True

    def _judge(self, epoch: int) -> bool:
        """Take the latest metrics as an evaluation. True if it is the best so far."""
        improved = self._evaluations.judge(self.metrics, epoch, self.progress.step)
        self.best = self._ready.monitor.best()
        return improved

    def _call_hook(self) -> None:
        if not self.task.overrides("on_epoch_end"):
            return
        model, device = self._ready.evaluated_model, self._ready.device.torch
        place = (self.progress.epoch, self.progress.step)
        context = EpochContext(model, self.hparams, device, *place, dict(self.metrics), self.writer)
        try:
            with rng.preserved(device):
                call_hook(self.task, context)
            self.metrics = {str(name): float(value) for name, value in context.metrics.items()}
        except Exception as error:
            # An epoch's work is worth more than its decoration.
            self._tell("on_epoch_end failed", explain(error).message.split("\n", 1)[0])

    # ------------------------------------------------------------------ saving and restoring

    def _save_end(self, ending: Ending) -> Ending:
        """A run's end always saves; a run that is finished inside an epoch is measured first.

        Returns:
            How it ended: a stop that cuts off the last evaluation leaves the run unfinished.
        """
        progress = self.progress
        if self._saver.saved(progress) or progress.step == 0:
            return ending
        measured = self._evaluations.step == progress.step or not self._evaluations.wanted
        if progress.batch and ending.status == "finished" and not measured:
            self._evaluate_midway()
            if progress.evaluation_due and self.stop.reason is not None:
                ending = Ending("stopped", self.stop.reason)
        if not self._saver.saved(progress):
            self._save(best=self._evaluations.best_step == progress.step)
        return ending

    def _save(self, best: bool = False) -> None:
        """Save a checkpoint of this place.

        Raises:
            TrainerError: the weights are poisoned, and must not take a good checkpoint's place.
        """
        self._saver.save(self._ready, self.progress, self.metrics, self._trainer_state, best)
        self._first_state = None

    def _finish_saving(self, ending: Ending) -> None:
        """Wait for what is being written. A finished run without its last checkpoint has not finished.

        Raises:
            FileError: the disk does not take it.
        """

        def hurried() -> bool:
            return (self.stop.reason or "").startswith(("SIGTERM", TIME_LIMIT))

        def waits(text: str) -> None:
            self._alert("error", "training is over, its end is not saved", text)
            self.stop.announce(f"training is over; {text} (Ctrl-C twice leaves without it)")

        try:
            # Nobody's training time.
            with self.controls.clock.standing():
                self._saver.finish(hurried, waits)
        except FileError as error:
            if ending.status == "finished":
                raise
            self._alert("error", error.title, error.message)

    def _save_what_is_left(self) -> None:
        """Save on the way out of a failure, which must stay the error that is told."""
        with suppress(Exception):
            self._save()

    def _trainer_state(self) -> dict[str, Any]:
        progress = self.progress
        place = asdict(progress) | {"seconds": self._seconds()}
        if progress.batch:
            place["epoch_seconds"] = progress.epoch_seconds + self._clock() - self._epoch_began
        return {
            **self._ready.state_dict(),
            "progress": place,
            "meter": self._meter.state_dict() if progress.batch else None,
            "metrics": self.metrics,
            "latest": self.latest,
            "record": self.writer.position(),
        }

    def _is_best_here(self) -> bool:
        """Whether the best evaluation is the one that the latest epoch ended with."""
        if self.best is None or self.progress.batch:
            return False
        return bool(self.metrics.get(self.best["metric"]) == self.best["value"])

    def _restore(self, layout: RunLayout, tag: str) -> None:
        path, state_path = layout.model_file(tag), layout.trainer_state_file(tag)
        state = checkpoint.load_trainer_state(state_path)
        origin = self._origin(layout, tag)
        restated = origin.restated(self.hparams) if origin is not None else {}
        wait_anew = origin is not None and (origin.forks or asks_for_more(origin.changes(self.hparams)))
        with restoring(state_path):
            weights = checkpoint.load_weights(path)
            self._ready.load_state_dict(state, weights, path, state_path, restated, wait_anew)
            if state["meter"] is not None:
                self._meter.load_state_dict(state["meter"])
        self.best = self._ready.monitor.best()
        self.metrics, self.latest = dict(state["metrics"]), dict(state["latest"])
        self.progress = Progress.of(state["progress"])
        told = seconds_of_save(layout, tag, state["record"]["event_bytes"])
        self._expected_save = told or self._expected_save
        if self.best is None and math.isfinite(state["monitor"]["value"]):
            before = f"{state['monitor']['metric']} {state['monitor']['value']:.6g}"
            self._alert("info", "best counts anew", f"{before} was measured otherwise than from here on")
        live = state["schedule"].get("lr", self.hparams.lr)
        if restated.get("lr") == self.hparams.lr != live:
            self._alert("info", "learning rate", f"lr {live:g}, set while it was live -> {self.hparams.lr:g}")

    def _origin(self, layout: RunLayout, tag: str) -> ResumePoint | None:
        """Where this process went on, if it is this checkpoint; what it saved itself has its hparams."""
        resume = self._resume
        if resume is None or resume.entry is None or (layout, tag) != (resume.layout, resume.entry["tag"]):
            return None
        return resume

    def _load_weights(self, model: nn.Module) -> None:
        assert self._weights is not None
        self._weights.load_into(model, self._tell)

    # ------------------------------------------------------------------ numbers that are none

    def _roll_back(self, found: NonFinite) -> None:
        """Go on from the newest good checkpoint with a lower rate, where that is wanted.

        Raises:
            NonFinite: it is not, or was done too often; the message tells what went bad first.
        """
        layout, seconds = self.writer.layout, self._seconds()
        rollbacks = self.progress.rollbacks + 1
        wanted = self.hparams.on_nonfinite == "rollback" and rollbacks <= self.hparams.max_rollbacks
        with self._saver.standing():
            entry, _ = newest_good(layout)
            if not wanted or entry is None:
                raise self._diagnosed(found, entry)
            self._saver.forget()
            self._rewind(entry)
            drop_newer(layout, entry["tag"])
        self._restore(layout, entry["tag"])
        self._saver.place = (self.progress.epoch, self.progress.batch)
        # What was undone took its time all the same.
        self.progress.seconds = seconds
        self._began = self._clock()
        self._evaluations.start_over()
        self._rows = self._build_rows()
        schedule, old = self._ready.schedule, self._ready.schedule.lr
        # A state that was saved since an earlier rollback has that one's rate already.
        schedule.scale(self.hparams.rollback_lr_factor ** (rollbacks - self.progress.rollbacks))
        self.progress.rollbacks = rollbacks
        path = model_path(layout, entry["tag"])
        self.writer.event("run_resume", **self._here(), checkpoint=path)
        times = f"{rollbacks} of {self.hparams.max_rollbacks}"
        told = f"going on from {path} with lr {schedule.lr:.4g} instead of {old:.4g} ({times})"
        self._alert("warning", ROLLED_BACK, f"{found.message}; {told}")

    def _rewind(self, entry: dict[str, Any]) -> None:
        """Cut the record to what it was at a checkpoint."""

        def rewind() -> None:
            self.writer.rewind(*record_of(self.writer.layout, entry))

        def waits(why: str) -> None:
            self._alert("error", "going back waits for room on the disk", why)

        with_room(rewind, self.stop, self.controls, waits)

    def _diagnosed(self, found: NonFinite, entry: dict[str, Any] | None) -> NonFinite:
        """Tell what went bad first, by training once more from the newest checkpoint up to there."""
        layout = self.writer.layout
        with suppress(Exception), self._phase("looking for the first bad tensor"):
            start = self._first_state
            if entry is not None:
                path = layout.model_file(entry["tag"])
                state = checkpoint.load_trainer_state(layout.trainer_state_file(entry["tag"]))
                origin = self._origin(layout, entry["tag"])
                restated = origin.restated(self.hparams) if origin is not None else {}
                start = Start(checkpoint.load_weights(path), state, path, restated)
            accumulation = self.hparams.grad_accumulation
            if start is not None and (
                cause := find_cause(
                    self._ready, start, found.step, accumulation, lambda: self.stop.reason is None
                )
            ):
                found.because_of(cause)
        return found

    # ------------------------------------------------------------------ small helpers

    def _build_rows(self) -> RowLogger:
        watch = LossWatch(self._tell, skips=self.hparams.on_nonfinite == "skip")
        return RowLogger(self.writer, self._meter, self.hparams.log_rate, watch, self._clock)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self.controls.check_start(self.progress.step)
        begin = time.perf_counter()
        self.writer.event("phase", name=name)
        with during(name):
            yield
        self.writer.event("phase", name=name, seconds=time.perf_counter() - begin)
        self.controls.check_start(self.progress.step)

    def _alert(self, level: str, title: str, message: str) -> None:
        self.writer.event("alert", level=level, title=title, message=message, step=self.progress.step)

    def _tell(self, title: str, message: str) -> None:
        self._alert("warning", title, message)

    def _here(self) -> dict[str, int]:
        progress = self.progress
        return {"step": progress.step, "epoch": progress.epoch, "batch": progress.batch}

    def _warn(self, title: str, message: str) -> None:
        self._alert("warning", title, f"after step {self.progress.step:,}: {message}")

    def _seconds(self) -> float:
        return self.progress.seconds + self._clock() - self._began

    def _place(self) -> dict[str, float]:
        progress, batches = self.progress, self._ready.splits.train.batches
        epoch = progress.epoch + (progress.batch / batches if batches else math.nan)
        return {"step": progress.step, "epoch": epoch, "lr": progress.lr}

    def _flush_rows(self) -> None:
        self._rows.flush(self._place, self._batches.samples, self._batches.seconds)

    def _close(self) -> None:
        """Let go of data, model and optimizer, end loader processes, empty the device's cache."""
        self._ready.close()
        del self._ready
        for name in ("_meter", "_evaluations", "_rows", "_batches"):
            self.__dict__.pop(name, None)
