"""A loss, gradient or weight that is NaN or infinite, as an error that names the step."""

from __future__ import annotations

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
