"""Every wrong value has its own sentence, and the sentence never is pydantic's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import field_validator

from tui_trainer.config.hparams import CrossFieldError, Field, Hparams
from tui_trainer.config.problems import HparamsError, Problem, suggestion, validate
from tui_trainer.errors import Exit


class Net(Hparams):
    latent_dim: int = Field(128, gt=0, description="Width of each hidden layer, in units.")
    n_layers: int = Field(3, ge=1, le=64, description="Hidden layers.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability of dropping a unit.")
    activation: Literal["relu", "gelu", "tanh"] | None = Field("relu", description="Non-linearity.")
    patches: Literal["auto"] | int = Field("auto", description="Patches a side.")
    widths: tuple[int, ...] | None = Field(None, description="Width of each layer.")
    label: str = Field("x", min_length=1, max_length=8, description="A label.")

    @field_validator("latent_dim", mode="after")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"expected an even number, got {value}")
        return value

    def cross_checks(self) -> Iterator[tuple[str, str]]:
        yield from super().cross_checks()
        if self.n_layers == 1 and self.dropout:
            yield "dropout", "one layer has nothing to drop"


BAD = [
    ({"lr": "abc"}, 'lr: expected a number > 0, got "abc"'),
    ({"lr": 0}, "lr: expected a number > 0, got 0"),
    ({"lr": -1e-3}, "lr: expected a number > 0, got -0.001"),
    ({"lr": True}, "lr: expected a number > 0, got true"),
    ({"lr": None}, "lr: expected a number > 0, got null"),
    ({"lr": math.nan}, "lr: expected a number > 0, got NaN"),
    ({"lr": math.inf}, "lr: expected a number > 0, got Infinity"),
    ({"lr": 2e6}, "lr: expected a number > 0 and ≤ 1,000,000, got 2000000.0"),
    ({"lr": [1e-3]}, "lr: expected a number > 0, got [0.001]"),
    ({"lr": {"peak": 1}}, 'lr: expected a number > 0, got {"peak": 1}'),
    ({"lr": "1e-3"}, 'lr: expected a number > 0, got "1e-3"'),
    ({"batch_size": 0}, "batch_size: expected a whole number ≥ 1, got 0"),
    ({"batch_size": 1.5}, "batch_size: expected a whole number ≥ 1, got 1.5"),
    ({"batch_size": 32.0}, "batch_size: expected a whole number ≥ 1, got 32.0"),
    ({"batch_size": True}, "batch_size: expected a whole number ≥ 1, got true"),
    ({"batch_size": 1 << 25}, "batch_size: expected a whole number from 1 to 16,777,216, got 33554432"),
    ({"eval_batch_size": 0}, "eval_batch_size: expected a whole number ≥ 1, or none, got 0"),
    ({"epochs": "10"}, 'epochs: expected a whole number ≥ 1, got "10"'),
    ({"epochs": math.nan}, "epochs: expected a whole number ≥ 1, got NaN"),
    ({"grad_accumulation": 65537}, "grad_accumulation: expected a whole number from 1 to 65,536, got 65537"),
    ({"seed": -1}, "seed: expected a whole number ≥ 0, got -1"),
    ({"seed": 2**32}, "seed: expected a whole number from 0 to 4,294,967,295, got 4294967296"),
    ({"test_size": 1}, "test_size: expected a number ≥ 0 and < 1, got 1"),
    (
        {"test_size": 0.5, "val_size": 0.5},
        "val_size: test_size 0.5 and val_size 0.5 leave no sample to train on",
    ),
    ({"momentum": 1.0, "optimizer": "SGD"}, "momentum: expected a number ≥ 0 and < 1, or none, got 1.0"),
    (
        {"momentum": 0.9},
        "momentum: Adam does not take it (of these options it takes betas, eps, weight_decay)",
    ),
    (
        {"eps": 1e-8, "optimizer": "LBFGS"},
        "eps: LBFGS does not take it (of these options it takes none of them)",
    ),
    ({"betas": [0.9]}, "betas: expected two numbers from 0 to below 1, or none, got [0.9]"),
    ({"betas": [0.9, 1.0]}, "betas: expected two numbers from 0 to below 1, got [0.9, 1.0]"),
    ({"betas": [0.9, "x"]}, 'betas: expected two numbers from 0 to below 1, or none, got [0.9, "x"]'),
    ({"betas": [0.9, math.nan]}, "betas: expected two numbers from 0 to below 1, or none, got [0.9, NaN]"),
    ({"betas": 0.9}, "betas: expected two numbers from 0 to below 1, or none, got 0.9"),
    ({"optimizer": "Adamm"}, 'optimizer: unknown "Adamm"; did you mean Adam, AdamW, Adamax?'),
    ({"optimizer": "adam"}, 'optimizer: unknown "adam"; did you mean Adam, AdamW, Adamax?'),
    (
        {"optimizer": "zzz"},
        "optimizer: expected one of ASGD, Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, LBFGS, Muon, "
        'NAdam, RAdam, RMSprop, Rprop, SGD, SparseAdam, got "zzz"',
    ),
    ({"scheduler": 5}, "scheduler: expected one of constant, cosine, step, one_cycle, plateau, got 5"),
    ({"precision": "fp16"}, 'precision: expected one of float32, bfloat16, float16, got "fp16"'),
    ({"precision": "float23"}, 'precision: unknown "float23"; did you mean float32, float16?'),
    ({"loss": "CrossEntropy"}, 'loss: unknown "CrossEntropy"; did you mean CrossEntropyLoss?'),
    (
        {"loss": "CTCLoss"},
        "loss: CTCLoss also takes the lengths of inputs and targets, so it can't be called as "
        "loss(outputs, targets); use it in your task's compute_loss",
    ),
    (
        {"loss": "MSELoss", "label_smoothing": 0.1},
        "label_smoothing: MSELoss does not take it; only CrossEntropyLoss does",
    ),
    ({"num_workers": "many"}, 'num_workers: expected "auto" or a whole number from 0 to 512, got "many"'),
    ({"num_workers": 513}, 'num_workers: expected "auto" or a whole number from 0 to 512, got 513'),
    ({"num_workers": True}, 'num_workers: expected "auto" or a whole number from 0 to 512, got true'),
    ({"eval_every": []}, 'eval_every: expected a whole number of epochs, "200steps", "10min", or 0, got []'),
    (
        {"eval_every": 1.5},
        'eval_every: expected a whole number of epochs, "200steps", "10min", or 0, got 1.5',
    ),
    ({"device": "gpu"}, 'device: expected auto, cpu, cuda, cuda:N, mps or xpu, got "gpu"'),
    ({"compile": 1}, "compile: expected true or false, got 1"),
    ({"deterministic": "yes"}, 'deterministic: expected true or false, got "yes"'),
    ({"dataset_path": 3}, "dataset_path: expected a file or folder, or none, got 3"),
    ({"dataset_json_fname": "x" * 300}, "dataset_json_fname: expected at most 255 characters, got 300"),
    ({"monitor": "loss"}, 'monitor: expected a split and a metric such as "test/loss", got "loss"'),
    (
        {"max_steps": 2**60},
        "max_steps: expected a whole number from 1 to 1,000,000,000,000, or none, got 1152921504606846976",
    ),
    (
        {"scheduler": "plateau", "warmup": 0.1},
        "warmup: the plateau scheduler has no warm-up; set warmup to 0 or take another scheduler",
    ),
    ({"latent_dim": 3}, "latent_dim: expected an even number, got 3"),
    ({"n_layers": 65}, "n_layers: expected a whole number from 1 to 64, got 65"),
    ({"activation": "rleu"}, 'activation: unknown "rleu"; did you mean relu?'),
    ({"activation": 0}, "activation: expected one of relu, gelu, tanh, or none, got 0"),
    ({"patches": "x"}, 'patches: expected auto or a whole number, got "x"'),
    ({"patches": 0.5}, "patches: expected auto or a whole number, got 0.5"),
    ({"widths": [1, "b"]}, 'widths: expected a list of numbers, or none, got [1, "b"]'),
    ({"label": ""}, "label: expected at least 1 characters, got 0"),
    ({"label": "\ud800"}, 'label: expected text, got "\\ud800"'),
    ({"label": {"a": "\x1b[2J"}}, 'label: expected text, got {"a": "\\u001b[2J"}'),
    ({"n_layers": 1, "dropout": 0.5}, "dropout: one layer has nothing to drop"),
    ({"batch_sise": 1}, "batch_sise: unknown; did you mean batch_size?"),
    ({"learning_rate": 1}, "learning_rate: unknown; did you mean lr?"),
    ({"max_epochs": 1}, "max_epochs: unknown; did you mean epochs?"),
    ({"qqqq": 1}, "qqqq: unknown"),
    ({"batch-size": 1}, "batch-size: unknown; did you mean batch_size?"),
    ({"zz\x1b[31m": 1}, "zz\\x1b[31m: unknown"),
    ({"zzzz": math.nan}, "zzzz: unknown"),
    (
        {"zzzz": {"lr": 1}},
        "zzzz: unknown; a preset is flat, so what is inside this object belongs at the top level",
    ),
]


@pytest.mark.parametrize(("values", "line"), BAD, ids=[line[:60] for _, line in BAD])
def test_sentence(values: dict[str, Any], line: str) -> None:
    hparams, problems = validate(Net, values)
    assert hparams is None
    assert [str(problem) for problem in problems] == [line]


def test_all_at_once_and_one_per_key() -> None:
    hparams, problems = validate(
        Net, {"lr": "x", "betas": ["a", "b"], "num_workers": "x", "xx": 1, "seed": -1}
    )
    assert hparams is None
    assert sorted(problem.key for problem in problems) == ["betas", "lr", "num_workers", "seed", "xx"]


def test_rules_between_fields_are_told_beside_wrong_fields() -> None:
    _, problems = validate(Net, {"lr": "x", "scheduler": "plateau", "warmup": 0.1})
    assert [problem.key for problem in problems] == ["lr", "warmup"]


def test_no_rule_is_judged_from_a_wrong_field() -> None:
    _, problems = validate(Net, {"optimizer": "Adamm", "momentum": 0.9})
    assert [problem.key for problem in problems] == ["optimizer"]


def test_refused_keys_are_left_out() -> None:
    hparams, problems = validate(Net, {"seed": -1}, refused=["lr"])
    assert hparams is None
    assert [problem.key for problem in problems] == ["seed"]
    assert validate(Net, {}, refused=["lr"]) == (None, [])


def test_required_field() -> None:
    class Needy(Hparams):
        classes: int = Field(gt=0, description="Classes.")

    _, problems = validate(Needy, {})
    assert problems == [Problem("classes", "missing; expected a whole number > 0")]


def test_values_that_only_a_lax_field_would_take() -> None:
    class Lax(Hparams):
        anything: Any = Field(None, description="Anything.")

    _, problems = validate(Lax, {"anything": {"a": [math.inf]}})
    assert [str(problem) for problem in problems] == [
        'anything: expected finite numbers, got {"a": [Infinity]}'
    ]


def test_valid() -> None:
    hparams, problems = validate(Net, {"lr": 1, "betas": [0.9, 0.95]})
    assert problems == []
    assert hparams is not None
    assert (hparams.lr, hparams.betas) == (1.0, (0.9, 0.95))


def test_findings_of_a_cross_field_error() -> None:
    error = CrossFieldError([("a", "wrong"), ("b", "too")])
    assert str(error) == "a: wrong; b: too"


def test_error_counts_and_keeps_problems() -> None:
    one, two = Problem("lr", "wrong"), Problem("seed", "wrong")
    assert HparamsError("wrong hparams", [one]).lines() == "error: wrong hparams: 1 problem\n  lr: wrong"
    error = HparamsError("wrong hparams", [one, two], hint="look")
    assert error.message == "2 problems\n  lr: wrong\n  seed: wrong"
    assert error.problems == [one, two]
    assert error.exit_code == Exit.USAGE


def test_suggestion_prefers_the_same_initial() -> None:
    assert suggestion("batch_sise", ["batch_size", "eval_batch_size"]) == "; did you mean batch_size?"
    assert suggestion("atch_size", ["batch_size"]) == "; did you mean batch_size?"
    assert suggestion("", ["batch_size"]) == ""
