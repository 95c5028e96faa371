"""A network for the rows of a table: numbers with gaps, categories, one target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.models.layers import Standardize, json_tensor, json_value
from tui_trainer.models.mlp import MLP


class TabularNet(nn.Module):
    """Standardised numbers, indicators of gaps and embedded categories, into an MLP.

    A missing number becomes the training mean, and its column's indicator 1. All that was fitted on the
    training rows is in the state_dict: mean and std, and in `schema`, as JSON, columns, categories, classes.

    `forward` works in float32, so numbers come and go less an offset, by default 0, that only `schema` holds,
    with float64's digits: `numeric_offset` [numeric] and `target_offset`. `predict` takes and gives raw ones.

    Args:
        mean: of the numeric columns less their offset, [numeric].
        std: likewise.
        gaps: positions of the numeric columns that get an indicator.
        categories: codes of each categorical column, counting missing (0) and unknown (1).
        latent_dim: units of each hidden layer.
        n_layers: hidden layers; 0: a linear model.
        n_out: classes; for a regression 1.
        dropout: part of each hidden layer's units set to 0 in training.
        embedding_dim: numbers that stand for one category.
        target: mean, less the offset, and std of a regression's target; None for a classification.
        schema: a JSON object kept in the state_dict.
    """

    gaps: Tensor
    offsets: Tensor
    schema: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self,
        mean: Any,
        std: Any,
        gaps: Sequence[int],
        categories: Sequence[int],
        latent_dim: int,
        n_layers: int,
        n_out: int,
        dropout: float = 0.0,
        embedding_dim: int = 8,
        target: tuple[float, float] | None = None,
        schema: Any = None,
    ) -> None:
        super().__init__()
        self.standardize = Standardize(mean, std)
        self.n_numeric = len(self.standardize.mean)
        self.register_buffer("gaps", torch.tensor(list(gaps), dtype=torch.int64))
        sizes = torch.tensor(list(categories), dtype=torch.int64)
        # One table for all columns is one lookup instead of many.
        self.register_buffer("offsets", torch.cumsum(sizes, 0) - sizes)
        self.register_buffer("schema", json_tensor(schema))
        self.embedding: nn.Embedding | None = None
        if len(sizes):
            self.embedding = nn.Embedding(int(sizes.sum()), embedding_dim)
            with torch.no_grad():
                # What training never meets must add nothing in a test, rather than noise.
                self.embedding.weight[self.offsets] = 0.0
                self.embedding.weight[self.offsets + 1] = 0.0
        n_in = self.n_numeric + len(gaps) + len(sizes) * embedding_dim
        self.mlp = MLP(n_in, latent_dim, n_layers, n_out, dropout)
        self.regression = target is not None
        if target is not None:
            self.register_buffer("target_mean", torch.tensor(target[0], dtype=torch.float32))
            self.register_buffer("target_std", torch.tensor(target[1], dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Rows as `TableEncoder` encodes them -> what is predicted.

        Args:
            x: float32 [batch, numeric + categorical]; numbers less their offset, NaN for a missing one, then
                codes.

        Returns:
            Logits [batch, classes], or float32 numbers [batch] in the target's own unit, less its offset.
        """
        numbers = x[:, : self.n_numeric]
        missing = numbers.isnan()
        parts = [self.standardize(numbers).masked_fill(missing, 0.0)]
        if len(self.gaps):
            parts.append(missing[:, self.gaps].to(parts[0].dtype))
        if self.embedding is not None:
            parts.append(self.embedding(x[:, self.n_numeric :].long() + self.offsets).flatten(1))
        outputs: Tensor = self.mlp(torch.cat(parts, dim=1))
        if self.regression:
            outputs = outputs.squeeze(1).float() * self.target_std + self.target_mean
        return outputs

    def predict(self, rows: Tensor) -> Tensor:
        """Raw rows -> what is predicted, by nothing but what the state_dict holds.

        Args:
            rows: float64 [batch, numeric + categorical]; NaN for a missing number, then codes.

        Returns:
            On the CPU: logits [batch, classes], or float64 numbers [batch] in the target's own unit.
        """
        schema = json_value(self.schema) or {}
        # On the CPU, since not every device has float64.
        x = rows.cpu().double()
        offset = torch.zeros(x.shape[1], dtype=torch.float64)
        if "numeric_offset" in schema:
            offset[: self.n_numeric] = torch.tensor(schema["numeric_offset"], dtype=torch.float64)
        outputs: Tensor = self((x - offset).float().to(self.schema.device)).cpu()
        return outputs.double() + schema.get("target_offset", 0.0) if self.regression else outputs
