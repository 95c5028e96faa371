"""Plain lines, for files, pipes and CI logs: no control codes, little text, never silent for long."""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.headless.pace import Pace
from tui_trainer.headless.sink import Sink
from tui_trainer.headless.story import Story
from tui_trainer.headless.stray import StrayOutput
from tui_trainer.headless.tail import decode_all
from tui_trainer.headless.words import clean, eta, number, one_line, seconds
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.reader import RunReader

HEARTBEAT_S = 30.0
"""A log that has been silent for so long says that the run is alive."""

_SLOWEST_HEARTBEAT_S = 300.0
_LONG_PHASE_S = 5.0


class PlainPrinter:
    """Prints lines as events arrive, and a heartbeat between them.

    Args:
        sink: where the lines go.
        story: tells them.
        reader: of the run.
        stray: what the task prints.
        clock: unix seconds.
    """

    def __init__(
        self,
        sink: Sink,
        story: Story,
        reader: RunReader,
        stray: StrayOutput | None,
        clock: Callable[[], float],
    ) -> None:
        self._sink = sink
        self._story = story
        self._reader = reader
        self._stray = stray
        self._clock = clock
        self._pace = Pace()
        self._begin = self._spoken = clock()
        self._phase: tuple[str, float] | None = None
        self._phase_told = False

    def show(self, lines: list[bytes]) -> None:
        told = self._strays()
        for event in decode_all(lines):
            if event["event"] == "phase":
                told += self._phase_event(str(event.get("name", "")), event)
            elif event["event"] in ("epoch_start", "run_end"):
                self._phase = None
            told += [line.text for line in self._story.tell(event)]
        told += self._heartbeat()
        self._print(told)

    def close(self) -> None:
        """Print the closing."""
        self._print(self._strays(final=True) + [line.text for line in self._story.closing()])

    def abandon(self) -> None:
        """There is nothing to clean up."""

    def _print(self, lines: list[str]) -> None:
        if lines:
            self._spoken = self._clock()
            self._sink.write("".join(f"{clean(line)}\n" for line in lines))

    def _strays(self, final: bool = False) -> list[str]:
        return self._stray.take(final) if self._stray is not None else []

    def _phase_event(self, name: str, event: dict[str, object]) -> list[str]:
        if "seconds" not in event:
            self._phase, self._phase_told = (name, as_number(event.get("time"))), False
            return []
        self._phase = None
        took = as_number(event["seconds"])
        return [f"{one_line(name)}: {seconds(took)}"] if took > _LONG_PHASE_S else []

    def _heartbeat(self) -> list[str]:
        now, state = self._clock(), self._story.state
        row = self._reader.last_row() or {}
        step = as_number(row.get("step"))
        if step > self._story.first_step and state.status != "paused":
            self._pace.note(now, step)
        elif state.status == "paused":
            self._pace.reset()
        if self._phase is not None and not self._phase_told and now - self._phase[1] > _LONG_PHASE_S:
            self._phase_told = True
            return [f"{one_line(self._phase[0])} …"]
        # Days of training would otherwise fill megabytes with this.
        interval = min(_SLOWEST_HEARTBEAT_S, max(HEARTBEAT_S, (now - self._begin) / 200.0))
        if now - self._spoken < interval or state.ended is not None:
            return []
        if self._phase is not None:
            return [f"{one_line(self._phase[0])} … {seconds(now - self._phase[1])}"]
        if not step > 0:
            return ["starting …"]
        return [self._beat(step, row, now)]

    def _beat(self, step: float, row: dict[str, float], now: float) -> str:
        state = self._story.state
        total = f"/{state.total_steps:,}" if state.total_steps else ""
        paused = "paused at " if state.status == "paused" else ""
        parts = [f"{paused}step {max(int(step), state.step):,}{total}"]
        if "train/loss" in row:
            parts.append(f"train/loss {number(row['train/loss'])}")
        if state.total_steps and state.status != "paused":
            parts.append(f"ETA {eta(self._pace.eta_s(state.total_steps, now))}")
        return "  ".join(parts)
