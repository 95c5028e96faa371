"""The training guide's template, ported: see docs/from-your-script.md. Trains on scikit-learn's digits."""

import torch
from sklearn.datasets import load_digits
from torch.utils.data import Dataset

from tui_trainer import Field, Hparams, Task


class DatasetClass(Dataset):
    def __init__(self, part):
        digits = load_digits()
        rows = slice(None, 1400) if part == "train" else slice(1400, None)
        self.inputs = torch.tensor(digits.data[rows] / 16, dtype=torch.float32)
        self.outputs = torch.tensor(digits.target[rows])

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.outputs[index]


class ModelClass(torch.nn.Module):
    def __init__(self, hparams):
        super().__init__()
        width, layers = hparams["latent_dim"], []
        for n in range(hparams["n_layers"]):
            layers += [torch.nn.Linear(width if n else 64, width), torch.nn.ReLU()]
        self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(width, 10))

    def forward(self, inputs):
        return self.layers(inputs)


class TemplateHparams(Hparams):
    latent_dim: int = Field(128, ge=1, unit="units", description="Width of each hidden layer.")
    n_layers: int = Field(3, ge=1, unit="layers", description="Hidden layers.")


class Template(Task):
    """The training guide's template, on 8 × 8 digits."""

    hparams_class = TemplateHparams

    def datasets(self, hparams):
        return DatasetClass("train"), DatasetClass("tests")

    def model(self, hparams):
        return ModelClass(hparams.model_dump())
