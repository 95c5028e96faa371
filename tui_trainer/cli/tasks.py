"""`tui-train tasks`: list and show tasks, write a task file, make data for those that can."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tui_trainer.cli import serve
from tui_trainer.cli.options import default_text, value_facts
from tui_trainer.cli.streams import say
from tui_trainer.cli.tables import aligned
from tui_trainer.config.fields import GROUPS, FieldSpec
from tui_trainer.config.schema import json_schema
from tui_trainer.errors import Exit, TrainerError, UsageError
from tui_trainer.tasks.new import TEMPLATES, write_task_file
from tui_trainer.tasks.registry import known_tasks, load_task


def add_parser(subparsers: Any) -> None:
    """Add `tasks` and its actions to the command line."""
    parser = subparsers.add_parser("tasks", help="list and show tasks, write a task file")
    parser.set_defaults(run=_list, json=False)
    actions = parser.add_subparsers(metavar="ACTION")

    def action(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    listing = action("list", _list, "every task that has a name")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    show = action("show", _show, "a task's hparams with their meaning")
    show.add_argument("task", metavar="TASK", help="a name, my_task.py or module:Class")
    show.add_argument(
        "--json", action="store_true", help="one JSON object, with the JSON Schema of its hparams"
    )
    new = action("new", _new, "write a task file of your own to begin with")
    new.add_argument("file", metavar="FILE", type=Path, help="the file to write, such as my_task.py")
    new.add_argument(
        "--template",
        choices=TEMPLATES,
        default=TEMPLATES[0],
        help="what to begin with (default: %(default)s)",
    )
    make = action("make-data", _make_data, "write an example data set")
    make.add_argument("task", metavar="TASK", help="seq2seq")
    make.add_argument("folder", metavar="DIR", type=Path, help="where to write it")
    action("serve", serve.run, "for front ends: answer on stdout, as JSON lines, what command lines mean")


def _list(args: argparse.Namespace) -> int:
    rows = [["task", "what it trains"]]
    for word in sorted(known_tasks()):
        try:
            about = load_task(word).summary()
        except TrainerError as error:
            # A broken plug-in must not hide the others.
            about = f"broken: {error}"
        rows.append([word, about])
        if args.json:
            print(json.dumps({"task": word, "description": about}, ensure_ascii=False))
    if not args.json:
        print(aligned(rows))
    return Exit.OK


def _show(args: argparse.Namespace) -> int:
    task = load_task(args.task)
    if args.json:
        facts = {
            "task": task.name,
            "description": task.summary(),
            "schema": json_schema(task.hparams_class, task.name),
        }
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return Exit.OK
    print(f"{task.name}: {task.summary()}")
    specs = task.hparams_class.specs()
    for group in [*GROUPS, *sorted({spec.group for spec in specs.values()} - set(GROUPS))]:
        inside = [spec for spec in specs.values() if spec.group == group and spec.name != "task"]
        if inside:
            print(f"\n{group}")
            print("\n".join(_hparam_lines(inside)))
    return Exit.OK


def _hparam_lines(specs: Sequence[FieldSpec]) -> Iterator[str]:
    """Name, default and meaning of each hparam, wrapped at the width of a page."""
    defaults = {spec.name: "required" if spec.required else default_text(spec) for spec in specs}
    name_width, default_width = max(map(len, defaults)), min(16, max(map(len, defaults.values())))
    width = min(shutil.get_terminal_size().columns, 110)
    for spec in specs:
        facts = "; ".join(value_facts(spec))
        about = f"{spec.description} ({facts})" if facts else spec.description
        head = f"  {spec.name:<{name_width}}  {defaults[spec.name]:<{default_width}}  "
        indent = " " * (name_width + default_width + 6)
        yield from textwrap.wrap(head + about, width, subsequent_indent=indent, drop_whitespace=True)


def _new(args: argparse.Namespace) -> int:
    write_task_file(args.file, args.template)
    print(args.file)
    train = f"tui-train {shlex.quote(str(args.file))}"
    say(f"it trains as it is:\n  {train}            in the app\n  {train} --no-ui    right here")
    return Exit.OK


def _make_data(args: argparse.Namespace) -> int:
    task = load_task(args.task)
    make = getattr(type(task), "make_data", None)
    if make is None:
        raise UsageError(
            "no data to make",
            f"task {args.task} has no example data set",
            "tui-train tasks make-data seq2seq DIR",
        )
    path = make(args.folder)
    print(path)
    return Exit.OK
