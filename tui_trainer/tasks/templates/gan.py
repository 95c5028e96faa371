"""Draw images that look like those of a data set: a GAN of 8 × 8 handwritten digits.

tui-train my_task.py                                  the app, with the hparams below in its form
tui-train --no-ui my_task.py --noise 32               training right here
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from tui_trainer import Field, Hparams, Task


class MyTaskHparams(Hparams):
    """Each field is a flag, a line of the form and a key of presets. lr and others come from Hparams."""

    epochs: int = 60  # A bare default changes that of a field that every task has.
    monitor: str | None = "train/distance"  # Of a GAN, the lowest loss is not the best checkpoint.
    noise: int = Field(16, ge=1, le=1024, unit="numbers", description="Length of what an image is made of.")
    width: int = Field(128, ge=1, le=4096, unit="units", description="Width of the hidden layers.")


class MyTask(Task):
    """Draw handwritten digits with two networks that play against each other."""

    hparams_class = MyTaskHparams

    def datasets(self, hparams):
        # Your data: one tensor with samples in dim 0, here from -1 to 1. None: there is no test set.
        return torch.tensor(load_digits().data / 8 - 1, dtype=torch.float32), None

    def model(self, hparams):
        return GAN(64, hparams.noise, hparams.width)

    def optimizer(self, hparams, model):
        # Each has the learning rate that belongs to it; `train_step` says when it makes its step.
        return {
            "generator": torch.optim.Adam(model.generator.parameters(), hparams.lr, betas=(0.5, 0.999)),
            "discriminator": torch.optim.Adam(
                model.discriminator.parameters(), hparams.lr, betas=(0.5, 0.999)
            ),
        }

    def train_step(self, context, batch):
        model, (real,) = context.model, batch
        noise = torch.randn(len(real), context.hparams.noise, device=context.device)
        drawn = model.generator(noise)

        # The discriminator learns to tell real images from drawn ones. Gradients are cleared by themselves.
        caught = judge(model.discriminator(real), 1) + judge(model.discriminator(drawn.detach()), 0)
        context.backward(caught)
        context.step("discriminator")

        # The generator learns to draw what passes for real.
        fooled = judge(model.discriminator(drawn), 1)
        context.backward(fooled)
        context.step("generator")

        # Two losses in balance tell little; the distance of the mean images tells whether it gets anywhere.
        distance = (real.mean(0) - drawn.detach().mean(0)).abs().mean()
        return {"loss": fooled, "discriminator": caught, "distance": distance}

    def on_epoch_end(self, context):
        # Eight drawings after each epoch, always of the same noise, in the run's media folder.
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(8, context.hparams.noise, generator=generator).to(context.device)
        drawn = context.model(noise).reshape(8, 8, 8)
        context.log_image("drawn", (drawn / 2 + 0.5).transpose(0, 1).reshape(8, 64))


def judge(scores, label):
    """How far scores are from calling every image real (1) or drawn (0)."""
    # 0.9 in place of 1 keeps the discriminator from growing too sure of itself.
    return binary_cross_entropy_with_logits(scores, torch.full_like(scores, 0.9 * label))


class GAN(nn.Module):
    """Noise (batch, noise) -> images (batch, pixels)."""

    def __init__(self, pixels, noise, width):
        super().__init__()
        self.generator = nn.Sequential(
            nn.Linear(noise, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, pixels),
            nn.Tanh(),
        )
        self.discriminator = nn.Sequential(
            nn.Linear(pixels, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
        )

    def forward(self, noise):
        return self.generator(noise)
