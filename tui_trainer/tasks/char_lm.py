"""The task `char_lm`: learn to write text, character by character."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tui_trainer.config.hparams import Field, Hparams
from tui_trainer.config.names import OptimizerName
from tui_trainer.errors import FileError, UsageError
from tui_trainer.tasks.base import Task

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from tui_trainer.datasets.text import Vocabulary
    from tui_trainer.engine.context import EpochContext

START = "\n\n"
"""What a sample continues: an empty line, after which prose and code begin something new."""

MIN_WINDOWS = 4
"""Fewer training windows than this are too little text for the context."""


class CharLMHparams(Hparams):
    """Hparams of `char_lm`."""

    test_size: float = 0.1
    optimizer: OptimizerName = "AdamW"
    grad_clip_norm: float | None = 1.0

    text_column: str | None = Field(
        None,
        group="Data",
        max_length=1000,
        on_resume="refused",
        description="Column or key of the texts, in JSON lines, Parquet or a saved data set.",
    )
    max_chars: int | None = Field(
        None, ge=1, le=1 << 40, group="Data", unit="characters", log=True,
        on_resume="refused",
        description="Read only so many characters of the text, from its beginning; none: all.",
    )  # fmt: skip
    context: int = Field(
        128,
        ge=1,
        le=1 << 16,
        unit="characters",
        log=True,
        on_resume="refused",
        description="How far back the model sees.",
    )
    d_model: int = Field(
        128,
        ge=1,
        le=1 << 16,
        unit="features",
        log=True,
        on_resume="refused",
        description="Width of a position's vector.",
    )
    n_layers: int = Field(
        4, ge=1, le=1024, unit="blocks", on_resume="refused", description="Depth of the transformer."
    )
    n_heads: int = Field(
        4,
        ge=1,
        le=1024,
        unit="heads",
        on_resume="refused",
        description="Attention heads of a block; they divide d_model.",
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        unit="fraction",
        on_resume="warned",
        description="Part of activations dropped in training.",
    )
    tie_weights: bool = Field(
        True, on_resume="refused", description="Use the embedding of the characters as output layer too."
    )
    sample_chars: int = Field(
        200, ge=0, le=1 << 16, group="Run", unit="characters",
        on_resume="safe",
        description="Length of the text that is written after each epoch as a sample; 0: none.",
    )  # fmt: skip

    temperature: float = Field(
        0.8, gt=0, le=100, group="Run",
        on_resume="safe",
        description="How surprising samples and predictions are; near 0 always the likeliest character.",
    )  # fmt: skip

    def cross_checks(self) -> Iterator[tuple[str, str]]:
        """Heads divide the width; the loss is one over classes."""
        yield from super().cross_checks()
        if self.d_model % self.n_heads:
            yield "n_heads", f"{self.n_heads} heads do not divide d_model {self.d_model}"
        if self.loss not in ("auto", "CrossEntropyLoss"):
            yield "loss", f"{self.loss} does not fit classes such as characters; use auto or CrossEntropyLoss"


class CharLM(Task):
    """Write text character by character: a small GPT on a file, a folder or Python's own sources.

    The last `test_size` of the text is the test set and what is before it the validation set, both whole:
    windows drawn at random would share text with the training set. A data set's own splits are used as they
    are. A window is `context` characters and the one after; windows overlap by that one, so each character
    is predicted once an epoch.
    """

    hparams_class = CharLMHparams
    metric_names = ("accuracy", "perplexity", "bits_per_char")
    directions: ClassVar = {"accuracy": "max", "perplexity": "min", "bits_per_char": "min"}

    vocabulary: Vocabulary

    def __init__(self) -> None:
        self._hparams: CharLMHparams | None = None
        self._fitted = False

    @property
    def classes(self) -> list[str]:
        """The characters, the one that stands for all others first."""
        return ["\ufffd", *self.vocabulary.characters]

    def datasets(self, hparams: CharLMHparams) -> tuple[Any, ...]:
        """Windows of the text as one view: (windows, context + 1) uint8 in a tuple, for each part.

        Raises:
            FileError: no text, or unreadable (see `read_tokens`), or of fewer than two symbols.
            UsageError: the context is too long for the text or one of its parts.
        """
        from tui_trainer.datasets.corpus import read_tokens

        path = Path(hparams.dataset_path).expanduser() if hparams.dataset_path else None
        known = self.vocabulary if self._fitted else None
        corpus = read_tokens(path, hparams.text_column, hparams.max_chars, known)
        tokens, where = corpus.tokens, str(path or "the standard library")
        self.vocabulary = corpus.vocabulary
        if len(self.vocabulary) < 3:
            often = len(self.vocabulary) - 1
            message = f"{where}: {len(tokens):,} characters, {often} different ones frequent enough to learn"
            raise FileError("text too short", message, "give more text")
        own, val, test = corpus.parts
        # What the data do not bring along is cut off the end of what they have for training.
        test = test or round(own * hparams.test_size)
        val = val or round(own * hparams.val_size)
        test_from = len(tokens) - test
        val_from = test_from - val

        def windows(part: np.ndarray, name: str, least: int = 1) -> tuple[Tensor]:
            return _windows(part, name, least, hparams.context, where)

        trained = windows(tokens[:val_from], "training", MIN_WINDOWS)
        tested = windows(tokens[test_from:], "test") if test or hparams.test_size else None
        if not (val or hparams.val_size):
            return trained, tested
        return trained, windows(tokens[val_from:test_from], "validation"), tested

    def readable(self, sample: Any) -> str:
        """The text of a window."""
        return self.vocabulary.decode(_tokens(sample).tolist())

    def model(self, hparams: CharLMHparams) -> nn.Module:
        """A GPT over the text's characters."""
        from tui_trainer.models.gpt import GPT

        # Predictions are drawn as the hparams say, which `predict` is not told.
        self._hparams = hparams
        return GPT(
            vocab_size=len(self.vocabulary),
            context=hparams.context,
            d_model=hparams.d_model,
            n_layers=hparams.n_layers,
            n_heads=hparams.n_heads,
            dropout=hparams.dropout,
            tie_weights=hparams.tie_weights,
        )

    def criterion(self, hparams: CharLMHparams) -> nn.Module:
        """Cross entropy, mean over characters."""
        from torch.nn import CrossEntropyLoss

        return CrossEntropyLoss(label_smoothing=hparams.label_smoothing)

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Tensor, Tensor]:
        """Loss of predicting each next character.

        Args:
            model: maps (windows, context) tokens to (windows, context, symbols) logits.
            batch: (windows, context + 1) tokens, alone or in a tuple.
            criterion: over (characters, symbols) logits and (characters,) tokens.

        Returns:
            {"loss", "perplexity", "bits_per_char"}, logits (characters, symbols), targets (characters,).
            Perplexity and bits are of the plain cross entropy, whatever the criterion smooths.
        """
        from torch.nn import functional as F

        from tui_trainer.engine.metrics import Mean

        tokens = _tokens(batch)
        logits = model(tokens[:, :-1]).flatten(0, 1)
        targets = tokens[:, 1:].long().flatten()
        loss = criterion(logits, targets)
        smoothed = getattr(criterion, "label_smoothing", 1.0) > 0
        entropy = F.cross_entropy(logits.detach(), targets) if smoothed else loss
        parts = {"perplexity": Mean(entropy, math.exp), "bits_per_char": Mean(entropy, _nats_to_bits)}
        return {"loss": loss, **parts}, logits, targets

    def count(self, batch: Any) -> int:
        """Predicted characters."""
        windows, length = _tokens(batch).shape
        return int(windows * (length - 1))

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Any]:
        """Part of the characters that the model would have guessed."""
        return {"accuracy": (outputs.argmax(-1) == targets).float().mean()}

    def on_epoch_end(self, context: EpochContext) -> None:
        """Log a text that the model writes; the same draws after each epoch, so that progress shows."""
        hparams: Any = context.hparams
        if hparams.sample_chars:
            context.log_text("sample", self.sample(context.model, hparams))

    def sample(self, model: nn.Module, hparams: CharLMHparams) -> str:
        """A text of `sample_chars` characters that begins like a new paragraph.

        Its random stream is its own, so training is the same with and without it.
        """
        import torch

        from tui_trainer.models.gpt import generate

        device = next(model.parameters()).device
        start = torch.from_numpy(self.vocabulary.encode(START))[None].to(device)
        generator = torch.Generator().manual_seed(hparams.seed)
        tokens = generate(
            model, start, hparams.sample_chars, hparams.context, generator, hparams.temperature
        )[0, len(START) :]
        return _shown(self.vocabulary.decode(tokens.tolist()))

    def data_facts(self) -> dict[str, Any]:
        """The characters, by token."""
        return {"classes": self.classes}

    def use_data_facts(self, facts: Mapping[str, Any]) -> None:
        """Take the characters; text that is read later is taken with them."""
        from tui_trainer.datasets.text import Vocabulary

        self.vocabulary, self._fitted = Vocabulary(facts["classes"][1:]), True

    def read_inputs(self, hparams: CharLMHparams, path: Path) -> Iterator[tuple[dict[str, Any], Tensor]]:
        """A text file as one prompt; an empty one begins as a sample does.

        Raises:
            FileError: it is no text.
        """
        import numpy as np
        import torch

        from tui_trainer.datasets.text import code_points, read_text

        text = read_text(path)
        self.vocabulary.tell_unknown(np.bincount(code_points(text)))
        yield {"prompt": text}, torch.from_numpy(self.vocabulary.encode(text or START))

    def predict(self, model: nn.Module, inputs: Tensor) -> Any:
        """Prompts, continued by `sample_chars` characters.

        Args:
            model: the network.
            inputs: (prompts, characters) tokens.

        Returns:
            (prompts, sample_chars) tokens of what comes after each prompt.
        """
        import torch

        from tui_trainer.models.gpt import generate

        hparams = self._hparams
        assert hparams is not None
        generator = torch.Generator().manual_seed(hparams.seed)
        tokens = generate(
            model, inputs, hparams.sample_chars, hparams.context, generator, hparams.temperature
        )
        return tokens[:, inputs.shape[1] :]

    def prediction_rows(self, outputs: Any) -> list[dict[str, Any]]:
        """The text of each continuation."""
        return [{"text": _shown(self.vocabulary.decode(row))} for row in outputs.tolist()]


def _shown(text: str) -> str:
    """Text as it may be shown on a terminal: a corpus may hold escape sequences."""
    return "".join(symbol if symbol.isprintable() or symbol in "\n\t" else "\ufffd" for symbol in text)


def _windows(tokens: np.ndarray, part: str, least: int, context: int, where: str) -> tuple[Tensor]:
    """(windows, context + 1) view of a part of the text; a last stretch that fills no window is left out.

    Raises:
        UsageError: it holds fewer than `least` windows.
    """
    import torch

    if (len(tokens) - 1) // context < least:
        needed = least * context + 1
        message = f"{where}: {part} part of {len(tokens):,} characters, context {context:,} needs {needed:,}"
        most = (len(tokens) - 1) // least
        hint = f"--context {most} or less, or more text" if most else "give more text"
        raise UsageError("context longer than the text", message, hint)
    return (torch.from_numpy(tokens).unfold(0, context + 1, context),)


def _tokens(batch: Any) -> Any:
    return batch[0] if isinstance(batch, (tuple, list)) else batch


def _nats_to_bits(entropy: float) -> float:
    return entropy / math.log(2)
