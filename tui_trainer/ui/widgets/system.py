"""The machine under a run, as its trainer saw it."""

from __future__ import annotations

import math

from tui_trainer.headless.words import duration, one_line, parameters, rate, seconds
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.state import ACTIVE, RunState
from tui_trainer.ui.live_facts import Speed, gpus_of, of_memory, pace_text
from tui_trainer.ui.widgets.bars import gauge
from tui_trainer.ui.widgets.lines import Line, Lines, Span

_LABEL = 9
_GAUGE = 10


class SystemPanel(Lines):
    """Device, load and memory while it trains; what the run needed once it has ended."""

    def show_run(self, state: RunState, speed: Speed) -> None:
        """Draw what is known; a value that is missing takes no room."""
        lines = [_labelled("device", _device(state))]
        if state.status in ACTIVE:
            lines += load_lines(state)
            lines.append(_labelled("speed", _speed(state, speed)))
        else:
            lines.append(_labelled("time", _time(state)))
        lines.append(_labelled("model", _model(state)))
        lines.append(_labelled("data", _data(state)))
        lines.append(_labelled("start", _phases(state)))
        self.show([line for line in lines if line])


def load_lines(state: RunState) -> list[Line]:
    """GPUs, CPU and memory of the latest sample."""
    system = state.system
    lines = [_gpu(gpu) for gpu in gpus_of(state)]
    cpu, ram = (
        as_number(system.get("cpu")),
        of_memory(as_number(system.get("ram_used")), as_number(system.get("ram_total"))),
    )
    if math.isfinite(cpu):
        lines.append((*_percent("CPU", cpu), (f"RAM {ram}" if ram else "", "")))
    rss, own = as_number(system.get("rss")), as_number(system.get("cpu_process"))
    known = [
        f"{own / 100:.1f} cores" if math.isfinite(own) else "",
        f"{rss / 1e9:.1f} GB" if math.isfinite(rss) else "",
    ]
    lines.append(_labelled("process", "  ".join(text for text in known if text)))
    return [line for line in lines if line]


def _gpu(gpu: dict[str, object]) -> Line:
    index, load = as_number(gpu.get("index")), as_number(gpu.get("utilisation"))
    label = f"GPU{index:.0f}" if math.isfinite(index) else "GPU"
    temperature, power = as_number(gpu.get("temperature")), as_number(gpu.get("power"))
    facts = [
        of_memory(as_number(gpu.get("memory_used")), as_number(gpu.get("memory_total"))),
        f"{temperature:.0f} °C" if math.isfinite(temperature) else "",
        f"{power:.0f} W" if math.isfinite(power) else "",
    ]
    text = "  ".join(fact for fact in facts if fact)
    return (*_percent(label, load), (text, "")) if math.isfinite(load) else _labelled(label, text)


def _percent(label: str, percent: float) -> tuple[Span, ...]:
    return (
        (label.ljust(_LABEL), "dim"),
        (f"{percent:3.0f} % ", ""),
        *gauge(percent / 100.0, _GAUGE),
        ("  ", ""),
    )


def _labelled(label: str, text: str) -> Line:
    return ((label.ljust(_LABEL), "dim"), (text, "")) if text else ()


def _device(state: RunState) -> str:
    ranks = f", {state.world_size} ranks" if state.world_size > 1 else ""
    return f"{one_line(state.device)}{ranks}" if state.device else ""


def _speed(state: RunState, speed: Speed) -> str:
    known = [pace_text(speed.steps_per_s(state)), rate(speed.samples_per_s)]
    if math.isfinite(speed.data_wait):
        known.append(f"data wait {100 * speed.data_wait:.0f} %")
    return "  ".join(text for text in known if text) if state.status == "running" else ""


def _time(state: RunState) -> str:
    taken = [epoch.seconds for epoch in state.history if math.isfinite(epoch.seconds)]
    parts = [duration(state.elapsed) if math.isfinite(state.elapsed) else ""]
    parts.append(f"{seconds(sum(taken) / len(taken))} an epoch" if taken else "")
    speeds = [epoch.samples_per_s for epoch in state.history if math.isfinite(epoch.samples_per_s)]
    parts.append(rate(sum(speeds) / len(speeds)) if speeds else "")
    return "  ".join(part for part in parts if part)


def _model(state: RunState) -> str:
    parts = [text] if (text := parameters(state.parameters, state.trained_parameters)) else []
    if math.isfinite(lr := as_number(state.row.get("lr", state.lr))):
        parts.append(f"lr {lr:.3g}")
    return "  ".join(parts)


def _data(state: RunState) -> str:
    counts = ((state.train_samples, "train"), (state.test_samples, "test"))
    return " + ".join(f"{count:,} {split}" for count, split in counts if count)


def _phases(state: RunState) -> str:
    return "  ".join(
        f"{one_line(name)} {seconds(took)}" for name, took in state.phases.items() if took >= 0.1
    )
