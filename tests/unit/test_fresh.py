"""A process that lives longer than the text of a task trains what the file says now."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest

from tui_trainer.tasks.registry import load_task

TASK = "from tui_trainer import Task\nimport {sibling}\n\n\nclass Own(Task):\n    value = {sibling}.VALUE\n"
_later = itertools.count(1)


def write(path: Path, text: str) -> None:
    """Write a file and make it look newer than the last time, whatever the file system's clock can tell."""
    path.write_text(text)
    stamp = path.stat().st_mtime_ns + next(_later) * 2_000_000_000
    os.utime(path, ns=(stamp, stamp))


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])


def value(word: str) -> int:
    found: int = load_task(word).value  # type: ignore[attr-defined]
    return found


def test_an_unchanged_file_is_imported_once(tmp_path: Path) -> None:
    write(tmp_path / "sibling_a.py", "VALUE = 1\n")
    write(tmp_path / "own_a.py", TASK.format(sibling="sibling_a"))
    assert type(load_task("own_a.py")) is type(load_task("own_a.py"))


def test_a_changed_file_and_a_changed_module_beside_it_are_imported_again(tmp_path: Path) -> None:
    write(tmp_path / "sibling_b.py", "VALUE = 1\n")
    write(tmp_path / "own_b.py", TASK.format(sibling="sibling_b"))
    assert value("own_b.py") == 1
    write(tmp_path / "sibling_b.py", "VALUE = 2\n")
    assert value("own_b.py") == 2
    write(tmp_path / "own_b.py", "from tui_trainer import Task\n\n\nclass Own(Task):\n    value = 3\n")
    assert value("own_b.py") == 3


def test_a_module_that_failed_to_import_is_read_again_when_it_was_mended(tmp_path: Path) -> None:
    write(tmp_path / "sibling_c.py", "VAL = 1\n")
    write(tmp_path / "own_c.py", TASK.format(sibling="sibling_c"))
    with pytest.raises(Exception, match="VALUE"):
        load_task("own_c.py")
    write(tmp_path / "sibling_c.py", "VALUE = 4\n")
    assert value("own_c.py") == 4


def test_a_package_is_read_again_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "package_d").mkdir()
    write(tmp_path / "package_d/__init__.py", "")
    write(tmp_path / "package_d/parts.py", "VALUE = 1\n")
    write(
        tmp_path / "package_d/task.py",
        TASK.format(sibling="beside_d") + "    from package_d.parts import VALUE\n    value = VALUE\n",
    )
    write(tmp_path / "beside_d.py", "VALUE = 1\n")
    assert value("package_d.task:Own") == 1
    beside = sys.modules["beside_d"]
    write(tmp_path / "package_d/parts.py", "VALUE = 2\n")
    write(tmp_path / "beside_d.py", "VALUE = 2\n")
    assert value("package_d.task:Own") == 2
    assert sys.modules["beside_d"] is beside


def test_what_lies_deeper_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    sys.path.insert(0, str(tmp_path / "lib"))
    write(tmp_path / "lib/installed_e.py", "VALUE = 1\n")
    write(tmp_path / "own_e.py", TASK.format(sibling="installed_e"))
    assert value("own_e.py") == 1
    installed = sys.modules["installed_e"]
    write(tmp_path / "lib/installed_e.py", "VALUE = 2\n")
    write(tmp_path / "own_e.py", TASK.format(sibling="installed_e") + "    other = 1\n")
    assert value("own_e.py") == 1
    assert sys.modules["installed_e"] is installed


def test_a_file_whose_name_is_no_identifier_can_be_a_task(tmp_path: Path) -> None:
    write(tmp_path / "my-own f.py", "from tui_trainer import Task\n\n\nclass Own(Task):\n    value = 5\n")
    assert value("my-own f.py") == 5


def test_a_module_beside_a_task_file_is_not_that_beside_another_one(tmp_path: Path) -> None:
    for number, folder in enumerate(("one", "other"), 1):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "sibling_t.py", f"VALUE = {number}\n")
        write(tmp_path / folder / "own_t.py", TASK.format(sibling="sibling_t"))
    assert value("one/own_t.py") == 1
    assert value("other/own_t.py") == 2
    assert value("one/own_t.py") == 1
    write(tmp_path / "one/sibling_t.py", "VALUE = 3\n")
    assert value("one/own_t.py") == 3
