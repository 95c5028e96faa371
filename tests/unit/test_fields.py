"""What a declaration says about itself, and text to value and back."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.config.fields import GROUPS, SANITY_CAP, flag_text, printable, show_number, show_value
from tui_trainer.config.hparams import Field, Hparams


class Many(Hparams):
    width: int = Field(8, ge=1, le=64, description="Width.")
    rate: float | None = Field(0.5, gt=0, lt=1, description="Rate.")
    kind: Literal["relu", "GELU"] = Field("relu", description="Kind.")
    size: Literal["auto"] | int = Field("auto", description="Size.")
    pair: tuple[float, float] | None = Field(None, description="Pair.")
    widths: tuple[int, ...] = Field((1, 2), description="Widths.")
    words: tuple[str, ...] = Field((), description="Words.")
    flag: bool | None = Field(None, description="Flag.")
    name: str = Field("x", description="Name.")
    file: str | None = Field(None, path=True, description="File.")
    options: dict[str, int] = Field({}, description="Options.")


SPECS = Many.specs()

EXPECTED = {
    "width": "a whole number from 1 to 64",
    "rate": "a number > 0 and < 1, or none",
    "kind": "one of relu, GELU",
    "size": "auto or a whole number",
    "pair": "2 numbers, or none",
    "widths": "a list of numbers",
    "flag": "true or false, or none",
    "name": "text",
    "file": "a file or folder, or none",
    "options": "an object",
    "lr": "a number > 0",
    "num_workers": '"auto" or a whole number from 0 to 512',
}


@pytest.mark.parametrize("name", EXPECTED)
def test_expected(name: str) -> None:
    assert SPECS[name].expected == EXPECTED[name]


def test_bounds_against_slips_are_told_only_in_full() -> None:
    assert SPECS["lr"].bounds == {"gt": 0, "le": 1e6}
    assert SPECS["lr"].expected_in_full == "a number > 0 and ≤ 1,000,000"
    assert SANITY_CAP == 10**6


PARSED: list[tuple[str, str, Any]] = [
    ("width", "8", 8), ("width", " +8 ", 8), ("width", "-8", -8),
    ("rate", "1e-3", 1e-3), ("rate", "-1e-3", -1e-3), ("rate", "5", 5.0),
    ("rate", "none", None), ("rate", ".5", 0.5),
    ("kind", "gelu", "GELU"), ("kind", "other", "other"),
    ("size", "auto", "auto"), ("size", "AUTO", "auto"), ("size", "8", 8),
    ("pair", "0.9,0.99", [0.9, 0.99]), ("pair", "[0.9, 0.99]", [0.9, 0.99]),
    ("pair", "0.9 0.99", [0.9, 0.99]),
    ("widths", "1,2,3", [1, 2, 3]), ("words", "a,b", ["a", "b"]),
    ("flag", "yes", True), ("flag", "OFF", False), ("flag", "None", None),
    ("name", "none", "none"), ("name", "a b", "a b"), ("file", "none", None),
    ("options", '{"a": 1}', {"a": 1}), ("eval_every", "200steps", "200steps"), ("eval_every", "2", 2),
    ("num_workers", "4", 4),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "value"), PARSED)
def test_parse(name: str, text: str, value: Any) -> None:
    parsed = SPECS[name].parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("width", "1.0"), ("width", "٣"), ("width", ""), ("rate", "1_0"), ("rate", "x"), ("size", "x"),
     ("flag", "2"),
     ("pair", "a,b"), ("options", "{")],
)  # fmt: skip
def test_parse_refuses(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected .*, got "):
        SPECS[name].parse(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_to_flag_and_back(value: float) -> None:
    assert SPECS["rate"].parse(flag_text(value)) == value


@pytest.mark.parametrize("value", [None, True, False])
def test_flag_to_text_and_back(value: bool | None) -> None:
    assert SPECS["flag"].parse(flag_text(value)) is value


@pytest.mark.parametrize(
    ("value", "text"),
    [(65536, "65,536"), (1e-3, "0.001"), (1e-8, "1e-08"), (2**32 - 1, "4,294,967,295"), (1e18, "1e+18")],
)
def test_show_number(value: float, text: str) -> None:
    assert show_number(value) == text


def test_show_value_is_short_and_tame() -> None:
    assert show_value("x" * 200) == '"' + "x" * 76 + "…"
    assert show_value("\x1b[2J\x9b‮ü") == '"\\u001b[2J\\x9b\\u202eü"'
    assert show_value(float("-inf")) == "-Infinity"
    assert show_value(object)[:8] == '"<class '
    assert printable("a\nb\udc80") == "a\\nb\\udc80"


def test_every_spec_is_documented() -> None:
    for name, spec in Hparams.specs().items():
        assert spec.description.endswith("."), name
        assert spec.group in GROUPS, name
        assert not spec.required, name
