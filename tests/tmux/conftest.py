"""A terminal for each test, and looks into the run that it trains."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.tmux.terminal import Terminal
from tui_trainer.files import lock_is_held, read_owner


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.tmux)
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals in the test's folder; they and every run they left behind end with the test."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    opened: list[Terminal] = []

    def open_terminal(*args: int, **options: dict[str, str]) -> Terminal:
        opened.append(Terminal(tmp_path, *args, **options))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()
    for lock in (tmp_path / "runs").glob("*/run.lock"):
        with suppress(ProcessLookupError, TypeError, KeyError):
            # A pid that was written long ago may be somebody else's by now.
            if lock_is_held(lock):
                os.kill(read_owner(lock)["pid"], signal.SIGKILL)
