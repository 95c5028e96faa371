"""What is wrong with a set of hparams, one sentence per key, in our words and never pydantic's."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from tui_trainer.config.fields import FieldSpec, printable, show_value
from tui_trainer.config.hparams import CrossFieldError, Hparams
from tui_trainer.errors import UsageError, did_you_mean

H = TypeVar("H", bound=Hparams)


@dataclass(frozen=True)
class Problem:
    """One hparam that is wrong, and why.

    Attributes:
        key: the hparam; empty when the values as a whole are wrong.
        text: what was expected and what was found.
    """

    key: str
    text: str

    def __str__(self) -> str:
        return f"{printable(self.key)}: {self.text}" if self.key else self.text


class HparamsError(UsageError):
    """Hparams that do not fit their task, all problems at once.

    Args:
        title: what does not fit what.
        problems: every problem found.
        line: how a problem is shown, for example with its file and line.
        hint: where the valid hparams are listed.

    Attributes:
        problems: as given, so that a form can show each under its field.
    """

    def __init__(
        self, title: str, problems: Sequence[Problem], line: Callable[[Problem], str] = str, hint: str = ""
    ) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(title, "\n  ".join([count, *map(line, problems)]), hint)
        self.problems = list(problems)


_NAMES_ELSEWHERE = {
    "accumulate_grad_batches": "grad_accumulation",
    "bs": "batch_size",
    "criterion": "loss",
    "gradient_accumulation_steps": "grad_accumulation",
    "gradient_clip_val": "grad_clip_norm",
    "learning_rate": "lr",
    "loss_fn": "loss",
    "lr_scheduler": "scheduler",
    "max_epochs": "epochs",
    "max_grad_norm": "grad_clip_norm",
    "micro_batch_size": "micro_batch",
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "num_train_epochs": "epochs",
    "random_seed": "seed",
    "train_batch_size": "batch_size",
    "wd": "weight_decay",
}
"""What other trainers call our hparams: no spelling is near, but the meaning is clear."""


def suggestion(word: str, known: Collection[str]) -> str:
    """`; did you mean lr?`, or an empty string. Names with the same initial are nearer than any other."""
    ours = _NAMES_ELSEWHERE.get(word.lower().replace("-", "_"))
    if ours in known:
        return f"; did you mean {ours}?"
    initial = word[:1].lower()
    return did_you_mean(word, [name for name in known if name[:1].lower() == initial]) or did_you_mean(
        word, [*known]
    )


def validate(
    hparams_class: type[H], values: Mapping[str, Any], refused: Collection[str] = ()
) -> tuple[H | None, list[Problem]]:
    """Build hparams, or say all that is wrong with them.

    Args:
        hparams_class: the schema.
        values: one value per hparam; hparams left out get their defaults.
        refused: hparams whose value was refused already, so it is not among `values`.

    Returns:
        The hparams and no problems, or None and at most one problem per key: no problem at all if the
        `refused` ones are all that is wrong.
    """
    values = {key: value for key, value in values.items() if key not in refused}
    problems = {key: _not_finite(key, value) for key, value in values.items() if not is_finite(value)}
    try:
        hparams = hparams_class.model_validate(values)
    except ValidationError as error:
        problems |= _explained(hparams_class, values, error)
    else:
        if not refused and not problems:
            return hparams, []
    if wrong := {*problems, *refused}:
        for problem in _further_problems(hparams_class, values, wrong):
            problems.setdefault(problem.key, problem)
    return None, [problem for key, problem in problems.items() if key not in refused]


def is_finite(value: Any) -> bool:
    """Whether no NaN and no infinity is in a value of any nesting."""
    if isinstance(value, float):
        return math.isfinite(value)
    parts = value.values() if isinstance(value, Mapping) else value
    return all(map(is_finite, parts)) if isinstance(value, (Mapping, list, tuple)) else True


def _not_finite(key: str, value: Any) -> Problem:
    return Problem(key, f"expected finite numbers, got {show_value(value)}")


def _explained(
    hparams_class: type[Hparams], values: Mapping[str, Any], error: ValidationError
) -> dict[str, Problem]:
    by_key: dict[str, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        by_key.setdefault(str(detail["loc"][0]) if detail["loc"] else "", []).append(detail)
    specs = hparams_class.specs()
    problems: dict[str, Problem] = {}
    for key, details in by_key.items():
        if key in specs:
            value = values[key] if key in values else details[0]["input"]
            problems[key] = Problem(key, _field_text(specs[key], value, details))
        elif key:
            problems[key] = Problem(key, _unknown_text(key, values.get(key), specs))
        else:
            cause = _cause(details[0])
            said = [("", str(cause or details[0]["msg"]))]
            for name, text in cause.findings if isinstance(cause, CrossFieldError) else said:
                problems.setdefault(name, Problem(name, printable(text)))
    return problems


def _cause(detail: ErrorDetails) -> Exception | None:
    cause = detail.get("ctx", {}).get("error")
    return cause if isinstance(cause, Exception) else None


def _unknown_text(key: str, value: Any, specs: Mapping[str, FieldSpec]) -> str:
    if isinstance(value, Mapping):
        return "unknown; a preset is flat, so what is inside this object belongs at the top level"
    return f"unknown{suggestion(key, list(specs))}"


_TOO_LONG = {"string_too_long": "at most", "string_too_short": "at least"}


def _field_text(spec: FieldSpec, value: Any, details: Sequence[ErrorDetails]) -> str:
    for detail in details:
        kind, context = detail["type"], detail.get("ctx", {})
        if kind in ("value_error", "assertion_error"):
            return printable(str(_cause(detail)))
        if kind not in _pydantic_types():
            return printable(detail["msg"])
        if kind in _TOO_LONG:
            bound = context.get("max_length", context.get("min_length"))
            return f"expected {_TOO_LONG[kind]} {bound:,} characters, got {len(value):,}"
    if details[0]["type"] == "missing" and len(details[0]["loc"]) == 1:
        return f"missing; expected {spec.expected}"
    if spec.choices and isinstance(value, str) and (near := suggestion(value, spec.choices)):
        return f"unknown {show_value(value)}{near}"
    beyond = any(detail["type"] in ("less_than", "less_than_equal") for detail in details)
    return f"expected {spec.expected_in_full if beyond else spec.expected}, got {show_value(value)}"


def _pydantic_types() -> tuple[str, ...]:
    return get_args(ErrorType)


def _further_problems(
    hparams_class: type[Hparams], values: Mapping[str, Any], wrong: Collection[str]
) -> list[Problem]:
    """Rules between fields that are broken whatever becomes of the `wrong` fields.

    pydantic checks them only once every field is right, which would hide them behind the first wrong field.
    Here the wrong fields are absent, so the checks end at the first one that needs such a field.
    """
    known = hparams_class.model_fields.keys() - set(wrong)
    right: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
        if key in known
    }
    hparams = hparams_class.model_construct(**right)
    for key in wrong:
        hparams.__dict__.pop(key, None)
    problems = []
    # A task's own checks were written for whole hparams, so anything may be raised in the absence of one.
    with suppress(Exception):
        for key, text in hparams.cross_checks():
            problems.append(Problem(key, printable(text)))
    return problems
