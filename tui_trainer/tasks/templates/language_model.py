"""Predict the next byte of a text: a small recurrent network reads Python's own sources.

tui-train my_task.py                                          the app, with the hparams below in its form
tui-train --no-ui my_task.py --dataset_path book.txt          training right here, on a text of yours
"""

import argparse
import math
from pathlib import Path

import torch
from torch import nn

from tui_trainer import Field, Hparams, Mean, Task


class MyTaskHparams(Hparams):
    """Each field is a flag, a line of the form and a key of presets. lr and others come from Hparams."""

    epochs: int = 5  # A bare default changes that of a field that every task has.
    lr: float = 3e-3
    grad_clip_norm: float | None = 1.0
    width: int = Field(96, ge=1, le=4096, unit="units", description="Width of embedding and memory.")
    length: int = Field(64, ge=2, le=4096, unit="bytes", description="Of the pieces the text is cut into.")


class MyTask(Task):
    """Write text, byte by byte."""

    hparams_class = MyTaskHparams

    def datasets(self, hparams):
        # Your text: --dataset_path FILE. Its bytes are the vocabulary, so that any text will do.
        text = Path(hparams.dataset_path or argparse.__file__).read_bytes()
        pieces = torch.frombuffer(bytearray(text), dtype=torch.uint8).long()
        pieces = pieces[: len(pieces) // hparams.length * hparams.length].reshape(-1, hparams.length)
        # What goes in, and what is to follow each byte of it. A part (--test_size) is kept for testing.
        return pieces[:, :-1].contiguous(), pieces[:, 1:].contiguous()

    def model(self, hparams):
        return Network(hparams.width)

    def compute_loss(self, model, batch, criterion):
        # As the default, with the perplexity beside it: not a mean, but made of an epoch's mean.
        inputs, targets = batch
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        return {"loss": loss, "perplexity": Mean(loss, then=math.exp)}, outputs, targets

    def count(self, batch):
        # What the loss is a mean over: bytes, not pieces.
        return batch[1].numel()

    def on_epoch_end(self, context):
        # After each evaluation: what it would write now, in the run's log.
        written = list(b"def ")
        for _ in range(80):
            inputs = torch.tensor([written], device=context.device)
            chances = context.model(inputs)[0, :, -1].softmax(0)
            written.append(int(torch.multinomial(chances, 1)))
        context.log_text("written", bytes(written).decode(errors="replace"))


class Network(nn.Module):
    """Bytes (batch, time) -> scores of each next byte (batch, 256, time)."""

    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(256, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.scores = nn.Linear(width, 256)

    def forward(self, inputs):
        states, _ = self.memory(self.embedding(inputs))
        return self.scores(states).transpose(1, 2)  # Classes go in dim 1 for CrossEntropyLoss.
