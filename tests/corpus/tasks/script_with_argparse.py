# expect: exit 1 | x
import argparse

import torch

from tui_trainer import Task

parser = argparse.ArgumentParser()
parser.add_argument("data")
options = parser.parse_args([])


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 8), torch.arange(40) % 3

    def model(self, hparams):
        return torch.nn.Linear(8, 3)
