"""Export the README's screenshots from a real run: python docs/export_screenshots.py

Trains digits in a process of its own, opens the app on it, and saves what a person sees as SVG.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from tui_trainer.cli.train import plan
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state
from tui_trainer.ui.app import TrainerApp
from tui_trainer.ui.options import AppOptions

DOCS = Path(__file__).resolve().parent
SHOWN_EPOCH, EPOCHS = 30, 150
OTHERS = ([], ["--lr", "3e-4"], ["--dropout", "0.3", "--run-name", "slow-and-steady"])
SIZES = {"140x40": (140, 40), "80x24": (80, 24)}


async def until(pilot: Pilot[Any], condition: Callable[[], Any], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the screen never came to the point")
        await pilot.pause(0.05)


async def export(folder: Path, run_dir: Path) -> None:
    for name, size in SIZES.items():
        options = AppOptions(runs_dir=folder / "runs", run=run_dir, theme="dark", argv=("--preset", "digits"))
        app = TrainerApp(options, plan)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda app=app: app.view is not None and app.view.state.epoch >= 1)
            await pilot.press("m")
            # The time left is known when the speed is.
            await pilot.pause(5.0)
            save(app, f"live-{name}")
            if name == "140x40":
                await pilot.press("f4")
                await pilot.pause(1.0)
                save(app, "runs")
                await pilot.press("f2")
                await until(pilot, lambda app=app: "parameters" in str(app.export_screenshot()))
                await pilot.pause(0.5)
                save(app, "setup")


def save(app: TrainerApp, name: str) -> None:
    path = DOCS / f"{name}.svg"
    path.write_text(app.export_screenshot(title="tui-train"))
    print(path)


def train(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TUI_TRAIN_RUNS": str(folder / "runs")}
    command = [sys.executable, "-m", "tui_trainer", "--no-ui", "--quiet", "--preset", "digits", *words]
    return subprocess.Popen(command, env=environment, cwd=folder)


def newest(folder: Path) -> Path | None:
    found = sorted((folder / "runs").glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Nothing of the person's own may be seen: presets, settings.
        os.chdir(folder)
        os.environ["XDG_CONFIG_HOME"] = str(folder)
        for words in OTHERS:
            train(folder, *words).wait()
        before = newest(folder)
        # Slow enough to be looked at in the middle of it.
        training = train(folder, "--epochs", str(EPOCHS), "--batch_size", "8")
        try:
            while newest(folder) == before or read_state(RunReader(newest(folder))).epoch < SHOWN_EPOCH:
                time.sleep(0.05)
            run_dir = newest(folder)
            assert run_dir is not None
            asyncio.run(export(folder, run_dir))
        finally:
            training.terminate()
            training.wait()


if __name__ == "__main__":
    main()
