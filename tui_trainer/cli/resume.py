"""Where `--resume` goes on, and what may be changed on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tui_trainer.config.fields import flag_text
from tui_trainer.config.hparams import Hparams
from tui_trainer.engine.resuming import ResumePoint
from tui_trainer.errors import FileError, UsageError
from tui_trainer.runs.checkpoints import newest_good, read_index
from tui_trainer.runs.claim import refuse_live
from tui_trainer.runs.index import find_run
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader, is_run

SAFE = frozenset(
    {
        "checkpoint_every", "device", "early_stopping_patience", "epochs", "eval_batch_size", "eval_every",
        "keep_checkpoints", "log_rate", "max_minutes", "max_steps", "num_workers",
    }
)  # fmt: skip
"""Hparams that may differ from the resumed run's: they decide how long and how, not what is trained."""

LENGTHS = ("epochs", "max_steps", "max_minutes")


def find_resumed(word: str, runs_dir: Path, run_dir: Path | None) -> RunLayout | None:
    """The run that `--resume WORD` names; None where `auto` finds nothing to resume.

    Raises:
        UsageError: no such run, or `auto` without --run-dir.
    """
    if word != "auto" and run_dir is not None:
        raise UsageError(
            "two run directories",
            f"--resume {word} and --run-dir {run_dir}",
            "leave --run-dir out, or --resume auto",
        )
    if word == "auto":
        if run_dir is None:
            raise UsageError(
                "nothing to resume", "--resume auto needs --run-dir", "--resume auto --run-dir DIR"
            )
        return RunLayout(run_dir) if is_run(run_dir) else None
    if "@" in word and not Path(word).exists():
        name, _, tag = word.rpartition("@")
        if tag != "last":
            raise UsageError(
                "can't resume there",
                f"{word}: a run goes on from its newest checkpoint, so that nothing later is overwritten",
                f"--resume {name}",
            )
        word = name
    return RunLayout(find_run(word, runs_dir))


def hparams_of(layout: RunLayout) -> dict[str, Any]:
    """The hparams that a run was started with.

    Raises:
        FileError: they can't be read.
    """
    hparams = RunReader(layout.root).hparams()
    if not hparams:
        raise FileError(
            "run without hparams",
            f"{layout.hparams_json} is missing or unreadable",
            "a checkpoint's model_parameters_*.json has the same content: copy one there",
        )
    return hparams


def resume_point(layout: RunLayout) -> ResumePoint:
    """The newest good checkpoint of a run, or its beginning if it never saved one.

    Raises:
        FileError: there are checkpoints, but none is good.
        UsageError: another process is training it.
    """
    refuse_live(layout)
    entry, problems = newest_good(layout)
    if entry is None and read_index(layout):
        raise FileError(
            "no good checkpoint",
            f"{layout.root}: {'; '.join(problems)}",
            "tui-train checkpoints verify RUN shows each",
        )
    return ResumePoint(layout, entry, tuple(problems))


def check_changes(base: dict[str, Any], hparams: Hparams) -> None:
    """Refuse changes that would make the resumed run another experiment.

    Raises:
        UsageError: names each change.
    """
    now = hparams.model_dump(mode="json")
    changed = [
        name for name, value in now.items() if name not in SAFE and name in base and base[name] != value
    ]
    if changed:
        lines = [f"{name}: {flag_text(base[name])} -> {flag_text(now[name])}" for name in changed]
        raise UsageError(
            "can't change on resume",
            "\n  ".join(
                [f"{len(lines)} hparam{'s differ' if len(lines) > 1 else ' differs'} from the run's", *lines]
            ),
            f"start a new run for these; on resume you can change {', '.join(sorted(SAFE))}",
        )


def nothing_to_do(layout: RunLayout, base: dict[str, Any], hparams: Hparams) -> bool:
    """Whether a run is finished and was not given more epochs, steps or minutes."""
    if RunReader(layout.root).run().get("status") != "finished":
        return False
    now = hparams.model_dump(mode="json")

    def longer(name: str) -> bool:
        before, after = base.get(name), now[name]
        return before is not None and (after is None or after > before)

    return not any(longer(name) for name in LENGTHS)
