"""`tui-train pause|unpause|stop|save|set RUN`: what the keys of the app do, from any shell."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tui_trainer.cli.runs import add_runs_dir, runs_dir
from tui_trainer.errors import Exit, UsageError
from tui_trainer.headless.closing import status_line
from tui_trainer.headless.control_words import control_text
from tui_trainer.runs import control
from tui_trainer.runs.control import Outcome
from tui_trainer.runs.events import decode
from tui_trainer.runs.index import find_run
from tui_trainer.runs.layout import RunLayout, run_id
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state

PATIENCE_S = 5.0
_LOOK_S = 0.05

_ABOUT = {
    "pause": "hold a live run at the end of its step; it keeps its memory and waits",
    "unpause": "let a paused run go on",
    "stop": "end a live run at the end of its step, or of its epoch, and save",
    "save": "save a checkpoint of a live run at the end of its step",
    "set": "change the learning rate of a live run from the next step on",
}


def add_parser(subparsers: Any) -> None:
    """Add the commands that control a live run."""
    parsers = {}
    for action, text in _ABOUT.items():
        parser = subparsers.add_parser(action, help=text, description=f"{text[0].upper()}{text[1:]}.")
        parser.add_argument("run_word", metavar="RUN", help="id, its end, a name, a folder, or last")
        add_runs_dir(parser)
        parser.set_defaults(run=_control, action=action, value=lambda args: None)
        parsers[action] = parser
    when = parsers["stop"].add_mutually_exclusive_group()
    when.add_argument("--now", action="store_true", help="at the end of this step (the default)")
    when.add_argument("--epoch-end", action="store_true", help="when this epoch is evaluated and saved")
    parsers["stop"].set_defaults(run=_stop)
    parsers["set"].add_argument("setting", metavar="lr=X", help="the new rate, for example lr=3e-4")
    parsers["set"].set_defaults(value=_setting)


class Recorded:
    """The events that are recorded from now on."""

    def __init__(self, layout: RunLayout) -> None:
        self._path = layout.events
        self._offset = 0
        with suppress(OSError):
            self._offset = self._path.stat().st_size
        self._events: list[dict[str, Any]] = []

    def events(self) -> list[dict[str, Any]]:
        """All of them so far."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return self._events
        end = data.rfind(b"\n") + 1
        self._offset += end
        self._events += [event for line in data[:end].splitlines() if (event := decode(line)) is not None]
        return self._events


def ask(
    layout: RunLayout, action: str, value: Any = None, patience_s: float = PATIENCE_S, note: str = ""
) -> Outcome:
    """Send a request to a live run and wait for what comes of it.

    Args:
        layout: the run.
        action: as of `runs.control.send`.
        value: as of `runs.control.send`.
        patience_s: how long to wait.
        note: said on stderr, once, when that took long; then it goes on waiting.

    Returns:
        Its outcome: waiting or acknowledged where the patience was too short, or the run has ended before.

    Raises:
        UsageError: nobody trains this run, or the trainer refused.
    """
    recorded = Recorded(layout)
    request = control.send(layout, action, value)
    deadline = time.monotonic() + patience_s
    while True:
        # Before the events: what is not live can't record any after them.
        live = control.is_live(layout)
        outcome = control.outcome(layout, request, recorded.events())
        if outcome.status == "refused":
            assert outcome.event is not None
            raise UsageError("request refused", str(outcome.event.get("error")))
        if outcome.status == "done" or not live:
            return outcome
        if time.monotonic() >= deadline:
            if not note:
                return outcome
            print(note, file=sys.stderr, flush=True)
            deadline, note = float("inf"), ""
        time.sleep(_LOOK_S)


def outcome_text(outcome: Outcome, layout: RunLayout) -> str:
    """What came of a request, in a line."""
    if outcome.event is not None:
        return control_text(outcome.event)
    if not control.is_live(layout):
        return f"{run_id(layout)} has ended before"
    seen = "not seen by the trainer yet" if outcome.status == "waiting" else "seen by the trainer"
    return f"requested, {seen}: it takes effect at the next step boundary"


def _control(args: argparse.Namespace) -> int:
    value: Callable[[argparse.Namespace], Any] = args.value
    layout = RunLayout(find_run(args.run_word, runs_dir(args)))
    print(outcome_text(ask(layout, args.action, value(args)), layout))
    return Exit.OK


def _setting(args: argparse.Namespace) -> dict[str, float]:
    name, equals, text = args.setting.partition("=")
    if name.strip() != "lr" or not equals:
        raise UsageError("wrong setting", f"expected lr=X, got {args.setting}", "only lr can be changed")
    try:
        return {"lr": float(text.replace("_", "?"))}
    except ValueError:
        raise UsageError("wrong setting", f"lr: expected a number > 0, got {text!r}") from None


def _stop(args: argparse.Namespace) -> int:
    layout = RunLayout(find_run(args.run_word, runs_dir(args)))
    when = "epoch_end" if args.epoch_end else "now"
    note = "requested: the run stops at its next step boundary (Ctrl-C leaves; the request stays)"
    outcome = ask(layout, "stop", when, note=note)
    if outcome.event is not None and when == "epoch_end":
        print(control_text(outcome.event))
        return Exit.OK
    if outcome.event is not None and outcome.event["step"] and control.is_live(layout):
        print(f"{control_text(outcome.event)}: {run_id(layout)} saves and ends", flush=True)
    while control.is_live(layout):
        time.sleep(_LOOK_S)
    state = read_state(RunReader(layout.root))
    # A start that never trained is taken back: its folder is about to go, or gone.
    print(status_line(state) if state.step else "stopped before the first step: nothing was trained")
    return Exit.OK
