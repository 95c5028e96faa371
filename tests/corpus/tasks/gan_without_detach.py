# expect: exit 1 | in step 1, backward pass: Trying to backward through the graph a second time | gan_without_detach.py:34 | hint: two losses share a graph: .detach()
import torch
from torch import nn

from tui_trainer import Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), None

    def model(self, hparams):
        return nn.ModuleDict(
            {
                "generator": nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8)),
                "judge": nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)),
            }
        )

    def optimizer(self, hparams, model):
        return {
            "generator": torch.optim.Adam(model["generator"].parameters()),
            "judge": torch.optim.Adam(model["judge"].parameters()),
        }

    def train_step(self, context, batch):
        (real,) = batch
        made = context.model["generator"](torch.randn(len(real), 4))
        judged = context.model["judge"](made)
        judge_loss = judged.mean() - context.model["judge"](real).mean()
        context.backward(judge_loss)
        context.step("judge")
        loss = -judged.mean()
        context.backward(loss)
        context.step("generator")
        return {"loss": loss, "judge": judge_loss}
