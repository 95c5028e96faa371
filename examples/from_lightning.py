"""Lightning's first example, ported: see docs/from-your-script.md. Trains on scikit-learn's digits."""

from types import SimpleNamespace

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Hparams, Task

try:
    import lightning as L
except ImportError:
    # The port needs nothing of it: the class below stays as it is, and logs nothing by itself.
    L = SimpleNamespace(LightningModule=type("Module", (nn.Module,), {"log": lambda *args: None}))


class Digits28(Dataset):
    """(1, 28, 28) pixels from 0 to 1, and a class, as MNIST gives them."""

    def __init__(self):
        digits = load_digits()
        images = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)
        self.images = nn.functional.interpolate(images, size=(28, 28))
        self.targets = digits.target.tolist()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.targets[index]


class LitAutoEncoder(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(28 * 28, 128), nn.ReLU(), nn.Linear(128, 3))
        self.decoder = nn.Sequential(nn.Linear(3, 128), nn.ReLU(), nn.Linear(128, 28 * 28))

    def forward(self, x):
        return self.encoder(x)

    def training_step(self, batch, batch_idx):
        x, _ = batch
        x = x.view(x.size(0), -1)
        x_hat = self.decoder(self.encoder(x))
        loss = nn.functional.mse_loss(x_hat, x)
        self.log("train_loss", loss)
        return loss


class AutoEncoderHparams(Hparams):
    epochs: int = 3


class AutoEncoder(Task):
    """An autoencoder that was a LightningModule."""

    hparams_class = AutoEncoderHparams

    def datasets(self, hparams):
        return Digits28()

    def model(self, hparams):
        return LitAutoEncoder()

    def compute_loss(self, model, batch, criterion):
        return model.training_step(batch, 0), None, None
