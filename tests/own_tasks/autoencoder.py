"""An autoencoder: data without labels, and a part of the loss beside the reconstruction."""

import torch
from torch import nn

from tui_trainer import Task


class Autoencoder(Task):
    """Eight numbers through a waist of two."""

    def datasets(self, hparams):
        hidden = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
        return (torch.cat([hidden, hidden.sin(), hidden.cos(), hidden**2], 1),)

    def model(self, hparams):
        return nn.ModuleDict({"encoder": nn.Linear(8, 2), "decoder": nn.Linear(2, 8)})

    def compute_loss(self, model, batch, criterion):
        (inputs,) = batch
        code = model["encoder"](inputs)
        outputs = model["decoder"](code)
        reconstruction, size = nn.functional.mse_loss(outputs, inputs), code.abs().mean()
        return (
            {"loss": reconstruction + 0.01 * size, "reconstruction": reconstruction, "size": size},
            outputs,
            inputs,
        )

    def predict(self, model, inputs):
        return model["encoder"](inputs)

    def on_epoch_end(self, context):
        context.log_text("waist", f"{float(context.model['encoder'].weight.norm()):.3f}")
        context.log_image("decoder", context.model["decoder"].weight.sigmoid())
