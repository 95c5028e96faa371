"""When a run was last saved, and the saving itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine import checkpoint
from tui_trainer.engine.prepared import Prepared
from tui_trainer.engine.progress import Progress
from tui_trainer.errors import FileError, TrainerError
from tui_trainer.runs.layout import RunLayout, checkpoint_tag
from tui_trainer.runs.writer import RunWriter


class Saver:
    """Saves checkpoints, one for each place at most.

    Args:
        writer: the record.
        hparams: of the run.
        clock: the run's.

    Attributes:
        place: finished epochs and batches of the newest checkpoint; None before the first.
        time: of the newest checkpoint, by the run's clock.
        slowest: seconds of the slowest save so far.
    """

    def __init__(self, writer: RunWriter, hparams: Hparams, clock: Callable[[], float]) -> None:
        self.place: tuple[int, int] | None = None
        self.time = clock()
        self.slowest = 0.0
        self._writer = writer
        self._hparams = hparams
        self._clock = clock

    def saved(self, progress: Progress) -> bool:
        """Whether this place is saved already."""
        return self.place == (progress.epoch, progress.batch)

    def save(
        self,
        ready: Prepared,
        progress: Progress,
        metrics: dict[str, float],
        state: Callable[[], dict[str, Any]],
        best: bool,
    ) -> None:
        """Save a checkpoint of this place.

        Args:
            ready: what is saved.
            progress: where training is.
            metrics: the latest value of each.
            state: what an exact resume needs; called when the record is on the disk.
            best: the best so far by the monitored metric.

        Raises:
            FileError: it can't be written.
            TrainerError: the weights are poisoned, and must not take a good checkpoint's place.
        """
        ready.check_weights(progress.step)
        begin = time.perf_counter()
        layout = self._writer.layout
        try:
            # The record must reach the disk first: the checkpoint says how much of it is valid.
            self._writer.sync()
            entry = checkpoint.save_checkpoint(
                layout,
                progress.epoch,
                progress.batch,
                weights=checkpoint.model_state(ready.evaluated_model),
                trainer_state=state(),
                hparams=self._hparams.model_dump(mode="json"),
                metrics=metrics,
                step=progress.step,
                time=time.time(),
                best=best,
                keep=self._hparams.keep_checkpoints,
            )
        except (OSError, TrainerError) as error:
            raise FileError("checkpoint not saved", str(error)) from error
        self.time = self._clock()
        self.place = (progress.epoch, progress.batch)
        place = {"epoch": progress.epoch, "batch": progress.batch, "step": progress.step}
        seconds = time.perf_counter() - begin
        self.slowest = max(self.slowest, seconds)
        cost = {"size": entry["size"], "seconds": seconds}
        self._writer.event("checkpoint", **place, path=model_path(layout, entry["tag"]), best=best, **cost)


def model_path(layout: RunLayout, tag: str) -> str:
    """A checkpoint's `.pt` as the record names it, relative to the run directory."""
    return str(layout.model_file(tag).relative_to(layout.root))


def path_here(layout: RunLayout, progress: Progress) -> str:
    """The `.pt` of a checkpoint of this place."""
    return model_path(layout, checkpoint_tag(progress.epoch, progress.batch))
