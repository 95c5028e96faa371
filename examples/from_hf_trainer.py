"""A script for Hugging Face's Trainer, ported: see docs/from-your-script.md. Trains on made-up reviews."""

import random
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from tui_trainer import Hparams, Task

try:
    from transformers import BertConfig, BertForSequenceClassification

    def build_model():
        config = BertConfig(
            vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
        )
        return BertForSequenceClassification(config)

except ImportError:

    class BagOfTokens(nn.Module):
        """Takes a batch by name and computes its own loss, as models of transformers do."""

        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(100, 32)
            self.classifier = nn.Linear(32, 2)

        def forward(self, input_ids, attention_mask, labels=None):
            mask = attention_mask.unsqueeze(-1)
            pooled = (self.embedding(input_ids) * mask).sum(1) / mask.sum(1)
            logits = self.classifier(pooled)
            loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
            return SimpleNamespace(loss=loss, logits=logits)

    build_model = BagOfTokens


class Reviews(Dataset):
    """Token ids of 5 to 20 words, as a tokenizer gives them. Words from 50 on are rare in good reviews."""

    def __init__(self, samples, seed):
        draw = random.Random(seed)
        self.samples = []
        for _ in range(samples):
            words = [draw.randrange(1, draw.choice((50, 100))) for _ in range(draw.randint(5, 20))]
            label = draw.randrange(2)
            self.samples.append({"input_ids": words if label else [100 - w for w in words], "label": label})

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def data_collator(samples):
    ids = [torch.tensor(sample["input_ids"]) for sample in samples]
    padded = pad_sequence(ids, batch_first=True)
    labels = torch.tensor([sample["label"] for sample in samples])
    return {"input_ids": padded, "attention_mask": (padded > 0).long(), "labels": labels}


class ReviewHparams(Hparams):
    lr: float = 1e-3
    batch_size: int = 16
    epochs: int = 2
    optimizer: str = "AdamW"
    weight_decay: float | None = 0.01
    grad_clip_norm: float | None = 1.0


class ReviewTask(Task):
    """Good or bad? A text classifier that was trained by Trainer."""

    hparams_class = ReviewHparams

    def datasets(self, hparams):
        train, test = Reviews(800, seed=0), Reviews(200, seed=1)
        train.collate_fn = test.collate_fn = data_collator
        return train, test

    def model(self, hparams):
        return build_model()

    def compute_loss(self, model, batch, criterion):
        outputs = model(**batch)
        return outputs.loss, outputs.logits, batch["labels"]
