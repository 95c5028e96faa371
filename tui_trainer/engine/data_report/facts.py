"""What a data report holds, as plain data that becomes JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Summary:
    """Numbers in brief; NaN and infinite ones are counted apart. None where there is no finite number.

    Attributes:
        count: of all numbers.
        nan: how many of them are NaN.
        infinite: how many are infinite.
    """

    count: int
    nan: int
    infinite: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None

    @property
    def constant(self) -> bool:
        """Whether it is one number, more than once."""
        return self.count > 1 and self.min is not None and self.min == self.max and not self.bad

    @property
    def bad(self) -> int:
        """Numbers that are none."""
        return self.nan + self.infinite


@dataclass(frozen=True)
class Lengths:
    """Sizes of dim 0 where they differ between samples, or characters.

    Attributes:
        bins: how many samples lie in each of equal steps from `min` to `max`.
    """

    min: int
    mean: float
    max: int
    bins: tuple[int, ...]


@dataclass(frozen=True)
class PartFacts:
    """One part of all samples of a split, such as the targets.

    Attributes:
        name: how a person calls it.
        target: the model is to give it, as far as one can tell.
        kind: "numbers", "text", "other", or "mixed".
        dtypes: how many samples have which dtype.
        shapes: the most frequent shapes, each with its number of samples.
        shape_count: how many different shapes there are.
        samples: how many samples have it; `missing` of them hold None.
        summary: of all its numbers.
        columns: of each column, for vectors of one length; by name.
        values: (value, how often), most frequent first, where there are few of them; names of classes, where
            they are known, in place of their indices.
        classes: these values are classes: texts or whole numbers, each of which comes more than once; few
            different ones, where a sample has many.
        identical: it is the same in all samples, of which there are several.
    """

    name: str
    target: bool
    kind: str
    dtypes: dict[str, int]
    shapes: tuple[tuple[tuple[int, ...], int], ...]
    shape_count: int
    samples: int
    missing: int
    summary: Summary | None
    columns: dict[str, Summary]
    values: tuple[tuple[Any, int], ...] | None
    classes: bool
    lengths: Lengths | None
    identical: bool

    @property
    def scalar(self) -> bool:
        """A single number or text in each sample."""
        return self.kind == "text" or [shape for shape, _ in self.shapes] == [()]

    @property
    def floats(self) -> bool:
        """Its numbers have a fraction, or could."""
        return any("float" in dtype for dtype in self.dtypes)


@dataclass(frozen=True)
class SplitFacts:
    """One split.

    Attributes:
        samples: how many there are; None where nobody knows.
        looked_at: how many of them this report is about.
        which: "all", "evenly spread" or "the first".
        out_of_time: it would have been more, had there been time.
        unit: "sample", or "batch" for what comes as batches.
        repeated: samples whose inputs are those of another one of this split.
        contradicting: of the repeated inputs, those that come with different targets.
        in_train: samples whose inputs are in the training set too.
        parts: of a sample.
        examples: some samples, as `examples.example_of` gives them.
    """

    samples: int | None
    looked_at: int
    which: str
    out_of_time: bool
    seconds: float
    unit: str
    repeated: int
    contradicting: int
    in_train: int
    parts: tuple[PartFacts, ...]
    examples: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Problem:
    """Something that somebody should look at before training.

    Attributes:
        title: what kind of thing.
        message: where, with numbers.
        hint: what to do.
    """

    title: str
    message: str
    hint: str


@dataclass(frozen=True)
class DataReport:
    """The data of a task.

    Attributes:
        splits: "train", and "val" and "test" where they are.
        classes: names of the classes by index, where the task knows them.
    """

    task: str
    description: str
    splits: dict[str, SplitFacts]
    classes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """One JSON object."""
        return asdict(self)
