"""The hyper-parameters that every task has. A task extends `Hparams` by its own.

Values are validated here and nowhere else: by type and bounds of each field, then by `cross_checks`, the
rules between fields.
"""

from __future__ import annotations

import copy
import functools
import inspect
import typing
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from tui_trainer.config.every import EXPECTED as EVERY_EXPECTED
from tui_trainer.config.every import Every
from tui_trainer.config.fields import MAX_WHOLE, Field, FieldSpec, inherit_on_resume, show_value, spec_of
from tui_trainer.config.names import (
    OPTIMIZER_OPTIONS,
    OPTION_NAMES,
    UNUSABLE_LOSSES,
    LossName,
    OptimizerName,
    PrecisionName,
    SchedulerName,
)

__all__ = ["CrossFieldError", "Field", "Hparams"]


class CrossFieldError(ValueError):
    """Rules between fields that do not hold.

    Attributes:
        findings: (hparam, what is wrong) for each.
    """

    def __init__(self, findings: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in findings))
        self.findings = findings


class Hparams(BaseModel):
    """Everything that decides a run, frozen and validated.

    Extend it with annotated fields. Redeclaring a base field with a bare default
    (`epochs: int = 20`) changes the default and keeps bounds, unit and description.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )

    # Data
    task: str | None = Field(
        None,
        group="Data",
        max_length=4096,
        on_resume="refused",
        description="What is trained: a built-in task, a task file or module:Class.",
    )
    dataset_path: str | None = Field(
        None,
        group="Data",
        path=True,
        max_length=4096,
        on_resume="refused",
        description="File or folder that holds the data set.",
    )
    dataset_json_fname: str | None = Field(
        None,
        group="Data",
        max_length=255,
        on_resume="refused",
        description="Name of the JSON file inside dataset_path, for tasks that read one.",
    )
    test_size: float = Field(
        0.2,
        ge=0,
        lt=1,
        group="Data",
        unit="fraction",
        on_resume="refused",
        description="Part of the samples kept for the test set; 0 for no test set.",
    )
    val_size: float = Field(
        0.0,
        ge=0,
        lt=1,
        group="Data",
        unit="fraction",
        on_resume="refused",
        description="Part of the samples kept for validation, which then decides best and early stopping.",
    )
    batch_size: int = Field(
        32,
        ge=1,
        le=1 << 24,
        group="Data",
        unit="samples",
        log=True,
        on_resume="refused",
        description="Samples of one batch, over all ranks.",
    )
    eval_batch_size: int | None = Field(
        None,
        ge=1,
        le=1 << 24,
        group="Data",
        unit="samples",
        log=True,
        on_resume="safe",
        description="Samples of one evaluation batch; none: batch_size.",
    )
    num_workers: Literal["auto"] | int = Field(
        "auto",
        group="Data",
        unit="processes",
        expected='"auto" or a whole number from 0 to 512',
        on_resume="safe",
        description="Loader processes for data that does not fit in memory; auto: as many as loading needs.",
    )
    overfit_batches: int = Field(
        0,
        ge=0,
        le=1 << 20,
        group="Data",
        unit="batches",
        on_resume="refused",
        description="Train and test on only this many batches, to see whether the model can learn; 0: off.",
    )

    # Optimisation
    loss: LossName = Field(
        "auto",
        group="Optimisation",
        on_resume="warned",
        description="Loss by its class name in torch.nn; auto: what suits the task.",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        le=1,
        group="Optimisation",
        unit="fraction",
        on_resume="warned",
        description="Weight moved from the true class to all classes (CrossEntropyLoss).",
    )
    optimizer: OptimizerName = Field(
        "Adam",
        group="Optimisation",
        on_resume="refused",
        description="Optimizer by its class name in torch.optim.",
    )
    lr: float = Field(
        1e-3,
        gt=0,
        le=1e6,
        group="Optimisation",
        log=True,
        on_resume="warned",
        description="Learning rate: the optimizer's step size at its peak.",
    )
    weight_decay: float | None = Field(
        None,
        ge=0,
        le=1e6,
        group="Optimisation",
        log=True,
        on_resume="warned",
        description="Pull of weights towards zero; none: the optimizer's own.",
    )
    momentum: float | None = Field(
        None,
        ge=0,
        lt=1,
        group="Optimisation",
        on_resume="warned",
        description="Momentum of SGD, RMSprop and Muon; none: the optimizer's own.",
    )
    betas: tuple[float, float] | None = Field(
        None,
        group="Optimisation",
        expected="two numbers from 0 to below 1",
        on_resume="warned",
        description="Decay rates of Adam's running means of gradient and square; none: the optimizer's own.",
    )
    eps: float | None = Field(
        None,
        gt=0,
        le=1,
        group="Optimisation",
        log=True,
        on_resume="warned",
        description="Term that keeps a denominator from zero; none: the optimizer's own.",
    )
    grad_clip_norm: float | None = Field(
        None,
        gt=0,
        le=1e9,
        group="Optimisation",
        on_resume="warned",
        description="Gradients with a larger norm are scaled down to it; none: no clipping.",
    )
    grad_accumulation: int = Field(
        1,
        ge=1,
        le=1 << 16,
        group="Optimisation",
        unit="batches",
        on_resume="refused",
        description="Batches whose gradients make one optimizer step.",
    )
    micro_batch: Literal["auto"] | int | None = Field(
        "auto",
        group="Optimisation",
        unit="samples",
        expected='"auto" or a whole number ≥ 1',
        on_resume="safe",
        description="Most samples of a pass; a larger batch takes several, with the same gradients. "
        "auto: whole batches, half as much whenever memory runs out; none: whole batches.",
    )
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        group="Optimisation",
        on_resume="refused",
        description="Decay of a moving average of the weights, which is evaluated and saved; none: off.",
    )
    precision: PrecisionName = Field(
        "float32",
        group="Optimisation",
        on_resume="warned",
        description="Number format of the forward pass; float16 scales its gradients.",
    )

    on_nonfinite: Literal["stop", "skip", "rollback"] = Field(
        "stop",
        group="Optimisation",
        on_resume="safe",
        description="On a NaN or infinite loss or gradient: stop, skip the step, or roll back to the last "
        "good checkpoint with a lower lr.",
    )
    rollback_lr_factor: float = Field(
        0.5,
        gt=0,
        le=1,
        group="Optimisation",
        on_resume="safe",
        description="Factor on the learning rate at each rollback.",
    )
    max_rollbacks: int = Field(
        3,
        ge=0,
        le=1000,
        group="Optimisation",
        unit="times",
        on_resume="safe",
        description="Rollbacks after which a non-finite loss ends the run.",
    )

    # Schedule
    epochs: int = Field(
        10,
        ge=1,
        le=10**9,
        group="Schedule",
        unit="epochs",
        on_resume="safe",
        description="Passes over the training set.",
    )
    max_steps: int | None = Field(
        None,
        ge=1,
        le=10**12,
        group="Schedule",
        unit="steps",
        on_resume="safe",
        description="End the run after this many optimizer steps; none: no limit.",
    )
    max_minutes: float | None = Field(
        None,
        gt=0,
        le=10**7,
        group="Schedule",
        unit="minutes",
        on_resume="safe",
        description="End the run after this much time; none: no limit.",
    )
    scheduler: SchedulerName = Field(
        "constant",
        group="Schedule",
        on_resume="refused",
        description="How the learning rate moves during training.",
    )
    warmup: float = Field(
        0.0,
        ge=0,
        le=1,
        group="Schedule",
        unit="fraction of training",
        on_resume="warned",
        description="Part of training in which the learning rate rises linearly to lr.",
    )
    lr_decay: float = Field(
        0.1,
        gt=0,
        lt=1,
        group="Schedule",
        on_resume="warned",
        description="Factor on the learning rate at each step of the step and plateau schedulers.",
    )
    lr_decay_every: int = Field(
        10,
        ge=1,
        le=10**9,
        group="Schedule",
        unit="epochs",
        on_resume="warned",
        description="Epochs between two steps of the step scheduler.",
    )
    lr_patience: int = Field(
        3,
        ge=0,
        le=10**9,
        group="Schedule",
        unit="evaluations",
        on_resume="warned",
        description="Evaluations without improvement that the plateau scheduler waits.",
    )
    eval_every: int | str = Field(
        1,
        group="Schedule",
        expected=EVERY_EXPECTED,
        on_resume="safe",
        description="How often to evaluate: epochs, Nsteps or Nmin; 0: never.",
    )
    monitor: str | None = Field(
        None,
        group="Schedule",
        max_length=200,
        on_resume="warned",
        description="Metric that decides best, plateau and early stopping; none: test/loss (see docs).",
    )
    monitor_mode: Literal["auto", "min", "max"] = Field(
        "auto",
        group="Schedule",
        on_resume="warned",
        description="Whether smaller or larger is better for monitor; auto: by the metric's name.",
    )
    early_stopping_patience: int | None = Field(
        None,
        ge=1,
        le=10**9,
        group="Schedule",
        unit="evaluations",
        on_resume="safe",
        description="Stop after this many evaluations without improvement; none: never.",
    )

    # Run
    seed: int = Field(
        0,
        ge=0,
        le=2**32 - 1,
        group="Run",
        on_resume="refused",
        description="Seed of splits, initial weights, order and augmentation.",
    )
    device: str = Field(
        "auto",
        group="Run",
        pattern=r"^(auto|cpu|mps|xpu(:[0-9]{1,3})?|cuda(:[0-9]{1,3})?)$",
        expected="auto, cpu, cuda, cuda:N, mps or xpu",
        on_resume="safe",
        description="Where to train: auto, cpu, cuda, cuda:N, mps or xpu.",
    )
    deterministic: bool = Field(
        False,
        group="Run",
        on_resume="warned",
        description="Only algorithms that give the same result each time, where slower ones exist.",
    )
    compile: bool = Field(
        False, group="Run", on_resume="warned", description="Compile the model with torch.compile."
    )
    checkpoint_every: int | str = Field(
        1,
        group="Run",
        expected=EVERY_EXPECTED,
        on_resume="safe",
        description="How often to save: epochs, Nsteps or Nmin; 0: only at the end.",
    )
    keep_checkpoints: int | None = Field(
        None,
        ge=1,
        le=10**9,
        group="Run",
        unit="checkpoints",
        on_resume="safe",
        description="Newest checkpoints to keep; best and pinned always stay; none: all.",
    )
    log_rate: float = Field(
        20.0,
        ge=0,
        le=1e6,
        group="Run",
        unit="rows a second",
        on_resume="safe",
        description="Most rows of the step series a second; 0: a row for every step.",
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        changed = False
        for name in inspect.get_annotations(cls):
            field, parents = (
                cls.model_fields.get(name),
                [base.model_fields for base in cls.__mro__[1:] if issubclass(base, Hparams)],
            )
            inherited = next((fields[name] for fields in parents if name in fields), None)
            if field is None or inherited is None:
                continue
            if field.description or field.is_required():
                inherit_on_resume(field, inherited)
                continue
            merged = copy.copy(inherited)
            merged.default = field.default
            if field.annotation is not Any:
                # A narrower type, such as fewer optimizers, counts too.
                merged.annotation = field.annotation
            cls.model_fields[name] = merged
            changed = True
        if changed:
            cls.model_rebuild(force=True)

    @classmethod
    def specs(cls) -> dict[str, FieldSpec]:
        """Every hparam with type, bounds, default and description, base fields first."""
        return _specs(cls)

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, values: Any) -> Any:
        """Accept what JSON and NumPy hand over: lists for tuples, NumPy scalars for numbers."""
        if not isinstance(values, dict):
            return values
        specs = cls.specs()
        plain = {}
        for name, value in values.items():
            if type(value).__module__ == "numpy" and hasattr(value, "item"):
                value = value.item()
            spec = specs.get(name)
            if (
                isinstance(value, list)
                and spec
                and any(typing.get_origin(member) is tuple for member in spec.members)
            ):
                value = tuple(value)
            plain[name] = value
        return plain

    @field_validator("*", mode="after")
    @classmethod
    def _exact_whole_numbers(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_WHOLE:
            raise ValueError(f"expected a whole number within ±2^53, got {value}")
        return value

    @field_validator("loss", mode="before")
    @classmethod
    def _usable_loss(cls, value: Any) -> Any:
        if isinstance(value, str) and value in UNUSABLE_LOSSES:
            reason = UNUSABLE_LOSSES[value]
            raise ValueError(
                f"{value} {reason}, so it can't be called as loss(outputs, targets); "
                "use it in your task's compute_loss"
            )
        return value

    @field_validator("num_workers", "micro_batch", mode="after")
    @classmethod
    def _auto_or_sane(cls, value: Any, info: ValidationInfo) -> Any:
        least, most = (0, 512) if info.field_name == "num_workers" else (1, 1 << 24)
        if isinstance(value, int) and not least <= value <= most:
            raise ValueError(f'expected "auto" or a whole number from {least} to {most:,}, got {value}')
        return value

    @field_validator("betas", mode="after")
    @classmethod
    def _sane_betas(cls, value: Any) -> Any:
        if value is not None and not all(0 <= beta < 1 for beta in value):
            raise ValueError(f"expected two numbers from 0 to below 1, got {list(value)}")
        return value

    @field_validator("eval_every", "checkpoint_every", mode="after")
    @classmethod
    def _known_interval(cls, value: Any) -> Any:
        try:
            Every.parse(value)
        except ValueError as error:
            raise ValueError(f"{error}, got {show_value(value)}") from None
        return value

    @model_validator(mode="after")
    def _cross_checked(self) -> Hparams:
        findings = list(self.cross_checks())
        if findings:
            raise CrossFieldError(findings)
        return self

    def cross_checks(self) -> Iterator[tuple[str, str]]:
        """Rules between fields. A task may extend it: `yield from super().cross_checks()` first.

        Yields:
            The hparam to blame and what is wrong with it.
        """
        if self.test_size + self.val_size >= 1:
            yield (
                "val_size",
                f"test_size {self.test_size:g} and val_size {self.val_size:g} leave no sample to train on",
            )
        for option in OPTION_NAMES:
            if getattr(self, option) is not None and option not in OPTIMIZER_OPTIONS[self.optimizer]:
                takes = ", ".join(sorted(OPTIMIZER_OPTIONS[self.optimizer])) or "none of them"
                yield option, f"{self.optimizer} does not take it (of these options it takes {takes})"
        if self.optimizer == "LBFGS" and self.precision == "float16":
            yield (
                "precision",
                "LBFGS can't train in float16, since its closure can't be scaled; use float32 or bfloat16",
            )
        if self.optimizer == "LBFGS" and self.on_nonfinite == "skip":
            yield "on_nonfinite", "LBFGS looks at a step several times, so none can be skipped; use rollback"
        if self.label_smoothing and self.loss not in ("auto", "CrossEntropyLoss"):
            yield "label_smoothing", f"{self.loss} does not take it; only CrossEntropyLoss does"
        if self.scheduler == "plateau" and self.warmup:
            yield "warmup", "the plateau scheduler has no warm-up; set warmup to 0 or take another scheduler"
        never = Every.parse(self.eval_every).amount == 0
        on_train = self.monitor is not None and self.monitor.startswith("train/")
        if never and not on_train:
            if self.early_stopping_patience is not None:
                yield (
                    "early_stopping_patience",
                    "nothing is evaluated (eval_every is 0), so nothing can be compared",
                )
            if self.scheduler == "plateau":
                yield "scheduler", "plateau needs evaluations, but eval_every is 0"
        if self.monitor is not None and "/" not in self.monitor:
            yield "monitor", f'expected a split and a metric such as "test/loss", got "{self.monitor}"'


@functools.cache
def _specs(cls: type[Hparams]) -> dict[str, FieldSpec]:
    return {name: spec_of(name, info) for name, info in cls.model_fields.items()}
