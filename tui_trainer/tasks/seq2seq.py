"""The task `seq2seq`: learn to turn one text into another, from pairs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tui_trainer.config.hparams import Field, Hparams
from tui_trainer.errors import FileError
from tui_trainer.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tui_trainer.datasets.pairs import Characters, Pair
    from tui_trainer.engine.context import EpochContext

PREDICTED_STEP = 16
"""Texts to predict from are filled up to a multiple of so many tokens, so that many make one batch."""
SHOWN = 5
"""Pairs that are shown with the model's answer after each epoch."""


class Seq2SeqHparams(Hparams):
    """Hparams of `seq2seq`."""

    dataset_json_fname: str | None = "pairs.json"
    batch_size: int = 64
    eval_batch_size: int | None = 256
    grad_clip_norm: float | None = 1.0

    input_column: str = Field(
        "input", min_length=1, max_length=1000, group="Data", on_resume="refused",
        description="Key or column of what is given.",
    )  # fmt: skip
    target_column: str = Field(
        "target", min_length=1, max_length=1000, group="Data", on_resume="refused",
        description="Key or column of what it is to become.",
    )  # fmt: skip
    max_length: int = Field(
        256, ge=1, le=1 << 16, group="Data", unit="characters", log=True,
        on_resume="safe",
        description="Longest input or target that is accepted; each row takes as much memory as the longest.",
    )  # fmt: skip
    d_model_enc: int = Field(
        64,
        ge=1,
        le=1 << 16,
        unit="units",
        log=True,
        on_resume="refused",
        description="Width of the encoder, in each direction.",
    )
    d_model_dec: int = Field(
        128,
        ge=1,
        le=1 << 16,
        unit="units",
        log=True,
        on_resume="refused",
        description="Width of the decoder.",
    )
    n_layers: int = Field(
        1,
        ge=1,
        le=64,
        unit="layers",
        on_resume="refused",
        description="Depth of the encoder and of the decoder.",
    )
    dropout: float = Field(
        0.1,
        ge=0,
        lt=1,
        unit="fraction",
        on_resume="warned",
        description="Part of activations dropped in training.",
    )

    def cross_checks(self) -> Iterator[tuple[str, str]]:
        """The loss is one over classes."""
        yield from super().cross_checks()
        if self.loss not in ("auto", "CrossEntropyLoss"):
            yield "loss", f"{self.loss} does not fit classes such as characters; use auto or CrossEntropyLoss"


class Seq2Seq(Task):
    """Turn one text into another: an encoder-decoder on pairs, by default dates into their ISO form.

    Loss and accuracy are over the targets' characters and their end, never over padding. `exact_match`, in
    evaluation only, is the part of the targets that greedy decoding gets right to the last character.
    """

    hparams_class = Seq2SeqHparams
    metric_names = ("accuracy", "exact_match")
    directions: ClassVar = {"accuracy": "max", "exact_match": "max"}

    inputs: Characters
    targets: Characters
    target_length: int

    def __init__(self) -> None:
        self._shown: list[Pair] = []
        self._fitted = False

    @classmethod
    def make_data(cls, folder: Path) -> Path:
        """Write the default data set, dates and their ISO form, into a folder.

        Returns:
            The file.

        Raises:
            FileError: there is one already, or it can't be written.
        """
        from tui_trainer.datasets.dates import write_dataset

        return write_dataset(folder)

    def datasets(self, hparams: Seq2SeqHparams) -> tuple[Any, ...]:
        """Rows of tokens, (samples, longest input + 1) and (samples, longest target + 1), for each split.

        Raises:
            FileError: the pairs are wrong (see `read_split_pairs`), or a text is longer than `max_length`.
            UsageError: a split is left without a sample.
        """
        import torch

        from tui_trainer.datasets.splits import divide
        from tui_trainer.datasets.unseen import unknown_characters

        pairs, parts = self._pairs(hparams)
        if not self._fitted:
            # Of all pairs: which symbols there are must not depend on how they are split.
            self.inputs, self.targets = (_characters(texts) for texts in zip(*pairs, strict=True))
            self.target_length = max(len(target) for _, target in pairs) + 1
        elif (longest := max(len(target) for _, target in pairs)) >= self.target_length:
            message = f"a target has {longest:,} characters, and the model writes {self.target_length - 1:,}"
            raise FileError("target too long", message, "train on such targets first")
        unknown = unknown_characters()
        for text, target in pairs if self._fitted else ():
            self.inputs.count_unknown(unknown, "input", text)
            self.targets.count_unknown(unknown, "target", target)
        unknown.tell()
        inputs = torch.from_numpy(self.inputs.encode([pair[0] for pair in pairs]))
        targets = torch.from_numpy(self.targets.encode([pair[1] for pair in pairs], self.target_length))
        splits = divide(parts, hparams.test_size, hparams.val_size, hparams.seed)
        unseen = next(part for part in (splits.val, splits.test, splits.train) if len(part))
        self._shown = [pairs[index] for index in unseen[:SHOWN]]
        return splits.datasets(lambda index: (inputs[index], targets[index]))

    def readable(self, sample: Any) -> dict[str, str]:
        """Input and target as texts."""
        inputs, targets = sample
        return {"input": self.inputs.decode(inputs.tolist()), "target": self.targets.decode(targets.tolist())}

    def _pairs(self, hparams: Seq2SeqHparams) -> tuple[list[Pair], tuple[int, int, int]]:
        from tui_trainer.datasets.dates import PAIRS, make_date_pairs
        from tui_trainer.datasets.formats import format_of
        from tui_trainer.datasets.pairs import read_split_pairs

        if hparams.dataset_path is None:
            where = "the default pairs"
            pairs = [(pair["input"], pair["target"]) for pair in make_date_pairs(PAIRS, seed=0)]
            parts = (len(pairs), 0, 0)
        else:
            path = Path(hparams.dataset_path).expanduser()
            if os.path.isdir(path) and format_of(path) == "folder":
                path /= hparams.dataset_json_fname or "pairs.json"
            where = str(path)
            pairs, parts = read_split_pairs(path, (hparams.input_column, hparams.target_column))
        for index, pair in enumerate(pairs):
            longest, most = max(map(len, pair)), hparams.max_length
            if longest > most:
                message = f"{where}: item {index} has {longest:,} characters, max_length is {most:,}"
                hint = f"--max-length {longest} accepts it, at the price of memory"
                raise FileError("text too long", message, hint)
        return pairs, parts

    def model(self, hparams: Seq2SeqHparams) -> nn.Module:
        """An encoder-decoder over the pairs' characters."""
        from tui_trainer.models.seq2seq import Seq2Seq as Network

        return Network(
            input_symbols=len(self.inputs),
            target_symbols=len(self.targets),
            target_length=self.target_length,
            d_model_enc=hparams.d_model_enc,
            d_model_dec=hparams.d_model_dec,
            n_layers=hparams.n_layers,
            dropout=hparams.dropout,
        )

    def criterion(self, hparams: Seq2SeqHparams) -> nn.Module:
        """Cross entropy, mean over what is no padding."""
        from torch.nn import CrossEntropyLoss

        from tui_trainer.models.seq2seq import PAD

        return CrossEntropyLoss(ignore_index=PAD, label_smoothing=hparams.label_smoothing)

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Tensor, Tensor]:
        """Loss with teacher forcing; in evaluation also what greedy decoding gets right.

        Args:
            model: logits (samples, time, symbols) for inputs and targets, tokens (samples, time) for inputs.
            batch: rows of input tokens and of target tokens.
            criterion: over (characters, symbols) logits and (characters,) tokens, padding passed over.

        Returns:
            {"loss"}, in evaluation also "exact_match"; logits (samples, time, symbols); targets (samples,
            time).
        """
        from tui_trainer.engine.metrics import Ratio
        from tui_trainer.models.seq2seq import PAD

        inputs, targets = batch[0], batch[1].long()
        logits = model(inputs, targets)
        parts: dict[str, Any] = {"loss": criterion(logits.flatten(0, 1), targets.flatten())}
        if not model.training:
            right = ((model(inputs) == targets) | (targets == PAD)).all(1)
            parts["exact_match"] = Ratio(right.sum(), right.new_tensor(len(right), dtype=targets.dtype))
        return parts, logits, targets

    def count(self, batch: Any) -> Tensor:
        """Target tokens that are no padding, as a tensor on the device."""
        from tui_trainer.models.seq2seq import PAD

        tokens: Tensor = (batch[1] != PAD).sum()
        return tokens

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Any]:
        """Part of the target tokens that are guessed right, given those before them."""
        from tui_trainer.engine.metrics import Ratio
        from tui_trainer.models.seq2seq import PAD

        real = targets != PAD
        return {"accuracy": Ratio(((outputs.argmax(-1) == targets) & real).sum(), real.sum())}

    def on_epoch_end(self, context: EpochContext) -> None:
        """Log a few pairs that were not trained on, with the model's answers."""
        answers = self.answer(context.model, [text for text, _ in self._shown])
        context.log_text("sample", "\n".join(map(_shown_line, self._shown, answers)))

    def data_facts(self) -> dict[str, Any]:
        """The characters of both sides, and the most tokens of a target, its end included."""
        symbols = {"input_characters": self.inputs.symbols, "target_characters": self.targets.symbols}
        return {**symbols, "target_length": self.target_length}

    def use_data_facts(self, facts: Mapping[str, Any]) -> None:
        """Take all of it; pairs that are read later are taken with these characters."""
        self.inputs = _characters(facts["input_characters"])
        self.targets = _characters(facts["target_characters"])
        self.target_length, self._fitted = int(facts["target_length"]), True

    def read_inputs(self, hparams: Seq2SeqHparams, path: Path) -> Iterator[tuple[dict[str, Any], Tensor]]:
        """Texts as rows of tokens: each line of a text file, or the input of each item, row or record.

        Raises:
            FileError: it can't be read, or a text is longer than `max_length`.
        """
        import torch

        from tui_trainer.datasets.pairs import read_texts
        from tui_trainer.datasets.unseen import unknown_characters

        unseen = unknown_characters()
        for where, text in read_texts(path, hparams.input_column):
            if len(text) > hparams.max_length:
                message = f"{where}: {len(text):,} characters, max_length is {hparams.max_length:,}"
                raise FileError("text too long", message, f"--max-length {len(text)} accepts it")
            self.inputs.count_unknown(unseen, "input", text)
            # Padding changes nothing: the network never looks at it.
            length = -(-(len(text) + 1) // PREDICTED_STEP) * PREDICTED_STEP
            yield {"input": text}, torch.from_numpy(self.inputs.encode([text], length))[0]
        unseen.tell()

    def prediction_rows(self, outputs: Any) -> list[dict[str, Any]]:
        """The text of each greedy decoding."""
        return [{"output": self.targets.decode(row)} for row in outputs.tolist()]

    def answer(self, model: nn.Module, texts: list[str]) -> list[str]:
        """What the model makes of texts, by greedy decoding in evaluation mode."""
        import torch

        rows = torch.from_numpy(self.inputs.encode(texts)).to(next(model.parameters()).device)
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                return [self.targets.decode(row) for row in model(rows).tolist()]
        finally:
            model.train(was_training)


def _characters(texts: Iterable[str]) -> Characters:
    from tui_trainer.datasets.pairs import Characters
    from tui_trainer.models.seq2seq import EOS, SPECIALS, UNK

    return Characters(texts, specials=SPECIALS, end=EOS, unknown=UNK)


def _shown_line(pair: Pair, answer: str) -> str:
    text, target = pair
    return f"{text} → {answer} (right)" if answer == target else f"{text} → {answer} (wrong: {target})"
