"""A run to be damaged, and `tui-train` run on it in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tui_trainer.cli.main import main
from tui_trainer.files import sha256_file, write_json
from tui_trainer.runs.checkpoints import read_index
from tui_trainer.runs.layout import RunLayout

TASK = """
import torch
from tui_trainer import Task


class Tiny(Task):
    def datasets(self, hparams):
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(40, 4, generator=generator)
        return inputs, (inputs.sum(1) > 0).long()

    def model(self, hparams):
        return torch.nn.Linear(4, 2)
"""


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


class Bench:
    """A working folder with a task file and a run of two epochs and two checkpoints.

    Attributes:
        folder: the working folder.
        run: the run directory.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.run = folder / "runs" / "it"
        self.layout = RunLayout(self.run)
        self._capsys = capsys

    def tui_train(self, *words: object) -> Done:
        """Run a command line."""
        self._capsys.readouterr()
        try:
            code = int(main([str(word) for word in words]))
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        captured = self._capsys.readouterr()
        return Done(code, captured.out, captured.err)

    def resume(self, *words: object) -> Done:
        """Give the run a third epoch."""
        return self.tui_train("--no-ui", "--resume", self.run, "--epochs", 3, *words)

    def vouch(self) -> None:
        """Make the index agree with the files, as whoever forges them would."""
        entries = read_index(self.layout)
        for entry in entries:
            for name in entry["files"]:
                path = self.run / name
                entry["files"][name] = {"size": path.stat().st_size, "sha256": sha256_file(path)}
        write_json(self.layout.checkpoints_index, {"schema": 1, "checkpoints": entries})
