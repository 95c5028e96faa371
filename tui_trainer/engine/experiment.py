"""The experiment: from hparams and a task to a trained model and its record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tui_trainer.config.every import Every
from tui_trainer.config.hparams import Hparams
from tui_trainer.engine import checkpoint, rng
from tui_trainer.engine.batch_looper import Waiting, test_batch_looper, train_batch_looper
from tui_trainer.engine.context import EpochContext
from tui_trainer.engine.criterion import build_criterion
from tui_trainer.engine.data import Splits, build_loaders, raw_splits
from tui_trainer.engine.device import Device, check_precision, choose_device
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.engine.meter import CAPACITY, Meter
from tui_trainer.engine.monitor import Monitor
from tui_trainer.engine.optim import Schedule, build_optimizer, build_schedule
from tui_trainer.engine.rows import RowLogger
from tui_trainer.engine.update import Forward, Updater
from tui_trainer.errors import TrainerError, UsageError, did_you_mean
from tui_trainer.runs.checkpoints import Entry
from tui_trainer.runs.directions import better_direction
from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task


@dataclass
class Progress:
    """Where training is.

    Attributes:
        epoch: finished epochs.
        batch: batches done in the epoch after that one.
        step: optimizer steps done.
        samples: training samples seen in the unfinished epoch.
        seconds: time spent, including earlier processes of this run.
        epoch_seconds: time spent in the unfinished epoch by earlier processes.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0


@dataclass(frozen=True)
class Ending:
    """How a run ended: finished or stopped, and why."""

    status: str
    reason: str


class Experiment:
    """One run of a task.

    Args:
        task: what is trained.
        hparams: validated.
        writer: the record.
        stop: polled at step boundaries.
        resume: the checkpoint to go on from.
        on_device: called once the device is chosen.
    """

    def __init__(
        self,
        task: Task,
        hparams: Hparams,
        writer: RunWriter,
        stop: StopRequest,
        resume: Entry | None = None,
        on_device: Callable[[torch.device], None] = lambda device: None,
    ) -> None:
        self.task = task
        self.hparams = hparams
        self.writer = writer
        self.stop = stop
        self.progress = Progress()
        self.metrics: dict[str, float] = {}
        self._resume = resume
        self._on_device = on_device
        self._saved_tag: tuple[int, int] | None = None
        self._eval_every = Every.parse(hparams.eval_every)
        self._save_every = Every.parse(hparams.checkpoint_every)

    def run(self) -> Ending:
        """Train.

        prepare: device, seed, data, model, criterion, optimizer, scheduler
        until all epochs are done, a limit is reached or somebody asks for a stop:
            train on every batch of the epoch        (rows, saves and stops at step boundaries)
            evaluate on the validation and test sets
            record the epoch, move the scheduler, save
        save

        Raises:
            TrainerError: what went wrong, in the user's words.
        """
        self.prepare()
        self._announce()
        self.stop.saves = self.progress.step > 0
        self._mark_time()
        while (ending := self._ending()) is None:
            finished_epoch = self._train_epoch()
            if finished_epoch:
                self._end_epoch()
        self._save_end(ending)
        return ending

    # ------------------------------------------------------------------ before the first step

    def prepare(self) -> None:
        """Build everything that training needs, and check it on one batch of each evaluated split."""
        hparams = self.hparams
        with self._phase("choosing the device"):
            self.device: Device = choose_device(hparams.device)
            check_precision(hparams.precision, self.device.torch)
            self._on_device(self.device.torch)
            if torch.are_deterministic_algorithms_enabled() != hparams.deterministic:
                # Asked first, since the call itself imports torch's compiler, which takes seconds.
                torch.use_deterministic_algorithms(hparams.deterministic)
            torch.backends.cudnn.benchmark = not hparams.deterministic
        with self._phase("loading data"):
            rng.seed_everything(hparams.seed)
            parts = raw_splits(self.task, hparams)
        with self._phase("building the model"):
            rng.seed_everything(hparams.seed)
            self.model: nn.Module = self.task.model(hparams)
            if not isinstance(self.model, nn.Module):
                raise TrainerError("not a model", f"model() returned a {type(self.model).__name__}", "return a torch.nn.Module")
            self.model.to(self.device.torch)
            criterion = build_criterion(self.task, hparams)
            if isinstance(criterion, nn.Module):
                criterion.to(self.device.torch)
            self.forward = Forward(self.task, criterion, self.device.torch, hparams.precision)
        with self._phase("preparing batches"):
            self.splits: Splits = build_loaders(self.task, hparams, parts, self.model, self.device.torch)
        self._meter = Meter(self.device.torch, max(CAPACITY, hparams.grad_accumulation + 1))
        self._eval_meter = Meter(self.device.torch)
        with self._phase("first batch"):
            names = self._try_evaluation()
        self._build_monitor(names)
        with self._phase("building the optimizer"):
            self._build_training()
        if hparams.compile:
            with self._phase("compiling"):
                self.model.compile()
        if self._resume is not None:
            with self._phase("loading the checkpoint"):
                self._restore(self._resume)

    def _phase(self, name: str) -> _Phase:
        return _Phase(self.writer, name)

    def _try_evaluation(self) -> set[str]:
        """One batch of each evaluated split, so that a broken test set is noticed before an epoch is spent.

        Returns:
            The names of their metrics.
        """
        names: set[str] = set()
        with rng.preserved(self.device.torch):
            for split, loader in self.splits.evaluated().items():
                batches = loader.epoch(0)
                first = next(batches, None)
                if first is None:
                    raise TrainerError("empty data set", f"the {split} loader yields no batch", "check datasets() or dataloader()")
                means = test_batch_looper([first], self.model, self.forward, self._eval_meter)
                names |= {f"{split}/{name}" for name in means}
        return names

    def _build_monitor(self, names: set[str]) -> None:
        hparams = self.hparams
        splits = self.splits.evaluated()
        default = f"{next(iter(splits), 'train')}/loss"
        metric = hparams.monitor or default
        on_train = {f"train/{name.partition('/')[2]}" for name in names}
        if hparams.monitor is not None and names and metric not in names | on_train:
            known = sorted(names)
            raise UsageError(
                "wrong hparams",
                f'monitor: this task has no metric "{metric}"{did_you_mean(metric, known)}',
                f"metrics: {', '.join(known)}",
            )
        if not splits and metric.partition("/")[0] != "train":
            raise UsageError("wrong hparams", f'monitor: there is no test or validation set, so no "{metric}"', "monitor train/loss")
        mode = hparams.monitor_mode
        if mode == "auto":
            mode = self.task.directions.get(metric.partition("/")[2]) or better_direction(metric)  # type: ignore[assignment]
        self.monitor = Monitor(metric, mode, hparams.early_stopping_patience)

    def _build_training(self) -> None:
        hparams, batches = self.hparams, self.splits.train.batches
        self.steps_per_epoch = None if batches is None else -(-batches // hparams.grad_accumulation)
        self.total_steps = None if self.steps_per_epoch is None else self.steps_per_epoch * hparams.epochs
        if hparams.max_steps is not None:
            self.total_steps = min(hparams.max_steps, self.total_steps or hparams.max_steps)
        optimizer = build_optimizer(self.task, hparams, self.model)
        self.optimizer = optimizer
        self.schedule: Schedule = build_schedule(
            self.task, hparams, optimizer, self.total_steps, self.steps_per_epoch, self.monitor.mode
        )
        self.scaler = torch.amp.GradScaler(self.device.torch.type) if hparams.precision == "float16" else None
        self.updater = Updater(
            self.model, optimizer, clip_norm=hparams.grad_clip_norm, scaler=self.scaler, ema_decay=hparams.ema_decay
        )
        self.rows = RowLogger(self.writer, self._meter, hparams.log_rate)

    def _announce(self) -> None:
        train, evaluated = self.splits.train, self.splits.evaluated()
        facts: dict[str, Any] = {
            "run_dir": str(self.writer.layout.root.absolute()),
            "task": self.task.name,
            "hparams": self.hparams.model_dump(mode="json"),
            "device": str(self.device.torch),
            "device_name": self.device.name,
            "device_reason": self.device.reason,
            "world_size": 1,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "train_samples": train.samples,
            "val_samples": evaluated["val"].samples if "val" in evaluated else 0,
            "test_samples": evaluated["test"].samples if "test" in evaluated else 0,
            "steps_per_epoch": self.steps_per_epoch,
            "total_steps": self.total_steps,
            "epochs": self.hparams.epochs,
            "monitor": self.monitor.metric,
            "directions": {self.monitor.metric: self.monitor.mode, **self._directions()},
        }
        if self._resume is None:
            self.writer.event("run_start", **facts)
        else:
            path = str(self.writer.layout.model_file(self._resume["tag"]).relative_to(self.writer.layout.root))
            place = {"step": self.progress.step, "epoch": self.progress.epoch, "checkpoint": path}
            self.writer.event("run_resume", **place, **facts)

    def _directions(self) -> dict[str, str]:
        splits = ("train", *self.splits.evaluated())
        return {f"{split}/{name}": mode for name, mode in self.task.directions.items() for split in splits}

    # ------------------------------------------------------------------ the loop

    def _train_epoch(self) -> bool:
        """Train on what is left of the epoch. False if it was left in the middle."""
        if self.progress.batch == 0:
            self._meter.reset()
        self._epoch_begin, self._trained_samples = time.perf_counter(), self.progress.samples
        self._left_early = False
        self._batches = Waiting(self.splits.train.epoch(self.progress.epoch, self.progress.batch), self.progress.samples)
        self.writer.event("epoch_start", epoch=self.progress.epoch + 1, step=self.progress.step)
        self.rows.begin(self.progress.samples)
        steps_before = self.progress.step
        train_batch_looper(
            self._batches, self.model, self.forward, self._meter, self.updater, self.hparams.grad_accumulation, self._after_window
        )
        if self.progress.step == steps_before and self.progress.batch == 0:
            raise TrainerError("empty data set", "the training loader yields no batch", "check datasets() or dataloader()")
        self.rows.flush(self._place, self._batches.samples, self._batches.seconds)
        return not self._left_early

    def _after_window(self, batches: int) -> bool:
        """Called at each step boundary. False ends the epoch here."""
        progress = self.progress
        progress.step += 1
        progress.batch += batches
        progress.samples = self._batches.samples
        self.stop.saves = True
        self.schedule.after_step()
        self.rows.step(self._place, self._batches.samples, self._batches.seconds)
        if progress.batch == self.splits.train.batches:
            # What is due here is done at the epoch's end.
            return True
        if self._eval_every.due_step(progress.step) or self._minutes_due(self._eval_every, self._last_evaluation):
            self._evaluate_midway()
        elif self._save_every.due_step(progress.step) or self._minutes_due(self._save_every, self._last_save):
            self._pause_rows(lambda: self._save(best=False))
        self._left_early = self._ending() is not None
        return not self._left_early

    def _end_epoch(self) -> None:
        """Evaluate, record and save a finished epoch."""
        progress, batches = self.progress, self._batches
        seconds = time.perf_counter() - self._epoch_begin
        self.metrics = {f"train/{name}": value for name, value in self._meter.means().items()}
        trained = (batches.samples - self._trained_samples) / max(seconds, 1e-9)
        progress.epoch, progress.batch, progress.samples = progress.epoch + 1, 0, 0
        lr = self._lr()
        improved = False
        if self._evaluation_due():
            self.metrics |= self._evaluate()
            improved = self._judge()
        elif not self.splits.evaluated():
            improved = self._judge()
        self._call_hook()
        whole = progress.epoch_seconds + time.perf_counter() - self._epoch_begin
        progress.epoch_seconds = 0.0
        self.writer.event(
            "epoch_end",
            epoch=progress.epoch,
            step=progress.step,
            metrics=self.metrics,
            lr=lr,
            seconds=whole,
            samples_per_s=trained,
            best=self.monitor.best(),
            improved=improved,
        )
        due = self._save_every.due_epoch(progress.epoch) or self._save_every.due_step(progress.step)
        due = due or self._minutes_due(self._save_every, self._last_save)
        if due or (improved and self._save_every.amount > 0):
            self._save(best=improved)

    def _ending(self) -> Ending | None:
        """Whether the run ends here, and why."""
        hparams, progress = self.hparams, self.progress
        if progress.epoch >= hparams.epochs:
            return Ending("finished", "all epochs done")
        if self.monitor.exhausted:
            waited = hparams.early_stopping_patience
            return Ending("finished", f"early stopping: {self.monitor.metric} has not improved in {waited} evaluations")
        if hparams.max_steps is not None and progress.step >= hparams.max_steps:
            return Ending("finished", f"max_steps {hparams.max_steps} reached")
        if hparams.max_minutes is not None and self._elapsed() >= 60.0 * hparams.max_minutes:
            return Ending("finished", f"max_minutes {hparams.max_minutes:g} reached")
        if self.stop.reason is not None:
            return Ending("stopped", self.stop.reason)
        return None

    # ------------------------------------------------------------------ evaluation

    def _evaluation_due(self) -> bool:
        every = self._eval_every
        if every.amount == 0 or not self.splits.evaluated():
            return False
        due = every.due_epoch(self.progress.epoch) or every.due_step(self.progress.step)
        # The last epoch is always measured: the run's result must not depend on the interval.
        return due or self._minutes_due(every, self._last_evaluation) or self._ending() is not None

    def _evaluate(self) -> dict[str, float]:
        """Metrics of the evaluated splits. Training goes on as if it had not happened."""
        metrics: dict[str, float] = {}
        with rng.preserved(self.device.torch):
            for split, loader in self.splits.evaluated().items():
                means = test_batch_looper(loader.epoch(0), self.evaluated_model, self.forward, self._eval_meter)
                metrics |= {f"{split}/{name}": value for name, value in means.items()}
        self._last_evaluation = time.perf_counter()
        return metrics

    def _evaluate_midway(self) -> None:
        def evaluate() -> None:
            metrics = {f"train/{name}": value for name, value in self._meter.means().items()} | self._evaluate()
            self.metrics |= metrics
            improved = self._judge()
            place = {"epoch": self.progress.epoch + 1, "step": self.progress.step}
            self.writer.event("evaluation", **place, metrics=metrics, best=self.monitor.best(), improved=improved)
            if (improved and self._save_every.amount > 0) or self._save_every.due_step(self.progress.step):
                self._save(best=improved)

        if self.splits.evaluated():
            self._pause_rows(evaluate)

    def _judge(self) -> bool:
        """Take the latest metrics as an evaluation. True if it is the best so far."""
        value = self.metrics.get(self.monitor.metric)
        if value is None:
            known = ", ".join(sorted(self.metrics))
            raise UsageError("wrong hparams", f'monitor: this task has no metric "{self.monitor.metric}"', f"metrics: {known}")
        self.schedule.after_evaluation(value)
        return self.monitor.update(value, self.progress.epoch + (1 if self.progress.batch else 0))

    @property
    def evaluated_model(self) -> nn.Module:
        """The network that is evaluated and saved: the averaged one with ema_decay."""
        averaged = self.updater.averaged if hasattr(self, "updater") else None
        return self.model if averaged is None else averaged.module

    def _call_hook(self) -> None:
        if not self.task.overrides("on_epoch_end"):
            return
        model = self.evaluated_model
        training = model.training
        model.eval()
        context = EpochContext(
            model, self.hparams, self.device.torch, self.progress.epoch, self.progress.step, self.metrics, self.writer
        )
        try:
            with rng.preserved(self.device.torch), torch.no_grad():
                self.task.on_epoch_end(context)
        except Exception as error:
            # An epoch's work is worth more than its decoration.
            text = f"{type(error).__name__}: {error}"
            self.writer.event("alert", level="warning", title="on_epoch_end failed", message=text, step=self.progress.step)
        finally:
            model.train(training)

    # ------------------------------------------------------------------ saving and restoring

    def _save_end(self, ending: Ending) -> None:
        """A run's end always saves; inside an epoch a finished run is measured first."""
        progress = self.progress
        if progress.batch and ending.status == "finished" and self.splits.evaluated() and self._eval_every.amount:
            self._evaluate_midway()
        if self._saved_tag != (progress.epoch, progress.batch) and progress.step > 0:
            self._save(best=False)

    def _save(self, best: bool) -> None:
        """Save a checkpoint. What can't be written is an alert: training is worth more than one save."""
        progress = self.progress
        begin = time.perf_counter()
        weights = checkpoint.model_state(self.evaluated_model)
        try:
            # The record must reach the disk first: the checkpoint says how much of it is valid.
            self.writer.sync()
            entry = checkpoint.save_checkpoint(
                self.writer.layout,
                progress.epoch,
                progress.batch,
                weights=weights,
                trainer_state=self._trainer_state(),
                hparams=self.hparams.model_dump(mode="json"),
                metrics=self.metrics,
                step=progress.step,
                time=time.time(),
                best=best,
                keep=self.hparams.keep_checkpoints,
            )
        except (OSError, TrainerError) as error:
            self.writer.event("alert", level="error", title="checkpoint not saved", message=str(error), step=progress.step)
            return
        self._last_save = time.perf_counter()
        self._saved_tag = (progress.epoch, progress.batch)
        path = str(self.writer.layout.model_file(entry["tag"]).relative_to(self.writer.layout.root))
        seconds = time.perf_counter() - begin
        place = {"epoch": progress.epoch, "batch": progress.batch, "step": progress.step}
        self.writer.event("checkpoint", **place, path=path, best=best, size=entry["size"], seconds=seconds)

    def _trainer_state(self) -> dict[str, Any]:
        place = asdict(self.progress) | {"seconds": self._elapsed()}
        if self.progress.batch:
            place["epoch_seconds"] = self.progress.epoch_seconds + time.perf_counter() - self._epoch_begin
        averaged = self.updater.averaged
        return {
            "progress": place,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler is not None else None,
            "averaged": None if averaged is None else {"updates": averaged.n_averaged, "raw": checkpoint.model_state(self.model)},
            "rng": rng.state_dict(self.device.torch),
            "meter": self._meter.state_dict() if self.progress.batch else None,
            "monitor": self.monitor.state_dict(),
            "metrics": self.metrics,
            "record": self.writer.position(),
        }

    def _restore(self, entry: Entry) -> None:
        layout = self.writer.layout
        path = layout.model_file(entry["tag"])
        weights = checkpoint.load_weights(path)
        state = checkpoint.load_trainer_state(layout.trainer_state_file(entry["tag"]))
        averaged = self.updater.averaged
        if averaged is not None and state["averaged"] is not None:
            checkpoint.load_into(averaged.module, weights, path)
            averaged.n_averaged.copy_(state["averaged"]["updates"])
            weights = state["averaged"]["raw"]
        checkpoint.load_into(self.model, weights, path)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.scaler is not None and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.monitor.load_state_dict(state["monitor"])
        self.metrics = dict(state["metrics"])
        self.progress = Progress(**state["progress"])
        if state["meter"] is not None:
            self._meter.load_state_dict(state["meter"])
        self._saved_tag = (self.progress.epoch, self.progress.batch)
        rng.load_state_dict(state["rng"], self.device.torch)

    # ------------------------------------------------------------------ small helpers

    def _mark_time(self) -> None:
        self._begin = self._last_save = self._last_evaluation = time.perf_counter()

    def _elapsed(self) -> float:
        return self.progress.seconds + time.perf_counter() - self._begin

    def _minutes_due(self, every: Every, last: float) -> bool:
        return every.unit == "minutes" and every.amount > 0 and time.perf_counter() - last >= 60.0 * every.amount

    def _lr(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def _place(self) -> dict[str, float]:
        progress, batches = self.progress, self.splits.train.batches
        epoch = progress.epoch + (progress.batch / batches if batches else math.nan)
        return {"step": progress.step, "epoch": epoch, "lr": self._lr()}

    def _pause_rows(self, work: Callable[[], None]) -> None:
        """Do something between two steps; its time is nobody's training time."""
        self.rows.flush(self._place, self._batches.samples, self._batches.seconds)
        training_clock = time.perf_counter()
        work()
        self._epoch_begin += time.perf_counter() - training_clock
        self.progress.epoch_seconds += time.perf_counter() - training_clock
        self.rows.begin(self._batches.samples)

    def best(self) -> dict[str, Any] | None:
        """{metric, value, epoch} of the best evaluation; None before the first."""
        return self.monitor.best() if hasattr(self, "monitor") else None

    def close(self) -> None:
        """Let go of data, model and optimizer, end loader processes, empty the device's cache."""
        splits = self.__dict__.pop("splits", None)
        if splits is not None:
            splits.close()
        for name in ("model", "optimizer", "schedule", "updater", "forward", "_meter", "_eval_meter", "rows", "_batches"):
            self.__dict__.pop(name, None)
        if hasattr(self, "device") and self.device.torch.type == "cuda":
            torch.cuda.empty_cache()


class _Phase:
    """Names what happens before the first step, with its seconds."""

    def __init__(self, writer: RunWriter, name: str) -> None:
        self._writer, self._name = writer, name

    def __enter__(self) -> None:
        self._begin = time.perf_counter()
        self._writer.event("phase", name=self._name)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            self._writer.event("phase", name=self._name, seconds=time.perf_counter() - self._begin)
        elif isinstance(error, Exception) and not hasattr(error, "phase"):
            error.phase = self._name  # type: ignore[attr-defined]
