"""Memory runs out, a loader process is killed: the run ends as if nothing had happened (row 11)."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from tests.helpers import NoisyItems, Points, Small, assert_same_weights, events, weights
from tui_trainer import train

HALVED = "micro-batch halved, gradients within 1e-6 of the whole batch's; the run finishes"


@pytest.mark.fault(11, "out of memory at step k", HALVED)
@pytest.mark.parametrize(
    ("where", "after"),
    [("forward", 0), ("forward", 3), ("forward", 10), ("backward", 0), ("backward", 10), ("evaluation", 0)],
)
def test_memory_that_runs_out_costs_no_step_and_no_digit(tmp_path: Path, where: str, after: int) -> None:
    values = {"epochs": 2, "optimizer": "SGD", "lr": 0.3, "grad_accumulation": 2, "momentum": 0.9}
    fits = {"evaluation": 3} if where == "evaluation" else {"training": 5}
    short = Small(**fits, after=after, in_backward=where == "backward", dtype=torch.float32)
    result = train(short, values, runs_dir=tmp_path)
    whole = train(Small(dtype=torch.float32), values, runs_dir=tmp_path)
    assert (result.status, result.steps) == ("finished", whole.steps)
    for name, tensor in weights(result.run_dir, 2).items():
        torch.testing.assert_close(tensor, weights(whole.run_dir, 2)[name], rtol=0, atol=1e-6)
    assert result.metrics == pytest.approx(whole.metrics, abs=1e-6)
    assert [alert["title"] for alert in events(result.run_dir, "alert")] == [
        "out of memory: smaller micro-batches"
    ]


LIMITED = """
import resource, sys
import torch
from tests.helpers import Points
from tui_trainer import train

class Greedy(Points):
    '''Holds 32 MiB for each sample of a pass, in a process that may have 800 MiB more than it has.'''

    def model(self, hparams):
        torch.set_num_threads(1)
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + (800 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        return super().model(hparams)

    def compute_loss(self, model, batch, criterion):
        held = torch.zeros(len(batch[0]), 8 << 20)
        loss, outputs, targets = super().compute_loss(model, batch, criterion)
        return loss + held[0, 0], outputs, targets

print(train(Greedy(), {"epochs": 1, "batch_size": 40}, runs_dir=sys.argv[1]).run_dir)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's address-space limit")
@pytest.mark.fault(11, "the host's allocator refuses, under a real limit", HALVED)
def test_a_real_refusal_of_the_allocator_is_survived(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    alerts = events(Path(done.stdout.strip()), "alert")
    assert any(
        re.search(r"40 -> \d+ samples at once in training .*1\.25 GiB asked for", alert["message"])
        for alert in alerts
    )


class Items(Points):
    """`NoisyItems` through two loader processes, of which one is killed at some batches."""

    def __init__(self, kill_at: set[int], own_loader: bool = False) -> None:
        super().__init__(on_batch=self._kill)
        self.kill_at = kill_at
        self.own_loader = own_loader
        self.killed: list[int] = []

    def datasets(self, hparams: Any) -> Any:
        return NoisyItems(), None

    def dataloader(self, hparams: Any, dataset: Any, train: bool) -> Any:
        if not self.own_loader:
            return None
        return DataLoader(dataset, batch_size=hparams.batch_size, shuffle=True, num_workers=2)

    def _kill(self, number: int) -> None:
        if number in self.kill_at:
            process = multiprocessing.active_children()[0]
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            self.killed.append(process.pid)


@pytest.mark.slow
@pytest.mark.fault(11, "loader process killed", "replaced at that very batch; weights bit-identical")
@pytest.mark.parametrize("own_loader", [False, True], ids=["ours", "the user's"])
def test_a_killed_loader_process_changes_nothing(tmp_path: Path, own_loader: bool) -> None:
    values = {"epochs": 2, "batch_size": 8, "num_workers": 2, "log_rate": 0.0}
    task = Items({3, 4, 12}, own_loader)
    result = train(task, values, runs_dir=tmp_path)
    undisturbed = train(Items(set(), own_loader), values, runs_dir=tmp_path)
    assert_same_weights(weights(result.run_dir, 2), weights(undisturbed.run_dir, 2))
    assert result.metrics == undisturbed.metrics
    alerts = events(result.run_dir, "alert")
    assert len(alerts) == len(task.killed) == 3
    assert f"loader process {task.killed[0]} was ended by SIGKILL before batch 4" in alerts[0]["message"]
    assert not multiprocessing.active_children()
