"""`Task`: the one class that ties a model and a data set to the trainer.

Only `datasets` and `model` must be written. Everything else has a default that is right for batches of
(inputs, targets). Light to import: torch is imported inside methods.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tui_trainer.config.hparams import Hparams
from tui_trainer.errors import TrainerError, UsageError, did_you_mean

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from tui_trainer.engine.context import EpochContext, StepContext


class Task:
    """What is trained: data, model, loss and metrics.

    The docstring's first line is shown in the list of tasks. The engine calls `datasets` first, so sizes that
    only the data knows (features, classes, vocabulary) can be kept on `self` for `model`.

    Attributes:
        name: how a person names the task: `digits`, or the path of its file. Set when it is loaded.
        hparams_class: its hyper-parameters, an extension of `Hparams`.
        metric_names: names that `metrics` returns, where they are known before data is read; then a wrong
            `monitor` is refused before anything is loaded.
        directions: for a metric whose name does not tell, "min" or "max", whichever is better.
        normalizes: the model brings its inputs to one scale by itself, so the data report is silent about it.
    """

    name: str = ""
    hparams_class: ClassVar[type[Hparams]] = Hparams
    metric_names: ClassVar[tuple[str, ...] | None] = None
    directions: ClassVar[Mapping[str, str]] = {}
    normalizes: ClassVar[bool] = False

    def datasets(self, hparams: Any) -> Any:
        """The data.

        Returns:
            train (a seeded part `test_size` is split off), (train, test), (train, None) or
            (train, val, test). Each is a `Dataset`, an `IterableDataset`, or a tuple of tensors or arrays
            with samples in dim 0.
        """
        raise _undefined(self, "datasets")

    def readable(self, sample: Any) -> Any:
        """A sample of `datasets` as people read it, for the data report: text for tokens, columns by name.

        Called after `datasets`. Of a tuple, the last is the target. Default: the sample itself.
        """
        return sample

    def model(self, hparams: Any) -> nn.Module:
        """The network. Called after `datasets`."""
        raise _undefined(self, "model")

    def criterion(self, hparams: Any) -> Any:
        """The loss as a callable (outputs, targets) -> scalar tensor.

        None: built from `hparams.loss`, where "auto" means CrossEntropyLoss for whole-number targets and
        MSELoss for others.
        """
        return None

    def optimizer(self, hparams: Any, model: nn.Module) -> Any:
        """An optimizer of your own, say with parameter groups, or several as {name: optimizer}.

        Several make their steps together, unless `train_step` says when each makes its own. None: built from
        `hparams.optimizer`.
        """
        return None

    def scheduler(self, hparams: Any, optimizer: torch.optim.Optimizer, total_steps: int | None) -> Any:
        """A scheduler of your own, stepped after each training step. None: `hparams.scheduler`.

        Several optimizers come as one, with the parameter groups of all.
        """
        return None

    def dataloader(self, hparams: Any, dataset: Any, train: bool) -> Any:
        """A DataLoader or any iterable of batches of your own. None: the trainer's, which resumes exactly."""
        return None

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        """Forward pass and loss of one batch, in training and in evaluation (`model.training` tells which).

        Args:
            model: the network.
            batch: what the loader yields, on the device.
            criterion: what `criterion` returned.

        Returns:
            (loss, outputs, targets). `loss` is a scalar tensor, or {"loss": total, name: part or reducer, …},
            whose parts become metrics. Default: of a tuple, the last is what the model is to give for all
            others.
        """
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise _unknown_batch(self, batch)
        *inputs, targets = batch
        outputs = model(*inputs)
        return criterion(outputs, targets), outputs, targets

    def train_step(self, context: StepContext, batch: Any) -> dict[str, Any]:
        """A training step of your own, for what one loss and one optimizer don't do, such as a GAN.

        Args:
            context: the model in training mode, the optimizers by name, `backward(loss)` and `step(name)`.
            batch: what the loader yields, on the device.

        Returns:
            {"loss": scalar tensor, name: scalar tensor or reducer, …}: what is recorded of the step.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no train_step")

    def count(self, batch: Any) -> int | Tensor:
        """What the batch's loss is a mean over: the weight of this batch in epoch means. Default: samples.

        A batch that does not fit into the memory is trained in parts, so the counts of parts must add up.
        """
        from tui_trainer.engine.batches import first_length

        return first_length(batch)

    def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
        """Metrics of one batch beside the loss.

        Returns:
            {name: scalar tensor (a mean, weighted by `count`) or a reducer of `tui_trainer`: Mean, Sum,
            Ratio, Last, R2, ConfusionMatrix}. Default: accuracy for class indices, mae for numbers of the
            outputs' own shape.
        """
        import torch

        from tui_trainer.engine.metrics import are_classes

        if are_classes(outputs, targets):
            return {"accuracy": (outputs.argmax(1) == targets).float().mean()}
        numbers = isinstance(outputs, torch.Tensor) and isinstance(targets, torch.Tensor)
        if numbers and targets.is_floating_point() and outputs.shape == targets.shape:
            return {"mae": (outputs - targets).abs().mean()}
        return {}

    def data_facts(self) -> dict[str, Any] | None:
        """What `model` and a prediction must know of the data: sizes, names of classes, a vocabulary, means.

        Asked after `datasets`, and kept as JSON beside the weights, so that a prediction needs no data set.
        `classes`, a list of names, names the classes in tables and predictions.

        Returns:
            Values that JSON can hold. Default: the public attributes of `self`, where JSON can hold them all;
            else None, which means that `datasets` must be called again.
        """
        facts = {name: value for name, value in vars(self).items() if name != "name" and name[0] != "_"}
        try:
            return json.loads(json.dumps(facts, default=_number))  # type: ignore[no-any-return]
        except (TypeError, ValueError):
            return None

    def use_data_facts(self, facts: Mapping[str, Any]) -> None:
        """Take what `data_facts` returned, in place of a call of `datasets`. Default: set the attributes."""
        for name, value in facts.items():
            setattr(self, name, value)

    def read_inputs(self, hparams: Any, path: Path) -> Iterator[tuple[dict[str, Any], Any]]:
        """What to predict from, sample by sample. `use_data_facts` or `datasets` has been called.

        Args:
            hparams: of the run.
            path: a file or a folder.

        Yields:
            What identifies the sample in the output (such as {"file": name}), and the model's input as a
            tensor without a batch dimension. Default: rows of `.npy`, `.npz`, CSV, TSV and JSONL as float32.
        """
        from tui_trainer.datasets.inputs import read_rows

        return read_rows(path)

    def predict(self, model: nn.Module, inputs: Any) -> Any:
        """Outputs for a batch of inputs without targets."""
        return model(inputs)

    def prediction_rows(self, outputs: Any) -> list[dict[str, Any]]:
        """What `predict` returned, as one flat record a sample, for CSV and JSON lines.

        Default: the class and its probability where the run knows `classes`; else the numbers.
        """
        from tui_trainer.engine.predict import rows_of

        return rows_of(outputs, getattr(self, "classes", None))

    def on_epoch_end(self, context: EpochContext) -> None:
        """Called after each epoch's evaluation: log texts or images, look at the metrics."""

    @classmethod
    def summary(cls) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(cls) or "").split("\n", 1)[0] if cls.__doc__ else ""

    def overrides(self, method: str) -> bool:
        """Whether this task defines `method` by itself instead of keeping the default."""
        return getattr(type(self), method, None) is not getattr(Task, method, None)


def _number(value: Any) -> Any:
    """A NumPy or torch scalar as Python's.

    Raises:
        TypeError: it is none.
    """
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _undefined(task: Task, method: str) -> UsageError:
    name, own = type(task).__name__, [word for word in vars(type(task)) if word[0] != "_"]
    return UsageError(
        f"{method}() is missing",
        f"{name} does not define it{did_you_mean(method, own)}",
        f"def {method}(self, hparams): …",
    )


def _unknown_batch(task: Task, batch: Any) -> TrainerError:
    from tui_trainer.engine.describe import describe

    hint = "define compute_loss(self, model, batch, criterion), which returns (loss, outputs, targets)"
    if task.overrides("train_step"):
        hint += "; or leave nothing to evaluate: datasets() returns (train, None)"
    return TrainerError(
        "batch is not (inputs, targets)",
        f"the loader yields {describe(batch)}, and {type(task).__name__} does not say what to do with it",
        hint,
    )
