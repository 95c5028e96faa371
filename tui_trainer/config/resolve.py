"""The one place where a run's hparams come together: default < resumed run < preset < flag."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from tui_trainer.config.fields import FieldSpec, flag_text, printable, show_value
from tui_trainer.config.hparams import Hparams
from tui_trainer.config.names import OPTIMIZER_OPTIONS, OPTION_NAMES
from tui_trainer.config.preset_file import NOT_HPARAMS, Preset
from tui_trainer.config.problems import HparamsError, Problem, suggestion, validate

H = TypeVar("H", bound=Hparams)


@dataclass(frozen=True)
class Resolved(Generic[H]):
    """Valid hparams and how they came about.

    Attributes:
        hparams: ready to train with.
        warnings: what was dropped, a sentence each.
        typed: the hparams that a flag gave.
    """

    hparams: H
    warnings: list[str]
    typed: frozenset[str]


class Source(IntEnum):
    """Where a value comes from; a larger one wins."""

    DEFAULT = 0
    RESUMED = 1
    PRESET = 2
    FLAG = 3


def resolve(
    task_hparams_class: type[H],
    task_name: str,
    preset: Preset | None = None,
    flags: Mapping[str, str | bool] | None = None,
    base: Mapping[str, Any] | None = None,
) -> Resolved[H]:
    """Merge and validate.

    Args:
        task_hparams_class: the task's schema.
        task_name: how the task is called; becomes the hparam `task`.
        preset: read but not validated.
        flags: hparam -> text as it was typed, or a bool for `--compile` and `--no-compile`.
        base: hparams of a run that is resumed or forked.

    Raises:
        HparamsError: everything that is wrong with the preset and the flags, each with its place.
    """
    specs = task_hparams_class.specs()
    flags = dict(flags or {})
    typed, refused = _parse_flags(specs, flags)
    layers: dict[Source, dict[str, Any]] = {
        Source.DEFAULT: {name: spec.default for name, spec in specs.items() if not spec.required},
        Source.RESUMED: {key: value for key, value in (base or {}).items() if key not in NOT_HPARAMS},
        Source.PRESET: _beside_preset(specs, preset) if preset else {},
        Source.FLAG: {key: _home_expanded(specs[key], value) for key, value in typed.items()},
    }
    warnings = _drop_foreign_options(specs, layers, preset)
    values = {key: value for source in Source if source for key, value in layers[source].items()}
    values["task"] = task_name
    hparams, problems = validate(task_hparams_class, values, [problem.key for problem in refused])
    if hparams is None or (preset and preset.defects):
        raise _error(task_name, preset, flags, layers[Source.RESUMED], [*problems, *refused], specs)
    return Resolved(hparams, warnings, frozenset(typed))


def _parse_flags(
    specs: Mapping[str, FieldSpec], flags: Mapping[str, str | bool]
) -> tuple[dict[str, Any], list[Problem]]:
    typed: dict[str, Any] = {}
    refused: list[Problem] = []
    for key, text in flags.items():
        if key not in specs:
            refused.append(Problem(key, f"unknown{suggestion(key, specs)}"))
            continue
        try:
            typed[key] = specs[key].parse(text) if isinstance(text, str) else text
        except ValueError as error:
            refused.append(Problem(key, printable(str(error))))
    return typed, refused


def _home_expanded(spec: FieldSpec, value: Any) -> Any:
    # The shell leaves the tilde of `--dataset_path=~/data` and of a preset alone.
    if spec.kind == "path" and isinstance(value, str) and value.startswith("~"):
        with suppress(RuntimeError):
            return str(Path(value).expanduser())
    return value


def _beside_preset(specs: Mapping[str, FieldSpec], preset: Preset) -> dict[str, Any]:
    values = dict(preset.values)
    for key, value in values.items():
        if key in specs and specs[key].kind == "path" and isinstance(value, str) and value:
            value = values[key] = _home_expanded(specs[key], value)
            if preset.path is not None and not Path(value).is_absolute():
                with suppress(OSError, ValueError):
                    beside = preset.path.parent.absolute() / value
                    beside.lstat()
                    values[key] = str(beside)
    return values


def _drop_foreign_options(
    specs: Mapping[str, FieldSpec], layers: dict[Source, dict[str, Any]], preset: Preset | None
) -> list[str]:
    """Unset options that were stated for another optimizer than the one a stronger source chose."""
    chosen, chosen_by = _strongest(layers, "optimizer")
    if not isinstance(chosen, str) or chosen not in OPTIMIZER_OPTIONS:
        return []
    whose = {
        Source.DEFAULT: "the task's default",
        Source.RESUMED: "the resumed run",
        Source.PRESET: preset.file if preset else "",
    }
    warnings: list[str] = []
    for option in OPTION_NAMES:
        value, source = _strongest(layers, option)
        stated_for, _ = _strongest(layers, "optimizer", source)
        foreign = source < chosen_by and stated_for != chosen and option not in OPTIMIZER_OPTIONS[chosen]
        if foreign and value is not None and specs[option].optional:
            layers[Source.FLAG][option] = None
            warnings.append(
                f"{option} {flag_text(value)} ({whose[source]}) is dropped: {chosen} does not take it"
            )
    return warnings


def _strongest(
    layers: Mapping[Source, Mapping[str, Any]], key: str, at_most: Source = Source.FLAG
) -> tuple[Any, Source]:
    """A key's value and where it is from, looking no further up than `at_most`."""
    source = max(source for source in Source if source <= at_most and (not source or key in layers[source]))
    return layers[source].get(key), source


def _error(
    task_name: str,
    preset: Preset | None,
    flags: Mapping[str, Any],
    resumed: Mapping[str, Any],
    problems: list[Problem],
    specs: Mapping[str, FieldSpec],
) -> HparamsError:
    """Problems of the resumed run, then those of the file by line, then those of flags as they were typed."""
    others = [problem for problem in problems if problem.key not in flags]
    in_preset = [p for p in others if preset and (p.key in preset.lines or p.key not in resumed)]
    placed = [(preset.lines.get(problem.key, 1), problem) for problem in in_preset if preset]
    placed += [(defect.line, defect.problem) for defect in (preset.defects if preset else ())]
    order = {key: number for number, key in enumerate(preset.lines if preset else ())}
    placed.sort(key=lambda item: (item[0], order.get(item[1].key, -1)))
    shown = [
        (problem, _of_no_file(problem, resumed, specs)) for problem in others if problem not in in_preset
    ]
    shown += [(problem, f"{preset.file}:{line}: {problem}") for line, problem in placed if preset]
    shown += [(problem, f"--{problem}") for key in flags for problem in problems if problem.key == key]
    lines = {id(problem): line for problem, line in shown}
    word = shlex.quote(task_name)
    if preset and placed:
        name = preset.path.name if preset.path else preset.name
        title = f"preset {printable(name)} does not fit task {printable(task_name)}"
        hint = f"tui-train presets schema {word} shows every key"
    else:
        title, hint = "wrong hparams", f"tui-train {word} --help shows every hparam"
    return HparamsError(title, [problem for problem, _ in shown], lambda problem: lines[id(problem)], hint)


def _of_no_file(problem: Problem, resumed: Mapping[str, Any], specs: Mapping[str, FieldSpec]) -> str:
    if problem.key in resumed:
        return f"resumed run: {problem}"
    spec = specs.get(problem.key)
    # Nobody gave it, so it can only be mended where it is declared.
    default = (
        spec is not None and not spec.required and problem.text.endswith(f"got {show_value(spec.default)}")
    )
    return f"{problem}, its own default" if default else str(problem)
