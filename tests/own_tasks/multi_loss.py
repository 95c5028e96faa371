"""Two heads with a loss each, weighted by parameters that are learned with the model."""

import torch
from torch import nn

from tui_trainer import Mean, Task


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.Tanh())
        self.kind = nn.Linear(16, 3)
        self.size = nn.Linear(16, 1)
        self.log_variance = nn.Parameter(torch.zeros(2))

    def forward(self, inputs):
        hidden = self.body(inputs)
        return {"kind": self.kind(hidden), "size": self.size(hidden).squeeze(1)}


class MultiTask(Task):
    """A class and a number from the same six features."""

    directions = {"within": "max"}

    def datasets(self, hparams):
        inputs = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))
        return inputs, inputs[:, :3].argmax(1), inputs[:, 3:].sum(1)

    def model(self, hparams):
        return Heads()

    def compute_loss(self, model, batch, criterion):
        inputs, kinds, sizes = batch
        outputs = model(inputs)
        parts = torch.stack(
            [
                nn.functional.cross_entropy(outputs["kind"], kinds),
                nn.functional.huber_loss(outputs["size"], sizes),
            ]
        )
        total = (parts * (-model.log_variance).exp() + model.log_variance).sum()
        return {"loss": total, "kind": parts[0], "size": parts[1]}, outputs, (kinds, sizes)

    def metrics(self, outputs, targets):
        kinds, sizes = targets
        return {
            "accuracy": (outputs["kind"].argmax(1) == kinds).float().mean(),
            "rmse": Mean((outputs["size"] - sizes).square().mean(), then=lambda mean: mean**0.5),
            "within": ((outputs["size"] - sizes).abs() < 0.5).float().mean(),
        }

    def optimizer(self, hparams, model):
        own = [model.log_variance]
        others = [p for p in model.parameters() if p is not own[0]]
        return torch.optim.AdamW(
            [{"params": others}, {"params": own, "lr": 10 * hparams.lr, "weight_decay": 0.0}], lr=hparams.lr
        )
