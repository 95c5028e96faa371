"""Saving checkpoints beside training: a copy of the state is taken between two steps, a thread writes it.

The copy costs host memory: as much as the checkpoint's files, for as long as they are being written. While
the disk refuses them, the newest copy waits in memory (and the best one, where that is another), so at most
two are held.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine import checkpoint
from tui_trainer.engine.progress import Progress
from tui_trainer.errors import FileError, TrainerError
from tui_trainer.files import os_failure
from tui_trainer.runs.layout import RunLayout, checkpoint_tag
from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    from tui_trainer.engine.prepared import Prepared

AT_ONCE_S = (0.1, 0.4)
"""A write that fails is tried again after these seconds, before saving pauses."""
PAUSE_S = 5.0
"""Seconds to the next try while saving pauses; doubled each time, up to a minute."""
LAST_PATIENCE_S = 600.0
"""How long a run's last checkpoint waits for room on the disk."""
HURRIED_PATIENCE_S = 5.0
"""How long it does after SIGTERM or at a time limit: who ends a run like this kills it soon."""

_TROUBLE = "checkpoints"
_SLICE_S = 0.5


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A copy of everything that a checkpoint holds.

    Attributes:
        place: where training was.
        weights: state_dict of the evaluated model, on the host.
        state: what an exact resume needs beside it, in plain types.
        metrics: the latest value of each.
        best: the best so far by the monitored metric.
        seconds: what taking the copy cost.
    """

    place: Progress
    weights: Mapping[str, Tensor]
    state: Mapping[str, Any]
    metrics: Mapping[str, float]
    best: bool
    seconds: float


class Saver:
    """Saves checkpoints, one at a time and one for each place at most.

    Where the disk refuses a checkpoint, training goes on: saving pauses with an alert, and goes on by itself
    when the disk takes it.

    Args:
        writer: the record.
        hparams: of the run.
        clock: the run's.
        origin: tag of the checkpoint that the run goes on from: retention leaves it.

    Attributes:
        place: finished epochs and batches of the newest copy; None before the first.
        time: when that was taken, by the run's clock.
        slowest: seconds of the slowest save so far, copying and writing.
    """

    def __init__(
        self, writer: RunWriter, hparams: Hparams, clock: Callable[[], float], origin: str | None = None
    ) -> None:
        self.place: tuple[int, int] | None = None
        self.time = clock()
        self.slowest = 0.0
        self._origin = origin
        self._writer = writer
        self._hparams = hparams
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[Snapshot] = []
        self._trouble: FileError | None = None
        self._lost: FileError | None = None
        self._left_out = 0
        self._begun = 0
        self._failed = 0
        self._askers = 0
        self._closed = False
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def pending(self) -> bool:
        """Whether a copy is not on the disk yet."""
        return bool(self._waiting)

    def saved(self, progress: Progress) -> bool:
        """Whether this place is saved already, or about to be."""
        return self.place == (progress.epoch, progress.batch)

    def save(
        self,
        ready: Prepared,
        progress: Progress,
        metrics: Mapping[str, float],
        state: Callable[[], dict[str, Any]],
        best: bool,
    ) -> None:
        """Copy the state of this place and let it be written; first wait for the one before, if need be.

        Args:
            ready: what is saved.
            progress: where training is.
            metrics: the latest value of each.
            state: what an exact resume needs.
            best: the best so far by the monitored metric.

        Raises:
            TrainerError: the weights are poisoned, and must not take a good checkpoint's place.
        """
        ready.check_weights(progress.step)
        with self._changed:
            self._wait_for(lambda: not self._waiting or self._trouble is not None)
        begin = time.perf_counter()
        weights = checkpoint.model_state(ready.evaluated_model)
        plain = checkpoint.plain(state())
        seconds = time.perf_counter() - begin
        snapshot = Snapshot(replace(progress), weights, plain, dict(metrics), best, seconds)
        with self._changed:
            self.time = self._clock()
            self.place = (progress.epoch, progress.batch)
            # While saving pauses, a newer state takes an older one's place, but not the best one's.
            kept = [old for old in self._waiting if old.best and not best]
            self._left_out += len(self._waiting) - len(kept)
            self._waiting = [*kept, snapshot]
            self._lost = None
            self._changed.notify_all()
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="checkpoint-writer", daemon=True)
            thread.start()
            self._thread = thread

    def settle(self) -> None:
        """Wait until every copy is written, or can't be.

        Raises:
            FileError: why the newest one is not.
        """
        with self._changed:
            wanted = self._begun + 1
            self._askers += 1
            self._changed.notify_all()
            try:
                self._wait_for(lambda: not self._waiting or self._failed >= wanted)
            finally:
                self._askers -= 1
            error = self._trouble if self._waiting else self._lost
        if error is not None:
            raise error

    @contextmanager
    def standing(self) -> Iterator[None]:
        """While inside, nothing is written: the index is the caller's to change.

        What can be written is written before.
        """
        with suppress(FileError):
            self.settle()
        with self._writing:
            yield

    def forget(self) -> None:
        """Drop what waits for room on the disk: training goes back to before it. Call it while `standing`."""
        with self._changed:
            self._left_out += len(self._waiting)
            self._waiting = []
            self._changed.notify_all()

    def finish(
        self,
        hurried: Callable[[], bool],
        waits: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wait at the run's end for the last checkpoint, and for some time for a disk that does not take it.

        Args:
            hurried: whether who ends the run will kill it soon.
            waits: is told once, in a sentence, that and how long it waits.
            clock: source of seconds.

        Raises:
            FileError: it is not written.
        """
        begin, told = clock(), False
        while True:
            try:
                return self.settle()
            except FileError as error:
                patience = HURRIED_PATIENCE_S if hurried() else LAST_PATIENCE_S
                if self._lost is None and not told:
                    told = True
                    waits(f"{error.message}; waiting up to {patience / 60:.2g} minutes for room")
                if self._lost is not None or clock() - begin >= patience:
                    hint = "make room, then resume the run: it goes on from its newest good checkpoint"
                    raise FileError("last checkpoint not saved", error.message, hint) from error
            with self._changed:
                self._changed.wait(min(0.5, PAUSE_S))

    def close(self, patience_s: float | None = None) -> None:
        """End the thread. A write under way is waited for; what waits for room on the disk is lost.

        Args:
            patience_s: how long to wait; None for as long as it takes.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        end = None if patience_s is None else time.monotonic() + patience_s
        while self._thread is not None and self._thread.is_alive():
            # In slices, as `_wait_for`.
            self._thread.join(_SLICE_S)
            if end is not None and time.monotonic() >= end:
                # The thread holds the run's lock until it is done, so nobody else writes meanwhile.
                return

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait in slices: an exception that is set in this thread from outside is heard between them."""
        while not self._changed.wait_for(condition, _SLICE_S):
            pass

    # ------------------------------------------------------------------ the writing thread

    def _run(self) -> None:
        pause = PAUSE_S
        while (snapshot := self._next()) is not None:
            try:
                self._write(snapshot)
            except Exception as error:
                refused = _refused_by_the_system(error)
                if refused is None:
                    self._give_up(error, snapshot)
                    continue
                self._pause(os_failure(refused, self._writer.layout.checkpoints), snapshot)
                with self._changed:
                    self._changed.wait_for(lambda: self._askers > 0 or self._closed, pause)
                pause = min(60.0, 2.0 * pause)
            else:
                pause = PAUSE_S

    def _next(self) -> Snapshot | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting or (self._closed and self._trouble is not None):
                return None
            self._begun += 1
            return self._waiting[0]

    def _write(self, snapshot: Snapshot) -> None:
        """Write one snapshot, whatever it takes within a second.

        Raises:
            Exception: that of the last try.
        """
        for pause in AT_ONCE_S:
            try:
                return self._try(snapshot)
            except Exception as error:
                if _refused_by_the_system(error) is None:
                    raise
                time.sleep(pause)
        return self._try(snapshot)

    def _try(self, snapshot: Snapshot) -> None:
        begin = time.perf_counter()
        layout, place = self._writer.layout, snapshot.place
        with self._writing, self._writer.holding():
            if snapshot not in self._waiting:
                return
            # The record must reach the disk first: the checkpoint says how much of it is valid.
            self._writer.sync()
            entry = checkpoint.save_checkpoint(
                layout,
                place.epoch,
                place.batch,
                weights=snapshot.weights,
                trainer_state=snapshot.state,
                hparams=self._hparams.model_dump(mode="json"),
                metrics=snapshot.metrics,
                step=place.step,
                time=time.time(),
                best=snapshot.best,
                keep=self._hparams.keep_checkpoints,
                protect=self._origin,
            )
        seconds = snapshot.seconds + time.perf_counter() - begin
        self._writer.event("checkpoint", **checkpoint_facts(layout, entry), seconds=seconds)
        with self._changed:
            self.slowest = max(self.slowest, seconds)
            self._waiting = [waiting for waiting in self._waiting if waiting is not snapshot]
            recovered, self._trouble = self._trouble, None
            left_out, self._left_out = self._left_out, 0
            self._changed.notify_all()
        if recovered is not None:
            self._writer.trouble_with(_TROUBLE, None)
            missing = f"; {left_out} in between were not" if left_out else ""
            message = f"{model_path(layout, entry['tag'])} is written{missing}"
            self._alert("info", "saving goes on", message, place)

    def _pause(self, why: str, snapshot: Snapshot) -> None:
        with self._changed:
            first = self._trouble is None
            self._failed = self._begun
            self._trouble = FileError("checkpoint not saved", why)
            self._changed.notify_all()
        self._writer.trouble_with(_TROUBLE, why)
        if first:
            meanwhile = "training goes on; the newest state waits in memory until it can be written"
            self._alert("error", "saving pauses", f"{why}; {meanwhile}", snapshot.place)

    def _give_up(self, error: Exception, snapshot: Snapshot) -> None:
        """Drop what no disk would take, such as a state that can't be read again."""
        told = error if isinstance(error, TrainerError) else f"{type(error).__name__}: {error}"
        with self._changed:
            self._waiting = [waiting for waiting in self._waiting if waiting is not snapshot]
            self._lost = FileError("checkpoint not saved", str(told))
            self._trouble = None
            self._changed.notify_all()
        self._writer.trouble_with(_TROUBLE, None)
        self._alert("error", "checkpoint not saved", str(told), snapshot.place)

    def _alert(self, level: str, title: str, message: str, place: Progress) -> None:
        self._writer.event("alert", level=level, title=title, message=message, step=place.step)


def _refused_by_the_system(error: Exception) -> OSError | None:
    """The system's refusal behind an error, which may pass; None for an error that no later try mends."""
    found = error if isinstance(error, OSError) else error.__cause__
    return found if isinstance(found, OSError) else None


def checkpoint_facts(layout: RunLayout, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the record tells of a checkpoint, given its entry in the index."""
    place = {key: entry[key] for key in ("epoch", "batch", "step")}
    return {**place, "path": model_path(layout, entry["tag"]), "best": entry["best"], "size": entry["size"]}


def model_path(layout: RunLayout, tag: str) -> str:
    """A checkpoint's `.pt` as the record names it, relative to the run directory."""
    return str(layout.model_file(tag).relative_to(layout.root))


def path_here(layout: RunLayout, progress: Progress) -> str:
    """The `.pt` of a checkpoint of this place."""
    return model_path(layout, checkpoint_tag(progress.epoch, progress.batch))
