"""Whether a run's checkpoints will fit on the disk, told before the first step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tui_trainer.config.every import Every
from tui_trainer.config.hparams import Hparams
from tui_trainer.engine.batches import tensors_of
from tui_trainer.engine.prepared import Prepared
from tui_trainer.engine.several import members_of
from tui_trainer.engine.shortage import in_units
from tui_trainer.errors import FileError

SAVED_BYTES_PER_S = 50e6
"""What a disk that has not been tried is trusted with: the rate of a busy network file system."""
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
    moments = sum(_optimizer_bytes(member) for member in members_of(ready.optimizer).values())
    return weights + raw + moments + _EXTRA_BYTES


def _optimizer_bytes(optimizer: Optimizer) -> int:
    there = _bytes(tensors_of(optimizer.state))
    if there:
        # It goes on from a checkpoint, or tells by itself.
        return there
    states = _STATES.get(type(optimizer).__name__, 2)
    momentum = bool(optimizer.defaults.get("momentum")) and type(optimizer).__name__ in ("SGD", "RMSprop")
    trained = _bytes(p for group in optimizer.param_groups for p in group["params"])
    return (states + momentum) * trained


def _bytes(tensors: Iterable[Any]) -> int:
    """What tensors take in a file: those that are tied are written once."""
    distinct = {_place(tensor): tensor.nbytes for tensor in tensors if isinstance(tensor, torch.Tensor)}
    return sum(distinct.values())


def _place(tensor: Tensor) -> tuple[int, ...]:
    if tensor.layout != torch.strided or not tensor.numel():
        return (id(tensor),)
    return (tensor.data_ptr(), *tensor.shape, *tensor.stride())


def checkpoints_to_come(
    hparams: Hparams, steps_per_epoch: int | None, epochs_done: int = 0, own: int | None = None
) -> int | None:
    """By how many checkpoints a run will grow on the disk at most; None where that depends on time.

    Beside the newest ones the best one stays and the one that the run goes on from, and a new one is written
    before an old one goes.

    Args:
        hparams: of the run.
        steps_per_epoch: optimizer steps of an epoch; None where that is not known.
        epochs_done: finished ones, of a run that goes on.
        own: checkpoints that a run that goes on has there and may delete; None for a run that begins.
    """
    every = Every.parse(hparams.checkpoint_every)
    if every.amount == 0:
        return 1
    epochs = max(0, hparams.epochs - epochs_done)
    known = []
    if hparams.keep_checkpoints is not None:
        at_most = hparams.keep_checkpoints + (2 if own is None else 3)
        known.append(max(1, at_most - (own or 0)))
    if every.unit == "epochs":
        known.append(epochs // every.amount + 1)
    elif every.unit == "steps" and steps_per_epoch is not None:
        known.append(epochs * steps_per_epoch // every.amount + 1)
    return min(known, default=None)


def check_disk(
    root: Path,
    each: int,
    hparams: Hparams,
    steps_per_epoch: int | None,
    epochs_done: int = 0,
    own: int | None = None,
) -> str | None:
    """Compare what a run will write with the room on its disk.

    Args:
        root: the run directory.
        each: bytes of a checkpoint.
        hparams, steps_per_epoch, epochs_done, own: as for `checkpoints_to_come`.

    Returns:
        A warning: there is room for some checkpoints but not for all. None where there is for all.

    Raises:
        FileError: no checkpoint could be replaced by the next, which is written before the old one goes.
    """
    free = _free(root)
    if free is None:
        return None
    if free < (each if own else 2 * each):
        needed = "a new one is written before an old one goes" if own else "two must fit"
        way = "delete some with tui-train checkpoints rm" if own else "choose another disk with --runs-dir"
        raise FileError(
            "not enough room for checkpoints",
            f"one takes about {in_units(each)} and {needed}; {in_units(free)} free at {root}",
            f"make room, or {way}",
        )
    count = checkpoints_to_come(hparams, steps_per_epoch, epochs_done, own)
    if count is None or count * each <= free:
        return None
    return (
        f"up to {count:,} {'more ' if own else ''}checkpoints of about {in_units(each)} take "
        f"{in_units(count * each)}, and {in_units(free)} are free at {root}; with --keep_checkpoints N only "
        "the newest, the best and the pinned ones stay"
    )


def _free(root: Path) -> int | None:
    """Bytes that this user may still write; None where the file system does not tell."""
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return None
    # Some file systems of network and memory tell nothing but zeros.
    return free if free > 0 or os.statvfs(root).f_blocks > 0 else None
