"""Batches that are dicts, and a model that computes its own loss, as in Hugging Face's library."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import Dataset

from tui_trainer import Task


@dataclass
class Output:
    loss: torch.Tensor
    logits: torch.Tensor


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, input_ids, attention_mask, labels):
        logits = self.head(self.embedding(input_ids) * attention_mask.unsqueeze(2))
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
        return Output(loss, logits)


class Tokens(Dataset):
    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        self.ids = torch.randint(1, 20, (count, 7), generator=generator)
        self.lengths = torch.randint(1, 8, (count,), generator=generator)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        mask = torch.arange(7) < self.lengths[index]
        ids = self.ids[index]
        return {"input_ids": ids * mask, "attention_mask": mask, "labels": torch.where(mask, ids % 4, -100)}


class Tagging(Task):
    """Tags of tokens, where padding counts for nothing."""

    def datasets(self, hparams):
        return Tokens(70, 0), Tokens(30, 1)

    def model(self, hparams):
        return Tagger()

    def compute_loss(self, model, batch, criterion):
        output = model(**batch)
        return output.loss, output.logits, batch["labels"]

    def count(self, batch):
        return (batch["labels"] != -100).sum()

    def metrics(self, outputs, targets):
        counted = targets != -100
        right = (outputs.argmax(2) == targets) & counted
        return {"accuracy": right.sum() / counted.sum()}
