"""`tui-train show RUN`: one run in full."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui_trainer.cli.lineage import child_facts, lineage_lines
from tui_trainer.cli.runs import add_runs_dir, runs_dir
from tui_trainer.cli.tables import aligned, duration, number, one_line, show
from tui_trainer.config.fields import flag_text
from tui_trainer.config.hparams import Hparams
from tui_trainer.errors import Exit
from tui_trainer.headless.words import near_path
from tui_trainer.runs.events import encode
from tui_trainer.runs.index import find_run, summarise
from tui_trainer.runs.lineage import Lineage
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import Parent, read_state


def add_parser(subparsers: Any) -> None:
    """Add `show` to the command line."""
    parser = subparsers.add_parser(
        "show", help="show one run", description="One run: how it went, its metrics, its hparams."
    )
    parser.add_argument(
        "run_word", metavar="RUN", nargs="?", default="last", help="id, its end, a name, a folder, or last"
    )
    add_runs_dir(parser)
    parser.add_argument("--all", action="store_true", help="every hparam, also those with the usual default")
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
            "children": [child_facts(kin) for kin in Lineage(root).children()],
        }
        sys.stdout.write(encode(facts).decode())
        return Exit.OK
    show(one_line(" · ".join(filter(None, (state.task, state.run_id, state.name)))))
    why = f": {one_line(state.reason)}" if state.reason else ""
    epoch = f"epoch {state.epoch}{f'/{state.epochs}' if state.epochs else ''}"
    show(f"{state.status}{why} · {epoch} · step {state.step:,} · {duration(summary['duration_s'])}")
    sizes = f"{_count(state.parameters)} parameters · {_count(state.train_samples)} training samples"
    show(f"device {one_line(state.device) or '–'} · {sizes}")
    if state.metrics:
        rows = [["metric", "best", "last"]]
        for name, value in state.metrics.items():
            best = state.bests.get(name)
            rows.append([name, f"{number(best.value)} @{best.epoch}" if best else "–", number(value)])
        show(f"\n{aligned(rows)}")
    show(f"\n{_hparam_table(reader.hparams(), args.all)}")
    for alert in state.alerts[-5:]:
        show(f"\n{one_line(f'{alert.level}: {alert.title}')}: {alert.message}")
        if alert.hint:
            show(f"hint: {alert.hint}")
    show(f"\nrun     {near_path(root)}")
    if state.parent is not None:
        show(f"parent  {one_line(_parent(state.parent))}")
    for mark in ("best", "last"):
        entry = next((entry for entry in reader.checkpoints() if entry.get(mark)), None)
        if entry is not None:
            show(f"{mark}    {near_path(reader.layout.model_file(entry['tag']))}")
    lines = lineage_lines(root)
    if lines:
        show("\n".join(["", "lineage", *lines]))
    return Exit.OK


def _parent(parent: Parent) -> str:
    name = f"{parent.run_id}@{parent.checkpoint}" if parent.run_id else near_path(Path(parent.file))
    return f"{name} (weights only)" if parent.kind == "init" else name


def _hparam_table(hparams: Mapping[str, Any], everything: bool) -> str:
    base = Hparams.specs()
    shown = {
        name: value
        for name, value in hparams.items()
        if everything or name not in base or flag_text(value) != flag_text(base[name].default)
    }
    rows = [["hparam", "value"], *([name, flag_text(value)] for name, value in shown.items())]
    left = len(hparams) - len(shown)
    return aligned(rows) + (f"\n{left} more have the default of every task; --all shows them" if left else "")


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
