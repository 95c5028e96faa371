"""What is said when a run has ended: how, its best and last numbers, where it lies, what resumes it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path

from tui_trainer.errors import TrainerError
from tui_trainer.headless.words import duration, near_path, number, one_line, plural, short_name
from tui_trainer.runs.index import find_run
from tui_trainer.runs.layout import RunLayout, default_runs_dir, short_id
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import ENDED, RunState, read_state

_METRICS = 30
_WITHOUT_SAVING = "without saving"
"""What the reason of a run says that was told twice to stop."""


def closing_text(root: Path) -> str:
    """The closing of a run directory as text, for any front end; ends with a newline."""
    reader = RunReader(root)
    return "\n".join(closing_lines(read_state(reader), reader)) + "\n"


def closing_lines(
    state: RunState, reader: RunReader, *, seconds: float | None = None, reason: bool = True
) -> list[str]:
    """The closing, line by line.

    Args:
        state: as it is at the end.
        reader: of the run.
        seconds: how long it ran, where the record does not say; by default from its start to its end.
        reason: whether the first line says why a run failed.
    """
    lines = [status_line(state, seconds=seconds, reason=reason)]
    if state.step <= 0:
        # A start that never trained leaves nothing behind that could be named here.
        return lines
    lines += metrics_table(state)
    layout = reader.layout
    entries = reader.checkpoints()
    best = next((str(e["tag"]) for e in reversed(entries) if e.get("best")), None)
    last = next((str(e["tag"]) for e in reversed(entries) if e.get("last")), None)
    paths = {"run": near_path(layout.root)}
    if best is not None:
        paths["best"] = near_path(layout.model_file(best))
    if last is not None and last != best:
        paths["last"] = near_path(layout.model_file(last))
    if entries:
        paths["resume"] = resume_command(state, layout)
    return lines + [f"{label:<7} {text}" for label, text in paths.items()]


def status_line(state: RunState, *, seconds: float | None = None, reason: bool = True) -> str:
    """`digits · 20261123-031415-digits-7f3a · stopped by request at epoch 12, step 261 (0:05)`."""
    if math.isfinite(state.elapsed):
        seconds = state.elapsed
    elif seconds is None and state.started is not None and state.ended is not None:
        # The machine's clock may have been set back meanwhile.
        seconds = max(0.0, state.ended - state.started)
    took = f" ({duration(seconds)})" if seconds is not None else ""
    why = one_line(state.reason)
    if state.step <= 0:
        where = " before the first step"
    else:
        epoch = max(state.current_epoch, state.epoch)
        where = f" {f'at epoch {epoch}, ' if epoch else 'at '}step {state.step:,}"
    if state.status == "stopped":
        by = next((cause for cause in ("SIGTERM", "time limit") if why.startswith(cause)), "request")
        text = f"stopped by {by}{where}{took}"
        if _WITHOUT_SAVING in why:
            text += ", without saving: what came after the last checkpoint is lost"
    elif state.status == "failed":
        text = f"failed{where}{took}" + (f": {why}" if why and reason else "")
    elif state.status == "finished":
        done = f"finished: {plural(state.epoch, 'epoch')}, {plural(state.step, 'step')}{took}"
        text = done if why in ("", "all epochs done") else f"{done}, {why}"
    else:
        text = f"{state.status}{where}{took}" + (f": {why}" if why else "")
        if state.status not in ENDED:
            text += "; how it ended is not in its record"
    return " · ".join(part for part in (one_line(state.task), one_line(state.run_id), text) if part)


def metrics_table(state: RunState) -> list[str]:
    """metric | best @epoch | last, as aligned lines; empty before the first evaluation."""
    rows = [("metric", "best", "last")]
    for name, last in list(state.metrics.items())[:_METRICS]:
        rows.append((short_name(name, 40), best_text(state, name), number(last)))
    if len(rows) == 1:
        return []
    widths = [max(len(row[column]) for row in rows) + 2 for column in (0, 1)]
    lines = [f"{a:<{widths[0]}}{b:<{max(16, widths[1])}}{c}" for a, b, c in rows]
    left = len(state.metrics) - _METRICS
    return [*lines, f"+{left} more"] if left > 0 else lines


def best_text(state: RunState, metric: str) -> str:
    """The best value of a metric and its epoch: `0.0812 @12`; a dash where there is none."""
    best = state.bests.get(metric)
    if best is None or math.isnan(best.value):
        return "–"
    return number(best.value) + (f" @{best.epoch}" if best.epoch else "")


def resume_command(state: RunState, layout: RunLayout) -> str:
    """The command that goes on with a run; for a finished one with the flag that gives it more to do."""
    return " ".join(["tui-train", "--resume", run_word(layout), *more_words(state)])


def more_words(state: RunState) -> list[str]:
    """The flag that gives a finished run more to do, twice of what ended it; nothing for any other run."""
    if state.status != "finished":
        return []
    ended_by = state.reason.partition(" ")[0]
    hparams: Mapping[str, object] = state.hparams
    flag = ended_by if ended_by in ("max_steps", "max_minutes") else "epochs"
    limit = hparams.get(flag)
    if not isinstance(limit, (int, float)) or isinstance(limit, bool):
        limit = state.epoch
    return [f"--{flag}", f"{2 * limit:g}" if isinstance(limit, float) else f"{2 * limit}"]


def run_word(layout: RunLayout) -> str:
    """The shortest word that names this run on a command line typed here."""
    name = layout.root.name or layout.root.resolve().name
    for word in dict.fromkeys((short_id(name), name)):
        try:
            if find_run(word, default_runs_dir()).samefile(layout.root):
                return shlex.quote(word)
        except (TrainerError, OSError):
            continue
    return shlex.quote(near_path(layout.root))
