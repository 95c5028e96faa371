"""Row 5 of the fault table: a damaged file of the latest checkpoint is found before it is opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.driving import Bench
from tui_trainer.engine import archive
from tui_trainer.runs.checkpoints import read_index

pytestmark = pytest.mark.fault(
    5, "bit flip, truncation, zero page, swap in the latest checkpoint", "found; the one before is used"
)

FILES = ("model_2.pt", "trainer_state_2.pt", "model_parameters_2.json", "model_tensors_2.json")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def zero_page(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes(min(512, len(data))) + data[512:])


def swap(path: Path) -> None:
    other = {"model_parameters_2.json": "model_tensors_2.json"}.get(path.name, path.name.replace("2", "1"))
    path.write_bytes((path.parent / other).read_bytes())


DAMAGES: dict[str, Callable[[Path], None]] = {
    "bit flip": flip,
    "truncated": truncate,
    "zero page": zero_page,
    "empty": lambda path: path.write_bytes(b"") and None,
    "swapped": swap,
    "missing": lambda path: path.unlink(),
}


pytestmark = pytest.mark.fault(
    5,
    "bit flip, cut, zeros, empty, missing or swapped file in the newest checkpoint or the index",
    "noticed before a tensor reaches the model; the one before is used and both are named",
)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the `.pt` files that were opened."""
    names: list[str] = []
    load = archive.load

    def watched(path: Path) -> object:
        names.append(path.name)
        return load(path)

    monkeypatch.setattr(archive, "load", watched)
    return names


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_resuming_falls_back_to_the_one_before_and_names_both(
    name: str, damage: str, bench: Bench, opened: list[str]
) -> None:
    DAMAGES[damage](bench.layout.checkpoints / name)
    done = bench.resume()
    assert done.code == 0, done.text
    assert name in done.text
    assert "model_1.pt" in done.text
    # Those of the second epoch are read again once it has been trained anew.
    assert opened[:2] == ["trainer_state_1.pt", "trainer_state_1.pt"]
    assert "model_2.pt" not in opened[: opened.index("model_1.pt")]
    assert [entry["tag"] for entry in read_index(bench.layout)] == ["1", "2", "3"]
    assert bench.tui_train("checkpoints", "verify", bench.run).code == 0


@pytest.mark.parametrize("damage", ["bit flip", "missing"])
def test_one_that_is_named_and_bad_is_refused(damage: str, bench: Bench, opened: list[str]) -> None:
    best = next(entry["tag"] for entry in read_index(bench.layout) if entry["best"])
    for tag in {"2", best}:
        DAMAGES[damage](bench.layout.checkpoints / f"trainer_state_{tag}.pt")
    model = bench.layout.model_file("2")
    for word in (f"{bench.run}@2", f"{bench.run}@best", model):
        for words in (("--no-ui", "--epochs", 3, "--fork", word), ("checkpoints", "verify", word)):
            done = bench.tui_train(*words)
            assert done.code == 3, done.text
            assert "trainer_state_" in done.text
            assert "hint: " in done.err
    assert opened == []


def test_the_newest_good_one_is_meant_by_last(bench: Bench) -> None:
    flip(bench.layout.model_file("2"))
    done = bench.tui_train("--no-ui", "--resume", f"{bench.run}@last", "--epochs", 3)
    assert (done.code, "model_1.pt" in done.text) == (0, True)


def test_a_run_without_a_good_one_is_refused_and_left_alone(bench: Bench) -> None:
    for tag in ("1", "2"):
        flip(bench.layout.model_file(tag))
    before = {path: path.read_bytes() for path in bench.run.rglob("*.*") if path.is_file()}
    done = bench.resume()
    assert done.code == 3
    assert "model_1.pt" in done.err
    assert "model_2.pt" in done.err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("damage", ["bit flip", "truncated", "zero page", "empty"])
def test_a_damaged_index_is_told_and_deletes_nothing(damage: str, bench: Bench) -> None:
    path = bench.layout.checkpoints_index
    if damage == "bit flip":
        path.write_bytes(path.read_bytes().replace(b'"checkpoints":', b'"checkpoint{":'))
    else:
        DAMAGES[damage](path)
    models = sorted(bench.layout.checkpoints.glob("*.pt"))
    for words in (("checkpoints", "list", bench.run), ("--no-ui", "--resume", bench.run, "--epochs", 3)):
        done = bench.tui_train(*words)
        assert done.code == 3
        assert "checkpoints.json" in done.err
    assert sorted(bench.layout.checkpoints.glob("*.pt")) == models
