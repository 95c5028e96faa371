"""A task file that tells how far it is by the sizes of files, and hangs in native code where it is told to.

Environment: STUCK, the place to hang at; STEP_S, seconds of
a batch; SLOW_DATA_S, of loading the data; TEST_S, of a test batch; SLOW_DISK, to hang while a checkpoint is
written.
"""

import ctypes
import os
import time
from pathlib import Path

import torch
from torch.utils.data import Dataset

from tui_trainer import Task
from tui_trainer.engine import checkpoint

SLOW_DATA_S = float(os.environ.get("SLOW_DATA_S", "0"))
TEST_S = float(os.environ.get("TEST_S", "0"))
STUCK = os.environ.get("STUCK", "")
STEP_S = float(os.environ.get("STEP_S", "0.02"))
native = ctypes.CDLL(None)


def mark(name):
    with open(name, "ab") as file:
        file.write(b".")


def never_save(*_, **__):
    mark("saves")
    time.sleep(1000)


if "SLOW_DISK" in os.environ:
    checkpoint.save_checkpoint = never_save


def be_stuck(place):
    """Where it is told to, hang in native code, so that no signal handler of Python's runs."""
    if place == STUCK:
        mark("stuck")
        mutex = ctypes.create_string_buffer(64)
        native.pthread_mutex_lock(mutex)
        native.pthread_mutex_lock(mutex)


class Items(Dataset):
    def __init__(self, count):
        self.inputs = torch.randn(count, 4, generator=torch.Generator().manual_seed(count))

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        Path(f"loader-{os.getpid()}").touch()
        return self.inputs[index], index % 2


class Mine(Task):
    def datasets(self, hparams):
        be_stuck("data")
        time.sleep(SLOW_DATA_S)
        return Items(96), Items(800)

    def model(self, hparams):
        be_stuck("model")
        return torch.nn.Linear(4, 2)

    def compute_loss(self, model, batch, criterion):
        if model.training:
            mark("batches")
            be_stuck("first batch")
            if os.path.getsize("batches") > 4:
                be_stuck("step")
            time.sleep(STEP_S)
        else:
            mark("tests")
            # The first one is tried before training.
            time.sleep(TEST_S if TEST_S and os.path.exists("batches") else STEP_S)
        return super().compute_loss(model, batch, criterion)
