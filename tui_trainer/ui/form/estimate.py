"""What a run would be: samples, steps, parameters, device. Found out by a dry run in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tui_trainer.ui.form.answers import Answers

TIMEOUT = 120.0


@dataclass(frozen=True)
class Estimate:
    """What a dry run reports. None where only training itself will tell."""

    samples: tuple[tuple[str, int | None], ...]
    steps_per_epoch: int | None
    total_steps: int | None
    parameters: int
    device: str

    @classmethod
    def from_json(cls, report: dict[str, Any]) -> Estimate:
        """Read the report of `tui-train --check --json`."""
        samples = tuple((split, report[f"{split}_samples"]) for split in ("train", "val", "test"))
        keys = ("steps_per_epoch", "total_steps", "parameters", "device")
        return cls(samples, *(report[key] for key in keys))

    def sentence(self, precision: str, short: bool = False) -> str:
        """`1,437 train samples · 45 steps an epoch, 1,800 in all · 42,762 parameters · float32 on cpu`."""
        splits = [(split, size) for split, size in self.samples if size != 0]
        samples = " + ".join(_count(size) if short else f"{_count(size)} {split}" for split, size in splits)
        an_epoch, total = _count(self.steps_per_epoch), _count(self.total_steps)
        steps = f"{total} steps ({an_epoch}/epoch)" if short else f"{an_epoch} steps an epoch, {total} in all"
        where = f"{precision} {'' if short else 'on '}{self.device}"
        return f"{samples} samples · {steps} · {_count(self.parameters)} parameters · {where}"


class Estimator(Answers[Estimate]):
    """Makes estimates and remembers them by their command line."""

    def __init__(self) -> None:
        super().__init__(["--no-ui", "--check", "--json"], Estimate.from_json, TIMEOUT, "no estimate")


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
