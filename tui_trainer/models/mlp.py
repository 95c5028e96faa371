"""Multi-layer perceptron."""

from __future__ import annotations

from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected layers with ReLU and dropout; flattens what it is given.

    Args:
        n_in: values of one sample.
        latent_dim: units of each hidden layer.
        n_layers: hidden layers; 0: a linear model.
        n_out: outputs.
        dropout: part of each hidden layer's units set to 0 in training.
        first: applied to the raw input, for example `Standardize`.
    """

    def __init__(
        self,
        n_in: int,
        latent_dim: int,
        n_layers: int,
        n_out: int,
        dropout: float = 0.0,
        first: nn.Module | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [first] if first is not None else []
        layers.append(nn.Flatten())
        width = n_in
        for _ in range(n_layers):
            layers += [nn.Linear(width, latent_dim), nn.ReLU()]
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
            width = latent_dim
        layers.append(nn.Linear(width, n_out))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, …] with `n_in` values a sample -> [batch, n_out]."""
        return self.layers(x)  # type: ignore[no-any-return]
