"""One thread, so that timings and sums repeat; and runs that several tests look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.trained_runs import train_built_in


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run directory of a task of `trained_runs`, trained once. It must stay as it is."""
    known: dict[str, Path] = {}

    def of(task: str) -> Path:
        if task not in known:
            known[task] = train_built_in(task, tmp_path_factory.mktemp(task))
        return known[task]

    return of
