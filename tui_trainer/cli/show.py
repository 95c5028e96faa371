"""`tui-train show RUN`: one run in full."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tui_trainer.cli.runs import add_runs_dir, runs_dir
from tui_trainer.cli.tables import aligned, duration, number
from tui_trainer.config.fields import flag_text
from tui_trainer.errors import Exit
from tui_trainer.runs.events import encode
from tui_trainer.runs.index import find_run, summarise
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state


def add_parser(subparsers: Any) -> None:
    """Add `show` to the command line."""
    parser = subparsers.add_parser(
        "show", help="show one run", description="One run: how it went, its metrics, its hparams."
    )
    parser.add_argument(
        "run_word", metavar="RUN", nargs="?", default="last", help="id, its end, a name, a folder, or last"
    )
    add_runs_dir(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=_show)


def _show(args: argparse.Namespace) -> int:
    root = find_run(args.run_word, runs_dir(args))
    reader = RunReader(root)
    state = read_state(reader)
    summary = summarise(root)
    if args.json:
        facts = {
            **summary,
            "metrics": dict(state.metrics),
            "bests": {name: {"value": best.value, "epoch": best.epoch} for name, best in state.bests.items()},
            "hparams": reader.hparams(),
            "versions": reader.run().get("versions"),
            "git": reader.run().get("git"),
            "checkpoints": [entry["tag"] for entry in reader.checkpoints()],
        }
        sys.stdout.write(encode(facts).decode())
        return Exit.OK
    print(f"{state.task} · {state.run_id}{f' · {state.name}' if state.name else ''}")
    why = f": {state.reason}" if state.reason else ""
    epoch = f"epoch {state.epoch}{f'/{state.epochs}' if state.epochs else ''}"
    print(f"{state.status}{why} · {epoch} · step {state.step:,} · {duration(summary['duration_s'])}")
    sizes = f"{_count(state.parameters)} parameters · {_count(state.train_samples)} training samples"
    print(f"device {state.device or '–'} · {sizes}")
    if state.metrics:
        rows = [["metric", "best", "last"]]
        for name, value in state.metrics.items():
            best = state.bests.get(name)
            rows.append([name, f"{number(best.value)} @{best.epoch}" if best else "–", number(value)])
        print(f"\n{aligned(rows)}")
    hparams = [["hparam", "value"], *([name, flag_text(value)] for name, value in reader.hparams().items())]
    print(f"\n{aligned(hparams)}")
    for alert in state.alerts[-5:]:
        print(f"\n{alert.level}: {alert.title}: {alert.message}")
    print(f"\nrun     {_short(root)}")
    best_entry = next((entry for entry in reader.checkpoints() if entry.get("best")), None)
    if best_entry:
        print(f"best    {_short(reader.layout.model_file(best_entry['tag']))}")
    return Exit.OK


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _short(path: Path) -> str:
    """Relative where the path lies below the working directory."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
