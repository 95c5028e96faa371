"""Where `--resume` and `--fork` go on, and what may be changed on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.cli.words import Words
from tui_trainer.config.fields import flag_text
from tui_trainer.config.hparams import Hparams
from tui_trainer.engine.resuming import ResumePoint
from tui_trainer.errors import FileError, UsageError
from tui_trainer.runs.checkpoints import newest_good, read_index, verify
from tui_trainer.runs.claim import refuse_live, refuse_strange
from tui_trainer.runs.index import find_checkpoint, find_run
from tui_trainer.runs.json_values import read_object
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


@dataclass(frozen=True)
class Origin:
    """What a command line goes on from.

    Attributes:
        layout: the run.
        hparams: those that a preset and flags change.
        fork: tag of the checkpoint that a new run goes on from; None where the run itself goes on.
    """

    layout: RunLayout
    hparams: dict[str, Any]
    fork: str | None = None


def find_origin(words: Words, runs_dir: Path, run_dir: Path | None) -> Origin | None:
    """What `--resume` or `--fork` names; None without them, or where `auto` finds nothing to resume.

    Raises:
        UsageError: no such run, or both options.
        FileError: no such checkpoint, or hparams that can't be read.
    """
    resume, fork = words.get("resume"), words.get("fork")
    if isinstance(fork, str):
        if resume is not None:
            raise UsageError(
                "resume or fork?",
                f"--resume {resume} goes on in place, --fork {fork} in a new run",
                "give only one of them",
            )
        root, tag = find_checkpoint(fork, runs_dir)
        layout = RunLayout(root)
        return Origin(layout, _read_hparams(layout.parameters_file(tag)), tag)
    layout_found = find_resumed(resume, runs_dir, run_dir) if isinstance(resume, str) else None
    return Origin(layout_found, hparams_of(layout_found)) if layout_found is not None else None


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
                f"--resume {name}, or --fork {word} for a new run",
            )
        word = name
    return RunLayout(find_run(word, runs_dir))


def hparams_of(layout: RunLayout) -> dict[str, Any]:
    """The hparams that a run was started with.

    Raises:
        FileError: they can't be read.
    """
    hint = "a checkpoint's model_parameters_*.json has the same content: copy one there"
    return _read_hparams(layout.hparams_json, hint)


def _read_hparams(path: Path, hint: str = "") -> dict[str, Any]:
    hparams = read_object(path)
    if not hparams:
        raise FileError("run without hparams", f"{path} is missing or unreadable", hint)
    return hparams


def resume_point(layout: RunLayout) -> ResumePoint:
    """The newest good checkpoint of a run, or its beginning if it never saved one.

    Raises:
        FileError: there are checkpoints, but none is good; or the run began at one of another run; or it is
            not made of plain files.
        UsageError: another process is training it.
    """
    refuse_live(layout)
    refuse_strange(layout)
    entry, problems = newest_good(layout)
    if entry is None and read_index(layout):
        raise FileError(
            "no good checkpoint",
            f"{layout.root}: {'; '.join(problems)}",
            "tui-train checkpoints verify RUN shows each",
        )
    parent = RunReader(layout.root).run().get("parent")
    if entry is None and isinstance(parent, dict):
        raise FileError(
            "no checkpoint",
            f"{layout.root.name} goes on from {parent.get('run_id')}@{parent.get('checkpoint')}, "
            "and has none of its own",
            "--fork that checkpoint again",
        )
    return ResumePoint(layout, entry, tuple(problems))


def fork_point(layout: RunLayout, tag: str) -> ResumePoint:
    """A checkpoint that a new run goes on from. The run it belongs to may be live: it is only read.

    Raises:
        FileError: a file of it is missing, or not as it was saved.
    """
    problems = verify(layout, tag)
    if problems:
        raise FileError(
            "bad checkpoint",
            f"{layout.root}: {'; '.join(problems)}",
            "tui-train checkpoints verify RUN shows which are good",
        )
    return ResumePoint(layout, _entry(layout, tag), forks=True)


def _entry(layout: RunLayout, tag: str) -> dict[str, Any]:
    entry = next((entry for entry in read_index(layout) if entry["tag"] == tag), None)
    if entry is None:
        raise FileError("no such checkpoint", f"{layout.root.name} has no checkpoint {tag} any more")
    return entry


def check_changes(base: dict[str, Any], hparams: Hparams, doing: str = "resume") -> None:
    """Refuse changes that would make it another experiment.

    Args:
        base: the earlier run's hparams.
        hparams: those to go on with.
        doing: `resume` or `fork`.

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
            f"can't change on {doing}",
            "\n  ".join(
                [f"{len(lines)} hparam{'s differ' if len(lines) > 1 else ' differs'} from the run's", *lines]
            ),
            f"start a new run for these; on {doing} you can change {', '.join(sorted(SAFE))}",
        )


def nothing_to_do(origin: Origin, hparams: Hparams) -> str | None:
    """Why there is nothing left to train; None where there is."""
    root, tag = origin.layout.root, origin.fork
    done = 0 if tag is None else _entry(origin.layout, tag)["epoch"]
    more = f"nothing to do (--epochs {2 * max(hparams.epochs, done)} would go on)"
    if tag is None:
        done_with = _is_done(origin.layout, origin.hparams, hparams)
        return f"{root} is finished: {more}" if done_with else _is_beyond(origin.layout, hparams)
    entry, most = _entry(origin.layout, tag), hparams.max_steps
    if entry["epoch"] >= hparams.epochs:
        return f"{root}@{tag} has all {hparams.epochs} epochs behind it: {more}"
    if most is not None and entry["step"] >= most:
        return f"{root}@{tag} has all {most} steps behind it: nothing to do (--max_steps N would go on)"
    return None


def _is_beyond(layout: RunLayout, hparams: Hparams) -> str | None:
    """Why a run that has not finished can't go on: it is further than it is asked to go."""
    newest = max(read_index(layout), key=lambda entry: entry["step"], default=None)
    if newest is None:
        return None
    for name, done in (("max_steps", newest["step"]), ("epochs", newest["epoch"])):
        most = getattr(hparams, name)
        if most is not None and done > most:
            what = f"{done} {'steps' if name == 'max_steps' else 'epochs'}"
            return f"{layout.root} has {what} behind it, more than --{name} {most}: nothing to do"
    return None


def _is_done(layout: RunLayout, base: dict[str, Any], hparams: Hparams) -> bool:
    """Whether a run is finished and was not given more epochs, steps or minutes."""
    if RunReader(layout.root).run().get("status") != "finished":
        return False
    now = hparams.model_dump(mode="json")

    def longer(name: str) -> bool:
        before, after = base.get(name), now[name]
        return before is not None and (after is None or after > before)

    return not any(longer(name) for name in LENGTHS)
