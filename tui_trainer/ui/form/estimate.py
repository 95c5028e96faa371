"""What a run would be: samples, steps, parameters, device. Found out by a dry run in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tui_trainer.errors import TrainerError
from tui_trainer.ui.form.child import output_of

TIMEOUT = 120.0
MOST_KEPT = 200


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


class Estimator:
    """Makes estimates and remembers them by their command line."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Estimate | TrainerError] = {}

    def known(self, words: Sequence[str]) -> Estimate | TrainerError | None:
        """The estimate of a command line, if it was made."""
        return self._known.get(tuple(words))

    def forget(self, words: Sequence[str] | None = None) -> None:
        """Make it anew the next time; without words, all of them."""
        if words is None:
            self._known.clear()
        else:
            self._known.pop(tuple(words), None)

    async def make(self, words: Sequence[str]) -> None:
        """Make an estimate; afterwards it is `known`, or why there is none. Cancelling ends its process."""
        answer: Estimate | TrainerError
        try:
            out = await output_of(["--no-ui", "--check", "--json", *words], TIMEOUT)
            answer = Estimate.from_json(json.loads(out.strip().splitlines()[-1]))
        except TrainerError as error:
            answer = error
        except (ValueError, LookupError, TypeError) as error:
            answer = TrainerError("no estimate", f"the dry run said something unexpected: {error}")
        if len(self._known) >= MOST_KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[tuple(words)] = answer


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
