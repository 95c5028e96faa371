"""What holds for every test: one thread, Ctrl-C is heard, nothing is written outside of temporary folders."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.faults.lives import Lives

# Read when torch is first imported, here or in a subprocess: tests share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts background jobs with Ctrl-C ignored, which a process and its children keep. Tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing on a busy machine.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def _own_log_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Logs of failed starts go to a temporary folder, not to the person's own."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """Forks a process for each life."""
    server = Lives(tmp_path_factory.mktemp("lives"))
    yield server
    server.close()
