"""The sampler of the machine's load."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tui_trainer.engine.system import SystemSampler, sample
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.writer import RunWriter


def test_a_sample_is_plausible() -> None:
    values = sample(psutil.Process(), [])
    assert 0 <= values["cpu"] <= 100
    assert 0 <= values["cpu_process"] <= 100 * (psutil.cpu_count() or 1) + 1
    assert 0 < values["ram_used"] < values["ram_total"]
    assert 10 << 20 < values["rss"] < values["ram_total"]
    assert "gpus" not in values


def test_it_writes_events_and_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = RunWriter.create(RunLayout(tmp_path / "run"), {}, {})
    written = threading.Event()
    event = writer.event

    def note(name: str, /, **fields: Any) -> dict[str, Any]:
        found = event(name, **fields)
        written.set()
        return found

    monkeypatch.setattr(writer, "event", note)
    sampler = SystemSampler(writer)
    sampler.start()
    assert written.wait(10)
    begin = time.monotonic()
    sampler.stop()
    assert time.monotonic() - begin < 0.5
    writer.close()
    first = RunReader(tmp_path / "run").events()[0]
    assert first["event"] == "system"
    assert first["ram_total"] > first["ram_used"] > 0


def test_stopping_before_the_first_sample_is_immediate(tmp_path: Path) -> None:
    writer = RunWriter.create(RunLayout(tmp_path / "run"), {}, {})
    sampler = SystemSampler(writer)
    sampler.start()
    begin = time.monotonic()
    sampler.stop()
    sampler.stop()
    assert time.monotonic() - begin < 0.5
    writer.close()
    assert RunReader(tmp_path / "run").events() == []
