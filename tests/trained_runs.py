"""One small trained run of each built-in task, for tests of what comes after training."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tui_trainer import train


def write_table(path: Path, regression: bool = False, rows: int = 120) -> Path:
    """A table of an identifier, numbers with gaps, a category with gaps, a time, and the target `y`."""
    random = np.random.default_rng(0)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "size", "colour", "when", "y"])
        for i in range(rows):
            size, colour = random.normal(), i % 3
            target: Any = 3 * size + colour + 1000 if regression else ("yes" if size + colour > 1 else "no")
            shown = [
                "" if i % 17 == 5 else f"{size:.4f}",
                "" if i % 13 == 5 else ("red", "green", "blue")[colour],
            ]
            writer.writerow([f"a{i}", *shown, 1_700_000_000 + 3600 * i, target])
    return path


def write_images(folder: Path, each: int = 12) -> Path:
    """Red cats and blue dogs of 10 × 10 pixels."""
    random = np.random.default_rng(0)
    for name, channel in (("cat", 0), ("dog", 2)):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            pixels = random.integers(0, 120, (10, 10, 3)).astype(np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


def train_built_in(task: str, folder: Path) -> Path:
    """Train `digits`, `table`, `regression`, `images`, `char_lm` or `seq2seq` for a moment.

    Returns:
        The run directory.
    """
    hparams: dict[str, Any] = {"epochs": 1, "device": "cpu", "latent_dim": 8, "n_layers": 1}
    name = task
    if task in ("table", "regression"):
        name = "tabular"
        table = write_table(folder / f"{task}.csv", task == "regression")
        hparams |= {"dataset_path": str(table), "target": "y", "ignore": ["id"]}
    elif task == "images":
        hparams["dataset_path"] = str(write_images(folder / "images"))
    elif task == "char_lm":
        (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
        hparams |= {"dataset_path": str(folder / "text.txt"), "d_model": 8, "n_heads": 2, "context": 16}
        del hparams["latent_dim"]
    elif task == "seq2seq":
        lines = [f'{{"input": "{k} and {k}", "target": "{2 * k}"}}' for k in range(60)]
        (folder / "pairs.jsonl").write_text("\n".join(lines))
        hparams |= {"dataset_path": str(folder / "pairs.jsonl"), "d_model_enc": 8, "d_model_dec": 8}
        del hparams["latent_dim"]
    return train(name, hparams, runs_dir=folder / "runs").run_dir
