"""What a run knows of the source of its task."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_trainer.engine.identity import keep_task_source, source_change
from tui_trainer.runs.layout import RunLayout
from tui_trainer.tasks.registry import load_task

SOURCE = "from tui_trainer import Task\n\n\nclass Mine(Task):\n    one = 1\n    two = 2\n    three = 3\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunLayout:
    """A run of the task file `changing.py`, which lies in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("changing.py").write_text(SOURCE)
    layout = RunLayout(tmp_path / "20261123-031415-changing-7f3a")
    layout.root.mkdir()
    return layout


def test_a_changed_task_file_is_told_with_the_number_of_lines_and_where_the_copy_is(run: RunLayout) -> None:
    task = load_task("changing.py")
    facts = {"task_source": keep_task_source(task, run)}
    assert source_change(task, facts, run.root) is None
    Path("changing.py").write_text(SOURCE.replace("one = 1", "one = 7") + "    four = 4\n")
    assert source_change(task, facts, run.root) == (
        "changing.py has changed since run 20261123-031415-changing-7f3a began (2 lines differ); "
        f"the run's copy is {run.root}/task/changing.py"
    )
    (run.task_source / "changing.py").unlink()
    assert source_change(task, facts, run.root) == (
        "changing.py has changed since run 20261123-031415-changing-7f3a began"
    )


@pytest.mark.parametrize("record", [{}, {"task_source": None}, {"task_source": "x"}])
def test_a_run_that_keeps_no_source_tells_of_no_change(run: RunLayout, record: dict[str, object]) -> None:
    assert source_change(load_task("changing.py"), record, run.root) is None
    assert source_change(load_task("digits"), {"task_source": {"sha256": "0"}}, run.root) is None


def test_a_name_on_record_leads_out_of_no_run(run: RunLayout) -> None:
    (run.root.parent / "secret.py").write_text("one\n")
    told = source_change(
        load_task("changing.py"), {"task_source": {"file": "../../secret.py", "sha256": "0"}}, run.root
    )
    assert told is not None
    assert "secret" not in told
