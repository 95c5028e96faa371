"""One declaration per hparam, and all that is derived from it.

`Field` declares; `FieldSpec` is what flags, forms, messages and documentation read. Neither knows which
front end asks.
"""

from __future__ import annotations

import json
import math
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import pydantic
from pydantic_core import PydanticUndefined

Kind = Literal["int", "float", "bool", "str", "choice", "path", "numbers", "mixed"]

OnResume = Literal["safe", "warned", "refused"]
"""What a change of an hparam means for a run that goes on: it decides only how long and how that runs (safe),
it trains differently from here on (warned), or it would be another experiment (refused)."""
_ON_RESUME = "x-on_resume"

GROUPS = ("Data", "Model", "Optimisation", "Schedule", "Run")

MAX_WHOLE = 2**53
"""Whole numbers beyond this are not exact in JSON readers that use doubles, so they are refused."""


SANITY_CAP = 10**6
"""Upper bounds from here on are meant against slips of the hand; they are named only when they are broken."""


def Field(
    default: Any = PydanticUndefined,
    *,
    description: str = "",
    group: str = "Model",
    unit: str = "",
    expected: str = "",
    log: bool = False,
    path: bool = False,
    on_resume: OnResume | None = None,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
) -> Any:
    """Declare an hparam.

    Args:
        default: its value when neither preset nor flag gives one.
        description: one sentence; it is the flag's help and the form's help line.
        group: heading in the form and in `--help`.
        unit: what the number counts, for example "samples".
        expected: what a message says was expected, where type and bounds do not say it well.
        log: the value is best searched and drawn on a logarithmic scale.
        path: the text is a file or folder; relative ones are looked for beside the preset first.
        on_resume: whether it may be changed when a run goes on: "safe", "warned" or "refused"; by default
            what the field that it redeclares says, else "refused". Data, model and criterion are built anew
            around the saved weights, so a "warned" one must leave the shapes of those alone.
        gt, ge, lt, le: bounds of a number.
        min_length, max_length: bounds of a text's or tuple's length.
        pattern: regular expression that a text must match.
    """
    extra: dict[str, Any] = {"group": group, "unit": unit, "expected": expected, "log": log, "path": path}
    extra["on_resume"] = on_resume
    bounds = {"gt": gt, "ge": ge, "lt": lt, "le": le, "min_length": min_length, "max_length": max_length}
    stated: dict[str, Any] = {key: value for key, value in bounds.items() if value is not None}
    return pydantic.Field(
        default,
        description=description,
        pattern=pattern,
        json_schema_extra={f"x-{key}": value for key, value in extra.items() if value},
        **stated,
    )


@dataclass(frozen=True)
class FieldSpec:
    """An hparam as front ends see it.

    Attributes:
        members: the types a value may have, without None.
        optional: None is a value.
    """

    name: str
    kind: Kind
    members: tuple[Any, ...]
    optional: bool
    required: bool
    default: Any
    description: str
    group: str
    unit: str
    choices: tuple[str, ...]
    log: bool
    bounds: dict[str, float]
    length: int | None
    expected_text: str
    on_resume: OnResume = "refused"

    @property
    def expected(self) -> str:
        """What a valid value is, in words: `a number > 0`, `one of "constant", "cosine"`."""
        told = {key: bound for key, bound in self.bounds.items() if key in ("gt", "ge") or bound < SANITY_CAP}
        return self._expected(told)

    @property
    def expected_in_full(self) -> str:
        """As `expected`, with an upper bound that is only there against slips of the hand."""
        return self._expected(self.bounds)

    def _expected(self, bounds: dict[str, float]) -> str:
        if self.expected_text:
            text = self.expected_text
        elif self.kind == "numbers":
            text = f"{self.length} numbers" if self.length else "a list of numbers"
        elif self.kind == "path":
            text = "a file or folder"
        else:
            text = " or ".join(_member_text(member, bounds) for member in self.members)
        return f"{text}, or none" if self.optional else text

    def parse(self, text: str) -> Any:
        """Turn a flag's or form's text into a value of this field's type. Bounds are the schema's business.

        Raises:
            ValueError: the text is no value of the type.
        """
        text = text.strip()
        if text.lower() == "none" and self.optional:
            return None
        for member in self.members:
            try:
                return _parse_as(member, text)
            except ValueError:
                continue
        if self.choices:
            # The schema refuses it, with suggestions.
            return text
        raise ValueError(f"expected {self.expected}, got {show_value(text)}")


def _member_text(member: Any, bounds: dict[str, float]) -> str:
    if typing.get_origin(member) is Literal:
        choices = [str(choice) for choice in typing.get_args(member)]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    if member in (int, float):
        return ("a whole number" if member is int else "a number") + _bounds_text(bounds)
    names = {bool: "true or false", str: "text", dict: "an object", list: "a list", tuple: "a list"}
    return names.get(typing.get_origin(member) or member, getattr(member, "__name__", str(member)))


def _bounds_text(bounds: dict[str, float]) -> str:
    if {"ge", "le"} <= bounds.keys():
        return f" from {show_number(bounds['ge'])} to {show_number(bounds['le'])}"
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    parts = [f"{signs[key]} {show_number(bound)}" for key, bound in bounds.items()]
    return " " + " and ".join(parts) if parts else ""


_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)


def _parse_as(member: Any, text: str) -> Any:
    if typing.get_origin(member) is Literal:
        for choice in typing.get_args(member):
            if str(choice).lower() == text.lower():
                return choice
        raise ValueError
    if member is bool:
        words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False}
        if text.lower() not in {*words, "0"}:
            raise ValueError
        return words.get(text.lower(), False)
    if member is int:
        if not re.fullmatch(r"[+-]?[0-9]+", text):
            raise ValueError
        return int(text)
    if member is float:
        if not _NUMBER.fullmatch(text):
            raise ValueError
        return float(text)
    if member is str:
        return text
    if typing.get_origin(member) in (tuple, list):
        inner = [arg for arg in typing.get_args(member) if arg is not Ellipsis] or [str]
        parts = [part for part in re.split(r"[,\s]+", text.strip("[]() ")) if part]
        return [_parse_as(inner[min(i, len(inner) - 1)], part) for i, part in enumerate(parts)]
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"cannot parse {text!r}") from None


def show_number(value: float) -> str:
    """A bound or default in words' style: `65,536`, `0.001`, `1e-08`."""
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"


def show_value(value: Any) -> str:
    """A value as a message quotes it: text in quotes, others as JSON would write them, cut when long."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    try:
        text = printable(json.dumps(value, ensure_ascii=False, default=str))
    except (TypeError, ValueError, RecursionError):
        text = printable(repr(value))
    return text if len(text) <= 80 else text[:77] + "…"


def printable(text: str) -> str:
    """Text that is safe to show: control characters as escapes, so that no file drives a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def flag_text(value: Any) -> str:
    """A value as one types it after a flag."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(flag_text(part) for part in value)
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def spec_of(name: str, info: pydantic.fields.FieldInfo) -> FieldSpec:
    """Read a pydantic field into a `FieldSpec`."""
    members, optional = _members(info.annotation)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    bounds: dict[str, float] = {}
    for constraint in info.metadata:
        for key in ("gt", "ge", "lt", "le"):
            if getattr(constraint, key, None) is not None:
                bounds[key] = getattr(constraint, key)
    choices: tuple[str, ...] = ()
    if len(members) == 1 and typing.get_origin(members[0]) is Literal:
        choices = tuple(str(choice) for choice in typing.get_args(members[0]))
    arguments = typing.get_args(members[0]) if typing.get_origin(members[0]) is tuple else ()
    return FieldSpec(
        name=name,
        kind=_kind(members, bool(extra.get("x-path"))),
        members=members,
        optional=optional,
        required=info.is_required(),
        default=None if info.is_required() else info.get_default(call_default_factory=True),
        description=info.description or "",
        group=str(extra.get("x-group", "Model")),
        unit=str(extra.get("x-unit", "")),
        choices=choices,
        log=bool(extra.get("x-log")),
        bounds=bounds,
        length=len(arguments) if arguments and Ellipsis not in arguments else None,
        expected_text=str(extra.get("x-expected", "")),
        on_resume=cast("OnResume", extra.get(_ON_RESUME, "refused")),
    )


def inherit_on_resume(info: pydantic.fields.FieldInfo, inherited: pydantic.fields.FieldInfo) -> None:
    """Let a field that is declared anew keep what its change means on resume, unless it says that itself."""
    extra, before = info.json_schema_extra or {}, inherited.json_schema_extra
    if isinstance(extra, dict) and isinstance(before, dict) and _ON_RESUME in before:
        info.json_schema_extra = {_ON_RESUME: before[_ON_RESUME], **extra}


def _members(annotation: Any) -> tuple[tuple[Any, ...], bool]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        arguments = typing.get_args(annotation)
        members = tuple(arg for arg in arguments if arg is not type(None))
        return members, type(None) in arguments
    return (annotation,), False


def _kind(members: tuple[Any, ...], path: bool) -> Kind:
    if len(members) > 1:
        return "mixed"
    member = members[0]
    if typing.get_origin(member) is Literal:
        return "choice"
    if typing.get_origin(member) in (tuple, list):
        return "numbers"
    if path:
        return "path"
    kinds: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "str"}
    return kinds.get(member, "mixed")
