"""Loader processes that die are replaced. That training ends alike is in tests/faults/test_memory.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from tests.helpers import NoisyItems, Points
from tui_trainer import train
from tui_trainer.engine.loaders import DatasetLoader
from tui_trainer.engine.sampler import BatchPlan
from tui_trainer.engine.workers import MOST_DEATHS, WorkerDied, surviving
from tui_trainer.errors import TrainerError


class Fatal(Dataset[Any]):
    """Items of which one ends the process that makes it, once."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> Any:
        if index == 13 and not self.flag.exists():
            self.flag.touch()
            os._exit(3)
        return torch.tensor(index)


def test_a_process_that_dies_while_its_batch_is_waited_for_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

    # torch looks every five seconds.
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.05,))
    told: list[str] = []
    plan = BatchPlan(24, 4, shuffle=False)
    device = torch.device("cpu")
    loader = DatasetLoader(
        Fatal(tmp_path / "flag"), plan, device, 1, alert=lambda title, message: told.append(message)
    )
    try:
        batches = torch.cat(list(loader.epoch(0)))
    finally:
        loader.close()
    assert torch.equal(batches, torch.arange(24))
    assert len(told) == 1
    assert "left with exit code 3 before batch" in told[0]


def test_deaths_without_a_batch_in_between_end_the_run_with_a_hint() -> None:
    told: list[str] = []
    begun: list[int] = []

    def begin(number: int) -> Iterator[int]:
        begun.append(number)
        yield from range(number, min(number + 1, 3))
        raise WorkerDied("loader process 7 was ended by SIGBUS")

    batches = surviving(begin, 0, lambda title, message: told.append(message))
    # A batch in between is progress, so only the last three count.
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(
        TrainerError, match=f"SIGBUS before batch 4 of the epoch, {MOST_DEATHS} times"
    ) as caught:
        next(batches)
    assert begun == [0, 1, 2, 3, 3]
    assert "/dev/shm" in caught.value.hint
    assert "--num-workers 0" in caught.value.hint


def test_an_error_in_a_loader_process_stays_the_error_that_is_told(tmp_path: Path) -> None:
    class Broken(NoisyItems):
        def __getitem__(self, index: int) -> Any:
            raise RuntimeError("odd item")

    class Task(Points):
        def datasets(self, hparams: Any) -> Any:
            return Broken(), None

    with pytest.raises(TrainerError, match="odd item"):
        train(Task(), {"epochs": 1, "num_workers": 1}, runs_dir=tmp_path)
