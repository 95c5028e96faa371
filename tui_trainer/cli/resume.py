"""What `--resume`, `--fork` and `--init-from` name, and what may be changed on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tui_trainer.cli.words import Words
from tui_trainer.config.changes import asks_for_more, changes
from tui_trainer.config.hparams import Hparams
from tui_trainer.config.presets import Preset
from tui_trainer.engine.identity import source_change
from tui_trainer.engine.initial import InitialWeights
from tui_trainer.engine.resuming import ResumePoint
from tui_trainer.errors import FileError, TrainerError, UsageError
from tui_trainer.files import sha256_file
from tui_trainer.runs.checkpoints import entry_of, newest_good, read_index, verify
from tui_trainer.runs.claim import refuse_live, refuse_strange
from tui_trainer.runs.index import checkpoint_of_file, find_checkpoint, find_run
from tui_trainer.runs.json_values import read_object
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader, is_run
from tui_trainer.runs.state import Parent, parent_of

if TYPE_CHECKING:
    from tui_trainer.tasks.base import Task


@dataclass(frozen=True)
class Origin:
    """What a command line goes on from, or has its first weights from.

    Attributes:
        kind: the run itself goes on, or a new one from a checkpoint, or a new one from weights only.
        hparams: of the run or checkpoint.
        layout: the run; None for weights in a file that is no checkpoint of one.
        tag: of the checkpoint; empty where the run itself goes on, and for such a file.
        file: the weights of a new run.
    """

    kind: Literal["resume", "fork", "init"]
    hparams: dict[str, Any]
    layout: RunLayout | None
    tag: str = ""
    file: Path | None = None

    def base(self, typed: str | None, preset: Preset | None) -> dict[str, Any]:
        """The hparams that preset and flags change.

        Args:
            typed: TASK as typed.
            preset: of the command line. For weights only, whoever names a task has that one's defaults.

        Raises:
            UsageError: nothing says what is trained.
        """
        names_task = typed is not None or (preset is not None and preset.task is not None)
        if self.kind == "init" and not names_task and not self.hparams:
            raise UsageError(
                "no task", f"{self.file} does not say what it was trained for", "give a TASK or --preset, too"
            )
        return {} if self.kind == "init" and names_task else self.hparams

    @property
    def task_source(self) -> Path | None:
        """Where the run keeps the source of a task file."""
        return self.layout.task_source if self.layout is not None else None

    def source_warnings(self, task: Task) -> list[str]:
        """What is different about the source of the task that goes on; nothing for weights only."""
        if self.kind == "init":
            return []
        change = source_change(task, RunReader(self.run.root).run(), self.run.root)
        return [change] if change is not None else []

    @property
    def run(self) -> RunLayout:
        """The run that goes on, or that a new one goes on from."""
        assert self.layout is not None
        return self.layout


def find_origin(words: Words, runs_dir: Path, run_dir: Path | None) -> Origin | None:
    """What `--resume`, `--fork` or `--init-from` names; None where `auto` finds nothing to resume.

    Raises:
        UsageError: no such run, or two of the options.
        FileError: no such checkpoint, or hparams that can't be read.
    """
    resume, fork, init = (words.get(name) for name in ("resume", "fork", "init_from"))
    said = {
        "resume": f"--resume {resume} goes on in place",
        "fork": f"--fork {fork} goes on in a new run",
        "init-from": f"--init-from {init} starts a new run from weights only",
    }
    given = [name for name, word in zip(said, (resume, fork, init), strict=True) if isinstance(word, str)]
    # A job that is started again and again: the first time from the weights.
    if len(given) > 1 and not (resume == "auto" and given == ["resume", "init-from"]):
        raise UsageError(
            f"{' or '.join(given)}?", ", ".join(said[name] for name in given), "give only one of them"
        )
    if isinstance(fork, str):
        root, tag = find_checkpoint(fork, runs_dir)
        layout = RunLayout(root)
        return Origin("fork", _read_hparams(layout.parameters_file(tag)), layout, tag)
    found = find_resumed(resume, runs_dir, run_dir) if isinstance(resume, str) else None
    if found is not None:
        return Origin("resume", hparams_of(found), found)
    return find_weights(init, runs_dir) if isinstance(init, str) else None


def find_weights(word: str, runs_dir: Path) -> Origin:
    """What `--init-from` names: a checkpoint of a run, or any file with a state_dict.

    Raises:
        UsageError: no such run.
        FileError: no such checkpoint or file.
    """
    file = Path(word).expanduser()
    if file.is_file() and checkpoint_of_file(file) is None:
        return Origin("init", {}, None, file=file)
    root, tag = find_checkpoint(word, runs_dir)
    layout = RunLayout(root)
    return Origin("init", read_object(layout.parameters_file(tag)), layout, tag, layout.model_file(tag))


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
        FileError: there are checkpoints, but none is good; or the run began at one of another run, or with
            weights that are gone; or it is not made of plain files.
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
    if entry is not None:
        return ResumePoint(layout, entry, tuple(problems), hparams=_trained_with(layout, entry["tag"]))
    record = RunReader(layout.root).run()
    parent = parent_of(record.get("parent"))
    if parent is not None and parent.kind == "fork":
        raise FileError(
            "no checkpoint",
            f"{layout.root.name} goes on from {parent.run_id}@{parent.checkpoint}, and has none of its own",
            "--fork that checkpoint again",
        )
    weights = _weights_again(layout, parent, record["parent"].get("sha256")) if parent is not None else None
    return ResumePoint(layout, None, tuple(problems), hparams=hparams_of(layout), weights=weights)


def _trained_with(layout: RunLayout, tag: str) -> dict[str, Any]:
    """The hparams of a checkpoint. Those of its run may be newer: of a process that saved none."""
    return read_object(layout.parameters_file(tag)) or hparams_of(layout)


def _weights_again(layout: RunLayout, parent: Parent, sha256: str | None) -> InitialWeights:
    """What a run began with that has not come to a checkpoint of its own.

    Raises:
        FileError: it is gone, or not what it was.
    """
    origin = Origin("init", {}, None, file=Path(parent.file))
    if not parent.file:
        place, tag = RunLayout(layout.root / parent.run_dir), parent.checkpoint
        origin = Origin("init", {}, place, tag, place.model_file(tag))
    try:
        weights = initial_weights(origin)
        if sha256 not in (None, weights.sha256):
            raise FileError("bad checkpoint", f"{weights.file} is not what it was then")
    except TrainerError as error:
        raise FileError(
            "no checkpoint",
            f"{layout.root.name} has none of its own, and began with {parent.origin}: {error}",
            "start a new run",
        ) from error
    return weights


def initial_weights(origin: Origin) -> InitialWeights:
    """The weights of `--init-from`, found good by SHA-256 where the file is a run's.

    Raises:
        FileError: the file is missing, or not as it was saved.
    """
    assert origin.file is not None
    if origin.layout is None:
        try:
            return InitialWeights(origin.file, sha256_file(origin.file))
        except OSError as error:
            raise FileError("weights can't be read", f"{origin.file}: {error.strerror or error}") from error
    entry = entry_of(origin.layout, origin.tag)
    _refuse_bad(origin.layout, verify(origin.layout, origin.tag, only=origin.file))
    facts = entry["files"][f"{origin.layout.checkpoints.name}/{origin.file.name}"]
    return InitialWeights(origin.file, facts["sha256"], origin.layout, entry)


def _refuse_bad(layout: RunLayout, problems: list[str]) -> None:
    if problems:
        raise FileError(
            "bad checkpoint",
            f"{layout.root}: {'; '.join(problems)}",
            "tui-train checkpoints verify RUN shows which are good",
        )


def fork_point(layout: RunLayout, tag: str) -> ResumePoint:
    """A checkpoint that a new run goes on from. The run it belongs to may be live: it is only read.

    Raises:
        FileError: a file of it is missing, or not as it was saved.
    """
    _refuse_bad(layout, verify(layout, tag))
    return ResumePoint(layout, entry_of(layout, tag), forks=True, hparams=_trained_with(layout, tag))


def check_changes(base: Mapping[str, Any], hparams: Hparams, doing: str = "resume") -> None:
    """Refuse changes that would make it another experiment.

    Args:
        base: the earlier run's hparams.
        hparams: those to go on with.
        doing: `resume` or `fork`.

    Raises:
        UsageError: names each change.
    """
    refused = [change for change in changes(base, hparams) if change.kind == "refused"]
    if refused:
        differ = f"{len(refused)} hparam{'s differ' if len(refused) > 1 else ' differs'} from the run's"
        free = sorted(name for name, spec in hparams.specs().items() if spec.on_resume == "safe")
        raise UsageError(
            f"can't change on {doing}",
            "\n  ".join([differ, *map(str, refused)]),
            "start a new run for these, from the weights alone with --init-from; "
            f"on {doing} you can freely change {', '.join(free)}",
        )


def nothing_to_do(origin: Origin, hparams: Hparams) -> str | None:
    """Why there is nothing left to train; None where there is."""
    layout, tag = origin.run, origin.tag
    root = layout.root
    done = entry_of(layout, tag)["epoch"] if tag else 0
    more = f"nothing to do (--epochs {2 * max(hparams.epochs, done)} would go on)"
    if not tag:
        done_with = _is_done(layout, origin.hparams, hparams)
        return f"{root} is finished: {more}" if done_with else _is_beyond(layout, hparams)
    entry, most = entry_of(layout, tag), hparams.max_steps
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
    """Whether a run is finished and was not asked for more."""
    finished = RunReader(layout.root).run().get("status") == "finished"
    return finished and not asks_for_more(changes(base, hparams))
