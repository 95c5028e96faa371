"""What a checkpoint costs the training that goes on beside it.

    python benchmarks/saving.py [--rounds 3] [--width 1536]

Trains the same network with and without a checkpoint every forty steps, by turns, and prints the medians:
what a save costs training, and how long it takes until it is on the disk.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from typing import Any

import torch
from torch import nn

from tui_trainer import Task, train
from tui_trainer.runs.reader import RunReader

STEPS = 160
EVERY = 40


class Wide(Task):
    """Three square layers on random numbers."""

    name = "wide"

    def __init__(self, width: int) -> None:
        self.width = width

    def datasets(self, hparams: Any) -> Any:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(STEPS * 32, self.width, generator=generator)
        return (inputs, torch.arange(len(inputs)) % 10), None

    def model(self, hparams: Any) -> nn.Module:
        layers = [part for _ in range(3) for part in (nn.Linear(self.width, self.width), nn.ReLU())]
        return nn.Sequential(*layers, nn.Linear(self.width, 10))


def run(width: int, every: int | str, folder: str) -> tuple[float, list[dict[str, Any]]]:
    """Seconds of the epoch, and the events of its checkpoints."""
    values = {
        "epochs": 1,
        "batch_size": 32,
        "device": "cpu",
        "checkpoint_every": every,
        "keep_checkpoints": 1,
    }
    result = train(Wide(width), values, runs_dir=folder)
    events = RunReader(result.run_dir).events()
    (end,) = [event for event in events if event["event"] == "epoch_end"]
    return float(end["seconds"]), [event for event in events if event["event"] == "checkpoint"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=1536)
    args = parser.parse_args()
    without, saving, saves = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        run(args.width, 0, folder)
        for _ in range(args.rounds):
            without.append(run(args.width, 0, folder)[0])
            seconds, checkpoints = run(args.width, f"{EVERY}steps", folder)
            saving.append(seconds)
            saves += checkpoints
    plain, beside = statistics.median(without), statistics.median(saving)
    inside = STEPS // EVERY - 1
    written = statistics.median(event["seconds"] for event in saves)
    print(f"checkpoint of {saves[0]['size'] / 1e6:.0f} MB, on the disk after {written * 1e3:.0f} ms")
    print(f"epoch of {STEPS} steps: {plain:.2f} s; with {inside} saves inside {beside:.2f} s")
    print(f"so a save costs training {(beside - plain) / inside * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
