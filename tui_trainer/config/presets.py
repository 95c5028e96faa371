"""Presets on this machine: found by name or path, listed and saved."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tui_trainer import files
from tui_trainer.config.fields import printable, show_value
from tui_trainer.config.hparams import Hparams
from tui_trainer.config.preset_file import LIST_HINT, NOT_HPARAMS, Preset, read_preset
from tui_trainer.config.problems import suggestion
from tui_trainer.errors import FileError, TrainerError, UsageError

__all__ = [
    "Listed",
    "Preset",
    "find_preset",
    "list_presets",
    "path_to_save",
    "preset_values",
    "project_folder",
    "read_preset",
    "save_preset",
    "user_folder",
]

SUFFIXES = (".json", ".toml")

Origin = Literal["project", "user", "shipped"]


def user_folder() -> Path:
    """Where a person's own presets live on this machine."""
    import platformdirs

    return Path(platformdirs.user_config_dir("tui-trainer")) / "presets"


def project_folder(cwd: Path = Path()) -> Path:
    """Where the presets of the project in `cwd` live."""
    return cwd / "presets"


def _shipped_folder() -> Path:
    package = Path(__file__).resolve().parent.parent
    # An editable install has no copy of the presets inside the package; the repository is around it.
    repository = package.parent
    return repository / "presets" if (repository / "pyproject.toml").is_file() else package / "presets"


def preset_folders(cwd: Path = Path()) -> list[tuple[Origin, Path]]:
    """The folders that names are looked up in, in order. In the repository itself, two of them are one."""
    folders: list[tuple[Origin, Path]] = [
        ("project", project_folder(cwd)),
        ("user", user_folder()),
        ("shipped", _shipped_folder()),
    ]
    first = {os.path.realpath(path): origin for origin, path in reversed(folders)}
    return [(origin, path) for origin, path in folders if first[os.path.realpath(path)] == origin]


def folded(name: str) -> str:
    """A name in the form in which two names are compared: `-` and `_` are the same."""
    return name.replace("-", "_")


def _files_of(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        path = folder / name
        if path.suffix.lower() in SUFFIXES and not name.startswith(".") and os.path.isfile(path):
            yield path


def find_preset(word: str, cwd: Path = Path()) -> Path:
    """The file that `word` means: a path, or a name of a preset of the project, the user, or shipped with us.

    Raises:
        FileError: `word` is a path and there is no such file.
        UsageError: `word` is a name and no preset is called so.
    """
    looks_like_path = os.sep in word or word.lower().endswith(SUFFIXES)
    if looks_like_path or os.path.isfile(cwd / word):
        path = cwd / word
        if os.path.exists(path):
            return path
        raise FileError("preset not found", f"{printable(str(path))} does not exist", LIST_HINT)
    names: dict[str, None] = {}
    for _, folder in preset_folders(cwd):
        for path in _files_of(folder):
            if folded(path.stem) == folded(word):
                return path
            names[path.stem] = None
    raise UsageError(
        "unknown preset", f"no preset is called {show_value(word)}{suggestion(word, names)}", LIST_HINT
    )


@dataclass(frozen=True)
class Listed:
    """A preset in a listing.

    Attributes:
        preset: None for a file that can't be read.
        error: why it can't be read.
        shadowed: another preset of this name is found first, so this one is reached by its path only.
    """

    origin: Origin
    path: Path
    preset: Preset | None
    error: TrainerError | None
    shadowed: bool

    @property
    def name(self) -> str:
        return self.path.stem


def list_presets(cwd: Path = Path()) -> list[Listed]:
    """Every preset that has a name, in the order in which names are looked up. Broken ones are listed too.

    A copy that is the same to the byte as the one found first is left out: in a clone of this repository the
    shipped presets are the project's as well.
    """
    listed: list[Listed] = []
    seen: set[str] = set()
    texts: set[tuple[str, str]] = set()
    for origin, folder in preset_folders(cwd):
        for path in _files_of(folder):
            preset, error = None, None
            try:
                preset = read_preset(path)
                preset.raise_defects()
            except TrainerError as problem:
                error = problem
            copy = (folded(path.stem), preset.text if preset else "")
            if preset is None or copy not in texts:
                listed.append(Listed(origin, path, preset, error, folded(path.stem) in seen))
            texts.add(copy)
            seen.add(folded(path.stem))
    return listed


def path_to_save(name: str, folder: Path) -> Path:
    """The file that a preset called `name` is saved as.

    Raises:
        UsageError: the name can't be a file's, or a TOML file has it.
    """
    stem = name.strip().removesuffix(".json")
    if not stem or stem.startswith((".", "-")) or any(c in "/\\\0" or not c.isprintable() for c in stem):
        raise UsageError(
            "wrong preset name",
            f"{show_value(name)} can't be the name of a preset",
            "letters, digits, - and _",
        )
    for path in _files_of(folder):
        if folded(path.stem) == folded(stem):
            if path.suffix.lower() == ".toml":
                raise UsageError(
                    "preset exists",
                    f"{printable(str(path))} has this name, and TOML files are not written",
                    "take another name",
                )
            return path
    return folder / f"{stem}.json"


def preset_values(hparams: Hparams, all_values: bool = False) -> dict[str, Any]:
    """Hparams as a preset states them: those that differ from the task's defaults, in the schema's order."""
    specs = type(hparams).specs()
    plain = hparams.model_dump(mode="json")
    return {
        name: plain[name]
        for name, spec in specs.items()
        if name not in NOT_HPARAMS and (all_values or spec.required or getattr(hparams, name) != spec.default)
    }


def save_preset(
    path: Path,
    task: str,
    hparams: Hparams,
    description: str = "",
    overwrite: bool = False,
    all_values: bool = False,
) -> Path:
    """Write a preset as JSON, atomically.

    Args:
        path: the file; its folder is created.
        task: how the task is called.
        hparams: valid hparams of that task.
        description: one sentence.
        overwrite: replace a file that exists.
        all_values: state also what equals the task's defaults.

    Returns:
        `path`.

    Raises:
        UsageError: the file exists and may not be overwritten.
        FileError: it can't be written.
    """
    about: Mapping[str, Any] = {"task": task, **({"description": description} if description else {})}
    value = {**about, **preset_values(hparams, all_values)}
    data = (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if overwrite:
            files.write_bytes(path, data)
        elif not files.create_only(path, data):
            raise UsageError("preset exists", f"{printable(str(path))} exists", "--overwrite replaces it")
    except OSError as error:
        raise FileError("preset not saved", f"{printable(str(path))}: {error.strerror}") from error
    return path
