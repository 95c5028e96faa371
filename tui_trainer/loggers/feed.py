"""From a run to a logger: once, or on and on while the run trains."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable

from tui_trainer.errors import Exit, FileError, TrainerError
from tui_trainer.files import os_failure
from tui_trainer.loggers.records import Again, Rows, Sink, Start
from tui_trainer.loggers.source import RunSource

LOOK_S = 1.0
"""How often a run that trains is looked at."""
STUCK_S = 600.0
"""A logger that has not taken a record for so long after its run is over is given up."""


def feed(
    source: RunSource,
    open_sink: Callable[[Start], Sink],
    follow: bool = False,
    wait: Callable[[], object] = lambda: time.sleep(LOOK_S),
    beat: Callable[[], object] = lambda: None,
) -> tuple[Sink | None, Counter[str]]:
    """Give a logger all that a run's record holds.

    Args:
        source: the run, from its beginning.
        open_sink: opens the logger.
        follow: go on until the run is over.
        wait: waits between two looks at a run that trains.
        beat: called after each record, and before each wait.

    Returns:
        The logger, closed (None where there was nothing for it), and how many records it took by type, step
        rows counted one by one.

    Raises:
        TrainerError: the logger failed. The run is untouched.
    """
    sink: Sink | None = None
    counts: Counter[str] = Counter()
    try:
        while True:
            for record in source.poll():
                if isinstance(record, Start):
                    sink = open_sink(record)
                    counts.clear()
                elif isinstance(record, Again):
                    if sink is not None:
                        sink.abandon()
                    sink = None
                elif sink is not None:
                    sink.write(record)
                    counts[type(record).__name__] += len(record.values) if isinstance(record, Rows) else 1
                beat()
            if source.over or not follow:
                break
            if sink is not None:
                sink.flush()
            beat()
            wait()
        done, sink = sink, None
        if done is not None:
            done.close()
        return done, counts
    except TrainerError:
        raise
    except OSError as error:
        raise FileError("logging failed", os_failure(error, "the logger's files"), _HINT) from error
    except Exception as error:
        raise TrainerError("logging failed", f"{type(error).__name__}: {error}", _HINT) from error
    finally:
        if sink is not None:
            _quietly(sink.abandon)


_HINT = "the run is untouched, and tui-train log can fill it again at any time"


def _quietly(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        # What went wrong first is being told.
        return


class Patience:
    """Ends this process if a logger hangs after its run is over: nobody would ever miss it.

    Args:
        over: whether the run is over.
        say: told before.
        seconds: how long a record may take.
        leave: ends the process with an exit code.
    """

    def __init__(
        self,
        over: Callable[[], bool],
        say: Callable[[str], object],
        seconds: float = STUCK_S,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._leave = leave
        self._over = over
        self._say = say
        self._seconds = seconds
        self._latest = time.monotonic()
        threading.Thread(target=self._watch, name="patience", daemon=True).start()

    def beat(self) -> None:
        """Something was done."""
        self._latest = time.monotonic()

    def _watch(self) -> None:
        while True:
            time.sleep(self._seconds / 10)
            if time.monotonic() - self._latest > self._seconds and self._over():
                self._say(f"error: logging hangs: no record was taken for {self._seconds:g} s\nhint: {_HINT}")
                self._leave(Exit.FAILED)
                return
