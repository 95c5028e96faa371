"""Whether a run's checkpoints will fit on the disk, told before the first step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tui_trainer.config.every import Every
from tui_trainer.config.hparams import Hparams
from tui_trainer.engine.prepared import Prepared
from tui_trainer.engine.shortage import in_units
from tui_trainer.errors import FileError

_EXTRA_BYTES = 64 << 10
"""Random states, sums and JSON of a checkpoint."""
_STATES = {
    "Adam": 2, "AdamW": 2, "NAdam": 2, "RAdam": 2, "Adamax": 2, "SparseAdam": 2, "Adadelta": 2, "Rprop": 2,
    "RMSprop": 1, "Adagrad": 1, "ASGD": 1, "Muon": 1, "SGD": 0, "Adafactor": 0, "LBFGS": 4,
}  # fmt: skip
"""Tensors as large as a parameter that an optimizer of torch keeps for each, without momentum."""


def checkpoint_bytes(ready: Prepared) -> int:
    """About how many bytes a checkpoint takes, before the optimizer has made its first step."""
    weights = _bytes(ready.evaluated_model.state_dict().values())
    raw = _bytes(ready.model.state_dict().values()) if ready.updater.averaged is not None else 0
    return weights + raw + _optimizer_bytes(ready.optimizer) + _EXTRA_BYTES


def _optimizer_bytes(optimizer: Optimizer) -> int:
    there = _bytes(_tensors(optimizer.state))
    if there:
        # It goes on from a checkpoint, or tells by itself.
        return there
    states = _STATES.get(type(optimizer).__name__, 2)
    momentum = bool(optimizer.defaults.get("momentum")) and type(optimizer).__name__ in ("SGD", "RMSprop")
    trained = _bytes(p for group in optimizer.param_groups for p in group["params"])
    return (states + momentum) * trained


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


def _bytes(tensors: Iterable[Any]) -> int:
    return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, torch.Tensor))


def checkpoints_kept(hparams: Hparams, steps_per_epoch: int | None, epochs_done: int = 0) -> int | None:
    """How many checkpoints a run leaves on the disk at most; None where that depends on time.

    Beside the newest ones the best and the last stay, and a new one is written before an old one goes.
    """
    every = Every.parse(hparams.checkpoint_every)
    kept = None if hparams.keep_checkpoints is None else hparams.keep_checkpoints + 2
    epochs = max(0, hparams.epochs - epochs_done)
    if every.amount == 0:
        return 1
    if every.unit == "epochs":
        planned: int | None = epochs // every.amount + 1
    elif every.unit == "steps" and steps_per_epoch is not None:
        planned = epochs * steps_per_epoch // every.amount + 1
    else:
        planned = None
    known = [count for count in (kept, planned) if count is not None]
    return min(known) if known else None


def check_disk(
    root: Path, each: int, hparams: Hparams, steps_per_epoch: int | None, epochs_done: int = 0
) -> str | None:
    """Compare what a run will write with the room on its disk.

    Args:
        root: the run directory.
        each: bytes of a checkpoint.
        hparams: of the run.
        steps_per_epoch: optimizer steps of an epoch; None where that is not known.
        epochs_done: finished ones, of a run that goes on.

    Returns:
        A warning: there is room for some checkpoints but not for all. None where there is for all.

    Raises:
        FileError: not even two fit, so that none could be replaced by the next.
    """
    free = _free(root)
    if free is None:
        return None
    if free < 2 * each:
        raise FileError(
            "not enough room for checkpoints",
            f"one takes about {in_units(each)} and two must fit; {in_units(free)} free at {root}",
            "make room, or choose another disk with --runs-dir",
        )
    kept = checkpoints_kept(hparams, steps_per_epoch, epochs_done)
    if kept is None or kept * each <= free:
        return None
    return (
        f"up to {kept:,} checkpoints of about {in_units(each)} take {in_units(kept * each)}, and "
        f"{in_units(free)} are free at {root}; with --keep_checkpoints N only the newest, the best and the "
        "pinned ones stay"
    )


def _free(root: Path) -> int | None:
    """Bytes that this user may still write; None where the file system does not tell."""
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return None
    # Some file systems of network and memory tell nothing but zeros.
    return free if free > 0 or os.statvfs(root).f_blocks > 0 else None
