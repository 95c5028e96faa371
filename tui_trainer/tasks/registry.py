"""From a word on the command line to a `Task`: built-in names, files, modules, entry points."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from tui_trainer.config.hparams import Hparams
from tui_trainer.config.reserved import RESERVED
from tui_trainer.engine.describe import a
from tui_trainer.errors import FileError, TrainerError, UsageError, did_you_mean
from tui_trainer.tasks.base import Task
from tui_trainer.tasks.declared import check_declared
from tui_trainer.tasks.fresh import found_through, fresh, give_way, part_of

BUILT_IN = {
    "digits": "tui_trainer.tasks.digits:Digits",
    "tabular": "tui_trainer.tasks.tabular:Tabular",
    "images": "tui_trainer.tasks.images:Images",
    "char_lm": "tui_trainer.tasks.char_lm:CharLM",
    "seq2seq": "tui_trainer.tasks.seq2seq:Seq2Seq",
}

# Python's own test package is nobody's module, and test.py a usual name.
_NEEDED_MODULES = {"numpy", "torch", *sys.stdlib_module_names} - {"test"}

ENTRY_POINT_GROUP = "tui_trainer.tasks"


def known_tasks() -> dict[str, str]:
    """Name -> module:Class of every built-in task and every entry point."""
    plugged = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**plugged, **BUILT_IN}


def looks_like_task(word: str) -> bool:
    """Whether a word of the command line can name a task, judged without importing anything."""
    return word in known_tasks() or _split_file(word) is not None or _is_module_path(word)


def _split_file(word: str) -> tuple[str, str | None] | None:
    path, _, class_name = word.partition(":")
    return (path, class_name or None) if path.endswith(".py") else None


def _is_module_path(word: str) -> bool:
    module, colon, name = word.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def load_task(word: str, folders: Sequence[Path] = (Path(),), kept: Path | None = None) -> Task:
    """Load the task that `word` names.

    Args:
        word: a built-in name, `file.py`, `file.py:Class`, `package.module:Class` or an entry point's name.
        folders: where a relative task file is looked for, in order.
        kept: a run's `task/` folder, which holds a copy of the file under its bare name; looked at last.

    Raises:
        UsageError: unknown name, an object that is no `Task`, or hparams that collide with our options.
        FileError: a task file that is missing or does not parse.
        TrainerError: the user's code raised while it was imported.
    """
    where = known_tasks().get(word)
    if where is None and (split := _split_file(word)) is not None:
        path = _find(split[0], folders, kept).resolve()
        with fresh(found_through(path.parent)):
            found = _task_class(_import_file(path), split[1], word)
    elif where is not None or _is_module_path(word):
        module_name, _, class_name = (where or word).partition(":")
        with fresh(part_of(module_name.partition(".")[0])):
            found = _task_class(_import(module_name, word), class_name, word)
    else:
        names = sorted(known_tasks())
        raise UsageError(
            "unknown task",
            f'"{word}" is no task{did_you_mean(word, names)}',
            f"built-in tasks: {', '.join(names)}; your own: my_task.py or package.module:Class",
        )
    check_hparams_class(found)
    task = _made(found, word)
    check_declared(task)
    task.name = word
    return task


def _made(found: type[Task], word: str) -> Task:
    """An object of a task's class.

    Raises:
        UsageError: the class wants arguments.
        TrainerError: the user's code raised.
    """
    needed = [
        name
        for name, parameter in inspect.signature(found).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        raise UsageError(
            "the task wants arguments",
            f"{word}: {found.__name__}() is made without any, and __init__ wants {', '.join(needed)}",
            "give them defaults, or declare them in hparams_class, so that they are flags",
        )
    try:
        return found()
    except (Exception, SystemExit) as error:
        raise _failed("task can't be made", word, error) from error


def _find(name: str, folders: Sequence[Path], kept: Path | None) -> Path:
    places = [folder / name for folder in folders]
    if kept is not None:
        places.append(kept / Path(name).name)
    for path in places:
        # A name that is too long for the file system raises instead of being absent.
        with suppress(OSError, ValueError):
            if path.is_file():
                return path
    looked = ", ".join(str(path.parent.absolute()) for path in places)
    raise FileError("task file not found", f"{name} is not in {looked}", "check the path of the task file")


def _import_file(path: Path) -> ModuleType:
    path = path.resolve()
    _check_source(path)
    give_way(path)
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    name = (
        path.stem if known is None and "." not in path.stem else f"tui_trainer_task_{abs(hash(str(path))):x}"
    )
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # What it prints would be taken for what a command prints.
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, (Exception, SystemExit)):
            raise _failed(_IMPORT_FAILED, path.name, error) from error
        raise
    return module


def _check_source(path: Path) -> None:
    """See that a task file can be run, before it is.

    Raises:
        FileError: it is unreadable or no Python.
        UsageError: it takes the name of a module that is needed.
    """
    try:
        source = path.read_bytes()
        tree = ast.parse(source, str(path))
        # Finds what parsing alone does not, such as a return outside of a function.
        compile(tree, str(path), "exec")
    except OSError as error:
        raise FileError("task file unreadable", f"{path}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        line, text = getattr(error, "lineno", None), getattr(error, "text", None)
        where = f"{path}:{line}" if line else str(path)
        shown = f"\n  {text.strip()}" if text and text.strip() else ""
        version = ".".join(map(str, sys.version_info[:3]))
        message = f"{where}: {getattr(error, 'msg', error)}{shown}"
        raise FileError("task file does not parse", message, f"this is Python {version}") from error
    if path.stem in _NEEDED_MODULES or (path.stem in _imported(tree) and _is_hidden(path)):
        raise UsageError(
            "task file has a module's name",
            f"{path.name} would be imported wherever {path.stem} is meant",
            f"give the file another name, such as my_{path.stem}.py",
        )


def _imported(tree: ast.AST) -> set[str]:
    """The packages and modules that a file imports anywhere, by the first part of their names."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level
    }
    return {name.partition(".")[0] for name in names}


def _is_hidden(path: Path) -> bool:
    """Whether there is another module with the name of this file, which it would take the place of."""
    try:
        spec = importlib.util.find_spec(path.stem)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin != str(path)


def _import(module_name: str, word: str) -> ModuleType:
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)
    try:
        with redirect_stdout(sys.stderr):
            return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise UsageError(
                "unknown task",
                f'"{word}": there is no module {error.name}',
                "install it, or run where it can be imported",
            ) from error
        raise _failed(_IMPORT_FAILED, word, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(_IMPORT_FAILED, word, error) from error


_IMPORT_FAILED = "task can't be imported"


def _failed(title: str, word: str, error: Exception | SystemExit) -> TrainerError:
    """The error for code of the user's that raised before anything was trained."""
    from tui_trainer.engine.failure import explain

    explained = explain(error)
    hint = explained.hint
    if isinstance(error, SystemExit):
        hint = 'what only a script does belongs under `if __name__ == "__main__":`'
    return TrainerError(title, f"{word}: {explained.message}", hint)


def _task_class(module: ModuleType, name: str | None, word: str) -> type[Task]:
    if name:
        found = getattr(module, name, None)
        if found is None:
            here = [n for n, value in vars(module).items() if _is_task(value)]
            raise UsageError(
                "unknown task", f"{word}: {module.__name__} has no {name}{did_you_mean(name, here)}"
            )
        if not _is_task(found):
            raise UsageError("not a task", f"{word}: {name} is no subclass of tui_trainer.Task")
        return found  # type: ignore[no-any-return]
    own = [
        value for value in vars(module).values() if _is_task(value) and value.__module__ == module.__name__
    ]
    # A helper base class in the same file is not meant, its subclasses are; unless it is a whole task itself.
    leaves = [
        value
        for value in own
        if {"datasets", "model"} <= vars(value).keys()
        or not any(other is not value and issubclass(other, value) for other in own)
    ]
    if not leaves:
        raise UsageError(
            "no task in file", f"{word} defines no subclass of tui_trainer.Task", "class MyTask(Task): …"
        )
    if len(leaves) > 1:
        names = ", ".join(leaf.__name__ for leaf in leaves)
        raise UsageError(
            "several tasks in file", f"{word} defines {names}", f"name one: {word}:{leaves[0].__name__}"
        )
    return leaves[0]  # type: ignore[no-any-return]


def _is_task(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Task) and value is not Task


def check_hparams_class(task: type[Task]) -> None:
    """Refuse hparams whose flag would be one of our options.

    Raises:
        UsageError: names each colliding hparam.
    """
    declared = task.hparams_class
    if not (inspect.isclass(declared) and issubclass(declared, Hparams)):
        raise UsageError(
            "not a task",
            f"{task.__name__}.hparams_class must be a subclass of tui_trainer.Hparams, and is {a(declared)}",
            "hparams_class = MyHparams, the class itself",
        )
    names = declared.specs()
    taken = sorted(name for name in names if name in RESERVED or name.removeprefix("no_") in RESERVED)
    taken += sorted(name for name in names if name.startswith("no_") and name.removeprefix("no_") in names)
    if taken:
        raise UsageError(
            "hparam name taken",
            f"{task.__name__}: {', '.join(taken)} would collide with an option of tui-train",
            "give the hparam another name",
        )
