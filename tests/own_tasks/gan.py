"""A GAN: two optimizers, a training step of its own, no labels and no test set."""

import torch
from torch import nn

from tui_trainer import Task

bce = nn.functional.binary_cross_entropy_with_logits


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))


class Gan(Task):
    """Points on a ring."""

    def datasets(self, hparams):
        angles = torch.rand(100, generator=torch.Generator().manual_seed(0)) * 6.2832
        return (torch.stack([angles.cos(), angles.sin()], 1),), None

    def model(self, hparams):
        return Pair()

    def optimizer(self, hparams, model):
        return {
            "generator": torch.optim.Adam(model.generator.parameters(), lr=hparams.lr, betas=(0.5, 0.99)),
            "discriminator": torch.optim.Adam(model.discriminator.parameters(), lr=2 * hparams.lr),
        }

    def train_step(self, context, batch):
        (real,) = batch
        model = context.model
        fake = model.generator(torch.randn(len(real), 4, device=context.device))
        true, false = model.discriminator(real), model.discriminator(fake.detach())
        seen = bce(true, torch.ones_like(true)) + bce(false, torch.zeros_like(false))
        context.backward(seen)
        context.step("discriminator")
        judged = model.discriminator(fake)
        fooled = bce(judged, torch.ones_like(judged))
        context.backward(fooled)
        context.step("generator")
        return {"loss": seen + fooled, "generator": fooled, "discriminator": seen}

    def predict(self, model, inputs):
        return model.generator(inputs)
