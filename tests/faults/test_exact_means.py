"""Whatever is left over at the end of an epoch counts for what it is (row 19).

The gradient of every optimizer step and the metrics of the run are compared with a computation in NumPy that
knows nothing of batches: it is given the samples of each window, in the order in which they came.

That an accumulated window equals one large batch, also clipped, is in tests/engine/test_update.py;
that rows of the record add up to the epoch's means, in tests/engine/test_experiment.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.helpers import PointsHparams
from tui_trainer import Task, train
from tui_trainer.engine.metrics import Ratio

BATCH, TIME, FEATURES, CLASSES = 5, 3, 4, 3
PADDING = -100
LR = 0.5
Array = NDArray[Any]


class Recording(torch.optim.SGD):
    """Keeps the weight before the first step, and the gradient of each."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, lr=LR)
        self.initial: Array = self.param_groups[0]["params"][0].detach().numpy().copy()
        self.gradients: list[Array] = []

    def step(self, closure: Any = None) -> Any:
        (weight,) = self.param_groups[0]["params"]
        self.gradients.append(weight.grad.numpy().copy())
        return super().step(closure)


class Tokens(Task):
    """A softmax regression on sequences of up to `TIME` tokens; the loss is a mean over tokens.

    Args:
        samples: of the training set; the test set has as many.
        lengths: tokens of a sample, 0 included; False: each has all.
    """

    name = "tokens"
    hparams_class = PointsHparams

    def __init__(self, samples: int, lengths: bool) -> None:
        generator = torch.Generator().manual_seed(samples)
        count = 2 * samples
        self.inputs = torch.randn(count, TIME, FEATURES, dtype=torch.float64, generator=generator)
        targets = torch.randint(0, CLASSES, (count, TIME), generator=generator)
        most = torch.randint(0, TIME + 1, (count, 1), generator=generator)
        # The first one always has a token, so that a set has some.
        most[0] = most[samples] = TIME
        self.targets = targets.masked_fill(torch.arange(TIME) >= most, PADDING) if lengths else targets
        self.samples = samples
        self.order: list[int] = []
        self.optimizers: list[Recording] = []

    def datasets(self, hparams: Any) -> Any:
        sets = (self.inputs, self.targets, torch.arange(2 * self.samples))
        return tuple(t[: self.samples] for t in sets), tuple(t[self.samples :] for t in sets)

    def model(self, hparams: Any) -> nn.Module:
        return nn.Linear(FEATURES, CLASSES, bias=False, dtype=torch.float64)

    def optimizer(self, hparams: Any, model: nn.Module) -> Any:
        self.optimizers.append(Recording(model.parameters()))
        return self.optimizers[-1]

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        inputs, targets, numbers = batch
        if model.training:
            self.order += numbers.tolist()
        outputs, flat = model(inputs).flatten(0, 1), targets.flatten()
        summed = nn.functional.cross_entropy(outputs, flat, reduction="sum", ignore_index=PADDING)
        return summed / (flat != PADDING).sum().clamp(min=1), outputs, flat

    def count(self, batch: Any) -> Tensor:
        return (batch[1] != PADDING).sum()

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Any]:
        real = targets != PADDING
        return {"accuracy": Ratio(((outputs.argmax(1) == targets) & real).sum(), real.sum())}


class Exact:
    """The same regression in NumPy, on any set of samples at once."""

    def __init__(self, task: Tokens, weight: Array) -> None:
        self.inputs, self.targets = task.inputs.numpy(), task.targets.numpy()
        self.weight = weight

    def look(self, numbers: list[int]) -> tuple[float, int, int, Array]:
        """(summed loss, right answers, tokens, summed gradient) of some samples."""
        inputs = self.inputs[numbers].reshape(-1, FEATURES)
        targets = self.targets[numbers].reshape(-1)
        inputs, targets = inputs[targets != PADDING], targets[targets != PADDING]
        logits = inputs @ self.weight.T
        logits -= logits.max(1, keepdims=True)
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        rows = np.arange(len(targets))
        loss = -np.log(chances[rows, targets]).sum()
        right = int((logits.argmax(1) == targets).sum())
        chances[rows, targets] -= 1.0
        return float(loss), right, len(targets), chances.T @ inputs


@pytest.mark.fault(
    19,
    "N mod batch, all residues; accumulation with partial windows",
    "metrics within 1e-7, gradients within 1e-6 of the exact",
)
@pytest.mark.parametrize("lengths", [False, True], ids=["samples", "tokens"])
@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("residue", range(BATCH))
def test_means_and_gradients_are_exact_with_every_remainder(
    tmp_path: Path, residue: int, accumulation: int, lengths: bool
) -> None:
    # Four or five batches: with three to a window, the last window is partial.
    samples = 4 * BATCH + residue
    task = Tokens(samples, lengths)
    # Batches are split with every second remainder, so that parts of batches count alike.
    micro = 2 if residue % 2 else None
    values = {"epochs": 2, "batch_size": BATCH, "grad_accumulation": accumulation, "micro_batch": micro}
    result = train(task, values, runs_dir=tmp_path)
    (optimizer,) = task.optimizers
    exact, gradients = Exact(task, optimizer.initial), iter(optimizer.gradients)
    totals = np.zeros(3)
    for epoch in range(2):
        totals[:] = 0
        order = task.order[epoch * samples : (epoch + 1) * samples]
        assert sorted(order) == list(range(samples))
        for begin in range(0, samples, accumulation * BATCH):
            loss, right, tokens, gradient = exact.look(order[begin : begin + accumulation * BATCH])
            totals += loss, right, tokens
            np.testing.assert_allclose(next(gradients), gradient / max(tokens, 1), rtol=0, atol=1e-6)
            exact.weight = exact.weight - LR * gradient / max(tokens, 1)
    assert next(gradients, None) is None

    loss, right, tokens = totals
    tested = exact.look(list(range(samples, 2 * samples)))
    expected = {
        "train/loss": loss / tokens,
        "train/accuracy": right / tokens,
        "test/loss": tested[0] / tested[2],
        "test/accuracy": tested[1] / tested[2],
    }
    assert result.metrics == pytest.approx(expected, abs=1e-7)
