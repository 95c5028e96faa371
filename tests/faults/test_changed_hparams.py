"""Each hparam changed when a run goes on: safe, warned or refused, and never in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.counting import Tried
from tests.faults.driving import Bench
from tui_trainer.cli.train import plan
from tui_trainer.config.fields import FieldSpec
from tui_trainer.config.hparams import Hparams
from tui_trainer.errors import UsageError
from tui_trainer.runs.json_values import read_object

OTHER: dict[str, Any] = {
    "betas": "0.8,0.99", "checkpoint_every": "2", "dataset_json_fname": "x.json", "dataset_path": "elsewhere",
    "device": "cuda", "early_stopping_patience": 7, "ema_decay": 0.9, "eps": 1e-6, "eval_batch_size": 7,
    "eval_every": "2", "grad_clip_norm": 1.0, "keep_checkpoints": 3, "lr": 0.5, "max_minutes": 9.0,
    "max_steps": 999, "micro_batch": 4, "monitor": "test/accuracy", "num_workers": 1, "optimizer": "AdamW",
    "weight_decay": 0.01, "momentum": 0.5,
}  # fmt: skip
"""Values for hparams whose default does not lead to another valid one."""


def other_value(spec: FieldSpec, now: Any) -> str:
    """A valid value that an hparam does not have."""
    if spec.name in OTHER:
        return str(OTHER[spec.name])
    if spec.choices:
        return next(choice for choice in spec.choices if choice not in (str(now), "none"))
    return str(now + 1 if isinstance(now, int) else (now or 0.4) / 2)


@pytest.mark.fault(
    14,
    "each hparam changed when a run goes on",
    "safe, warned or refused by its field, told with old and new value; none in silence",
)
@pytest.mark.parametrize("doing", ["resume", "fork"])
def test_no_change_goes_by_in_silence(bench: Bench, tried: Tried, doing: str) -> None:
    run = Path("runs/it")
    hparams = read_object(run / "hparams.json")
    origin = ["--resume", str(run)] if doing == "resume" else ["--fork", f"{run}@1"]
    # Momentum belongs to other optimizers than the run's.
    for spec in (spec for name, spec in Hparams.specs().items() if name not in ("task", "momentum")):
        with tried.attempt():
            now = hparams[spec.name]
            if spec.kind == "bool":
                words = [f"--no_{spec.name}" if now else f"--{spec.name}"]
            else:
                words = [f"--{spec.name}", other_value(spec, now)]
            more = [] if spec.name == "epochs" else ["--epochs", "9"]
            told = what_is_told(["--no-ui", *origin, *more, *words])
            lines = [line for line in told.splitlines() if line.strip().startswith(f"{spec.name}: ")]
            assert len(lines) == 1, (spec.name, told)
            assert " -> " in lines[0]
            refused = "can't change" in told
            assert refused == (spec.on_resume == "refused"), told


def what_is_told(words: list[str]) -> str:
    """The warnings and notes of a command line, or its error."""
    try:
        planned = plan(words)
    except UsageError as error:
        return error.lines()
    return "\n".join([*planned.warnings, *planned.notes])
