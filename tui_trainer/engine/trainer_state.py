"""What a trainer state must look like before anything of the running experiment is set to it.

A file says that a state is what a trainer saved, but anyone can make a file: a missing key must not cost a
traceback, and a moment of the wrong shape is memory that a fused optimizer writes beyond.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor
from torch.optim import Optimizer

from tui_trainer.engine import archive
from tui_trainer.engine.several import SeveralOptimizers
from tui_trainer.errors import FileError, TrainerError
from tui_trainer.runs.layout import SCHEMA, is_newer, parse_tag

_Count = Annotated[int, Field(ge=0, le=2**53)]
_Word = Annotated[int, Field(ge=0, lt=2**32)]
_Position = Annotated[int, Field(ge=0, le=624)]
"""In the 624 words of a Mersenne twister; NumPy reads beyond them where it is told to."""

_OTHER_SHAPES = ("Adafactor", "LBFGS")
"""Optimizers of torch whose state is not shaped like their parameters."""
_SCALARS = ("step", "eta", "mu", "mu_product", "lr")
"""What the others keep as one number for each parameter."""

_HINT = "go on from another checkpoint: --fork RUN@N"


class _Part(BaseModel):
    """Keys that it does not name are let through: a later version adds some, tasks bring their own."""

    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)


class _Optimizer(_Part):
    state: dict[Any, Any]
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
    python: tuple[_Count, Annotated[tuple[_Word, ...], Field(min_length=625, max_length=625)], float | None]
    numpy: Annotated[list[Any], Field(min_length=5, max_length=5)]
    torch: Tensor


class _Twister(_Part):
    keys: Tensor
    position: _Position
    has_gauss: _Count
    gauss: float


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
    schedule: dict[str, Any]
    scaler: dict[str, Any] | None
    averaged: _Averaged | None
    monitor: _Monitor
    rng: _Streams
    progress: _Place
    meter: _Sums | None
    metrics: dict[str, float]
    latest: dict[str, float]
    record: _Record


def load_trainer_state(path: Path) -> dict[str, Any]:
    """Read a `trainer_state_*.pt`.

    Raises:
        FileError: missing, corrupt, of a newer version or another checkpoint, or not what a trainer saves.
    """
    state = archive.load(path)
    if not isinstance(state, dict):
        raise _unfit(path, f"it holds a {type(state).__name__}")
    if is_newer(state.get("schema")):
        raise FileError(
            "checkpoint of a newer version",
            f"{path} has schema {state['schema']}, this version reads {SCHEMA}",
            "update tui-trainer",
        )
    try:
        checked = _TrainerState.model_validate(state)
        kind, keys, position, has_gauss, gauss = checked.rng.numpy
        _Twister(keys=keys, position=position, has_gauss=has_gauss, gauss=gauss)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _unfit(path, f"{where}: {first['msg'].lower()}") from error
    if kind != "MT19937" or keys.shape != (624,):
        raise _unfit(path, "rng.numpy: not the state of a Mersenne twister")
    if checked.meter is not None and not checked.meter.totals.keys() <= checked.meter.means.keys():
        raise _unfit(path, "meter.means: a metric is missing")
    place = (checked.progress.epoch, checked.progress.batch)
    if place != parse_tag(path.stem.rpartition("_")[2]):
        raise _unfit(path, f"it is the state after epoch {place[0]}, batch {place[1]}")
    return state


def check_optimizer(optimizer: Optimizer, state: dict[str, Any], path: Path) -> None:
    """Compare an optimizer's saved state with the parameters that it is about: torch does not.

    Args:
        optimizer: as it was built.
        state: as it was saved.
        path: the file, for messages.

    Raises:
        FileError: names what does not fit.
    """
    groups, found = optimizer.state_dict()["param_groups"], state["param_groups"]
    if len(groups) != len(found):
        raise _unfit(path, f"optimizer: {len(found)} parameter groups, not {len(groups)}")
    for group, saved in zip(groups, found, strict=True):
        for name, value in group.items():
            if not _alike(value, saved.get(name, value)):
                raise _unfit(path, f"optimizer: {name} is {_kind(saved[name])}, not {_kind(value)}")
    if isinstance(optimizer, SeveralOptimizers):
        for member, part in optimizer.parted(state):
            check_optimizer(member, part, path)
    kind = type(optimizer)
    if not kind.__module__.startswith("torch.optim.") or kind.__name__ in _OTHER_SHAPES:
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    for number, parameter in zip(numbers, parameters, strict=True):
        for name, value in state["state"].get(number, {}).items():
            if isinstance(value, Tensor) or name in _SCALARS:
                fits = _is_number(value) if name in _SCALARS else value.shape == parameter.shape
            else:
                fits = value is None
            if not fits:
                shape = tuple(parameter.shape)
                raise _unfit(path, f"optimizer: {name} is {_kind(value)}, the parameter has shape {shape}")


def check_schedule(fresh: dict[str, Any], saved: dict[str, Any], path: Path) -> None:
    """Compare a schedule's saved state with that of one that was just built.

    Raises:
        FileError: what is a number in the one is none in the other.
    """
    if fresh.get("scheduler") is not None and "scheduler" not in saved:
        raise _unfit(path, "schedule: scheduler is missing")
    for state, other in ((fresh, saved), (fresh.get("scheduler") or {}, saved.get("scheduler") or {})):
        for name, value in state.items():
            if _is_number(value) and not _alike(value, other.get(name)):
                raise _unfit(path, f"schedule: {name} is {_kind(other[name])}, not {_kind(value)}")


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Tell what goes wrong while a state is set as a fault of its file."""
    try:
        yield
    except TrainerError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = str(error).split("\n", 1)[0]
        raise _unfit(path, f"{type(error).__name__}: {reason}") from error


def _alike(one: Any, other: Any) -> bool:
    """Whether an option may take the place of another. None stands for whatever an optimizer chooses."""
    if one is None or other is None or isinstance(one, bool) or isinstance(other, bool):
        return all(value is None or isinstance(value, bool) for value in (one, other)) or None in (one, other)
    if _is_number(one):
        return _is_number(other)
    if isinstance(one, (list, tuple)):
        same = isinstance(other, (list, tuple)) and len(one) == len(other)
        return same and all(_alike(a, b) for a, b in zip(one, other, strict=True))
    return isinstance(other, type(one))


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _unfit(path: Path, why: str) -> FileError:
    return FileError("not a trainer state of this run", f"{path}: {why}", _HINT)
