"""Micro-batches: a batch goes through the model in parts when it is too large for the memory.

A part is a batch of its own in its window, weighted by `Task.count`, so gradients and metrics are those of
the whole batch wherever the loss is a mean over what is counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from tui_trainer.engine.alerts import Alert, no_alert
from tui_trainer.engine.batches import CannotSplit, first_length, split_batch
from tui_trainer.engine.device import release_memory
from tui_trainer.engine.failure import is_out_of_memory, out_of_memory
from tui_trainer.engine.shortage import describe
from tui_trainer.errors import TrainerError

T = TypeVar("T")
Count = Callable[[Any], "int | Tensor"]
Wanted = Literal["auto"] | int | None


class MicroBatches:
    """How many samples go through the model at once, in training or in evaluation.

    Args:
        wanted: the most samples of one pass; "auto": whole batches until memory runs out, then half as many
            until they fit; None: always whole batches.
        what: "training" or "evaluation", for messages.
        batchnorm: the model has layers that need two samples to train on, and see the parts.
        device: where memory is given back.
        alert: is told when batches become smaller.

    Attributes:
        size: the most samples of one pass; None for whole batches.
    """

    def __init__(
        self,
        wanted: Wanted = None,
        what: str = "training",
        *,
        batchnorm: bool = False,
        device: torch.device | None = None,
        alert: Alert = no_alert,
    ) -> None:
        self.size: int | None = wanted if isinstance(wanted, int) else None
        self._wanted = wanted
        self._what = what
        self._batchnorm = batchnorm
        self._least = 2 if batchnorm else 1
        self._device = device or torch.device("cpu")
        self._alert = alert
        self._adds_up = False

    def go_on_with(self, size: int | None) -> None:
        """Take the size that an earlier process found, unless the hparams give one."""
        if self._wanted == "auto":
            self.size = size

    def run(self, window: Sequence[Any], count: Count, work: Callable[[Sequence[Any]], T]) -> T:
        """Do work on a window of batches, in smaller parts each time that memory runs out.

        Args:
            window: batches.
            count: what a batch's loss is a mean over.
            work: is given the batches or their parts. What it did before memory ran out must not matter, and
                is done again (running statistics of BatchNorm layers, which forget, see some samples twice).

        Returns:
            What `work` did.

        Raises:
            TrainerError: memory ran out and smaller parts are not allowed, not possible, or not enough; or
                the hparams ask for parts and these batches have none.
        """
        tried, shortage = 0, ""
        while True:
            try:
                parts = window if self.size is None else self._split(window, count)
                done = work(parts)
            except CannotSplit as reason:
                raise self._failed(tried, shortage, f"it can't be split: {reason}") from None
            except Exception as error:
                if not is_out_of_memory(error):
                    if tried and not isinstance(error, TrainerError):
                        raise self._failed(tried, shortage, f"smaller parts fail: {error}") from error
                    raise
                most = max(map(_samples, parts))
                tried, shortage = tried or most, describe(error)
                if self._wanted != "auto" or most < 2 * self._least:
                    raise self._failed(most, shortage) from error
                self.size = -(-most // 2)
            else:
                if tried:
                    self._tell(tried, shortage)
                return done
            # Out here the exception is gone, and with it the tensors that its traceback held.
            release_memory(self._device)

    def _split(self, window: Sequence[Any], count: Count) -> list[Any]:
        """The window's batches in parts.

        Raises:
            CannotSplit: a batch can't be, or its parts would not weigh what it weighs.
        """
        assert self.size is not None
        split: list[Any] = []
        for batch in window:
            parts = [batch]
            if _samples(batch) > self.size:
                parts = split_batch(batch, self.size, self._least)
                if not self._adds_up:
                    _check_counts(batch, parts, count)
                    self._adds_up = True
            split += parts
        return split

    def _failed(self, samples: int, shortage: str, reason: str = "") -> TrainerError:
        """The error for memory that ran out with so many samples in one pass, and why nothing helped."""
        if not samples:
            return TrainerError(
                "batch can't be split",
                f"micro_batch is {self.size}, but a larger batch came in {self._what}; {reason}",
                "--micro-batch none, and a smaller batch_size",
            )
        at_once = f"{samples:,} samples" if samples > 1 else "1 sample"
        where = f", in {self._what} with {at_once} at once"
        return out_of_memory(shortage, where + (f"; {reason}" if reason else ""), self._hint(bool(reason)))

    def _hint(self, unsplittable: bool) -> str:
        training = self._what == "training"
        if self._wanted is None:
            smaller = "batch_size" if training else "eval_batch_size"
            return f"--micro-batch auto takes batches in parts that fit, a smaller {smaller} needs less too"
        if self._wanted != "auto":
            return "--micro-batch auto finds the largest part that fits; precision bfloat16 needs less"
        if not unsplittable:
            return "smaller parts there are none: take precision bfloat16 or a smaller model"
        if training:
            return "a smaller batch_size with more grad_accumulation has the same gradients and needs less"
        return "a smaller eval_batch_size needs less"

    def _tell(self, samples: int, shortage: str) -> None:
        message = (
            f"{samples:,} -> {self.size:,} samples at once in {self._what} from here on ({shortage}); "
            "gradients and metrics stay those of whole batches"
        )
        if self._batchnorm:
            message += ", but BatchNorm layers normalise by the smaller parts"
        self._alert("out of memory: smaller micro-batches", message)


def _samples(batch: Any) -> int:
    """Samples of a batch. One in which nothing tells is taken for one."""
    try:
        return first_length(batch)
    except TypeError:
        return 1


def _check_counts(batch: Any, parts: list[Any], count: Count) -> None:
    """See that parts weigh as much as their batch: else their gradients would not add up to its gradient.

    Raises:
        CannotSplit: they don't.
    """
    whole, added = float(count(batch)), float(sum(count(part) for part in parts))
    if not math.isclose(whole, added, rel_tol=1e-6):
        raise CannotSplit(f"the task's count is {whole:g} for it, but {added:g} for its parts together")
