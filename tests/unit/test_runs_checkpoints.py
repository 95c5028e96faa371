"""The checkpoint index."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.errors import FileError
from tui_trainer.files import write_json
from tui_trainer.runs.checkpoints import (
    add_entry,
    make_entry,
    newest_good,
    read_index,
    remove_entries,
    remove_orphans,
    set_pinned,
    to_delete,
    verify,
)
from tui_trainer.runs.layout import RunLayout, checkpoint_tag, parse_tag


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path / "run")
    layout.checkpoints.mkdir(parents=True)
    return layout


def save(layout: RunLayout, epoch: int, batch: int = 0, **marks: bool) -> dict[str, Any]:
    tag = checkpoint_tag(epoch, batch)
    layout.model_file(tag).write_bytes(b"weights of " + tag.encode())
    layout.parameters_file(tag).write_text("{}")
    layout.trainer_state_file(tag).write_bytes(b"state")
    metrics = {"test/loss": math.nan}
    best = marks.pop("best", False)
    entry = make_entry(layout, epoch, batch, step=1, time=2.0, metrics=metrics, best=best, **marks)
    add_entry(layout, entry)
    return entry


def tags(entries: list[dict[str, Any]], mark: str | None = None) -> list[str]:
    return [entry["tag"] for entry in entries if mark is None or entry[mark]]


def test_a_run_without_an_index_has_no_checkpoints(layout: RunLayout) -> None:
    assert read_index(layout) == []


def test_an_entry_names_its_files_with_size_and_checksum(layout: RunLayout) -> None:
    entry = save(layout, 3)
    assert sorted(entry["files"]) == [
        "checkpoints/model_3.pt",
        "checkpoints/model_parameters_3.json",
        "checkpoints/trainer_state_3.pt",
    ]
    assert entry["size"] == sum(file["size"] for file in entry["files"].values()) == 12 + 2 + 5
    (read,) = read_index(layout)
    assert read == entry | {"metrics": {"test/loss": "NaN"}}
    assert verify(layout, "3") == []


def test_an_entry_needs_its_model_file(layout: RunLayout) -> None:
    with pytest.raises(OSError):
        make_entry(layout, 1, 0, step=1, time=0.0, metrics={}, best=False)


def test_the_index_is_in_the_order_of_training_with_one_best_and_one_last(layout: RunLayout) -> None:
    for epoch, batch, best in ((2, 0, True), (10, 0, False), (2, 9, True), (10, 2, False)):
        save(layout, epoch, batch, best=best)
    entries = read_index(layout)
    assert tags(entries) == ["2", "2+9", "10", "10+2"]
    assert tags(entries, "best") == ["2+9"]
    assert tags(entries, "last") == ["10+2"]


def test_saving_a_tag_again_replaces_its_entry(layout: RunLayout) -> None:
    save(layout, 1)
    save(layout, 1, pinned=True)
    assert [entry["pinned"] for entry in read_index(layout)] == [True]


def test_removing_takes_the_entry_and_all_its_files(layout: RunLayout) -> None:
    for epoch in (1, 2, 3):
        save(layout, epoch)
    assert tags(remove_entries(layout, ["3", "1", "7"])) == ["2"]
    assert tags(read_index(layout), "last") == ["2"]
    assert sorted(path.name for path in layout.checkpoints.iterdir()) == [
        "checkpoints.json",
        "model_2.pt",
        "model_parameters_2.json",
        "trainer_state_2.pt",
    ]


def test_the_mark_of_the_best_passes_to_the_one_that_is_named_only_if_the_best_goes(
    layout: RunLayout,
) -> None:
    for epoch in (1, 2, 3):
        save(layout, epoch, best=epoch == 2)
    assert tags(remove_entries(layout, ["3"], best="1"), "best") == ["2"]
    assert tags(remove_entries(layout, ["2"], best="1"), "best") == ["1"]
    assert tags(read_index(layout), "best") == ["1"]


def test_files_stay_if_the_index_can_not_be_written(
    layout: RunLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(layout, 1)

    def refuse(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError):
        remove_entries(layout, ["1"])
    assert layout.model_file("1").exists()
    assert verify(layout, "1") == []


def test_a_name_that_leads_out_of_the_folder_is_neither_read_nor_deleted(layout: RunLayout) -> None:
    outside = layout.root / "precious"
    outside.write_text("x")
    facts = {"size": 1, "sha256": "0"}
    names = ("checkpoints/../precious", "../precious", str(outside), "..")
    entry = save(layout, 1) | {"files": dict.fromkeys(names, facts)}
    add_entry(layout, entry)
    assert len(verify(layout, "1")) == 4
    remove_entries(layout, ["1"])
    assert outside.exists()


def test_pinning_is_recorded(layout: RunLayout) -> None:
    save(layout, 1)
    set_pinned(layout, "1", True)
    assert tags(read_index(layout), "pinned") == ["1"]
    set_pinned(layout, "1", False)
    assert tags(read_index(layout), "pinned") == []
    with pytest.raises(FileError):
        set_pinned(layout, "2", True)


def test_every_kind_of_damage_is_found_and_named(layout: RunLayout) -> None:
    save(layout, 1)
    model = layout.model_file("1")
    whole = model.read_bytes()
    for damaged in (whole[:-1], b"", bytes([whole[0] ^ 1]) + whole[1:], whole + b"x"):
        model.write_bytes(damaged)
        (problem,) = verify(layout, "1")
        assert "model_1.pt" in problem
    model.unlink()
    assert "missing" in verify(layout, "1")[0]
    assert "not in checkpoints.json" in verify(layout, "2")[0]


def test_the_newest_good_one_is_found_behind_a_damaged_one(layout: RunLayout) -> None:
    save(layout, 1)
    save(layout, 2)
    layout.model_file("2").write_bytes(b"")
    entry, problems = newest_good(layout)
    assert entry is not None
    assert entry["tag"] == "1"
    assert "model_2.pt" in problems[0]
    layout.model_file("1").unlink()
    assert newest_good(layout)[0] is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"checkpoints": 3}', '{"checkpoints": [{"tag": "x"}]}', '{"checkpoints": [3]}'],
)
def test_a_corrupt_index_is_an_error_that_names_it_and_deletes_nothing(
    layout: RunLayout, content: str
) -> None:
    save(layout, 1)
    layout.checkpoints_index.write_text(content)
    with pytest.raises(FileError) as error:
        read_index(layout)
    assert "checkpoints.json" in error.value.message
    assert remove_orphans(layout) == []
    assert layout.model_file("1").exists()


def test_files_that_no_entry_names_are_swept_but_foreign_ones_stay(layout: RunLayout) -> None:
    layout.model_file("9").touch()
    assert remove_orphans(layout) == []
    save(layout, 1)
    layout.trainer_state_file("1+4").touch()
    (layout.checkpoints / "model_best.onnx").touch()
    assert remove_orphans(layout) == ["model_9.pt", "trainer_state_1+4.pt"]
    assert verify(layout, "1") == []
    assert (layout.checkpoints / "model_best.onnx").exists()


ENTRY = st.fixed_dictionaries(
    {
        "tag": st.builds(checkpoint_tag, st.integers(0, 9), st.integers(0, 3)),
        "best": st.booleans(),
        "last": st.booleans(),
        "pinned": st.booleans(),
    }
)


@given(st.lists(ENTRY, unique_by=lambda entry: entry["tag"]), st.none() | st.integers(0, 5))
def test_retention_never_lets_go_of_the_newest_best_last_or_pinned(
    entries: list[dict[str, Any]], keep: int | None
) -> None:
    going = to_delete(entries, keep)
    newest = sorted((entry["tag"] for entry in entries), key=parse_tag)[-keep:] if keep else []
    for entry in entries:
        held = keep is None or entry["tag"] in newest or entry["best"] or entry["last"] or entry["pinned"]
        assert (entry["tag"] in going) != held


def test_an_index_of_odd_entries_is_still_verified(layout: RunLayout) -> None:
    layout.model_file("1").touch()
    entry = {"tag": "1", "files": {"checkpoints/model_1.pt": 3}}
    write_json(layout.checkpoints_index, {"checkpoints": [entry, {"tag": "2"}]})
    assert len(verify(layout, "1")) == 1
    assert len(verify(layout, "2")) == 1


def test_what_an_entry_lacks_or_has_of_another_type_counts_as_nothing(layout: RunLayout) -> None:
    odd = {"tag": "3+4", "epoch": "x", "step": "y", "time": [], "metrics": 3, "best": "yes", "size": -1}
    write_json(layout.checkpoints_index, {"checkpoints": [odd]})
    (entry,) = read_index(layout)
    assert (entry["epoch"], entry["batch"], entry["step"], entry["size"]) == (3, 4, 0, 0)
    assert (entry["metrics"], entry["best"], entry["pinned"], entry["files"]) == ({}, False, False, {})


def test_only_files_of_the_checkpoint_itself_go_with_it(layout: RunLayout) -> None:
    save(layout, 1)
    save(layout, 2)
    (layout.checkpoints / "letter.txt").touch()
    (layout.checkpoints / "ema_2.pt").touch()
    facts = {"size": 0, "sha256": "0"}
    names = ("checkpoints/model_1.pt", "checkpoints/letter.txt", "checkpoints/ema_2.pt", "model_2.pt")
    add_entry(layout, save(layout, 2) | {"files": dict.fromkeys(names, facts)})
    remove_entries(layout, ["2"])
    assert verify(layout, "1") == []
    assert (layout.checkpoints / "letter.txt").exists()
    assert not (layout.checkpoints / "ema_2.pt").exists()
