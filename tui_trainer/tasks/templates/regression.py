"""Predict a number from a table: scikit-learn's diabetes data, 442 patients with 10 measurements each.

tui-train my_task.py                                  the app, with the hparams below in its form
tui-train --no-ui my_task.py --lr 3e-3 --width 64     training right here
"""

from sklearn.datasets import load_diabetes
from torch import nn

from tui_trainer import R2, Field, Hparams, Task


class MyTaskHparams(Hparams):
    """Each field is a flag, a line of the form and a key of presets. lr and others come from Hparams."""

    epochs: int = 40  # A bare default changes that of a field that every task has.
    lr: float = 3e-3
    weight_decay: float | None = 0.1
    optimizer: str = "AdamW"
    width: int = Field(32, ge=1, le=4096, unit="units", description="Width of each hidden layer.")
    n_layers: int = Field(1, ge=0, le=32, unit="layers", description="Hidden layers; 0: a linear model.")


class MyTask(Task):
    """Predict how diabetes progresses within a year from ten measurements."""

    hparams_class = MyTaskHparams

    def datasets(self, hparams):
        # Your data: samples in dim 0 of both tensors (or NumPy arrays). A part (--test_size) is kept for
        # testing; with a test set of your own: return (inputs, targets), (test_inputs, test_targets).
        inputs, targets = load_diabetes(return_X_y=True, scaled=False)
        # What is kept on self is kept with the run.
        self.mean, self.std = float(targets.mean()), float(targets.std())
        # Targets have the shape of the outputs, (samples, 1). Arrays of float64 become tensors of float32.
        return inputs, targets[:, None]

    def model(self, hparams):
        return Network(10, hparams.width, hparams.n_layers, self.mean, self.std)

    def metrics(self, outputs, targets):
        # A plain tensor is a mean over the samples. R2 is none, so it has a reducer that adds up its parts.
        return {"mae": (outputs - targets).abs().mean(), "r2": R2(outputs, targets)}


class Network(nn.Module):
    """Any nn.Module. Inputs and outputs have their own units, so that a prediction needs no preparation."""

    def __init__(self, features, width, n_layers, mean, std):
        super().__init__()
        # A BatchNorm at the front learns mean and spread of each column, from training data alone.
        layers = [nn.BatchNorm1d(features, affine=False)]
        for _ in range(n_layers):
            layers += [nn.Linear(features, width), nn.ReLU()]
            features = width
        self.layers = nn.Sequential(*layers, nn.Linear(features, 1))
        self.mean, self.std = mean, std

    def forward(self, inputs):
        return self.mean + self.std * self.layers(inputs)
