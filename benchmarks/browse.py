"""What browsing costs: python benchmarks/browse.py [--runs 2000] [--checkpoints 5]

Builds a folder of runs and measures the Runs and the Checkpoints screen over it, in the app without
a terminal: time to the first rows, to the whole list, to a filter, to another order; the longest that the app
was busy in one go; resident memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tui_trainer.runs.layout import RunLayout
from tui_trainer.tasks.registry import load_task
from tui_trainer.ui.app import TrainerApp
from tui_trainer.ui.options import AppOptions
from tui_trainer.ui.widgets.table import Table

SIZE = (160, 48)


def build(runs_dir: Path, runs: int, checkpoints: int) -> None:
    """Run directories as the trainer leaves them, with small files in place of models."""
    rng = random.Random(0)
    defaults = load_task("digits").hparams_class(task="digits").model_dump(mode="json")
    for k in range(runs):
        created = 1.79e9 + 600 * k
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(created))
        layout = RunLayout(runs_dir / f"{stamp}-digits-{k:04x}")
        layout.checkpoints.mkdir(parents=True)
        lr = rng.choice([1e-2, 3e-3, 1e-3, 3e-4])
        hparams = json.dumps({**defaults, "lr": lr, "epochs": 10}, indent=2)
        _record(layout, created, lr, hparams, rng)
        _save(layout, created, hparams, checkpoints)


def _record(layout: RunLayout, created: float, lr: float, hparams: str, rng: random.Random) -> None:
    name = layout.root.name
    status = rng.choice(["finished", "finished", "finished", "stopped", "failed", "running"])
    lines = [{"event": "run_start", "time": created, "run_id": name, "hparams": json.loads(hparams)}]
    loss, best = 2.3, {"metric": "test/loss", "value": 9.0, "epoch": 0}
    for epoch in range(1, 11):
        loss *= rng.uniform(0.6, 1.05)
        if loss < best["value"]:
            best = {"metric": "test/loss", "value": loss, "epoch": epoch}
        metrics = {"train/loss": 0.9 * loss, "test/loss": loss, "test/accuracy": 1 - loss / 3}
        place = {"epoch": epoch, "step": 45 * epoch, "elapsed": 2.0 * epoch}
        head = {"time": created + 2 * epoch, "run_id": name}
        lines += [{"event": "system", **head, "cpu": 40.0, "ram_used": 4e9, "rss": 1e9} for _ in range(2)]
        lines.append({"event": "epoch_end", **head, **place, "metrics": metrics, "lr": lr, "best": best})
    if status != "running":
        end = {"status": status, "reason": "all epochs done", "epochs": 10, "steps": 450, "best": best}
        lines.append({"event": "run_end", "time": created + 20, "run_id": name, **end})
    layout.events.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    command = ["tui-train", "--preset", "digits", "--lr", str(lr)]
    run = {
        "schema": 1,
        "run_id": name,
        "status": status,
        "created": created,
        "task": "digits",
        "command": command,
    }
    layout.run_json.write_text(json.dumps({**run, "host": ""}, indent=2))
    layout.hparams_json.write_text(hparams)
    layout.lock.touch()


def _save(layout: RunLayout, created: float, hparams: str, checkpoints: int) -> None:
    entries = []
    for k in range(1, checkpoints + 1):
        epoch, files = 2 * k, {}
        for path, content in (
            (layout.model_file(str(epoch)), "weights"),
            (layout.parameters_file(str(epoch)), hparams),
            (layout.trainer_state_file(str(epoch)), "state"),
            (layout.tensors_file(str(epoch)), '{"tensors": []}'),
        ):
            path.write_text(content)
            files[f"checkpoints/{path.name}"] = {"size": len(content), "sha256": "0" * 64}
        marks = {"best": k == checkpoints, "last": k == checkpoints, "pinned": False}
        place = {
            "tag": str(epoch),
            "epoch": epoch,
            "batch": 0,
            "step": 45 * epoch,
            "time": created + 2 * epoch,
        }
        metrics = {"train/loss": 0.5 / k, "test/loss": 0.6 / k, "train/accuracy": 0.9, "test/accuracy": 0.88}
        entries.append({**place, "metrics": metrics, **marks, "size": 4_000, "files": files})
    index = {"schema": 1, "run_id": layout.root.name, "checkpoints": entries}
    layout.checkpoints_index.write_text(json.dumps(index, indent=2))


class Clock:
    """Waits for conditions and keeps the longest time that the event loop was held up meanwhile."""

    def __init__(self) -> None:
        self.held_s = 0.0

    async def until(self, condition: Callable[[], Any]) -> float:
        begun = time.perf_counter()
        while not condition():
            before = time.perf_counter()
            if before - begun > 60:
                raise SystemExit("gave up after a minute")
            await asyncio.sleep(0.001)
            self.held_s = max(self.held_s, time.perf_counter() - before)
        return time.perf_counter() - begun


def _time(action: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


async def measure(runs_dir: Path, runs: int, checkpoints: int) -> None:
    """Open both screens and print what they cost."""
    app = TrainerApp(AppOptions(runs_dir=runs_dir), lambda words: (_ for _ in ()).throw(RuntimeError(words)))
    process = psutil.Process()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        before = process.memory_info().rss
        for name, count in (("runs", runs), ("checkpoints", runs * checkpoints)):
            clock = Clock()
            app.action_show(name)
            page = app.get_screen(name)

            def rows(page: Any = page) -> int:
                return len(page.query_one(Table).rows) if page.is_mounted and page.query(Table) else 0

            first = await clock.until(lambda rows=rows: rows() > 0)
            whole = first + await clock.until(lambda rows=rows, count=count: rows() == count)
            filtered = _time(lambda page=page: page.apply_filter("step>50 test/loss<0.4"))
            page.apply_filter("")
            ordered = _time(page.action_sort)
            print(
                f"{name:12} {count:,} rows   first {1e3 * first:.0f} ms   all {1e3 * whole:.0f} ms   "
                f"filter {1e3 * filtered:.0f} ms   sort {1e3 * ordered:.0f} ms   "
                f"longest hold-up {1e3 * clock.held_s:.0f} ms"
            )
        print(f"memory       {(process.memory_info().rss - before) / 1e6:.0f} MB more than before")


def main() -> None:
    """Build, measure, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--checkpoints", type=int, default=5, help="of each run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs_dir = Path(folder) / "runs"
        build(runs_dir, args.runs, args.checkpoints)
        asyncio.run(measure(runs_dir, args.runs, args.checkpoints))


if __name__ == "__main__":
    main()
