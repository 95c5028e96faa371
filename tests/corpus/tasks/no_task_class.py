# expect: exit 2 | defines no subclass of tui_trainer.Task | hint: class MyTask(Task): …
import torch


class Mine:
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
