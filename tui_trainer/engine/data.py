"""From what `Task.datasets` returns to the loaders of the loop: splitting, placing, checking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from tui_trainer.config.hparams import Hparams
from tui_trainer.datasets.splits import split_indices
from tui_trainer.engine.alerts import Alert, no_alert
from tui_trainer.engine.describe import a, describe
from tui_trainer.engine.loaders import DatasetLoader, ForeignLoader, Loader, TensorLoader, worker_count
from tui_trainer.engine.sampler import BatchPlan
from tui_trainer.errors import TrainerError, UsageError

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

RESIDENT_SHARE = 0.4
"""Data stay on a GPU when they take no more than this share of its free memory."""


@dataclass(frozen=True)
class Splits:
    """The loaders of a run; `val` and `test` may be None."""

    train: Loader
    val: Loader | None
    test: Loader | None

    def evaluated(self) -> dict[str, Loader]:
        """The splits to evaluate, by the name their metrics carry."""
        return {
            name: loader for name, loader in (("val", self.val), ("test", self.test)) if loader is not None
        }

    def close(self) -> None:
        for loader in (self.train, self.val, self.test):
            if loader is not None:
                loader.close()


_WANTED = (
    "return a Dataset, an IterableDataset or a tuple of tensors, "
    "or (train, test) or (train, val, test) of these"
)


def raw_splits(task: Task, hparams: Hparams) -> tuple[Any, Any, Any]:
    """(train, val, test) as the task gives them, with what it leaves to us split off.

    Raises:
        TrainerError: the task returned something that is no data set.
        UsageError: the split leaves a part without samples.
    """
    returned = task.datasets(hparams)
    parts = returned if _is_split_tuple(returned) else (returned,)
    if parts[0] is None:
        hint = "return a data set, or (train, test): does datasets() end with `return`?"
        raise TrainerError("no data", "datasets() returned None as training set", hint)
    parts = tuple(_normalised(part) for part in parts)
    if len(parts) == 1:
        train, val, test = _split_off(parts[0], hparams, hparams.test_size)
    elif len(parts) == 2:
        train, val, test = parts[0], None, parts[1]
        if hparams.val_size:
            train, val, _ = _split_off(train, hparams, 0.0)
    else:
        train, val, test = parts
    for name, part in (("training", train), ("validation", val), ("test", test)):
        if part is not None and sample_count(part) == 0:
            raise TrainerError(
                "empty data set", f"the {name} set has no sample", "check datasets() and the split sizes"
            )
    return train, val, test


def _is_split_tuple(returned: Any) -> bool:
    """A tuple of splits, as opposed to one split that is a tuple of tensors."""
    if not isinstance(returned, tuple) or all(_is_array(part) for part in returned):
        return False
    if len(returned) > 3:
        kinds = ", ".join(type(part).__name__ for part in returned)
        raise TrainerError("too many data sets", f"datasets() returned a tuple of {kinds}", _WANTED)
    return True


def _is_array(part: Any) -> bool:
    return isinstance(part, (Tensor, np.ndarray))


def _normalised(part: Any) -> Any:
    """Tensors for arrays, a tuple for a TensorDataset; anything else unchanged."""
    if type(part) is TensorDataset:
        return part.tensors
    if _is_array(part):
        part = (part,)
    if isinstance(part, tuple) and part and all(_is_array(each) for each in part):
        tensors = tuple(as_tensor(each) for each in part)
        lengths = {len(t) for t in tensors if t.dim()}
        if len(lengths) != 1 or any(t.dim() == 0 for t in tensors):
            shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
            hint = "samples go in dim 0 of each"
            if len(tensors) == 4:
                hint += "; (x, y), (x_test, y_test) is a training and a test set"
            raise TrainerError(
                "data of different lengths", f"the tensors of a data set have shapes {shapes}", hint
            )
        return tensors
    if _means_a_tuple(part):
        raise TrainerError(
            "list of tensors",
            f"datasets() returned a list of {len(part)} tensors, which would be {len(part)} samples",
            "return a tuple: (inputs, targets) with samples in dim 0",
        )
    if isinstance(part, tuple) or hasattr(part, "iloc"):
        kinds = (
            ", ".join(type(each).__name__ for each in part)
            if isinstance(part, tuple)
            else type(part).__name__
        )
        raise TrainerError(
            "not a data set",
            f"datasets() returned {kinds}, where tensors or arrays are expected",
            "make tensors of them, with samples in dim 0: torch.tensor(values)",
        )
    indexed = hasattr(part, "__getitem__") and hasattr(part, "__len__")
    iterated = isinstance(part, IterableDataset) or hasattr(part, "__iter__")
    if isinstance(part, list) and part and isinstance(part[0], (bool, int, float)):
        hint = "make tensors of them, with samples in dim 0: torch.tensor(values)"
        raise TrainerError("not a data set", f"datasets() returned a {describe(part)}", hint)
    if isinstance(part, dict):
        raise TrainerError("not a data set", f"datasets() returned a dict: {describe(part)}", _WANTED)
    if part is not None and (isinstance(part, (str, bytes)) or not (indexed or iterated)):
        missing = " without __len__" if hasattr(part, "__getitem__") else ""
        hint = f"define __len__(self) in {type(part).__name__}" if missing else _WANTED
        raise TrainerError("not a data set", f"datasets() returned {a(part)}{missing}", hint)
    return part


def _means_a_tuple(part: Any) -> bool:
    """Whether a list, whose elements are samples, looks rather like [inputs, targets]."""
    if not isinstance(part, list) or not 2 <= len(part) <= 4 or not all(_is_array(each) for each in part):
        return False
    lengths = {len(each) if each.ndim else 0 for each in part}
    return len(lengths) == 1 and max(lengths) > len(part)


def as_tensor(array: Any) -> Tensor:
    """An array of a data set as a tensor, in a dtype that models take.

    Raises:
        TrainerError: torch has none for it.
    """
    if isinstance(array, Tensor):
        return array
    if array.dtype == np.float64:
        # NumPy's default float is no model's; a task that wants float64 returns tensors.
        array = array.astype(np.float32)
    elif array.dtype.kind == "u" and array.dtype.itemsize > 1:
        # torch can hold these but not gather them.
        array = array.astype(np.int32 if array.dtype.itemsize == 2 else np.int64)
    elif array.dtype.kind not in "biuf":
        raise TrainerError(
            "data that torch can't hold",
            f"an array of dtype {array.dtype} is no tensor",
            "encode it as numbers in datasets()",
        )
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def sample_count(part: Any) -> int | None:
    """Samples of a split; None where nobody knows."""
    if isinstance(part, tuple):
        return len(part[0])
    try:
        return len(part)
    except (TypeError, NotImplementedError):
        return None


def _split_off(part: Any, hparams: Hparams, test_size: float) -> tuple[Any, Any, Any]:
    samples = sample_count(part)
    if test_size == 0 and hparams.val_size == 0:
        return part, None, None
    if samples is not None and not hasattr(part, "__getitem__"):
        raise TrainerError(
            "can't split a loader",
            f"datasets() returned {a(part)}, and test_size is {test_size:g}",
            "return its data set, and the loader from dataloader(hparams, dataset, train); or (train, None)",
        )
    if samples is None or isinstance(part, IterableDataset):
        raise UsageError(
            "can't split data without a length",
            f"datasets() returned {a(part)}, and test_size is {test_size:g}",
            "return (train, test) or (train, None) from datasets(), or set test_size to 0",
        )
    splits = split_indices(samples, test_size, hparams.val_size, hparams.seed, labels=_labels(part))
    return tuple(  # type: ignore[return-value]
        None if index is None or len(index) == 0 else _take(part, index)
        for index in (splits.train, splits.val, splits.test)
    )


def _labels(part: Any) -> np.ndarray[Any, Any] | None:
    """Class indices to stratify by, where the data plainly have them."""
    found = part[-1] if isinstance(part, tuple) and len(part) > 1 else getattr(part, "targets", None)
    if found is None or (isinstance(part, tuple) and found.is_floating_point()):
        return None
    try:
        labels = np.asarray(found.cpu() if isinstance(found, Tensor) else found)
    except (TypeError, ValueError):
        return None
    if labels.ndim != 1 or labels.dtype.kind not in "biu" or len(labels) != sample_count(part):
        return None
    # Where most values occur once they are numbers (ages, ids), not classes.
    return labels if 2 * len(np.unique(labels)) <= len(labels) else None


def _take(part: Any, index: np.ndarray[Any, Any]) -> Any:
    if isinstance(part, tuple):
        rows = torch.from_numpy(index)
        return tuple(t[rows] for t in part)
    return Subset(part, index.tolist())


def has_batchnorm(model: nn.Module) -> bool:
    """Whether a layer needs more than one sample to train."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def build_loaders(
    task: Task,
    hparams: Hparams,
    parts: tuple[Any, Any, Any],
    model: nn.Module,
    device: torch.device,
    alert: Alert = no_alert,
) -> Splits:
    """Build the loaders of `raw_splits`' parts.

    Args:
        parts: what `raw_splits` returned.
        model: decides whether a last batch of one sample is joined.
        device: where batches are needed.
        alert: is told when loader processes died and new ones go on.
    """
    train, val, test = parts
    resident = _fits(parts, device)

    def build(part: Any, training: bool) -> Loader | None:
        if part is None:
            return None
        limit = hparams.overfit_batches
        whole = training or limit > 0
        # What is overfitted must be what is tested, so both come from the same kind of loader.
        own = task.dataloader(hparams, part, whole)
        if own is not None:
            return ForeignLoader(own, hparams.seed, device, limit, alert)
        size = hparams.batch_size if whole else hparams.eval_batch_size or hparams.batch_size
        collate = collate_of(part)
        if isinstance(part, IterableDataset):
            workers = hparams.num_workers if isinstance(hparams.num_workers, int) else 0
            own = DataLoader(part, batch_size=size, num_workers=workers, collate_fn=collate)
            return ForeignLoader(own, hparams.seed, device, limit, alert)
        samples = sample_count(part)
        if samples is None:
            return ForeignLoader(part, hparams.seed, device, limit, alert)
        join = training and has_batchnorm(model)
        plan = BatchPlan(samples, size, seed=hparams.seed, shuffle=whole, join_single=join, limit=limit)
        if isinstance(part, tuple):
            return TensorLoader(part, plan, device, resident)
        workers = worker_count(hparams.num_workers, part, size)
        return DatasetLoader(part, plan, device, workers, collate, alert)

    loader = build(train, True)
    assert loader is not None
    if hparams.overfit_batches:
        # The question is whether the model can learn these very batches, so they are what is tested too.
        return Splits(loader, None, build(train, False))
    return Splits(loader, build(val, False), build(test, False))


def collate_of(part: Any) -> Any:
    """A data set's own `collate_fn`, also when a part of it was split off."""
    while isinstance(part, Subset) and not hasattr(part, "collate_fn"):
        part = part.dataset
    return getattr(part, "collate_fn", None)


def _fits(parts: tuple[Any, Any, Any], device: torch.device) -> bool:
    tensors = [t for part in parts if isinstance(part, tuple) for t in part]
    if device.type != "cuda":
        return True
    needed = sum(t.numel() * t.element_size() for t in tensors)
    free, _ = torch.cuda.mem_get_info(device)
    return bool(needed <= RESIDENT_SHARE * free)
