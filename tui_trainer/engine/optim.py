"""Optimizers by name, and reasons where one can't train this model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import LBFGS, Optimizer, RMSprop

from tui_trainer.config.hparams import Hparams
from tui_trainer.config.names import OPTION_NAMES
from tui_trainer.engine.describe import a
from tui_trainer.engine.several import SeveralOptimizers, members_of
from tui_trainer.errors import TrainerError, UsageError

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

_ALL = frozenset({"cpu", "cuda", "mps", "xpu"})
FUSED_DEVICES = {"Adam": _ALL, "AdamW": _ALL, "SGD": _ALL, "Adagrad": frozenset({"cpu"})}
"""Where torch has a fused form of an optimizer, the fastest one."""


def build_optimizer(task: Task, hparams: Hparams, model: nn.Module) -> Optimizer:
    """The task's own optimizer or optimizers, or the one that `hparams.optimizer` names, in its fastest form.

    Raises:
        UsageError: this optimizer can't train this model; the message says why.
        TrainerError: the model has nothing to train, or the task returned no optimizer of it.
    """
    own = task.optimizer(hparams, model)
    if own is not None:
        optimizer = _checked(task, own)
        _refuse_foreign(optimizer, model)
        return optimizer
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise TrainerError(
            "nothing to train", "the model has no parameter that requires a gradient", "check model(hparams)"
        )
    name = hparams.optimizer
    _refuse_unfit(hparams, model)
    if name == "LBFGS" and task.overrides("train_step"):
        raise UsageError(
            "optimizer can't train this model",
            f"LBFGS repeats a step's batches, which {type(task).__name__}.train_step can't",
            "--optimizer AdamW",
        )
    options: dict[str, Any] = {"lr": hparams.lr}
    options |= {option: value for option in OPTION_NAMES if (value := getattr(hparams, option)) is not None}
    plain = all(p.is_floating_point() and p.layout == torch.strided for p in parameters) and not _sparse(
        model
    )
    # Where the gradient scaler skips the first step, torch's fused SGD goes on with uninitialised momentum.
    unsafe = name == "SGD" and bool(hparams.momentum) and hparams.precision == "float16"
    if plain and not unsafe and parameters[0].device.type in FUSED_DEVICES.get(name, ()):
        options["fused"] = True
    named: Optimizer = getattr(torch.optim, name)(parameters, **options)
    return named


def _checked(task: Task, own: Any) -> Optimizer:
    """What a task returned as its optimizer, as one optimizer."""
    several = isinstance(own, Mapping)
    members = dict(own) if several else {"": own}
    strange = [member for member in members.values() if not isinstance(member, Optimizer)]
    if strange or not members or not all(isinstance(name, str) for name in members):
        what = f"a dict with {a(strange[0])}" if several and strange else a(own)
        raise TrainerError(
            "not an optimizer",
            f"optimizer() returned {what if members else 'an empty dict'}",
            "return a torch.optim.Optimizer, or several as {name: optimizer}",
        )
    own_steps = task.overrides("train_step")
    if (several or own_steps) and any(isinstance(member, LBFGS) for member in members.values()):
        raise UsageError(
            "optimizer can't train this model",
            f"LBFGS repeats a step's batches, and {'train_step' if own_steps else 'several together'} can't",
            "take AdamW or SGD",
        )
    if isinstance(own, Optimizer):
        return own
    if not own_steps:
        _refuse_shared(members)
    return SeveralOptimizers(members)


def _refuse_shared(members: Mapping[str, Optimizer]) -> None:
    """Refuse a parameter of two optimizers that make their steps together: it would move twice."""
    owners: dict[int, str] = {}
    for name, member in members.items():
        for parameter in (p for group in member.param_groups for p in group["params"]):
            other = owners.setdefault(id(parameter), name)
            if other != name:
                raise TrainerError(
                    "parameter of two optimizers",
                    f"optimizer() gives one of shape {tuple(parameter.shape)} to {other} and to {name}",
                    "give each parameter to one of them, or define train_step",
                )


def _refuse_foreign(optimizer: Optimizer, model: nn.Module) -> None:
    """Refuse an optimizer without any parameter of the model: nothing would ever be learned.

    Some others beside the model's may be meant, such as those of a loss.
    """
    own = {id(parameter) for parameter in model.parameters()}
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not any(id(parameter) in own for parameter in trained):
        raise TrainerError(
            "optimizer of another model",
            f"none of the optimizer's {len(trained):,} tensors is a parameter of the model that is trained",
            "build it from the model that optimizer(hparams, model) gets: model.parameters()",
        )


def adopt_options(optimizer: Optimizer, built: list[dict[str, Any]], names: Collection[str]) -> None:
    """Give an optimizer whose state was loaded the options that it was built with.

    Args:
        optimizer: as it was loaded.
        built: its parameter groups as they were before that.
        names: the options that are wanted; names that are none of `OPTION_NAMES` count for nothing.
    """
    owners = [member for member in members_of(optimizer).values() for _ in member.param_groups]
    for owner, group, before in zip(owners, optimizer.param_groups, built, strict=True):
        group |= {name: before[name] for name in OPTION_NAMES if name in names and name in before}
        if isinstance(owner, RMSprop) and group["momentum"] > 0:
            # The one optimizer that makes room for its momentum at its first step only.
            for parameter in group["params"]:
                if state := owner.state.get(parameter):
                    state.setdefault("momentum_buffer", torch.zeros_like(parameter))


def _sparse(model: nn.Module) -> set[int]:
    """Ids of the parameters whose gradients are sparse."""
    embeddings = (m for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag)))
    return {id(m.weight) for m in embeddings if m.sparse}


def _refuse_unfit(hparams: Hparams, model: nn.Module) -> None:
    name, sparse = hparams.optimizer, _sparse(model)
    trained = [(key, p) for key, p in model.named_parameters() if p.requires_grad]
    if name == "Muon":
        others = [key for key, p in trained if p.dim() != 2]
        if others:
            raise UsageError(
                "optimizer can't train this model",
                f"Muon updates matrices only; {len(others)} of {len(trained)} parameters are none, "
                f"for example {others[0]}",
                "--optimizer AdamW, or give Muon its matrices in your task's optimizer()",
            )
    if name == "SparseAdam":
        dense = [key for key, p in trained if id(p) not in sparse]
        if dense:
            raise UsageError(
                "optimizer can't train this model",
                f"SparseAdam needs sparse gradients; {len(dense)} of {len(trained)} parameters have dense "
                f"ones, for example {dense[0]}",
                "--optimizer Adam",
            )
    if name == "LBFGS" and any(p.is_complex() for _, p in trained):
        raise UsageError(
            "optimizer can't train this model", "LBFGS does not take complex parameters", "--optimizer Adam"
        )
    if sparse and (hparams.grad_clip_norm is not None or hparams.on_nonfinite == "skip"):
        clips = hparams.grad_clip_norm is not None
        raise UsageError(
            "gradients can't be clipped" if clips else "steps can't be skipped",
            "the model has an embedding with sparse=True, and torch has no norm of sparse gradients",
            f"{'--grad-clip-norm none' if clips else '--on-nonfinite rollback'}, or sparse=False",
        )
