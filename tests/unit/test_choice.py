"""Which task a command is about."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from tui_trainer.cli import choice


def test_an_import_that_takes_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, flag = [], ModuleType("the_flag")
    flag.heard = threading.Event()  # type: ignore[attr-defined]

    def say(text: str) -> None:
        told.append(text)
        flag.heard.set()

    monkeypatch.setitem(sys.modules, "the_flag", flag)
    monkeypatch.setattr(choice, "say", say)
    monkeypatch.setattr(choice, "SLOW_S", 0.0)
    path = tmp_path / "patient_task.py"
    path.write_text(
        "import the_flag\nfrom tui_trainer import Task\n\nassert the_flag.heard.wait(60)\n\n\n"
        "class Patient(Task):\n    pass\n"
    )
    choice.choose_task(str(path), None, None, None)
    assert len(told) == 1
    assert f"still importing {path}" in told[0]
