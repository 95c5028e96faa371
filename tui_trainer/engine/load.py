"""A finished or running run, read from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.errors import FileError
from tui_trainer.runs.checkpoints import verify
from tui_trainer.runs.index import find_checkpoint, find_run
from tui_trainer.runs.layout import RunLayout, default_runs_dir
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import RunState, read_state

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from tui_trainer.tasks.base import Task


class Run:
    """One run's record, and the model it trained.

    Args:
        root: the run directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._reader = RunReader(root)

    def __repr__(self) -> str:
        return f"Run({str(self.root)!r})"

    @property
    def state(self) -> RunState:
        """Status, epoch, step, metrics, best and history, as they are now."""
        return read_state(self._reader)

    @property
    def hparams(self) -> dict[str, Any]:
        """The run's hparams."""
        return self._reader.hparams()

    @property
    def checkpoints(self) -> list[dict[str, Any]]:
        """The entries of the checkpoint index, oldest first."""
        return self._reader.checkpoints()

    def steps(self) -> dict[str, NDArray[np.float64]]:
        """The step series: one array of shape (rows,) for each column."""
        rows = self._reader.steps()
        return {name: rows[:, column] for column, name in enumerate(self._reader.columns())}

    def state_dict(self, tag: str = "best") -> dict[str, Tensor]:
        """The weights of a checkpoint, on the host.

        Args:
            tag: best (last where none is marked so), last, an epoch such as 7, or 7+120.

        Raises:
            FileError: there is no such checkpoint, or it can't be read.
        """
        from tui_trainer.engine.checkpoint import load_weights

        if tag == "best" and not any(entry.get("best") for entry in self.checkpoints):
            tag = "last"
        root, found = find_checkpoint(f"{self.root}@{tag}", self.root.parent)
        layout = RunLayout(root)
        if problems := verify(layout, found):
            raise FileError("bad checkpoint", f"{root}: {'; '.join(problems)}", "take another one")
        return load_weights(layout.model_file(found))

    def task(self) -> Task:
        """The run's task. A task file comes from where it was, or from the copy that the run keeps."""
        from tui_trainer.tasks.registry import load_task

        return load_task(str(self.hparams["task"]), (Path(), self._reader.layout.task_source))

    def model(self, tag: str = "best") -> nn.Module:
        """The trained network in evaluation mode, on the host. Reads the data, which decide its sizes."""
        from tui_trainer.engine.checkpoint import load_into

        task = self.task()
        hparams = task.hparams_class(**self.hparams)
        task.datasets(hparams)
        model = task.model(hparams)
        load_into(model, self.state_dict(tag), self.root)
        return model.eval()


def load_run(word: str | Path = "last", runs_dir: str | Path | None = None) -> Run:
    """Find a run.

    Args:
        word: last, a run directory, an id, a unique prefix of one, its four-digit end, or a name.
        runs_dir: where runs live (default: $TUI_TRAIN_RUNS or ./runs).

    Raises:
        UsageError: no such run.
    """
    folder = Path(runs_dir) if runs_dir is not None else default_runs_dir()
    return Run(find_run(str(word), folder))
