"""Names of torch's optimizers and losses, so that forms, flags and presets need not import torch.

A test holds these lists against `torch.optim` and `torch.nn`.
"""

from __future__ import annotations

from typing import Literal, get_args

OptimizerName = Literal[
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon",
    "NAdam", "RAdam", "RMSprop", "Rprop", "SGD", "SparseAdam",
]  # fmt: skip
OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)

OPTIMIZER_OPTIONS: dict[str, frozenset[str]] = {
    "ASGD": frozenset({"weight_decay"}),
    "Adadelta": frozenset({"weight_decay", "eps"}),
    "Adafactor": frozenset({"weight_decay"}),
    "Adagrad": frozenset({"weight_decay", "eps"}),
    "Adam": frozenset({"weight_decay", "betas", "eps"}),
    "AdamW": frozenset({"weight_decay", "betas", "eps"}),
    "Adamax": frozenset({"weight_decay", "betas", "eps"}),
    "LBFGS": frozenset(),
    "Muon": frozenset({"weight_decay", "momentum", "eps"}),
    "NAdam": frozenset({"weight_decay", "betas", "eps"}),
    "RAdam": frozenset({"weight_decay", "betas", "eps"}),
    "RMSprop": frozenset({"weight_decay", "momentum", "eps"}),
    "Rprop": frozenset(),
    "SGD": frozenset({"weight_decay", "momentum"}),
    "SparseAdam": frozenset({"betas", "eps"}),
}
"""Which of our option hparams each optimizer takes. Adafactor's `eps` is a pair, so it is not ours."""

OPTION_NAMES = ("weight_decay", "momentum", "betas", "eps")

LossName = Literal[
    "auto",
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss",
    "L1Loss", "MSELoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss",
    "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss",
]  # fmt: skip
LOSSES: tuple[str, ...] = get_args(LossName)

UNUSABLE_LOSSES: dict[str, str] = {
    "AdaptiveLogSoftmaxWithLoss": "is a layer with weights of its own",
    "CTCLoss": "also takes the lengths of inputs and targets",
    "CosineEmbeddingLoss": "takes two inputs and a target",
    "GaussianNLLLoss": "also takes a variance",
    "LinearCrossEntropyLoss": "is a layer with weights of its own",
    "MarginRankingLoss": "takes two inputs and a target",
    "NLLLoss2d": "is an old name of NLLLoss",
    "TripletMarginLoss": "takes an anchor, a positive and a negative",
    "TripletMarginWithDistanceLoss": "takes an anchor, a positive and a negative",
}
"""Losses of `torch.nn` that cannot be called as loss(outputs, targets), and why."""

SchedulerName = Literal["constant", "cosine", "step", "one_cycle", "plateau"]
PrecisionName = Literal["float32", "bfloat16", "float16"]
