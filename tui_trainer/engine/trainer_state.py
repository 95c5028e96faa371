"""What a trainer state must look like before anything of the running experiment is set to it.

A file says that a state is what a trainer saved, but anyone can make a file: a missing key must not cost a
traceback, and a moment of the wrong shape is memory that a fused optimizer writes beyond.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor
from torch.optim import Optimizer

from tui_trainer.engine import archive
from tui_trainer.errors import FileError
from tui_trainer.runs.layout import SCHEMA, is_newer, parse_tag

_Count = Annotated[int, Field(ge=0, le=2**53)]
_Word32 = Annotated[int, Field(ge=0, lt=2**32)]
_Position = Annotated[int, Field(ge=0, le=624)]
"""In the 624 words of a Mersenne twister; NumPy reads beyond them where it is told to."""

_OTHER_SHAPES = ("Adafactor", "LBFGS")
"""Optimizers of torch whose state is not shaped like their parameters."""
_SCALARS = ("step", "eta", "mu", "mu_product", "lr")
"""What the others keep as one number for each parameter."""

_HINT = "go on from another checkpoint, --fork RUN@N; --init-from takes the weights alone"


class _Part(BaseModel):
    # Keys that a later version adds are no fault, and older states lack those with a default.
    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)


class _Optimizer(_Part):
    state: dict[Any, dict[Any, Any]]
    param_groups: list[dict[str, Any]]


class _Averaged(_Part):
    updates: Tensor
    raw: dict[str, Any]


class _Monitor(_Part):
    metric: str
    mode: str
    value: float
    epoch: _Count
    waited: _Count


class _Streams(_Part):
    python: tuple[_Count, Annotated[tuple[_Word32, ...], Field(min_length=625, max_length=625)], float | None]
    numpy: list[Any]
    torch: Tensor


class _Place(_Part):
    epoch: _Count
    batch: _Count
    step: _Count
    samples: _Count = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    lr: float = 0.0


class _Sums(_Part):
    weights: dict[str, float]
    totals: dict[str, Annotated[list[float], Field(min_length=1)]]
    means: dict[str, float]


class _Record(_Part):
    rows: _Count
    event_bytes: _Count


class _TrainerState(_Part):
    optimizer: _Optimizer
    schedule: dict[str, Any] = {}
    scaler: dict[str, Any] | None = None
    averaged: _Averaged | None = None
    monitor: _Monitor
    rng: _Streams
    progress: _Place
    meter: _Sums | None = None
    metrics: dict[str, float] = {}
    latest: dict[str, float] = {}
    record: _Record


class _Twister(_Part):
    words: Tensor
    position: _Position
    has_gauss: _Count
    gauss: float
