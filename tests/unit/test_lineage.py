"""Which runs come from which, found in run.json alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.cli.lineage import drawn, lineage_lines
from tui_trainer.runs.lineage import Lineage


def make(folder: Path, name: str, parent: str = "", **more: Any) -> Path:
    """A finished run that comes from another one beside it."""
    root = folder / name
    root.mkdir(parents=True)
    run: dict[str, Any] = {
        "schema": 1,
        "run_id": name,
        "status": "finished",
        "created": len(os.listdir(folder)),
    }
    if parent:
        place = {"run_id": parent, "run_dir": f"../{parent}", "checkpoint": "7", "step": 70}
        run["parent"] = {**place, "kind": "fork", **more}
    (root / "run.json").write_text(json.dumps(run))
    return root


def names(root: Path) -> tuple[list[str], list[tuple[int, str]]]:
    lineage = Lineage(root)
    return [kin.root.name for kin in lineage.ancestors()], [
        (d, k.root.name) for d, k in lineage.descendants()
    ]


def test_ancestors_and_descendants_are_found_each_after_its_parent(tmp_path: Path) -> None:
    for name, parent in {"a": "", "b": "a", "c": "b", "d": "b", "e": "c", "other": ""}.items():
        make(tmp_path, name, parent)
    assert names(tmp_path / "b") == (["a"], [(1, "c"), (2, "e"), (1, "d")])
    assert names(tmp_path / "e") == (["c", "b", "a"], [])
    assert names(tmp_path / "other") == ([], [])
    assert [kin.root.name for kin in Lineage(tmp_path / "b").children()] == ["c", "d"]


def test_a_record_without_a_kind_is_a_forks(tmp_path: Path) -> None:
    make(tmp_path, "a")
    root = make(tmp_path, "b", "a")
    run = json.loads((root / "run.json").read_text())
    del run["parent"]["kind"]
    (root / "run.json").write_text(json.dumps(run))
    assert lineage_lines(root)[1].startswith("└─ fork @7  b")


def test_a_parent_that_was_renamed_is_found_by_its_id(tmp_path: Path) -> None:
    make(tmp_path, "a")
    root = make(tmp_path, "b", "a")
    (tmp_path / "a").rename(tmp_path / "renamed")
    assert names(root)[0] == ["renamed"]
    assert names(tmp_path / "renamed")[1] == [(1, "b")]


def test_a_copy_of_a_parent_has_no_children(tmp_path: Path) -> None:
    make(tmp_path, "a")
    make(tmp_path, "b", "a")
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    assert names(tmp_path / "copy") == ([], [])
    assert names(tmp_path / "a") == ([], [(1, "b")])


@pytest.mark.parametrize("start", ["a", "b", "c"])
def test_records_that_lead_in_a_circle_end(start: str, tmp_path: Path) -> None:
    for name, parent in (("a", "c"), ("b", "a"), ("c", "b")):
        make(tmp_path, name, parent)
    make(tmp_path, "self", "self")
    ancestors, below = names(tmp_path / start)
    assert sorted([*ancestors, start]) == ["a", "b", "c"]
    assert below == []
    assert names(tmp_path / "self") == ([], [])
    assert lineage_lines(tmp_path / start)


def test_a_parent_that_is_gone_is_named(tmp_path: Path) -> None:
    root = make(tmp_path, "b", "a")
    assert lineage_lines(root) == ["a  gone", "└─ fork @7  b  finished · epoch 0   (this run)"]


def test_weights_from_a_file_are_named_and_so_is_that_it_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.touch()
    root = make(tmp_path / "runs", "a")
    run = json.loads((root / "run.json").read_text())
    run["parent"] = {"file": str(file), "sha256": "0", "kind": "init"}
    (root / "run.json").write_text(json.dumps(run))
    assert lineage_lines(root) == [str(file), "└─ init  a  finished · epoch 0   (this run)"]
    file.unlink()
    assert lineage_lines(root)[0] == f"{file}  gone"


def test_a_run_without_family_draws_nothing(tmp_path: Path) -> None:
    make(tmp_path, "other")
    assert lineage_lines(make(tmp_path, "a")) == []


def test_branches_are_joined_also_in_ascii() -> None:
    nodes = [(0, "a"), (1, "b"), (2, "c · 1"), (3, "d"), (2, "e"), (1, "f")]
    assert drawn(nodes) == ["a", "├─ b", "│  ├─ c · 1", "│  │  └─ d", "│  └─ e", "└─ f"]
    assert drawn(nodes, plain=True) == ["a", "|- b", "|  |- c - 1", "|  |  `- d", "|  `- e", "`- f"]
