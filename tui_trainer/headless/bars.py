"""Progress on a terminal: two bars and a line of numbers that stay, one line kept per epoch above them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tui_trainer.headless.pace import Pace
from tui_trainer.headless.sink import Sink, encodes
from tui_trainer.headless.story import Line, Story
from tui_trainer.headless.stray import StrayOutput
from tui_trainer.headless.tail import decode_all
from tui_trainer.headless.words import clean, eta, fit, number, one_line, pairs, rate, seconds
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import RunState

_STYLES = {
    "header": "dim",
    "epoch": "",
    "best": "bold",
    "note": "dim",
    "text": "",
    "warning": "yellow",
    "error": "bold red",
    "closing": "",
}
_WIDEST_BAR = 60
_EXTREMES = ("_min", "_max")


class BarsPrinter:
    """Draws with rich.

    Args:
        sink: a terminal.
        story: tells the lines that are kept.
        reader: of the run.
        stray: what the task prints; shown above the bars.
        width: columns of the terminal now.
        clock: unix seconds.
    """

    def __init__(
        self,
        sink: Sink,
        story: Story,
        reader: RunReader,
        stray: StrayOutput | None,
        width: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._story = story
        self._reader = reader
        self._stray = stray
        self._width = width
        self._clock = clock
        self._pace = Pace()
        self._frame = 0
        self._phase: tuple[str, float] = ("starting", clock())
        self._marks = "━─" if encodes(sink.encoding, "━─★…·") else "#-"
        self._spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if encodes(sink.encoding, "⠋") else "|/-\\"
        self._console = Console(
            file=sink,  # type: ignore[arg-type]
            force_terminal=True,
            force_interactive=True,
            width=width(),
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def show(self, lines: list[bytes]) -> None:
        self._console.width = max(1, self._width())
        kept = self._strays()
        for event in decode_all(lines):
            if event["event"] == "phase":
                name = str(event.get("name", "")) if "seconds" not in event else "starting"
                self._phase = (one_line(name), as_number(event.get("time")))
            kept += [self._kept(line) for line in self._story.tell(event)]
        if not self._live.is_started:
            self._live.start()
        self._live.update(Group(*self._region()))
        # One write for both, so that nothing flickers.
        with self._console:
            if kept:
                self._console.print(Group(*kept))
            self._live.refresh()

    def close(self) -> None:
        """Take the bars away and print the closing."""
        strays = self._strays(final=True)
        self._live.update(Group())
        self.abandon()
        for text in strays:
            self._console.print(text)
        head = True
        for line in self._story.closing():
            if line.kind == "closing" and head:
                head = False
                self._console.print(Text(clean(line.text), style="bold"))
                continue
            # Paths are copied from here: the terminal may wrap them, we must not.
            self._console.print(Text(clean(line.text), style=_STYLES[line.kind]), soft_wrap=True)

    def abandon(self) -> None:
        """Take the bars away and show the cursor."""
        if self._live.is_started:
            self._live.stop()

    def _strays(self, final: bool = False) -> list[Text]:
        lines = self._stray.take(final) if self._stray is not None else []
        return [Text.from_ansi(line) if "\x1b" in line else Text(clean(line)) for line in lines]

    def _kept(self, line: Line) -> Text:
        cut = line.kind in ("epoch", "best")
        overflow = "ellipsis" if cut else "fold"
        return Text(clean(line.text), style=_STYLES[line.kind], no_wrap=cut, overflow=overflow)  # type: ignore[arg-type]

    def _region(self) -> list[Text]:
        now, state = self._clock(), self._story.state
        row = self._reader.last_row() or {}
        step = as_number(row.get("step"))
        self._frame += 1
        if state.ended is not None:
            return []
        if not step > self._story.first_step or state.current_epoch == 0:
            return [self._busy(*self._phase, now)]
        if state.status == "paused":
            self._pace.reset()
        else:
            self._pace.note(now, step)
        # One column stays free: a terminal that wraps at its last one would tear the region.
        width = max(1, self._width() - 1)
        region = progress(state, row, step, self._pace.eta_s(state.total_steps, now), width, self._marks)
        for text in region:
            text.truncate(width, overflow="crop")
        return region

    def _busy(self, name: str, since: float, now: float) -> Text:
        spinner = self._spinner[self._frame % len(self._spinner)]
        text = Text(f"{spinner} {name} {seconds(now - since)}".rstrip())
        text.truncate(max(1, self._width() - 1), overflow="crop")
        return text


def progress(
    state: RunState, row: Mapping[str, float], step: float, left_s: float | None, width: int, marks: str
) -> list[Text]:
    """The region below the kept lines.

    Args:
        state: of the run.
        row: the newest row of the step series.
        step: optimizer steps done.
        left_s: seconds left; None while unknown.
        width: columns.
        marks: characters of the done and the open part of a bar.
    """
    step = max(step, float(state.step))
    of = f"/{state.epochs:,}" if state.epochs else ""
    labels = [f"epoch {max(state.current_epoch, 1):,}{of}", "total"]
    pad = max(map(len, labels))
    parts = (_epoch_fraction(state, row), step / state.total_steps if state.total_steps else math.nan)
    lines = [
        bar(label.ljust(pad), fraction, width, marks)
        for label, fraction in zip(labels, parts, strict=True)
        if math.isfinite(fraction)
    ]
    total = f"/{state.total_steps:,}" if state.total_steps else ""
    paused = "paused" if state.status == "paused" else ""
    known = [rate(row.get("samples_per_s", math.nan)), f"ETA {eta(left_s)}" if state.total_steps else ""]
    place = "  ".join(part for part in (paused, f"step {int(step):,}{total}", *known) if part)
    if len(place) > width:
        place = "  ".join(part for part in (paused, f"step {int(step):,}", known[1]) if part)
    lines.append(Text(place))
    metrics = {k: v for k, v in row.items() if k.startswith("train/") and not k.endswith(_EXTREMES)}
    numbers = pairs(metrics)
    if math.isfinite(state.lr):
        numbers.append(f"lr {_lr(row.get('lr', state.lr))}")
    if numbers:
        lines.append(Text(fit("", numbers, "", width, must=numbers[0])))
    return lines


def _epoch_fraction(state: RunState, row: Mapping[str, float]) -> float:
    """How much of the epoch in training is done; NaN where it can't be known."""
    if state.current_epoch <= state.epoch:
        return 1.0
    if not state.steps_per_epoch:
        return math.nan
    done = row.get("epoch", math.nan) - state.epoch
    return min(1.0, max(0.0, done)) if math.isfinite(done) else math.nan


def _lr(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else number(value)


def bar(label: str, fraction: float, width: int, marks: str) -> Text:
    """`label ━━━━━─────  63 %` in at most `width` columns; without a bar where there is no room for one."""
    percent = f"{math.floor(100 * min(1.0, max(0.0, fraction))):3d} %"
    room = min(_WIDEST_BAR, width - len(label) - len(percent) - 2)
    text = Text(f"{label} ")
    if room >= 4:
        done = round(room * min(1.0, max(0.0, fraction)))
        text.append(marks[0] * done, style="cyan")
        text.append(marks[1] * (room - done), style="dim")
        text.append(" ")
    text.append(percent)
    return text
