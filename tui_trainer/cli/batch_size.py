"""`--find-batch-size`: look for a batch size before a run, and start it with that one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tui_trainer.cli.tables import number, size
from tui_trainer.config.hparams import Hparams
from tui_trainer.errors import UsageError

if TYPE_CHECKING:
    from tui_trainer.engine.probe import Finding, Trial
    from tui_trainer.tasks.base import Task

_COLUMNS = (10, 12, 12, 10)


def refuse_search(options: Mapping[str, Any], flags: Mapping[str, Any]) -> None:
    """Refuse a search whose outcome could not be used.

    Args:
        options: of the command line.
        flags: hparams that were typed.

    Raises:
        UsageError: says why.
    """
    given = next((name for name in ("resume", "fork") if options[name] is not None), None)
    if given is not None:
        raise UsageError(
            "batch size can't change",
            f"--{given} goes on with the run's own batch_size, and --find-batch-size looks for another",
            "leave --find-batch-size out, or start a new run",
        )
    if "batch_size" in flags:
        raise UsageError(
            "batch size given and looked for",
            f"--batch_size {flags['batch_size']} and --find-batch-size",
            "give only one of them",
        )


def refuse_in_app(asked: bool) -> None:
    """Refuse a search in the app, which has no place for it.

    Raises:
        UsageError: says what to do instead.
    """
    if asked:
        raise UsageError(
            "not in the app",
            "--find-batch-size tries batch sizes before a run that starts without the app",
            "add --no-ui, --detach, or --check to try only",
        )


def search(task: Task, hparams: Hparams, quiet: bool) -> tuple[Hparams, Finding]:
    """Look for a batch size, with a table of what was tried on stderr.

    Args:
        task: what will be trained.
        hparams: of the run.
        quiet: print nothing.

    Returns:
        The hparams with the size that was found, and what was found.

    Raises:
        TrainerError: what a run would fail of.
    """
    from tui_trainer.engine.probe import find_batch_size

    def row(*cells: str) -> None:
        if not quiet:
            line = "  ".join(cell.rjust(width) for cell, width in zip(cells, _COLUMNS, strict=True))
            print(line.rstrip(), file=sys.stderr, flush=True)

    def on_trial(trial: Trial) -> None:
        if trial.ms is None:
            row(f"{trial.batch_size:,}", "out of", "memory", "–")
            return
        memory = "–" if trial.memory is None else size(trial.memory)
        row(f"{trial.batch_size:,}", number(trial.ms), f"{trial.samples_per_s:,.0f}", memory)

    row("batch_size", "ms a step", "samples/s", "memory")
    found = find_batch_size(task, hparams, on_trial=on_trial)
    if not quiet:
        print(f"batch_size {found.batch_size:,}: {found.reason}", file=sys.stderr)
    return type(hparams)(**{**hparams.model_dump(), "batch_size": found.batch_size}), found
