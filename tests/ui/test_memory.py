"""Hours of a run pass through the app in seconds, and its memory stays where it was."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from pathlib import Path

import pytest

from tests.ui.driving import screen_text
from tests.ui.recorded import Recorder
from tui_trainer.ui.app import TrainerApp
from tui_trainer.ui.options import AppOptions

ROWS_A_SECOND = 20


@pytest.mark.slow
def test_an_hour_of_a_run_leaves_memory_flat(tmp_path: Path) -> None:
    """72,000 rows, 3,600 system samples and 360 epochs, in 360 frames of ten seconds each."""
    run_dir = tmp_path / "20261123-031415-digits-7f3a"
    recorder = Recorder(run_dir, {"epochs": 400}, steps_per_epoch=200).start()

    def ten_seconds() -> None:
        recorder.event("epoch_start", epoch=recorder.epoch + 1, step=recorder.step)
        for second in range(10):
            for _ in range(ROWS_A_SECOND):
                recorder.step += 1
                recorder.time += 1 / ROWS_A_SECOND
                recorder.writer.row(recorder.row())
            recorder.event("system", cpu=50.0 + second, ram_used=4e9, ram_total=16e9, rss=1e9)
        recorder.end_epoch(save=False)

    async def watch() -> tuple[int, int, str]:
        app = TrainerApp(AppOptions(runs_dir=tmp_path, run=run_dir), lambda words: pytest.fail(str(words)))
        async with app.run_test(size=(100, 30)) as pilot:
            early = 0
            for frame in range(360):
                ten_seconds()
                app.update()
                await pilot.pause(0)
                if frame == 120:
                    gc.collect()
                    early = tracemalloc.get_traced_memory()[0]
            gc.collect()
            return early, tracemalloc.get_traced_memory()[0], screen_text(app)

    tracemalloc.start()
    try:
        early, late, screen = asyncio.run(watch())
    finally:
        tracemalloc.stop()
    assert "360/400" in screen.replace(" ", "")
    # Two thirds of an hour more: a summary for each epoch, and nothing that grows with steps.
    assert late - early < 2_000_000, f"{early:,} bytes grew to {late:,}"
