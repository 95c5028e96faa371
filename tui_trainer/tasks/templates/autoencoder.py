"""Learn short codes for images without labels: an autoencoder of 8 × 8 handwritten digits.

tui-train my_task.py                                  the app, with the hparams below in its form
tui-train --no-ui my_task.py --code 4                 training right here
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import mse_loss

from tui_trainer import Field, Hparams, Task


class MyTaskHparams(Hparams):
    """Each field is a flag, a line of the form and a key of presets. lr and others come from Hparams."""

    epochs: int = 30  # A bare default changes that of a field that every task has.
    code: int = Field(8, ge=1, le=64, unit="numbers", description="Length of an image's code.")
    width: int = Field(128, ge=1, le=4096, unit="units", description="Width of the hidden layers.")
    noise: float = Field(
        0.1, ge=0, le=1, on_resume="warned", description="Spread of what is added to the images in training."
    )


class MyTask(Task):
    """Compress handwritten digits to a few numbers and draw them again."""

    hparams_class = MyTaskHparams

    def datasets(self, hparams):
        # Your data: one tensor with samples in dim 0, or a Dataset whose items are tensors.
        images = torch.tensor(load_digits().data / 16, dtype=torch.float32)
        self._shown = images[:8]
        return images

    def model(self, hparams):
        return Autoencoder(64, hparams.width, hparams.code, hparams.noise)

    def compute_loss(self, model, batch, criterion):
        # Nothing but inputs in a batch, so what the loss is has to be said. Named parts become metrics.
        (images,) = batch
        outputs, codes = model(images)
        error, size = mse_loss(outputs, images), codes.square().mean()
        return {"loss": error + 1e-3 * size, "error": error, "size": size}, outputs, images

    def predict(self, model, inputs):
        # What `tui-train predict` gives for each image: its code.
        return model.encoder(inputs)

    def on_epoch_end(self, context):
        # After each evaluation: eight images above what became of them, in the run's media folder.
        images = self._shown.to(context.device)
        pairs = torch.stack([images, context.model(images)[0]])
        context.log_image("redrawn", pairs.reshape(2, 8, 8, 8).transpose(1, 2).reshape(16, 64))


class Autoencoder(nn.Module):
    """Images (batch, pixels) -> the same images, and their codes (batch, code)."""

    def __init__(self, pixels, width, code, noise):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, code))
        self.decoder = nn.Sequential(
            nn.Linear(code, width), nn.ReLU(), nn.Linear(width, pixels), nn.Sigmoid()
        )
        self.noise = noise

    def forward(self, images):
        noisy = images + self.noise * torch.randn_like(images) if self.training else images
        codes = self.encoder(noisy)
        return self.decoder(codes), codes
