"""A loss, gradient or weight that is NaN or infinite, as an error that names the step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tui_trainer.errors import TrainerError

HINT = (
    "look for NaN in the data; a lower lr, grad_clip_norm or precision float32 may help, or on_nonfinite "
    "skip or rollback; what was saved before is unharmed"
)


class NonFinite(TrainerError):
    """Training can't go on from here as if nothing had happened.

    Attributes:
        step: the optimizer step (from 1) whose numbers are bad.
    """

    def __init__(self, title: str, message: str, step: int) -> None:
        super().__init__(title, message, HINT)
        self.step = step

    def because_of(self, cause: str) -> None:
        """Add what went bad first, and the hint that fits it."""
        self.message += f"; {cause}"
        if "of the batch" in cause:
            self.hint = "mend or leave out that sample; on_nonfinite skip trains on the others"
        elif "first bad: weight" in cause:
            self.hint = "the weights were bad before this step: look at what the model starts from"
        else:
            self.hint = (
                "a lower lr, warmup, grad_clip_norm or precision float32 may help; so may on_nonfinite"
            )


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity. Waits for the device."""
    values = tensor.detach()
    if values.layout != torch.strided:
        values = values.to_dense()
    return not (values.is_floating_point() or values.is_complex()) or bool(torch.isfinite(values).all())


def learned_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What training changes: parameters, and the running statistics of normalisation layers.

    Other buffers are constants, and may well be infinite, as masks of an attention are.
    """
    yield from model.named_parameters()
    for path, module in model.named_modules():
        for name, statistic in running_statistics(module):
            yield f"{path}.{name}" if path else name, statistic


def running_statistics(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The running mean and variance of a normalisation layer, by name; none for any other module."""
    if isinstance(module, nn.modules.batchnorm._NormBase):
        for name in ("running_mean", "running_var"):
            statistic = getattr(module, name)
            if statistic is not None:
                yield name, statistic
