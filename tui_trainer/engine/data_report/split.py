"""One walk over a split: statistics of every part, examples, and which samples are there twice."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tui_trainer.engine.data_report.examples import class_name, example_of
from tui_trainer.engine.data_report.facts import PartFacts, SplitFacts
from tui_trainer.engine.data_report.parts import Part, digest, parts_of
from tui_trainer.engine.data_report.sampling import Walk
from tui_trainer.engine.data_report.statistics import Collector

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task

EXAMPLES = 8


class Fingerprints:
    """Which inputs a split has, and how often."""

    def __init__(self) -> None:
        self._targets: dict[bytes, bytes | None] = {}
        self._more: dict[bytes, int] = {}
        self._contradicting: set[bytes] = set()

    def add(self, parts: Sequence[Part]) -> None:
        """Take in a sample."""
        inputs = digest([part for part in parts if not part.target])
        if inputs is not None:
            targets = digest([part for part in parts if part.target])
            if inputs not in self._targets:
                self._targets[inputs] = targets
                return
            self._more[inputs] = self._more.get(inputs, 0) + 1
            if targets != self._targets[inputs]:
                self._contradicting.add(inputs)

    @property
    def repeated(self) -> int:
        """Samples whose inputs are those of another one."""
        return sum(more + 1 for more in self._more.values())

    @property
    def contradicting(self) -> int:
        """Inputs that come with different targets."""
        return len(self._contradicting)

    def shared_with(self, other: Fingerprints) -> int:
        """Samples whose inputs the other split has too."""
        return sum(1 + self._more.get(inputs, 0) for inputs in self._targets if inputs in other._targets)


def look_at(
    part: Any,
    task: Task,
    most: int | None,
    seconds: float,
    reading: Callable[[int], None],
    classes: Sequence[str] = (),
    columns: Sequence[str] = (),
    train: Fingerprints | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[SplitFacts, Fingerprints]:
    """Look at one split.

    Args:
        part: as `raw_splits` gives it.
        task: makes samples readable.
        most: samples to look at; None: all.
        seconds: how long to look; the first sample is waited for.
        reading: is told the index of the sample that is read next.
        classes: names of the classes.
        columns: names of the columns of input vectors.
        train: of the training set, unless this is it.
        clock: seconds.
    """
    begin = clock()
    walk = Walk(part, most, lambda: clock() - begin < seconds, reading)
    prints = Fingerprints()
    collectors: dict[str, Collector] = {}
    shown: list[tuple[int, list[Part]]] = []
    readable = task.overrides("readable")
    for index, sample in walk:
        raw = parts_of(sample)
        prints.add(raw)
        parts = parts_of(task.readable(sample)) if readable else raw
        for each in parts:
            if each.name not in collectors:
                collectors[each.name] = Collector(each.name, each.target)
            collectors[each.name].add(each)
        if len(shown) < EXAMPLES:
            shown.append((index, parts))
    facts = {name: _with_names(each.facts(columns), classes) for name, each in collectors.items()}
    return (
        SplitFacts(
            samples=walk.samples,
            looked_at=walk.looked_at,
            which=walk.which,
            out_of_time=walk.out_of_time,
            seconds=clock() - begin,
            unit="batch" if walk.batches else "sample",
            repeated=prints.repeated,
            contradicting=prints.contradicting,
            in_train=prints.shared_with(train) if train is not None else 0,
            parts=tuple(facts.values()),
            examples=tuple(example_of(index, parts, facts, classes) for index, parts in shown),
        ),
        prints,
    )


def _with_names(part: PartFacts, classes: Sequence[str]) -> PartFacts:
    """The part with names of classes in place of their indices, where every value is one."""
    if not (part.target and part.values and part.kind == "numbers" and not part.floats):
        return part
    names = [class_name(value, classes) for value, _ in part.values]
    if None in names:
        return part
    values = zip(names, (count for _, count in part.values), strict=True)
    return dataclasses.replace(part, values=tuple(values))
