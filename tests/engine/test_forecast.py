"""Whether checkpoints will fit on the disk: what is asked for, and what a checkpoint takes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from tests.helpers import Points, PointsHparams, events, resume
from tui_trainer import train
from tui_trainer.engine.forecast import check_disk, checkpoints_to_come
from tui_trainer.errors import FileError
from tui_trainer.runs.layout import RunLayout

EACH = 1000


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how many bytes are free."""
    usage = shutil.disk_usage(tmp_path)

    def has(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))

    return has


@pytest.mark.parametrize(
    ("own", "free", "needed"),
    [(None, 1999, "two must fit"), (0, 1999, "two must fit"), (1, 999, "before an old one goes")],
)
def test_a_run_needs_room_for_one_checkpoint_beside_the_one_that_it_replaces(
    own: int | None, free: int, needed: str, disk: Any, tmp_path: Path
) -> None:
    hparams = PointsHparams(keep_checkpoints=1, epochs=10)
    disk(free)
    with pytest.raises(FileError, match=needed):
        check_disk(tmp_path, EACH, hparams, 5, 0, own)
    disk(free + 1)
    assert "up to" in str(check_disk(tmp_path, EACH, hparams, 5, 0, own))


@pytest.mark.parametrize(
    ("values", "done", "own", "expected"),
    [
        ({"keep_checkpoints": 1}, 0, None, 3),
        # The newest, the best, the one that it goes on from and the new one, of which two are there.
        ({"keep_checkpoints": 1}, 5, 2, 2),
        ({"keep_checkpoints": 1}, 5, 7, 1),
        ({"keep_checkpoints": 1}, 5, 0, 4),
        ({"keep_checkpoints": 1}, 9, 2, 2),
        ({}, 0, None, 11),
        ({}, 8, 8, 3),
        ({"checkpoint_every": "2steps"}, 8, 8, 6),
        ({"checkpoint_every": "2min", "keep_checkpoints": 2}, 0, None, 4),
        ({"checkpoint_every": "2min"}, 0, None, None),
        ({"checkpoint_every": 0}, 0, None, 1),
    ],
)
def test_checkpoints_to_come(
    values: dict[str, Any], done: int, own: int | None, expected: int | None
) -> None:
    hparams = PointsHparams(epochs=10, **values)
    assert checkpoints_to_come(hparams, 5, done, own) == expected


class Tied(Points):
    """Its second layer has the weight of the first."""

    def model(self, hparams: Any) -> nn.Module:
        model = nn.Sequential(nn.Linear(8, 1024), nn.Linear(1024, 8), nn.Linear(8, 1024), nn.Linear(1024, 3))
        model[2].weight = model[0].weight
        return model


def test_a_tied_weight_counts_once_and_a_resumed_run_for_what_it_adds(disk: Any, tmp_path: Path) -> None:
    values = {"epochs": 2, "optimizer": "SGD", "keep_checkpoints": 1}
    run_dir = train(Tied(), values, runs_dir=tmp_path).run_dir
    size = RunLayout(run_dir).model_file("2").stat().st_size
    # Another 64 KiB are reckoned with for all that is small; a second copy of the weight would be 32.
    disk(size + (80 << 10))
    resume(Tied(), run_dir, {**values, "epochs": 3})
    assert "the disk may fill up" in [alert["title"] for alert in events(run_dir, "alert")]
    assert events(run_dir, "run_end")[-1]["epochs"] == 3
