"""A finished or running run, read from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.errors import FileError
from tui_trainer.runs.index import find_checkpoint, find_run
from tui_trainer.runs.layout import default_runs_dir
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import RunState, read_state

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from tui_trainer.engine.scoring import Split
    from tui_trainer.engine.trained import Trained
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

    def state_dict(self, tag: str = "last") -> dict[str, Tensor]:
        """The weights of a checkpoint, on the host.

        Args:
            tag: last (the newest good checkpoint), best (last where none is marked so), an epoch such as
                7, or 7+120.

        Raises:
            FileError: there is no such checkpoint, or it can't be read.
        """
        from tui_trainer.engine.trained import good_weights

        return good_weights(self._reader.layout, self._tag(tag))

    def task(self, tag: str = "last") -> Task:
        """The run's task, which knows nothing of the data yet.

        A task file comes from where it was, or from the copy that the run keeps.
        """
        from tui_trainer.engine.run_task import task_of

        return task_of(self._reader.layout, self._tag(tag))[0]

    def trained(self, tag: str = "last", device: str = "cpu") -> Trained:
        """The trained model with its task, its hparams, and what the run keeps of its data.

        Args:
            tag: as of `state_dict`.
            device: where the model goes: auto, cpu, cuda, cuda:N, mps or xpu.
        """
        from tui_trainer.engine.trained import load_trained

        return load_trained(self.root, self._tag(tag), device)

    def model(self, tag: str = "last") -> nn.Module:
        """The trained network in evaluation mode, on the host.

        What the run keeps of its data decides its sizes; the data are read only where that does not do.
        """
        return self.trained(tag).model

    def predict(self, inputs: Any, tag: str = "last", device: str = "cpu") -> Any:
        """Outputs of the trained model.

        Args:
            inputs: a batch, as `Task.predict` takes it, with arrays as tensors; or the path of a file or
                folder, as `tui-train predict` reads it.
            tag: as of `state_dict`.
            device: where the model works.

        Returns:
            What `Task.predict` returns; for a path a list of records, one a sample.
        """
        from tui_trainer.engine.predict import predict_batch, predicted_rows

        trained = self.trained(tag, device)
        if isinstance(inputs, (str, Path)):
            if not Path(inputs).exists():
                raise FileError("input not found", f"{inputs} does not exist")
            return list(predicted_rows(trained, Path(inputs)))
        return predict_batch(trained, inputs)

    def evaluate(self, tag: str = "last", split: Split | None = None, **hparams: Any) -> dict[str, Any]:
        """Measure a checkpoint on its data, exactly as training does at the end of an epoch.

        Args:
            tag: as of `state_dict`.
            split: train, val, test or all; None: test, or what there is instead; of other data than the
                run's their own test set, or all samples together, as `data`.
            hparams: other values than the run's, such as `dataset_path` or `device`.

        Returns:
            What `tui-train evaluate --json` prints.
        """
        from tui_trainer.engine.run_task import hparams_for
        from tui_trainer.engine.scoring import score

        found = self._tag(tag)
        changed = hparams_for(self._reader.layout, found, hparams) if hparams else None
        return score(self.root, found, split, changed, hparams.get("device")).facts()

    def _tag(self, tag: str) -> str:
        if tag == "best" and not any(entry.get("best") for entry in self.checkpoints):
            tag = "last"
        return find_checkpoint(f"{self.root}@{tag}", self.root.parent)[1]


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
