"""What a run looks like to a logger: a stream of records, in the order of `Record`'s members and of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Start:
    """What the run is. Comes first, once training has begun.

    Attributes:
        run_id: the run's id.
        name: the human name, or the id.
        task: the task's name.
        hparams: all of them.
        time: unix seconds of its creation.
    """

    run_id: str
    name: str
    task: str
    hparams: Mapping[str, Any]
    time: float


@dataclass(frozen=True)
class Rows:
    """Rows of the step series.

    Attributes:
        columns: their names; `step` and `time` are among them.
        values: shape (rows, columns).
    """

    columns: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """The end of an epoch, or an evaluation inside one.

    Attributes:
        epoch: from 1.
        step: optimizer steps done.
        time: unix seconds.
        metrics: by name, such as `test/loss`.
        timing: lr, seconds and samples_per_s of an epoch; empty for an evaluation inside one.
    """

    epoch: int
    step: int
    time: float
    metrics: Mapping[str, float]
    timing: Mapping[str, float]


@dataclass(frozen=True)
class Text:
    """What the task logged as a text; or what happened: an alert, a checkpoint, a resume, a request.

    Attributes:
        name: the text's name; of what happened `run/alerts`, `run/checkpoints` or `run/control`.
    """

    name: str
    text: str
    epoch: int
    step: int
    time: float


@dataclass(frozen=True)
class Image:
    """A PNG that the task logged. `path` is a plain file inside the run's media folder."""

    name: str
    path: Path
    epoch: int
    step: int
    time: float


@dataclass(frozen=True)
class End:
    """How the run ended. `status` is finished, stopped, failed or crashed."""

    status: str
    reason: str
    step: int
    time: float


@dataclass(frozen=True)
class Again:
    """The run went back to a checkpoint: all that came before is void, and the stream begins again."""


Record = Start | Rows | Measured | Text | Image | End | Again


def scalars(record: Measured) -> dict[str, float]:
    """All numbers of a measurement by the name that loggers give them: what is no metric is `epoch/…`."""
    return {**record.metrics, **{f"epoch/{name}": value for name, value in record.timing.items()}}


def step_scalars(rows: Rows) -> tuple[list[str], list[int], int, int]:
    """How to read `rows` as scalars.

    Returns:
        Names for loggers (`step/train/loss`: an epoch's mean is called `train/loss`), the columns that they
        are in, and the columns of step and time.
    """
    taken = [k for k, name in enumerate(rows.columns) if name not in ("step", "time")]
    names = [f"step/{rows.columns[k]}" for k in taken]
    return names, taken, rows.columns.index("step"), rows.columns.index("time")


class Sink(Protocol):
    """Where records go. Opening one replaces what an earlier filling left of the same run.

    Attributes:
        where: what a person is told: a folder, an address.
        viewer: the command that shows it, or sends it on; empty where there is none.
    """

    where: str
    viewer: str

    def write(self, record: Record) -> None:
        """Take a record, which is neither `Start` nor `Again`."""

    def flush(self) -> None:
        """Let others see all that was written. Called from time to time while a run is followed."""

    def close(self) -> None:
        """There is no more; what was written is seen by others."""

    def abandon(self) -> None:
        """What was written is void, or writing failed."""
