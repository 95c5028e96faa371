"""The run directory's documentation is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tui_trainer.runs import events
from tui_trainer.runs.folding import Builder
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.state import RunState
from tui_trainer.runs.writer import RunWriter

DOC = (Path(__file__).parents[2] / "docs" / "run-directory.md").read_text()


def documented_events(text: str) -> set[str]:
    return set(re.findall(r"^\| `?(\w+)`? *\|", text, re.MULTILINE)) - {"event"}


def test_the_documented_snippet_reads_the_step_series(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    assert len(snippet.splitlines()) == 4
    layout = RunLayout(tmp_path / "run")
    writer = RunWriter.create(layout, {}, {})
    for step in range(5):
        writer.row({"step": step, "train/loss": 1 / (step + 1)})
    writer.close()
    with open(layout.steps, "ab") as file:
        file.write(b"a torn row")
    names: dict[str, Any] = {"run_dir": layout.root}
    exec(snippet, names)
    loss = names["steps"][:, names["columns"].index("train/loss")]
    assert loss.tolist() == [1 / (step + 1) for step in range(5)]


def test_every_event_is_documented_and_understood() -> None:
    understood = set(Builder(RunState())._handlers)
    section = DOC.partition("## events.jsonl")[2].partition("\n## ")[0]
    assert documented_events(section) == understood
    assert documented_events(events.__doc__ or "") == understood


def test_every_file_of_a_run_is_documented(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    paths = [
        layout.run_json,
        layout.hparams_json,
        layout.events,
        layout.steps,
        layout.steps_header,
        layout.lock,
    ]
    paths += [layout.console_log, layout.control, layout.task_source, layout.checkpoints_index]
    paths += [layout.model_file("{tag}"), layout.parameters_file("{tag}")]
    paths += [layout.trainer_state_file("{tag}"), layout.tensors_file("{tag}")]
    for path in paths:
        assert str(path.relative_to(tmp_path)) in DOC
