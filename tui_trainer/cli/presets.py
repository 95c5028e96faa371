"""`tui-train presets`: list, show, check and save presets, and print their schema. None of it loads torch."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tui_trainer.cli.choice import task_of_preset
from tui_trainer.cli.hparam_flags import part
from tui_trainer.cli.words import Words
from tui_trainer.config.fields import FieldSpec, printable
from tui_trainer.config.hparams import Hparams
from tui_trainer.config.presets import (
    Listed,
    Preset,
    find_preset,
    list_presets,
    path_to_save,
    project_folder,
    read_preset,
    save_preset,
    user_folder,
)
from tui_trainer.config.problems import is_finite
from tui_trainer.config.resolve import Resolved, resolve
from tui_trainer.config.schema import json_schema
from tui_trainer.errors import Exit, TrainerError, UsageError
from tui_trainer.tasks.registry import load_task

MAX_ABOUT = 72
"""Characters of a description in the table; `--json` and `show` have all of it."""


def add_parser(subparsers: Any) -> None:
    """Add `presets` and its actions to the command line."""
    parser = subparsers.add_parser("presets", help="list, show, check and save presets", allow_abbrev=False)
    parser.set_defaults(run=_list, json=False)
    actions = parser.add_subparsers(metavar="ACTION")

    def action(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = actions.add_parser(
            name, help=text, description=text, allow_abbrev=False
        )
        added.set_defaults(run=run)
        return added

    listing = action("list", _list, "presets of this folder, your own, and those shipped with tui-train")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    show = action("show", _show, "print a preset as JSON")
    show.add_argument("name", metavar="NAME", help="name or file of a preset")
    check = action("check", _check, "validate presets in full, without training")
    check.add_argument("files", metavar="FILE", nargs="+", help="files or names of presets")
    save = action("save", _save, "save hparams as a preset; hparams are given as flags, as for training")
    save.add_argument("name", metavar="NAME", help="how the preset will be called")
    save.add_argument("--task", metavar="TASK", help="what it trains; default: the task of --from")
    save.add_argument("--description", metavar="TEXT", help="one sentence: what it is good for")
    save.add_argument("--from", dest="source", metavar="PRESET", help="start from this preset's hparams")
    save.add_argument("--overwrite", action="store_true", help="replace a preset of that name")
    save.add_argument("--project", action="store_true", help="save in ./presets instead of your own folder")
    schema = action("schema", _schema, "print the JSON Schema of a task's presets, for editors")
    schema.add_argument("task", metavar="TASK", help="a task's name or file")


def take_hparams(argv: Sequence[str]) -> tuple[list[str], dict[str, str | bool]]:
    """Part the words of `presets save` into options and hparam flags of the task they name.

    Returns:
        Words for argparse, and the flags by hparam.
    """
    if "save" not in argv:
        return list(argv), {}
    own = ({"overwrite", "project"}, {"task", "description", "from"})
    return part(argv, *own, _named_specs, "tui-train presets save --help")


def _named_specs(words: Words) -> dict[str, FieldSpec]:
    task, source = words.get("task"), words.get("from")
    if isinstance(task, str):
        return load_task(task).hparams_class.specs()
    if isinstance(source, str):
        return task_of_preset(read_preset(find_preset(source))).hparams_class.specs()
    return Hparams.specs()


def _list(args: argparse.Namespace) -> int:
    listed = list_presets()
    if args.json:
        for item in listed:
            print(json.dumps(_listed_json(item)))
        return Exit.OK
    rows = [("name", "task", "description", "where"), *map(_listed_row, listed)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        print("  ".join(cells).rstrip())
    if not listed:
        print("no presets; tui-train presets save NAME --task TASK makes one", file=sys.stderr)
    return Exit.OK


def _listed_json(item: Listed) -> dict[str, Any]:
    preset = item.preset
    return {
        "name": item.name,
        "task": preset.task if preset else None,
        "description": preset.description if preset else "",
        "origin": item.origin,
        "path": str(item.path),
        "shadowed": item.shadowed,
        "problem": str(item.error) if item.error else None,
    }


def _listed_row(item: Listed) -> tuple[str, str, str, str]:
    task = (item.preset.task if item.preset else None) or "–"
    about = item.preset.sentence if item.preset else ""
    if item.error:
        # Of an error with a heading, the first located line says most.
        about = f"broken: {item.error.message.splitlines()[-1].strip()}"
    where = f"{item.origin} (hidden by one above)" if item.shadowed else item.origin
    if len(about) > MAX_ABOUT:
        about = about[: MAX_ABOUT - 1] + "…"
    return printable(item.name), printable(task), printable(about), where


def _show(args: argparse.Namespace) -> int:
    preset = read_preset(find_preset(args.name))
    if preset.defects or not is_finite(preset.values):
        # What can't be printed as JSON is better explained by the schema.
        _checked(preset)
    print(json.dumps(preset.as_json(), indent=2, ensure_ascii=False, default=str))
    return Exit.OK


def _check(args: argparse.Namespace) -> int:
    errors: list[TrainerError] = []
    for word in args.files:
        try:
            preset = read_preset(find_preset(word))
            _checked(preset)
        except TrainerError as error:
            errors.append(error)
        else:
            count = len(preset.values)
            print(f"{preset.file}: ok (task {printable(preset.task or '')}, {count} key{'s' * (count != 1)})")
    if not errors:
        return Exit.OK
    raise errors[0] if len(errors) == 1 else _together(errors, len(args.files))


def _together(errors: list[TrainerError], files: int) -> TrainerError:
    lines = [f"{len(errors)} of {files} files"]
    for error in errors:
        located = error.message.splitlines()
        # The located lines speak for themselves; a message of one line needs its title.
        lines += located[1:] if len(located) > 1 else [f"  {error}"]
    hints = list(dict.fromkeys(error.hint for error in errors if error.hint))
    worst = max(error.exit_code for error in errors)
    return TrainerError("presets are wrong", "\n".join(lines), "; ".join(hints), worst)


def _checked(preset: Preset) -> Resolved[Any]:
    task = task_of_preset(preset)
    return resolve(task.hparams_class, task.name, preset)


def _save(args: argparse.Namespace) -> int:
    source = read_preset(find_preset(args.source)) if args.source else None
    if source and args.task and source.task not in (None, args.task):
        raise UsageError(
            "two tasks",
            f"--task {args.task}, but {source.place('task')} names {source.task}",
            "leave --task out",
        )
    if args.task:
        task = load_task(args.task)
    elif source:
        task = task_of_preset(source)
    else:
        raise UsageError("no task", "--task or --from is missing", "tui-train tasks lists them")
    resolved = resolve(task.hparams_class, task.name, source, getattr(args, "hparam_flags", {}))
    folder = project_folder() if args.project else user_folder()
    path = path_to_save(args.name, folder)
    description = args.description
    if description is None and args.overwrite and path.is_file():
        description = read_preset(path).description
    if description is None:
        description = source.description if source else ""
    save_preset(path, _task_to_save(task.name, args, source), resolved.hparams, description, args.overwrite)
    for warning in resolved.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(path)
    return Exit.OK


def _task_to_save(name: str, args: argparse.Namespace, source: Preset | None) -> str:
    """A task file's path as the preset will find it: absolute, except for one of this project."""
    file, colon, class_name = name.partition(":")
    if not file.endswith(".py") or os.path.isabs(file):
        return name
    beside = source.path.parent if source and source.path and not args.task else Path()
    found = next((folder / file for folder in (beside, Path()) if (folder / file).is_file()), Path(file))
    inside = args.project and found.resolve().is_relative_to(Path().resolve())
    path = os.path.relpath(found) if inside else os.path.abspath(found)
    return f"{path}{colon}{class_name}"


def _schema(args: argparse.Namespace) -> int:
    task = load_task(args.task)
    print(json.dumps(json_schema(task.hparams_class, task.name), indent=2, ensure_ascii=False))
    return Exit.OK
