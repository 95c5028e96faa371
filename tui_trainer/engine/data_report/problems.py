"""What is likely wrong with a data set, each with numbers and what to do. Pure: it sees the facts only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from tui_trainer.engine.data_report.facts import PartFacts, Problem, SplitFacts, Summary

ONE_CLASS = 0.95
"""A class with a larger share makes accuracy useless."""
TINY = 30
"""A test set of fewer samples measures in steps of more than three percent."""
SCALES = 1000.0
"""Columns whose spreads differ by more than this hardly train together."""
FEW_VALUES = 20

_SHOWN = 5

Splits = Mapping[str, SplitFacts]


def find_problems(splits: Splits, normalizes: bool, collated: bool) -> tuple[Problem, ...]:
    """Everything that somebody should look at.

    Args:
        splits: "train", and "val" and "test" where they are.
        normalizes: the model brings its inputs to one scale by itself.
        collated: something of the task's own makes batches of samples of different shapes.
    """
    found: list[Iterator[Problem]] = [
        _not_numbers(splits),
        _missing(splits),
        _same_inputs(splits),
        _constant_columns(splits),
        _scales(splits) if not normalizes else iter(()),
        _repeated(splits),
        _leaks(splits),
        _classes(splits),
        _labels(splits),
        _kinds(splits, collated),
        _tiny(splits),
    ]
    return tuple(chain.from_iterable(found))


def columns_of(part: PartFacts) -> dict[str, Summary]:
    """The columns of a table: those of a vector, or a part that is a number by itself."""
    if part.columns:
        return {f"{part.name}{name}" if name[0] == "[" else name: each for name, each in part.columns.items()}
    return {part.name: part.summary} if part.scalar and part.summary is not None else {}


def _inputs(split: SplitFacts) -> list[PartFacts]:
    return [part for part in split.parts if not part.target]


def _input_columns(split: SplitFacts) -> dict[str, Summary]:
    return {name: each for part in _inputs(split) for name, each in columns_of(part).items()}


def _targets(split: SplitFacts) -> list[PartFacts]:
    return [part for part in split.parts if part.target]


def _not_numbers(splits: Splits) -> Iterator[Problem]:
    for split, facts in splits.items():
        for part in facts.parts:
            if part.summary is None or not part.summary.bad:
                continue
            said = [
                f"{count:,} {what}"
                for count, what in ((part.summary.nan, "NaN"), (part.summary.infinite, "infinite"))
                if count
            ]
            columns = [name for name, each in part.columns.items() if each.bad]
            where = f", in {_listed(columns)}" if columns else ""
            yield Problem(
                "NaN or infinite numbers",
                f"{part.name} of {split}: {' and '.join(said)} of {part.summary.count:,} numbers{where}",
                "one of them makes the whole loss NaN: replace them, or leave those samples out",
            )


def _missing(splits: Splits) -> Iterator[Problem]:
    facts = splits["train"]
    mostly = [part for part in facts.parts if part.missing * 2 >= part.samples and part.missing]
    if mostly:
        said = [f"{part.name} ({part.missing / part.samples:.0%})" for part in mostly]
        yield Problem(
            "columns mostly missing",
            f"without a value in at least half of train: {_listed(said)}",
            "leave these columns out unless it tells something that they are empty",
        )


def _same_inputs(splits: Splits) -> Iterator[Problem]:
    for split, facts in splits.items():
        inputs = _inputs(facts)
        if inputs and all(part.identical for part in inputs):
            yield Problem(
                "all inputs are the same",
                f"the inputs of all {facts.looked_at:,} {split} samples looked at are equal",
                "look at how datasets() reads them: nothing can be learned from one input",
            )


def _constant_columns(splits: Splits) -> Iterator[Problem]:
    facts = splits["train"]
    inputs = _inputs(facts)
    if all(part.identical for part in inputs):
        return
    constant = [name for name, each in _input_columns(facts).items() if each.constant]
    constant += [part.name for part in inputs if part.kind == "text" and part.identical]
    if constant:
        many = len(constant) > 1
        yield Problem(
            "constant columns" if many else "constant column",
            f"{_listed(constant)} {'have' if many else 'has'} one value in all of train",
            f"{'they tell' if many else 'it tells'} nothing: leave {'them' if many else 'it'} out",
        )


def _scales(splits: Splits) -> Iterator[Problem]:
    facts = splits["train"]
    floats = {part.name for part in _inputs(facts) if part.floats}
    spreads = {
        name: each.std
        for part in _inputs(facts)
        if part.name in floats
        for name, each in columns_of(part).items()
        if each.std
    }
    if len(spreads) > 1:
        low, high = min(spreads, key=lambda name: spreads[name]), max(spreads, key=lambda name: spreads[name])
        if spreads[high] > SCALES * spreads[low]:
            yield Problem(
                "columns of very different scales",
                f"std of {high} is {spreads[high]:.3g}, of {low} {spreads[low]:.3g}",
                "normalise: subtract each column's training mean and divide by its std",
            )


def _repeated(splits: Splits) -> Iterator[Problem]:
    facts = splits["train"]
    if not facts.repeated or all(part.identical for part in _inputs(facts)):
        return
    share = facts.repeated / facts.looked_at
    against = f"; {facts.contradicting:,} of these inputs with different targets" * bool(facts.contradicting)
    yield Problem(
        "duplicates in train",
        f"{facts.repeated:,} of {facts.looked_at:,} samples ({share:.1%}) have inputs that another has "
        f"too{against}",
        "remove them if they are the same observation; they weigh twice",
    )


def _leaks(splits: Splits) -> Iterator[Problem]:
    for split, facts in splits.items():
        if facts.in_train and not all(part.identical for part in _inputs(facts)):
            share = facts.in_train / facts.looked_at
            partly = splits["train"].which != "all" or facts.which != "all"
            yield Problem(
                "duplicates across splits",
                f"the inputs of {'at least ' * partly}{facts.in_train:,} of {facts.looked_at:,} {split} "
                f"samples ({share:.1%}) are in train too",
                f"{split} metrics are too good by that: split after removing duplicates, or by group",
            )


def _classes(splits: Splits) -> Iterator[Problem]:
    for part in _targets(splits["train"]):
        if not part.classes:
            continue
        assert part.values is not None
        value, most = part.values[0]
        total = sum(count for _, count in part.values)
        if most >= ONE_CLASS * total:
            yield Problem(
                "nearly one class" if len(part.values) > 1 else "one class",
                f"{most / total:.1%} of train is {part.name} {value} ({most:,} of {total:,})",
                f"always guessing it gives an accuracy of {most / total:.3f}: weigh the loss by class or "
                "resample, and judge by a metric for each class",
            )
        known = dict(part.values)
        for split, facts in splits.items():
            other = next((each for each in facts.parts if each.name == part.name), None)
            if split == "train" or other is None or other.values is None:
                continue
            seen = dict(other.values)
            unknown = [f"{name}" for name in seen if name not in known]
            absent = [f"{name}" for name in known if name not in seen]
            if unknown:
                yield Problem(
                    "classes missing in train",
                    f"{part.name} of {split} that train does not have: {_listed(unknown)}",
                    "they can't be learned: split so that each class is in train (stratified)",
                )
            if absent:
                yield Problem(
                    f"classes missing in {split}",
                    f"{part.name} of train that {split} does not have: {_listed(absent)}",
                    f"{split} metrics say nothing of them: take more {split} samples, or split stratified",
                )


def _labels(splits: Splits) -> Iterator[Problem]:
    for part in _targets(splits["train"]):
        summary, values = part.summary, part.values
        if summary is None or summary.min is None or summary.max is None or not values or not part.scalar:
            continue
        if part.floats:
            whole = all(float(value).is_integer() for value, _ in values)
            if whole and len(values) <= FEW_VALUES and 2 * len(values) <= summary.count:
                yield Problem(
                    "float targets that look like classes",
                    f"{part.name} is {next(iter(part.dtypes))} with {len(values)} whole values from "
                    f"{summary.min:g} to {summary.max:g}",
                    "for classes make them int64 (.long()); as they are, a regression is trained",
                )
        elif part.classes and part.dtypes.keys() != {"bool"}:
            classes = int(summary.max) - int(summary.min) + 1
            if summary.min != 0:
                yield Problem(
                    "labels do not start at 0",
                    f"{part.name} runs from {summary.min:g} to {summary.max:g}",
                    f"class indices are 0 to {len(values) - 1}: subtract {summary.min:g}"
                    if classes == len(values)
                    else f"class indices are 0 to {len(values) - 1}: number the classes anew",
                )
            elif classes > len(values):
                yield Problem(
                    "labels with gaps",
                    f"{part.name} runs from 0 to {summary.max:g}, but only {len(values)} of these "
                    f"{classes} occur in train",
                    f"the model needs {classes} outputs all the same; or number the classes anew",
                )


def _kinds(splits: Splits, collated: bool) -> Iterator[Problem]:
    facts = splits["train"]
    if facts.unit == "batch":
        return
    doubles = [part.name for part in _inputs(facts) if "float64" in part.dtypes]
    if doubles:
        yield Problem(
            "float64 inputs",
            f"{_listed(doubles)} of train",
            "most models want float32: .float() in datasets()",
        )
    if collated:
        return
    uneven = [part for part in facts.parts if part.shape_count > 1]
    if uneven:
        said = [
            f"{part.name} ({' '.join(str(list(shape)) for shape, _ in part.shapes[:2])} …)" for part in uneven
        ]
        yield Problem(
            "samples of different shapes",
            f"{_listed(said)}",
            "they can't be stacked into a batch: give the data set a collate_fn(samples) that pads",
        )
    foreign = [
        f"{part.name} ({', '.join(part.dtypes)})"
        for part in facts.parts
        if part.kind == "other" or any(dtype.startswith("PIL ") for dtype in part.dtypes)
    ]
    if foreign:
        yield Problem(
            "parts that are no tensors",
            _listed(foreign),
            "return tensors, arrays or numbers, or give the data set a collate_fn",
        )


def _tiny(splits: Splits) -> Iterator[Problem]:
    for split, facts in splits.items():
        if split != "train" and facts.samples is not None and facts.samples < TINY and facts.unit == "sample":
            yield Problem(
                f"tiny {split} set",
                f"{facts.samples:,} samples: one more that is right changes accuracy by "
                f"{1 / facts.samples:.1%}",
                "take differences between runs with care; a larger set, or several seeds, says more",
            )


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
