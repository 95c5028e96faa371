"""Outputs of a trained model for inputs without targets: read sample by sample, predicted batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from tui_trainer.engine.batches import tensors_of, to_device
from tui_trainer.engine.data import as_tensor
from tui_trainer.engine.failure import during
from tui_trainer.engine.trained import Trained
from tui_trainer.errors import FileError, TrainerError

Row = dict[str, Any]
Sample = tuple[Row, Any]
"""What identifies a sample, and the model's input."""


def predicted_rows(trained: Trained, path: Path) -> Iterator[Row]:
    """One record a sample: what identifies it, then what the model makes of it.

    Args:
        trained: the model.
        path: a file or folder, as the task reads it.

    Raises:
        TrainerError: the input can't be read, or does not suit the model.
    """
    for known, outputs in predicted(trained, path):
        for sample, row in zip(known, rows_for(trained, known, outputs), strict=True):
            yield {**sample, **row}


def rows_for(trained: Trained, known: Sequence[Row], outputs: Any) -> list[Row]:
    """What `Task.prediction_rows` makes of a batch.

    Raises:
        TrainerError: that is not a record a sample.
    """
    rows = trained.task.prediction_rows(outputs)
    if len(rows) != len(known):
        raise TrainerError(
            "predictions are not one a sample",
            f"prediction_rows() made {len(rows):,} records of {len(known):,} samples",
            "return a record for each sample of the batch",
        )
    return rows


def predicted(trained: Trained, path: Path) -> Iterator[tuple[list[Row], Any]]:
    """Batches of what identifies the samples, with what `Task.predict` makes of them.

    Raises:
        TrainerError: the input can't be read, or does not suit the model.
    """
    samples = trained.task.read_inputs(trained.hparams, path)
    size = trained.hparams.eval_batch_size or trained.hparams.batch_size
    empty = True
    for known, inputs in _batches(samples, size):
        empty = False
        yield known, predict_batch(trained, inputs)
    if empty:
        hint = "give at least one: a row below the header, an image, a line"
        raise FileError("nothing to predict", f"{path} holds no sample", hint)


def predict_batch(trained: Trained, inputs: Any) -> Any:
    """Outputs for a batch, without gradients and with the model in evaluation mode."""
    trained.model.eval()
    with torch.no_grad(), during("predicting"):
        return trained.task.predict(trained.model, to_device(_tensors(inputs), trained.device))


def _tensors(inputs: Any) -> Any:
    """Arrays as tensors, as those of a data set become."""
    if isinstance(inputs, np.ndarray):
        return as_tensor(inputs)
    if type(inputs) in (tuple, list):
        return type(inputs)(_tensors(part) for part in inputs)
    if type(inputs) is dict:
        return {name: _tensors(part) for name, part in inputs.items()}
    return inputs


def _batches(samples: Iterable[Sample], size: int) -> Iterator[tuple[list[Row], Any]]:
    """Samples in batches of at most `size`; one of another shape begins a new batch."""
    held: list[Sample] = []
    for sample in samples:
        if held and (len(held) == size or _form(sample[1]) != _form(held[0][1])):
            yield _joined(held)
            held = []
        held.append(sample)
    if held:
        yield _joined(held)


def _form(inputs: Any) -> list[tuple[Any, ...]]:
    return [(tensor.shape, tensor.dtype) for tensor in tensors_of(inputs)]


def _joined(samples: Sequence[Sample]) -> tuple[list[Row], Any]:
    return [known for known, _ in samples], default_collate([inputs for _, inputs in samples])


def rows_of(outputs: Any, classes: Sequence[str] | None) -> list[Row]:
    """One flat record for each output.

    Args:
        outputs: a tensor with samples in dim 0. With classes: scores [samples, classes], or for two classes
            one score [samples] or [samples, 1] of the second. Whole numbers [samples] are indices of classes.
        classes: their names; None: the numbers themselves are what was asked for.

    Returns:
        {"class", "probability"} each, of indices {"class"}; without classes {"value"}, or
        {"value_0", "value_1", …} of several.

    Raises:
        TrainerError: it is no tensor.
    """
    if not isinstance(outputs, Tensor) or outputs.dim() == 0:
        kind = type(outputs).__name__
        raise TrainerError(
            "predictions are no tensor",
            f"predict() returned a {kind}, and nothing says how to write it",
            "define prediction_rows(self, outputs), which returns a dict for each sample",
        )
    values = outputs.detach().cpu()
    flat = values.reshape(len(values), -1)
    whole = not (flat.is_floating_point() or flat.is_complex())
    if classes and whole and flat.shape[1] == 1 and ((flat >= 0) & (flat < len(classes))).all():
        return [{"class": classes[index]} for index in flat[:, 0].tolist()]
    if classes and flat.shape[1] == len(classes) and flat.shape[1] > 1:
        best = flat.double().softmax(1).max(1)
        return _named(classes, best.indices, best.values)
    if classes and len(classes) == 2 and flat.shape[1] == 1 and not whole:
        second = flat[:, 0].double().sigmoid()
        chosen = (second >= 0.5).long()
        return _named(classes, chosen, torch.where(chosen == 1, second, 1 - second))
    if flat.shape[1] == 1:
        return [{"value": value} for value in flat[:, 0].tolist()]
    return [{f"value_{k}": value for k, value in enumerate(row)} for row in flat.tolist()]


def _named(classes: Sequence[str], indices: Tensor, probabilities: Tensor) -> list[Row]:
    pairs = zip(indices.tolist(), probabilities.tolist(), strict=True)
    return [{"class": classes[index], "probability": probability} for index, probability in pairs]
