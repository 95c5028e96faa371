"""A small run that is trained once, and copied for each test that damages it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.driving import TASK, Bench
from tui_trainer.cli.main import main


@pytest.fixture(scope="session")
def _original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "tiny.py").write_text(TASK)
        words = ["--no-ui", "tiny.py", "--run-dir", "runs/it", "--epochs", "2", "--device", "cpu", "--quiet"]
        assert main([*words, "--batch-size", "16", "--num-workers", "0"]) == 0
    return folder


@pytest.fixture
def bench(
    _original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Bench:
    """A working folder of its own, in which the run is."""
    shutil.copytree(_original, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, capsys)
