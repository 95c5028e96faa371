"""Weights that were trained elsewhere: a `.pt` or `.safetensors` file, read without running what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tui_trainer.engine import archive
from tui_trainer.engine.plain_keys import short_name
from tui_trainer.errors import FileError, UsageError

_INSIDE = ("state_dict", "model_state_dict", "model", "model_state", "weights", "net")
"""Where training scripts put a state_dict that they save with other things."""
_EXTRA_STATE = "_extra_state"
"""What modules keep beside tensors, as torch names it."""


def load_weights(model: nn.Module, path: str | Path, skip: str | Iterable[str] = ()) -> list[str]:
    """Give a model, or a part of it, the weights of a file.

    Names may be plain or have a wrapper's prefix (`module.`, `_orig_mod.`). A file that holds a state_dict
    beside other things, as training scripts save it, is read too.

    Args:
        model: the network or a part of it, such as a backbone.
        path: a `.pt`, `.pth` or `.safetensors` file.
        skip: a pattern such as `head.*`, or several: tensors of the model that keep their own values.

    Returns:
        Names of the file's tensors that the model has no use for.

    Raises:
        FileError: missing, corrupt, or lacking a tensor of the model; the message names the first.
    """
    path, patterns = Path(path).expanduser(), (skip,) if isinstance(skip, str) else tuple(skip)
    own = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    short = {short_name(name): name for name in own}
    weights = {
        name if name in own else short.get(short_name(name), name): tensor
        for name, tensor in read_tensors(path).items()
    }
    missing = [name for name in own if name not in weights]
    other = [
        f"{name} has shape {tuple(weights[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in weights
        and isinstance(tensor, Tensor)
        and not is_lazy(tensor)
        and weights[name].shape != tensor.shape
    ]
    if missing or other:
        told = [f"lacks {', '.join(missing[:3])}{_more(missing, 3)}"] if missing else []
        if len(missing) == len(own):
            told = [f"{told[0]}; it has {', '.join([*weights][:3])}{_more([*weights], 3)}"]
        told += [f"{'; '.join(other[:3])}{_more(other, 3)}"] if other else []
        raise FileError(
            "weights do not fit the model",
            f"{path}: {'; '.join(told)}",
            'load_weights(model, path, skip=["head.*"]) leaves layers of another task out',
        )
    model.load_state_dict({name: weights[name] for name in own}, strict=False)
    return [name for name in weights if name not in own]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a `.safetensors` file, or of a `.pt` that holds them, alone or beside other things.

    Raises:
        FileError: it is missing, can't be read, or holds no tensors by name.
        UsageError: the package safetensors is missing.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    found: Any = archive.load(path)
    if isinstance(found, Mapping):
        # First, since what lies beside them may be tensors too, such as the best accuracy.
        inside = [name for name in _INSIDE if _has_tensors(found.get(name))]
        found = found[inside[0]] if inside else found
    if not _has_tensors(found):
        raise FileError(
            "no weights in the file",
            f"{path} holds a {type(found).__name__} without tensors by name",
            "save them with torch.save(model.state_dict(), path)",
        )
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, Tensor) or name.endswith(_EXTRA_STATE)
    }


def _has_tensors(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and all(isinstance(name, str) for name in value)
        and any(isinstance(part, Tensor) for part in value.values())
    )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise UsageError(
            "safetensors is missing", f"{path} needs it", "pip install 'tui-trainer[export]'"
        ) from error
    try:
        found: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise FileError("weights can't be read", f"{path}: {error}") from error
    return found


def _more(names: list[str], shown: int) -> str:
    return f" and {len(names) - shown} more" if len(names) > shown else ""
