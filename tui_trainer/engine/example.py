"""What a trained model is called with: taken from a batch of its data, or of inputs to predict from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from tui_trainer.engine import rng
from tui_trainer.engine.batches import CannotSplit, first_length, split_batch, to_device
from tui_trainer.engine.criterion import build_criterion
from tui_trainer.engine.data import build_loaders
from tui_trainer.engine.trained import Trained
from tui_trainer.errors import FileError, TrainerError, UsageError

SIZES = (8, 3)
"""Samples of the two examples: an export is made of the first, and held against the model on both."""


@dataclass(frozen=True)
class Call:
    """One call of a model.

    Attributes:
        arguments: by the name of the parameter of `forward`.
        samples: how many the call is about.
    """

    arguments: dict[str, Any]
    samples: int

    def of(self, model: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments."""
        bound = inspect.signature(model.forward).bind_partial()
        bound.arguments.update(self.arguments)
        return bound.args, bound.kwargs


def examples(trained: Trained, path: Path | None) -> list[Call]:
    """Two calls of different sizes, where the data allow it.

    Args:
        trained: with its data, unless a path is given.
        path: inputs to predict from, as the task reads them; None: a batch of the run's data.

    Raises:
        TrainerError: there is no batch, or the task never calls the model.
    """
    if path is None:
        batch, compute = _of_data(trained)
    else:
        batch, compute = _of_inputs(trained, path)
    with rng.preserved(trained.device), torch.no_grad():
        return [_captured(trained.model, compute, batch(size)) for size in SIZES]


def _of_data(trained: Trained) -> tuple[Callable[[int], Any], Callable[[Any], Any]]:
    assert trained.parts is not None
    task, (train, val, test) = trained.task, trained.parts
    if task.overrides("train_step") and not task.overrides("compute_loss"):
        message = (
            f"{type(task).__name__} makes its own training steps, so nothing tells how its model is called"
        )
        hint = "--input FILE gives an example, as predict takes it; safetensors and state-dict need none"
        raise UsageError("no example of a call", message, hint)
    part = next(part for part in (test, val, train) if part is not None)
    splits = build_loaders(task, trained.hparams, (train, None, part), trained.model, trained.device)
    with closing(splits):
        assert splits.test is not None
        first = next(iter(splits.test.epoch(0)), None)
    if first is None:
        raise TrainerError("empty data set", "the data yield no batch", "check datasets()")
    criterion = build_criterion(task, trained.hparams)

    def batch(size: int) -> Any:
        try:
            return split_batch(first, min(size, first_length(first)))[0]
        except (CannotSplit, TypeError):
            return first

    return batch, lambda batch: task.compute_loss(trained.model, batch, criterion)


def _of_inputs(trained: Trained, path: Path) -> tuple[Callable[[int], Any], Callable[[Any], Any]]:
    task = trained.task
    first = next(iter(task.read_inputs(trained.hparams, path)), None)
    if first is None:
        raise FileError(
            "no example", f"{path} holds no sample", "--input FILE with one sample, as predict takes it"
        )

    def batch(size: int) -> Any:
        # Of one sample: others may have another shape, and values decide nothing.
        return to_device(default_collate(list(islice(cycle([first[1]]), size))), trained.device)

    return batch, lambda inputs: task.predict(trained.model, inputs)


class _Called(Exception):
    """The model was called; what the task does with its outputs is of no interest."""


def _captured(model: nn.Module, compute: Callable[[Any], Any], batch: Any) -> Call:
    found: list[dict[str, Any]] = []

    def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.append(dict(inspect.signature(module.forward).bind(*args, **kwargs).arguments))
        raise _Called

    hook = model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        compute(batch)
    except _Called:
        pass
    finally:
        hook.remove()
    if not found:
        message = "the task computes its loss without calling the model as a whole"
        raise TrainerError("no example of a call", message, "--to state-dict or safetensors needs none")
    tensors = [value for value in found[0].values() if isinstance(value, Tensor) and value.dim()]
    return Call(found[0], len(tensors[0]) if tensors else first_length(batch))
