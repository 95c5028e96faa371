"""Names of tensors without what wrappers put before them, so that saved weights fit the bare network.

`torch.compile(model)` prefixes `_orig_mod.`, DataParallel, DistributedDataParallel and AveragedModel prefix
`module.`, for the whole network or for a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

_COMPILED = "_orig_mod"
_WRAPPED = "module"
_COUNTER = "n_averaged"
"""What AveragedModel keeps beside the network."""


def plain_names(model: nn.Module) -> dict[str, str]:
    """The plain name of each entry of the model's state_dict, by the name that it has there."""
    passed_over = set()
    for path, module in model.named_modules(remove_duplicate=False):
        inner = f"{path}." if path else ""
        if isinstance(module, (DataParallel, DistributedDataParallel, AveragedModel)):
            passed_over.add(inner + _WRAPPED)
        elif _COMPILED in module._modules:
            # By its name, for its class is in torch's compiler, which takes seconds to import.
            passed_over.add(inner + _COMPILED)
    return {name: _without(name, passed_over) for name in model.state_dict()}


def _without(name: str, passed_over: set[str]) -> str:
    parts = name.split(".")
    return ".".join(part for k, part in enumerate(parts) if ".".join(parts[: k + 1]) not in passed_over)


def named_as_in(model: nn.Module, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights under the names that the model's own state_dict has for them.

    Args:
        model: bare or wrapped.
        weights: named plainly, or as some wrapper named them. What fits neither way keeps its name.
    """
    own = {plain: name for name, plain in plain_names(model).items()}
    exact = {own.get(name, name): tensor for name, tensor in weights.items()}
    if exact.keys() == {*own.values()}:
        return exact
    short = {short_name(plain): name for plain, name in own.items()}
    named = [name for name in weights if name != _COUNTER or name in short]
    loose = {short.get(short_name(name), name): weights[name] for name in named}
    return loose if loose.keys() == {*own.values()} and len(loose) == len(named) else exact


def short_name(name: str) -> str:
    """A name without any wrapper's prefix."""
    return ".".join(part for part in name.split(".") if part not in (_COMPILED, _WRAPPED))
