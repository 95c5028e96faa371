"""Classify images: scikit-learn's 1,797 handwritten digits of 8 × 8 pixels, which need no download.

tui-train my_task.py                                  the app, with the hparams below in its form
tui-train --no-ui my_task.py --lr 3e-3 --width 64     training right here
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from tui_trainer import Field, Hparams, Task


class MyTaskHparams(Hparams):
    """Each field is a flag, a line of the form and a key of presets. lr and others come from Hparams."""

    epochs: int = 15  # A bare default changes that of a field that every task has.
    width: int = Field(32, ge=1, le=1024, unit="channels", description="Channels of the first convolution.")
    dropout: float = Field(
        0.2, ge=0, lt=1, unit="fraction", on_resume="warned", description="Part of the features set to 0."
    )


class MyTask(Task):
    """Classify handwritten digits with a small convolutional network."""

    hparams_class = MyTaskHparams

    def datasets(self, hparams):
        # Your data: samples in dim 0 of both tensors (or NumPy arrays), classes as whole numbers from 0.
        # Or a torch Dataset that gives (input, class), for data that is read and augmented sample by sample.
        # Of one data set a part (--test_size) is kept for testing, as it was drawn by --seed; if yours has a
        # test set, return (train, test).
        digits = load_digits()
        images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1)  # (samples, channels, 8, 8)
        # What is kept on self is kept with the run. `classes` names the classes in tables and predictions.
        self.classes = [str(name) for name in digits.target_names]
        return images, torch.tensor(digits.target)

    def model(self, hparams):
        return Network(len(self.classes), hparams.width, hparams.dropout)

    # Loss and metric are CrossEntropyLoss and accuracy; `criterion` and `metrics` would change that.


class Network(nn.Module):
    """Any nn.Module: it gives one score for each class, of shape (batch, classes)."""

    def __init__(self, classes, width, dropout):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(4 * 2 * width, classes),
        )

    def forward(self, images):
        # Pixels go from 0 to 16. Scaled in here, so that a prediction takes images as they are.
        return self.layers(images / 16)
