"""Names of runs and checkpoints."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.runs.layout import (
    RunLayout,
    checkpoint_tag,
    create_run_dir,
    default_runs_dir,
    parse_tag,
    run_id,
    task_slug,
)

NOW = datetime(2026, 11, 23, 3, 14, 15)


def test_a_run_id_is_time_task_and_four_hex_digits(tmp_path: Path) -> None:
    layout = create_run_dir(tmp_path / "new" / "runs", "char_lm", now=lambda: NOW)
    assert re.fullmatch(r"20261123-031415-char_lm-[0-9a-f]{4}", run_id(layout))
    assert layout.root.is_dir()
    assert list(layout.root.iterdir()) == []


def test_races_give_different_folders(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: create_run_dir(tmp_path, "digits", now=lambda: NOW), range(400)))
    assert len({layout.root for layout in made}) == 400


@pytest.mark.parametrize(
    ("task", "slug"),
    [
        ("digits", "digits"),
        ("my_task.py", "my_task"),
        ("../some where/my_task.py:MyTask", "my_task"),
        ("package.module:MyTask", "module"),
        ("C:\\tasks\\mine.py", "mine"),
        ("ünï", "n"),
        ("..", "run"),
        ("", "run"),
    ],
)
def test_a_task_becomes_part_of_a_folder_name(task: str, slug: str) -> None:
    assert task_slug(task) == slug


@given(st.text())
def test_no_task_name_leads_out_of_the_runs_folder(task: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", task_slug(task))


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_tags_read_back(epoch: int, batch: int) -> None:
    assert parse_tag(checkpoint_tag(epoch, batch)) == (epoch, batch)


def test_tags_sort_in_the_order_of_training() -> None:
    tags = ["10", "2+9", "2+10", "2", "0+5", "3"]
    assert sorted(tags, key=parse_tag) == ["0+5", "2", "2+9", "2+10", "3", "10"]
    assert checkpoint_tag(12) == "12"
    assert checkpoint_tag(12, 340) == "12+340"


@pytest.mark.parametrize("tag", ["", "x", "-1", "1+", "+1", "1.5", "1+2+3", " 1", "١"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError):
        parse_tag(tag)


def test_a_tag_can_not_be_negative() -> None:
    with pytest.raises(ValueError):
        checkpoint_tag(-1)


def test_checkpoint_files_carry_the_tag(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    files = [layout.model_file("7"), layout.parameters_file("7"), layout.trainer_state_file("7+2")]
    names = [path.name for path in [*files, layout.tensors_file("7")]]
    assert names == ["model_7.pt", "model_parameters_7.json", "trainer_state_7+2.pt", "model_tensors_7.json"]


def test_the_runs_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUI_TRAIN_RUNS", raising=False)
    assert default_runs_dir() == Path("runs")
    monkeypatch.setenv("TUI_TRAIN_RUNS", "/data/runs")
    assert default_runs_dir() == Path("/data/runs")
