"""Task files that people get wrong: each says what is wrong, where and what to do, and leaves nothing behind.

A file in `tasks/` begins with what its message must contain, parts between bars:

    # expect: exit 1 | the cause | hint: what to do
    # with: --batch-size 1          (words of the command line)
    # as: torch.py                  (the name that it is tried under)
    # beside: helper.py             (another file of this folder that it imports)
    # slow: why it takes seconds

`expect: ended 9` is for one that ends its process with this code, so that only the record can tell.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Done, folder, tui_train
from tui_trainer.cli.main import main

__all__ = ["folder", "tui_train"]

TASKS = Path(__file__).parent / "tasks"
BROKEN = sorted(path for path in TASKS.glob("*.py") if path.read_text().startswith("# expect: exit"))
ENDING = sorted(path for path in TASKS.glob("*.py") if path.read_text().startswith("# expect: ended"))


def told(path: Path, key: str) -> list[str]:
    """The words after `# key:` at the top of a file."""
    found = re.search(rf"^# {key}: (.*)$", path.read_text(), re.MULTILINE)
    return found[1].split() if found else []


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What a task file imports from its folder is forgotten with it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def words_for(path: Path, folder: Path) -> list[str]:
    """The command line that tries a file out in a folder."""
    name = (told(path, "as") or [path.name])[0]
    shutil.copy(path, folder / name)
    for other in told(path, "beside"):
        shutil.copy(TASKS / other, folder)
    return ["--no-ui", name, "--epochs", "1", "--device", "cpu", *told(path, "with")]


def run_states(tui_train: Callable[..., Done]) -> list[str]:
    return [json.loads(line)["status"] for line in tui_train("runs", "--json").out.splitlines()]


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.slow if told(path, "slow") else ()) for path in BROKEN],
    ids=[path.stem for path in BROKEN],
)
def test_a_broken_task_file_says_what_is_wrong_and_what_to_do(
    path: Path, folder: Path, tui_train: Callable[..., Done]
) -> None:
    done = tui_train(*words_for(path, folder))
    code, *parts = path.read_text().splitlines()[0].removeprefix("# expect: exit ").split(" | ")
    said = done.out + done.err
    assert done.code == int(code), said
    for part in parts:
        assert part in said
    if done.code:
        assert "\nerror: " in f"\n{done.err}"
    # Frames are the user's: ours and torch's are for --traceback.
    assert all(name.startswith(str(folder)) for name in re.findall(r'File "(.+?)"', said))
    assert set(run_states(tui_train)) <= {"finished", "failed"}
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("path", ENDING, ids=lambda path: path.stem)
def test_a_task_that_ends_its_process_leaves_no_run_that_seems_to_go_on(
    path: Path, folder: Path, tui_train: Callable[..., Done]
) -> None:
    words = words_for(path, folder)
    child = os.fork()
    if not child:
        main(words)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert f"ended {code}" in path.read_text().splitlines()[0]
    assert run_states(tui_train) == ["crashed"]


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) + len(ENDING) >= 40
