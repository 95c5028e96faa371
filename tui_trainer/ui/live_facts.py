"""What the status line of a run says: its state, where it is, how fast, how long still."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tui_trainer.headless.pace import Pace
from tui_trainer.headless.words import age, duration, eta, number, one_line, seconds
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.state import ACTIVE, RunState
from tui_trainer.ui.status import shown_status
from tui_trainer.ui.widgets.lines import Line, cells, crop

_ROLES = {
    "starting": "accent",
    "running": "good",
    "paused": "warning",
    "stopping": "warning",
    "finished": "good",
    "stopped": "warning",
    "failed": "bad",
    "crashed": "bad",
}


@dataclass(frozen=True)
class Part:
    """A piece of a line that shows as many pieces as fit.

    Attributes:
        text: in full.
        rank: 0 and 1 are kept; of the others the largest goes first.
        short: shown instead where the line is too long.
        role: as in `Lines`.
    """

    text: str
    rank: int
    short: str = ""
    role: str = ""


def fit_parts(parts: Sequence[Part], width: int, between: str = " · ") -> Line:
    """A line of as many parts as fit, in their order.

    What matters less is shortened first, then left out from the least important on. Only then is what matters
    most (ranks 0 and 1) shortened and cut.
    """
    kept = [part for part in parts if part.text]
    line = _join(kept, between)
    if cells(line) > width:
        kept = [_shortened(part) if part.rank > 1 else part for part in kept]
    while cells(line := _join(kept, between)) > width and (least := max(kept, key=_rank)).rank > 1:
        kept.remove(least)
    if cells(line) > width:
        kept = [_shortened(part) for part in kept]
    return crop(_join(kept, between), width)


def _rank(part: Part) -> int:
    return part.rank


def _shortened(part: Part) -> Part:
    return replace(part, text=part.short or part.text)


def _join(parts: Sequence[Part], between: str) -> Line:
    spans = [(part.text, part.role) for part in parts[:1]]
    for place, part in enumerate(parts[1:]):
        # After the state's word a wider gap reads better than a dot.
        spans += [("  " if place == 0 and parts[0].role else between, "dim"), (part.text, part.role)]
    return tuple(spans)


class Speed:
    """How fast a run goes and how long it will still take, from looks at its state.

    Only steps that are done while somebody looks count: neither those of an earlier process nor a pause nor
    the time before the first step shifts the estimate.

    Args:
        clock: unix seconds.

    Attributes:
        samples_per_s: of training, lightly smoothed; NaN while it isn't known.
        data_wait: share of time spent waiting for data; NaN likewise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pace = Pace()
        self._run: tuple[str, int] = ("", 0)
        self._seen: float | None = None
        self._going = False
        self.samples_per_s = self.data_wait = math.nan

    def look(self, state: RunState) -> None:
        """Take in where the run is now."""
        run, step = (state.run_id, state.resumes), as_number(state.row.get("step"))
        if run != self._run or self._seen is None or step < self._seen:
            self._run, self._seen, self._going = run, step, False
            self._pace.reset()
            self.samples_per_s = self.data_wait = math.nan
        moved, self._seen = step != self._seen, step
        if state.status != "running" or not math.isfinite(step):
            self._going = False
            self._pace.reset()
            return
        self._going = self._going or moved
        if self._going:
            self._pace.note(self._clock(), step)
        if moved or math.isnan(self.samples_per_s):
            self.samples_per_s = _blend(self.samples_per_s, as_number(state.row.get("samples_per_s")))
            self.data_wait = _blend(self.data_wait, as_number(state.row.get("data_wait")))

    def steps_per_s(self, state: RunState) -> float:
        """Optimizer steps a second while it trains; NaN where it isn't known."""
        per_step = state.batch_size * max(1.0, as_number(state.hparams.get("grad_accumulation", 1)))
        return self.samples_per_s / per_step if per_step > 0 else math.nan

    def eta_s(self, state: RunState) -> float | None:
        """Seconds until the last step; None while that can't be said."""
        return self._pace.eta_s(state.total_steps, self._clock())


def _blend(old: float, new: float) -> float:
    return new if math.isnan(old) or math.isnan(new) else 0.5 * (old + new)


def head(state: RunState) -> str:
    """The state's word: its status, or `stopping` while a request to stop is carried out."""
    return "stopping" if state.status in ACTIVE and state.stopping else state.status


def status_line(
    state: RunState, speed: Speed, now: float, silent_s: float, news: Part | None, width: int
) -> Line:
    """The first line of Live.

    Args:
        state: of the run.
        speed: that has looked at this state.
        now: unix seconds.
        silent_s: seconds since the trainer's last sign of life.
        news: what was asked for or done.
        width: columns.
    """
    word = head(state)
    mark = shown_status("stopped" if word == "stopping" else word).mark
    parts = [Part(f"{mark} {word.upper()}", 0, role=_ROLES.get(word, "warning"))]
    if state.status == "starting" or (state.phase and state.status == "running"):
        parts.append(Part(phase_text(state, now), 1))
    elif word == "stopping":
        when = f"at the end of epoch {state.current_epoch}" if state.stopping == "epoch_end" else "and saving"
        parts.append(Part(when, 2))
    elif state.status == "unknown":
        seen = f"last seen {age(now - silent_s, now)}" if math.isfinite(silent_s) else "never seen"
        parts.append(Part(f"{seen}, on another machine", 1, seen))
    elif state.status not in ACTIVE:
        parts.append(Part(_why(state), 1))
    if news is not None:
        parts.append(news)
    parts += place(state)
    if state.status in ACTIVE:
        parts += _rates(state, speed)
    elif math.isfinite(state.elapsed):
        parts.append(Part(duration(state.elapsed), 4))
    parts.insert(1, Part(f"{one_line(state.task)} · {one_line(state.run_id)}", 9))
    return fit_parts(parts, width)


def phase_text(state: RunState, now: float) -> str:
    """`importing torch … 2.1 s`."""
    if not state.phase:
        return "starting …"
    begun = state.phase_began
    return (
        f"{one_line(state.phase)} … {seconds(now - begun)}"
        if begun is not None
        else f"{one_line(state.phase)} …"
    )


def place(state: RunState) -> list[Part]:
    """Epoch and step, of how many where that is known."""
    parts = []
    epoch = max(state.current_epoch, state.epoch)
    if epoch:
        text = f"{epoch:,}/{state.epochs:,}" if state.epochs else f"{epoch:,}"
        parts.append(Part(f"epoch {text}", 2, f"ep {text}"))
    step = step_of(state)
    if step:
        of = f"/{state.total_steps:,}" if state.total_steps else ""
        parts.append(Part(f"step {step:,}{of}", 4))
    return parts


def step_of(state: RunState) -> int:
    """Optimizer steps done, from the newest row or event."""
    row = as_number(state.row.get("step"))
    return max(state.step, int(row)) if math.isfinite(row) else state.step


def _why(state: RunState) -> str:
    reason = one_line(state.reason)
    if state.status == "finished":
        return "" if reason in ("", "all epochs done") else reason
    return reason


def _rates(state: RunState, speed: Speed) -> list[Part]:
    parts = []
    if state.status == "running":
        parts.append(Part(pace_text(speed.steps_per_s(state)), 5))
        parts.append(Part(compact(speed.samples_per_s, "samples/s"), 7))
        if math.isfinite(speed.data_wait):
            parts.append(Part(f"data wait {100 * speed.data_wait:.0f} %", 8))
        if state.total_steps and step_of(state):
            parts.append(Part(f"ETA {eta(speed.eta_s(state))}", 3))
    parts.append(Part(gpu_text(state), 6))
    return parts


def pace_text(steps_per_s: float) -> str:
    """`1,410 it/s`, `3.2 it/s`, `2.4 s/it`; empty where it isn't known."""
    if not math.isfinite(steps_per_s) or steps_per_s <= 0:
        return ""
    if steps_per_s < 0.5:
        return f"{1 / steps_per_s:,.1f} s/it"
    return f"{steps_per_s:,.0f} it/s" if steps_per_s >= 100 else f"{steps_per_s:.1f} it/s"


def compact(value: float, unit: str) -> str:
    """`90 k samples/s`; empty where it isn't known."""
    if not math.isfinite(value) or value <= 0:
        return ""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 10 * size or (value >= size and size > 1e3):
            scaled = value / size
            return f"{scaled:.0f} {letter} {unit}" if scaled >= 10 else f"{scaled:.1f} {letter} {unit}"
    return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def gpus_of(state: RunState) -> list[dict[str, Any]]:
    """The GPUs of the latest `system` event."""
    gpus = state.system.get("gpus")
    return [gpu for gpu in gpus if isinstance(gpu, dict)] if isinstance(gpus, list) else []


def gpu_text(state: RunState) -> str:
    """`GPU 93 % 21/24 GB`: the mean over all GPUs of the run; empty without one."""
    gpus = gpus_of(state)
    if not gpus:
        return ""
    loads = [as_number(gpu.get("utilisation")) for gpu in gpus]
    used = [as_number(gpu.get("memory_used")) for gpu in gpus]
    total = [as_number(gpu.get("memory_total")) for gpu in gpus]
    load = sum(loads) / len(loads)
    words = [f"{len(gpus)} GPUs" if len(gpus) > 1 else "GPU"]
    words += [f"{load:.0f} %"] if math.isfinite(load) else []
    words += [memory] if (memory := of_memory(sum(used), sum(total))) else []
    return " ".join(words) if len(words) > 1 else ""


def of_memory(used: float, total: float) -> str:
    """`21/24 GB`; empty where it isn't known."""
    if not math.isfinite(used) or not math.isfinite(total):
        return ""
    digits = 0 if total >= 10e9 else 1
    return f"{used / 1e9:.{digits}f}/{total / 1e9:.{digits}f} GB"


def best_text(state: RunState) -> str:
    """`best test/loss 0.1098 @ep11`; empty where nothing was measured."""
    best = state.best
    if best is None:
        return ""
    return f"best {one_line(best.metric)} {number(best.value)}" + (f" @ep{best.epoch}" if best.epoch else "")
