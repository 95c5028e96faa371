"""Saving and loading a checkpoint's files. The index (`runs.checkpoints`) decides which exist."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from torch import Tensor

from tui_trainer import files
from tui_trainer.engine import archive
from tui_trainer.engine.plain_keys import named_as_in, plain_names
from tui_trainer.engine.pretrained import read_tensors
from tui_trainer.engine.trainer_state import load_trainer_state as load_trainer_state
from tui_trainer.errors import FileError
from tui_trainer.runs import checkpoints
from tui_trainer.runs.json_values import write_object
from tui_trainer.runs.layout import SCHEMA, RunLayout, checkpoint_tag

Entry = dict[str, Any]

_EXTRA_STATE = "_extra_state"
"""How torch ends the name of what a module saves beside its tensors."""
_WANTED = "a state_dict is wanted: torch.save(model.state_dict(), PATH)"
_FITS = "use the hparams and the task file that it was trained with"


class _Hashing:
    """A file that hashes what passes through it, so that a checkpoint is not read again for its checksum."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def plain(value: Any, copies: dict[tuple[int, ...], Tensor] | None = None) -> Any:
    """A copy of a state in types that `torch.load(weights_only=True)` reads, tensors on the host.

    Optimizers and users' objects hold NumPy scalars, enums, paths and special dicts, which it refuses.
    Tensors that share memory still do.

    Args:
        value: what to copy.
        copies: of tensors, made so far.
    """
    copies = {} if copies is None else copies
    if isinstance(value, Tensor):
        key = _key(value)
        if key not in copies:
            copies[key] = _on_host(value)
        return copies[key]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, Mapping):
        return {plain(key, copies): plain(part, copies) for key, part in value.items()}
    if isinstance(value, Enum):
        return plain(value.value, copies)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return tuple(plain(part, copies) for part in value)
    if isinstance(value, (list, set, frozenset)):
        return [plain(part, copies) for part in value]
    return value


def _key(tensor: Tensor) -> tuple[int, ...]:
    """The same for tensors that are the same memory, seen alike."""
    if tensor.layout != torch.strided or not tensor.numel():
        return (id(tensor),)
    return (tensor.data_ptr(), hash(tensor.dtype), *tensor.shape, -1, *tensor.stride())


def _on_host(tensor: Tensor) -> Tensor:
    """A copy of one's own: training goes on while it is written. A view does not drag its storage along."""
    tensor = tensor.detach()
    return tensor.clone() if tensor.device.type == "cpu" else tensor.to("cpu")


def named_state(model: torch.nn.Module) -> dict[str, Any]:
    """The model's state_dict by the names of the bare network, whatever that is wrapped in; no copy."""
    names = plain_names(model)
    return {names[name]: value for name, value in model.state_dict().items()}


def model_state(model: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of `named_state` on the host."""
    copied: dict[str, Tensor] = plain(named_state(model))
    return copied


def _save(path: Path, value: Any) -> str:
    """Write `value` with torch.save, atomically and durably.

    Returns:
        SHA-256 of the file, as hex.
    """
    with files.replacing(path) as file:
        hashing = _Hashing(file)
        try:
            torch.save(value, cast("IO[bytes]", hashing))
        except RuntimeError:
            # torch's writer hides why a write failed.
            if hashing.error is not None:
                raise hashing.error from None
            raise
        return hashing.sha256.hexdigest()


def describe_tensors(state: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Name, shape, dtype and norm of each tensor, for browsing without opening the `.pt`."""
    rows = []
    for name, tensor in state.items():
        if isinstance(tensor, Tensor):
            norm = (
                float(torch.linalg.vector_norm(tensor.float()))
                if tensor.layout == torch.strided
                else math.nan
            )
            rows.append(
                {
                    "name": name,
                    "shape": list(tensor.shape),
                    "dtype": str(tensor.dtype).removeprefix("torch."),
                    "norm": norm,
                }
            )
    return rows


def save_checkpoint(
    layout: RunLayout,
    epoch: int,
    batch: int,
    *,
    weights: Mapping[str, Tensor],
    trainer_state: Mapping[str, Any],
    hparams: Mapping[str, Any],
    metrics: Mapping[str, float],
    step: int,
    time: float,
    best: bool,
    keep: int | None,
    protect: str | None = None,
) -> Entry:
    """Write a checkpoint's four files, then its index entry, then let retention delete older ones.

    Args:
        layout: the run's paths.
        epoch: finished epochs.
        batch: batches done in the epoch after that one.
        weights: state_dict of the model that was evaluated, on the host.
        trainer_state: what an exact resume needs beside it, in plain types.
        hparams: the run's hparams, as JSON values.
        metrics: the latest value of each metric.
        step: optimizer steps done.
        time: unix seconds.
        best: the best so far by the monitored metric.
        keep: how many of the newest stay; None for all.
        protect: tag of one that stays, whatever its age.

    Returns:
        The index entry.

    Raises:
        OSError: no space, or the folder is gone or read-only. What was there before is unharmed.
        FileError: the file does not read back (a run's first checkpoint is read again before it counts).
    """
    tag = checkpoint_tag(epoch, batch)
    layout.checkpoints.mkdir(exist_ok=True)
    model_file, state_file = layout.model_file(tag), layout.trainer_state_file(tag)
    before = checkpoints.read_index(layout)
    again = next((entry for entry in before if entry["tag"] == tag), None)
    if again is not None:
        # Off the record while its files are replaced one after the other.
        before = checkpoints.remove_entries(layout, [tag])
    try:
        known = {
            model_file.name: _save(model_file, dict(weights)),
            state_file.name: _save(state_file, {"schema": SCHEMA, **trainer_state}),
        }
        write_object(layout.parameters_file(tag), hparams)
        write_object(layout.tensors_file(tag), {"tensors": describe_tensors(weights)})
        if not before:
            _read_again(model_file, dict(weights))
            _read_again(state_file, {"schema": SCHEMA, **trainer_state})
        entry = checkpoints.make_entry(
            layout,
            epoch,
            batch,
            step=step,
            time=time,
            metrics=metrics,
            best=best,
            pinned=again is not None and bool(again.get("pinned")),
            sha256=known,
        )
        entries = checkpoints.add_entry(layout, entry)
    except BaseException:
        _clear_away(layout, tag)
        raise
    # What can't be deleted now goes with the next one.
    with suppress(OSError, FileError):
        checkpoints.remove_entries(layout, checkpoints.to_delete(entries, keep, protect))
    return entry


def _clear_away(layout: RunLayout, tag: str) -> None:
    """Delete the files of a save that failed: half a checkpoint is none, and a full disk needs the space."""
    with suppress(OSError, FileError):
        # An index that was replaced before its folder refused to be synced has the checkpoint, whole.
        if all(entry["tag"] != tag for entry in checkpoints.read_index(layout)):
            for path in checkpoints.checkpoint_files(layout, tag):
                path.unlink(missing_ok=True)


def _read_again(path: Path, written: Any) -> None:
    """Compare a file with what was written to it.

    Raises:
        FileError: it reads differently, or not at all.
    """
    if not same(archive.load(path), written):
        raise FileError("checkpoint does not read back", f"{path} holds something else than was written")


def same(one: Any, other: Any) -> bool:
    """Whether two states are alike, tensors bit for bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if (one.dtype, one.shape, one.layout) != (other.dtype, other.shape, other.layout):
            return False
        return torch.equal(_bytes(one), _bytes(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(part, other[key]) for key, part in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other or (one != one and other != other))


def _bytes(tensor: Tensor) -> Tensor:
    dense = tensor if tensor.layout == torch.strided else tensor.to_dense()
    return dense.contiguous().reshape(-1).view(torch.uint8)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a `model_*.pt`. Nothing in it is executed.

    Raises:
        FileError: missing, corrupt, or holding anything but tensors by name (and modules' extra state).
    """
    state: dict[str, Tensor] = archive.load(path)
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise FileError("not a checkpoint", f"{path} holds something else than tensors by name", _WANTED)
    strange = [k for k, v in state.items() if not isinstance(v, Tensor) and not k.endswith(_EXTRA_STATE)]
    if strange:
        listed = ", ".join(strange[:4]) + (f" and {len(strange) - 4} more" if len(strange) > 4 else "")
        message = f"{path} holds something else than tensors by name: {listed}"
        raise FileError("not a checkpoint", message, _WANTED)
    return state


def load_into(
    model: torch.nn.Module,
    weights: Mapping[str, Tensor],
    path: Path,
    hint: str = _FITS,
) -> None:
    """Load weights into a model whose tensors must agree by name and shape.

    Names may be plain, or have the prefix of a wrapper (`module.`, `_orig_mod.`), on either side.

    Raises:
        FileError: names the first tensors that don't fit.
    """
    try:
        model.load_state_dict(named_as_in(model, weights))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        first: Iterable[str] = [line if len(line) <= 200 else line[:200] + " …" for line in lines]
        raise FileError("checkpoint does not fit the model", f"{path}: {' '.join(first)}", hint) from error


def load_initial(model: torch.nn.Module, path: Path) -> list[str]:
    """Load the weights of another run into a new model.

    What the model holds to describe its own data (names of classes or columns, as JSON bytes) stays.

    Returns:
        Names of the descriptions that were others in the file.

    Raises:
        FileError: the file can't be read or does not fit; names the first tensors that don't.
    """
    weights = named_as_in(model, read_tensors(path))
    own = {name: tensor for name, tensor in model.state_dict().items() if _is_description(tensor)}
    kept = [name for name in own if name in weights and not same(own[name].cpu(), weights[name])]
    load_into(model, {**weights, **own}, path, "every tensor must have its name and shape in this model")
    return kept


def _is_description(tensor: Any) -> bool:
    # Such as `models.layers.json_tensor` makes: no weights of any kind begin and end like this.
    return (
        isinstance(tensor, Tensor)
        and tensor.dtype == torch.uint8
        and tensor.dim() == 1
        and bytes(tensor[:1].tolist() + tensor[-1:].tolist()) in (b"[]", b"{}")
    )
