"""Where a run is, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass
class Progress:
    """Where training is.

    Attributes:
        epoch: finished epochs.
        batch: batches done in the epoch after that one.
        step: optimizer steps done.
        samples: training samples seen in the unfinished epoch.
        seconds: time spent, by earlier processes of this run.
        epoch_seconds: time spent in the unfinished epoch, by earlier processes.
        evaluation_due: a stop cut an evaluation inside the epoch off; it comes first when training goes on.
        lr: learning rate of the latest step.
        rollbacks: how often training went back to a checkpoint because its loss was not finite.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    evaluation_due: bool = False
    lr: float = math.nan
    rollbacks: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Progress:
        """From a checkpoint of any version: what it lacks has its default, what it knows more is left out."""
        return cls(**{item.name: state[item.name] for item in fields(cls) if item.name in state})


@dataclass(frozen=True)
class Ending:
    """How a run ended: finished or stopped, and why."""

    status: str
    reason: str
