"""PyTorch's MNIST example, ported: see docs/from-your-script.md. Needs torchvision, which downloads MNIST."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torchvision import datasets, transforms

from tui_trainer import Hparams, Task


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(x)
        x = self.conv2(x)
        x = F.relu(x)
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = self.fc1(x)
        x = F.relu(x)
        x = self.dropout2(x)
        x = self.fc2(x)
        output = F.log_softmax(x, dim=1)
        return output


class MnistHparams(Hparams):
    batch_size: int = 64
    eval_batch_size: int | None = 1000
    epochs: int = 14
    lr: float = 1.0
    optimizer: str = "Adadelta"
    loss: str = "NLLLoss"
    scheduler: str = "step"
    lr_decay: float = 0.7
    lr_decay_every: int = 1


class Mnist(Task):
    """A small CNN on MNIST."""

    hparams_class = MnistHparams

    def datasets(self, hparams):
        transform=transforms.Compose([
            transforms.ToTensor(),
            transforms.Normalize((0.1307,), (0.3081,))
            ])
        dataset1 = datasets.MNIST('../data', train=True, download=True,
                           transform=transform)
        dataset2 = datasets.MNIST('../data', train=False,
                           transform=transform)
        return dataset1, dataset2

    def model(self, hparams):
        return Net()
