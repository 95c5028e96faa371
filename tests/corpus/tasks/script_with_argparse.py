# expect: exit 1 | the task called sys.exit(2) | script_with_argparse.py:10 | if __name__ ==
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
