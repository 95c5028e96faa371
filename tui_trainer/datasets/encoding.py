"""From a table's columns to the numbers that a network takes, with everything fitted on the training rows."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tui_trainer.datasets.columns import Column, canonical
from tui_trainer.datasets.scratch import Scratch
from tui_trainer.datasets.tables import Table
from tui_trainer.datasets.unseen import Unseen
from tui_trainer.errors import ColumnsError, FileError, UsageError, did_you_mean

Kind = Literal["auto", "classification", "regression"]

MISSING, UNKNOWN, FIRST_CATEGORY = 0, 1, 2
"""Codes of a categorical column: no value, a value that training has not seen, the first category."""

MAX_CATEGORIES = 10_000
MAX_CLASSES = 10_000
FEW_VALUES = 20
"""Whole numbers of at most this many values are taken for classes (kind `auto`)."""

LARGEST = 1e37
"""Numbers beyond it don't survive float32 arithmetic."""

_PIECE = 1 << 16
_PIECE_BYTES = 64 << 20


@dataclass(frozen=True)
class Features:
    """Names of the columns to learn from."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]


def choose_features(
    table: Table, target: str, ignore: Sequence[str], numeric: Sequence[str], categorical: Sequence[str]
) -> Features:
    """Decide which columns are features and of which type.

    A column is numeric when all its values are numbers or missing, else categorical. Refused, because they
    are rather mistakes: a column of numbers with a few texts in it, numbers with decimal commas, and texts
    that are different in most rows (names, identifiers). `categorical` and `ignore` overrule that.

    Raises:
        UsageError: a named column that the table does not have, or no feature left.
        FileError: a column that can't be used as it is; all of them are named at once where that is possible.
    """
    for option, names in (
        ("target", (target,)),
        ("ignore", ignore),
        ("numeric", numeric),
        ("categorical", categorical),
    ):
        _known(table, option, names)
    if target in (*ignore, *numeric, *categorical):
        raise UsageError(
            "target is no feature", f'"{target}" is the target and in ignore, numeric or categorical too'
        )
    names = [name for name in table.columns if name != target and name not in ignore]
    if not names:
        raise UsageError(
            "no features", f"{table.source} has no column left beside the target", "ignore fewer columns"
        )
    unusable = {name: table.columns[name].unusable for name in names if table.columns[name].unusable}
    if unusable:
        held = ", ".join(f'"{name}" holds {what}' for name, what in unusable.items())
        raise ColumnsError(
            "column without a use", f"{table.source}: {held}", _ignore(ignore, list(unusable)), unusable
        )
    empty = [name for name in names if table.columns[name].missing.all()]
    if empty:
        raise ColumnsError(
            "column without values",
            f"{table.source}: no row has a value of {_listed(empty)}",
            _ignore(ignore, empty),
            empty,
        )
    texts = [name for name in names if table.columns[name].numbers is None]
    for name in texts:
        if name not in categorical:
            _refuse_mixed(table, table.columns[name], forced=name in numeric)
    wide = [name for name in texts if name not in categorical and _many(table.columns[name], table.rows)]
    if wide:
        counts = ", ".join(f'"{name}" ({len(table.columns[name].texts):,})' for name in wide)
        dates = [name for name in wide if table.columns[name].dates()]
        looks = "; the texts of {} look like dates"
        numbers = "; or make numbers of the dates, such as days or months; or"
        raise ColumnsError(
            "too many categories",
            f"{table.source}: of {table.rows:,} rows, these columns have that many different texts: {counts}"
            + (looks.format(_listed(dates)) if dates else ""),
            f"{_ignore(ignore, wide)}{numbers if dates else '; or'} name them in categorical to use them all "
            "the same",
            wide,
        )
    chosen = Features(tuple(n for n in names if n not in texts), tuple(texts))
    for name in chosen.numeric:
        _refuse_infinite(table, table.columns[name])
    return chosen


def _known(table: Table, option: str, wanted: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in table.columns]:
        names = list(table.columns)
        near = did_you_mean(missing[0], names) if len(missing) == 1 else ""
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise UsageError(
            "no such column",
            f"{option}: {table.source} has no column {_listed(missing)}{near}",
            f"its columns: {shown}",
        )


def _ignore(ignore: Sequence[str], more: Sequence[str]) -> str:
    return f'leave out with --ignore "{",".join([*ignore, *more])}"'


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _many(column: Column, rows: int) -> bool:
    return len(column.texts) > MAX_CATEGORIES or len(column.texts) > max(FEW_VALUES, rows / 2)


def _refuse_mixed(table: Table, column: Column, forced: bool, learned: bool = False) -> None:
    """Refuse texts in a column of numbers; `forced`: any of them, `learned`: by a model that exists."""
    if column.decimal_commas():
        raise ColumnsError(
            "decimal commas",
            f"{_place(table, column, column.first_comma())}, with a comma for the point",
            "export the table with decimal points",
            [column.name],
        )
    if forced or column.mostly_numbers():
        share = f", while {column.number_share():.1%} of the column are" if not forced else ""
        raise ColumnsError(
            "not a number",
            f"{_place(table, column, column.first_text())}, no number{share}",
            "the model learned numbers in this column; correct it, or leave it empty"
            if learned
            else "correct it, leave it empty, or take the column as texts with "
            f"--categorical {shlex.quote(column.name)}",
            [column.name],
        )


def _place(table: Table, column: Column, row: int) -> str:
    return f'{table.where(row)}: column "{column.name}" has {table.value(column.name, row)}'


def _refuse_infinite(table: Table, column: Column) -> None:
    assert column.numbers is not None
    beyond = np.flatnonzero(np.abs(column.numbers) > LARGEST)
    if len(beyond):
        raise ColumnsError(
            "not a finite number",
            _place(table, column, int(beyond[0])),
            f"numbers must lie within ±{LARGEST:g}; leave the cell empty where the value is unknown",
            [column.name],
        )


def mean_and_std(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and spread (with the number of values as divisor) of float64 [at least one].

    Rounding gives even a constant column a spread; divided by it, noise would look like signal. So one that
    is no more than float64's rounding counts as 1.
    """
    # `fsum` gives the same digits on each machine, so a run resumed elsewhere finds the same schema.
    # A piece at a time, since a list of floats takes four times the memory of an array.
    pieces = (values[start : start + _PIECE].tolist() for start in range(0, len(values), _PIECE))
    mean, std = math.fsum(chain.from_iterable(pieces)) / len(values), float(values.std())
    return mean, std if std > 1e-14 * abs(mean) else 1.0


@dataclass(frozen=True)
class TableEncoder:
    """Turns rows into float32 [rows, numeric + categorical columns].

    Numbers keep their unit but are counted from the training mean, which `schema` holds as `numeric_offset`:
    float32 has seven digits, and a Unix time needs ten before the first that tells rows apart. NaN stands
    where one is missing. The network divides by std. After the numbers come the codes.

    Attributes:
        features: the columns, in this order.
        mean: float64 [numeric], of the values that are there in the training rows.
        std: float64 [numeric], likewise, by `mean_and_std`.
        gaps: numeric columns (positions) that have missing values in the training rows.
        categories: the `_canonical` texts of each categorical column in the training rows.
    """

    features: Features
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    gaps: tuple[int, ...]
    categories: tuple[tuple[str, ...], ...]

    @classmethod
    def fit(cls, table: Table, features: Features, rows: NDArray[np.int64]) -> TableEncoder:
        """Learn means, spreads and categories from `rows` (the training split) alone."""
        mean, std, gaps = np.zeros(len(features.numeric)), np.ones(len(features.numeric)), []
        for i, name in enumerate(features.numeric):
            numbers = table.columns[name].numbers
            assert numbers is not None
            values = numbers[rows]
            missing = np.isnan(values)
            there = values[~missing] if missing.any() else values
            if len(there) < len(values):
                gaps.append(i)
            if len(there):
                mean[i], std[i] = mean_and_std(there)
        categories = []
        for name in features.categorical:
            column = table.columns[name]
            assert column.codes is not None
            codes = column.codes[rows]
            seen = np.flatnonzero(np.bincount(codes[codes >= 0]))
            categories.append(_canonical(column.texts[code] for code in seen))
        return cls(features, mean, std, tuple(gaps), tuple(categories))

    def encode(self, table: Table, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Rows of a table that has these columns of these types; what is large is mapped from a file.

        Args:
            table: the table.
            rows: which, in this order; None: all.
        """
        if rows is None:
            rows = np.arange(table.rows)
        width = len(self.features.numeric) + len(self.features.categorical)
        store = Scratch(1, len(rows) * width, np.float32, len(rows) * width * 4)
        codes = [self._codes(table.columns[name], i) for i, name in enumerate(self.features.categorical)]
        piece = _PIECE_BYTES // (4 * width) + 1
        for start in range(0, len(rows), piece):
            store.append(0, self._encoded(table, rows[start : start + piece], codes))
        return store.array(0).reshape(len(rows), width)

    def _codes(self, column: Column, index: int) -> NDArray[np.float32]:
        """What stands for each text of a column; one entry more than texts: −1, a missing value, picks it."""
        places = _places(self.categories[index], column.texts)
        codes = (UNKNOWN if place is None else FIRST_CATEGORY + place for place in places)
        return np.array([*codes, MISSING], np.float32)

    def _encoded(
        self, table: Table, rows: NDArray[np.int64], codes: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        n = len(self.features.numeric)
        encoded = np.empty((len(rows), n + len(codes)), np.float32)
        for i, name in enumerate(self.features.numeric):
            numbers = table.columns[name].numbers
            assert numbers is not None
            # In float64: rounded first, large numbers close to each other would become the same.
            encoded[:, i] = numbers[rows] - self.mean[i]
        for i, name in enumerate(self.features.categorical):
            found = table.columns[name].codes
            assert found is not None
            encoded[:, n + i] = codes[i][found[rows]]
        return encoded

    def count_unseen(
        self,
        unseen: Unseen,
        table: Table,
        encoded: NDArray[np.float32],
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """Count the categories among encoded rows that training has not seen.

        Args:
            unseen: where to count them.
            table: the rows are from it.
            encoded: by `encode`.
            rows: which they are; None: all, in their order.
        """
        n = len(self.features.numeric)
        unseen.looked_at(len(encoded))
        for start in range(0, len(encoded) if self.categories else 0, _PIECE):
            unknown = encoded[start : start + _PIECE, n:] == UNKNOWN
            for i in np.flatnonzero(unknown.any(0)).tolist():
                place = start + int(unknown[:, i].argmax())
                name = self.features.categorical[i]
                text = table.columns[name].text(place if rows is None else int(rows[place]))
                unseen.add(name, int(unknown[:, i].sum()), text or "")

    def decode(self, row: NDArray[np.float32]) -> dict[str, float | str | None]:
        """What `encode` made a row of, by column; None where a value is missing."""
        n = len(self.features.numeric)
        values: dict[str, float | str | None] = {
            name: None if math.isnan(apart) else near(mean, apart)
            for name, mean, apart in zip(
                self.features.numeric, self.mean.tolist(), row[:n].tolist(), strict=True
            )
        }
        for name, known, code in zip(self.features.categorical, self.categories, row[n:], strict=True):
            texts = (None, "(not in training)", *known)
            values[name] = texts[int(code)]
        return values

    def facts(self) -> dict[str, Any]:
        """All that was fitted, as JSON."""
        return {**self.schema(), "numeric_std": self.std.tolist(), "gaps": list(self.gaps)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> TableEncoder:
        """The encoder whose `facts` these are."""
        categories = facts["categorical"]
        return cls(
            Features(tuple(facts["numeric"]), tuple(categories)),
            np.array(facts["numeric_offset"], np.float64),
            np.array(facts["numeric_std"], np.float64),
            tuple(facts["gaps"]),
            tuple(tuple(known) for known in categories.values()),
        )

    def check(self, table: Table, others: Collection[str] = ()) -> None:
        """Refuse a table that can't be encoded. Categories must have been read as texts.

        Args:
            table: the table.
            others: its columns that training ignored, and its target: none of them is meant by a missing one.

        Raises:
            FileError: a column is missing, or holds texts where the training set had numbers.
        """
        names = [*self.features.numeric, *self.features.categorical]
        missing = [name for name in names if name not in table.columns]
        if missing:
            free = [name for name in table.columns if name not in {*names, *others}]
            near = did_you_mean(missing[0], free) if len(missing) == 1 else ""
            raise FileError(
                "column missing",
                f"{table.source} has no {_listed(missing)}{near}",
                "the model learned from these columns; leave a cell empty where a value is unknown",
            )
        for name in names:
            if table.columns[name].unusable:
                message = f'{table.source}: "{name}" holds {table.columns[name].unusable}'
                raise FileError("column without a use", message, "give numbers or texts, as in training")
        for name in self.features.numeric:
            if table.columns[name].numbers is None:
                _refuse_mixed(table, table.columns[name], forced=True, learned=True)
            _refuse_infinite(table, table.columns[name])

    def schema(self) -> dict[str, Any]:
        """What a reader of the checkpoint needs to encode rows by itself, as JSON.

        `numeric_offset` is what to subtract, in float64, from each of the columns `numeric`. JSON keeps all
        its digits, and unlike a float64 tensor it can go to every device.
        """
        return {
            "numeric": list(self.features.numeric),
            "numeric_offset": self.mean.tolist(),
            "categorical": dict(zip(self.features.categorical, map(list, self.categories), strict=True)),
        }


def _canonical(texts: Iterable[str]) -> tuple[str, ...]:
    """The different canonical texts, sorted as they were written, as runs of earlier versions have them."""
    return tuple(dict.fromkeys(canonical(text) for text in sorted(texts)))


def _places(known: Sequence[str], texts: Iterable[str]) -> list[int | None]:
    """Where each text is among the known ones; None where it is not.

    What runs of earlier versions kept is not canonical, and may tell 2 from 2.0.
    """
    exact: dict[str, int] = {}
    alike: dict[str, int] = {}
    for place, text in enumerate(known):
        exact.setdefault(text, place)
        alike.setdefault(canonical(text), place)
    return [exact.get(text, alike.get(canonical(text))) for text in texts]


def near(mean: float, apart: float) -> float:
    """A number that lies so far from the mean, without the digits that float32 makes up."""
    digits = -math.log10(max(abs(apart), 1e-9) * 2.0**-23)
    return round(mean + apart, int(digits))


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        classes: names of the classes, sorted; empty for a regression.
        values: int64 class indices or float64 numbers, [rows].
    """

    classes: tuple[str, ...]
    values: NDArray[Any]


def read_target(table: Table, name: str, kind: Kind) -> Target:
    """Read the target column.

    `auto` is classification for texts and for whole numbers of at most `FEW_VALUES` values that come twice on
    average, and regression for other numbers.

    Raises:
        UsageError: no such column.
        FileError: missing values, a text where a number is needed, one class only, or too many.
    """
    _known(table, "target", [name])
    column = table.columns[name]
    if column.unusable:
        message = f'{table.source}: the target "{name}" holds {column.unusable}'
        raise FileError("target without a use", message, "name another target")
    missing = np.flatnonzero(column.missing)
    if len(missing):
        raise FileError(
            "target missing",
            f'{table.where(int(missing[0]))}: no value of the target "{name}"; {len(missing):,} such rows',
            "give those rows a target or take them out",
        )
    if column.numbers is None:
        if kind == "regression" or (kind == "auto" and (column.decimal_commas() or column.mostly_numbers())):
            row = column.first_text()
            raise FileError(
                "target is no number",
                f'{table.where(row)}: the target "{name}" is {table.value(name, row)}',
                "correct it, name another target, or set kind to classification",
            )
        assert column.codes is not None
        # By code, since a text for each row would take far more memory.
        classes = _canonical(column.texts)
        places = np.array(_places(classes, column.texts), np.int64)
        return _classes(table, name, places[column.codes], classes)
    _refuse_infinite(table, column)
    if kind == "classification" or (kind == "auto" and _looks_like_classes(column.numbers)):
        return _classes(table, name, column.numbers)
    if column.numbers.min() == column.numbers.max():
        raise FileError(
            "nothing to predict",
            f'{table.source}: the target "{name}" is {column.numbers[0]:g} in all rows',
            "name another target",
        )
    return Target((), column.numbers)


def as_classes(target: Target, classes: tuple[str, ...], source: str) -> Target:
    """The same target, whose classes get the numbers that they have among `classes`.

    Raises:
        FileError: a class that is not among them.
    """
    places = _places(classes, target.classes)
    strange = [name for name, place in zip(target.classes, places, strict=True) if place is None]
    if strange:
        message = (
            f"{source}: the target is {_listed(strange[:5])} in some rows, which the model does not know"
        )
        raise FileError("unknown class", message, f"it knows {_listed(classes[:20])}")
    return Target(classes, np.array(places, np.int64)[target.values])


def _looks_like_classes(numbers: NDArray[np.float64]) -> bool:
    values = np.unique(numbers)
    whole = bool((values == np.floor(values)).all())
    return whole and len(values) <= FEW_VALUES and len(values) * 2 <= len(numbers)


def _classes(table: Table, name: str, values: NDArray[Any], texts: Sequence[str] | None = None) -> Target:
    """Classes of values, or of indices into sorted texts all of which occur."""
    classes: Sequence[Any] | NDArray[Any] = texts or []
    if texts is None:
        # Not `return_inverse`, which takes four times the memory of the values.
        classes = np.unique(values)
        values = np.searchsorted(classes, values)
    if len(classes) == 1:
        raise FileError(
            "nothing to predict",
            f'{table.source}: the target "{name}" has a single class, {_class_name(classes[0])}',
            "give rows of at least two classes, or name another target",
        )
    if len(classes) > MAX_CLASSES:
        raise FileError(
            "too many classes",
            f'{table.source}: the target "{name}" has {len(classes):,} classes; {MAX_CLASSES:,} is the most',
            "name another target, or set kind to regression if it is a number",
        )
    return Target(tuple(_class_name(c) for c in classes), values.astype(np.int64))


def _class_name(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, np.floating) else str(value)
