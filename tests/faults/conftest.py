"""What each fault test reports, and what several of them use: processes to kill, a run to damage."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.faults.counting import Tried
from tests.faults.driving import TASK, Bench
from tui_trainer.cli.main import main

_TRIED = pytest.StashKey[Tried]()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


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


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Tried:
    """Counts the test's attempts. A test that does not use it is one attempt."""
    return request.node.stash.setdefault(_TRIED, Tried())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    marker = item.get_closest_marker("fault")
    began = call.when == "call" or (call.when == "setup" and not report.passed)
    if marker is None or not began:
        return
    tried = item.stash.get(_TRIED, Tried())
    if report.passed and not tried.attempts:
        tried.right()
    if report.failed and tried.attempts == tried.rights:
        # What failed was around the attempts, or before the first.
        tried.attempts += 1
    # Plain values: with several workers a report travels between processes.
    counts = (tried.attempts, tried.rights, tried.measured)
    report.user_properties.append(("fault", (*marker.args, *counts)))
