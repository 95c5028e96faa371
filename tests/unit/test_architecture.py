"""The import rules of docs/architecture.md, proved."""

import subprocess
import sys
from pathlib import Path

import pytest

import tui_trainer

ROOT = Path(tui_trainer.__file__).parent
HEAVY = ("torch", "textual", "sklearn", "numpy")

LIGHT_CODE = """
import importlib, pkgutil, sys
import tui_trainer
names = ["tui_trainer.errors", "tui_trainer.files", "tui_trainer.engine.launch", "tui_trainer.engine.failure"]
for package in ("config", "runs", "loggers", "cli", "tasks"):
    module = importlib.import_module(f"tui_trainer.{package}")
    names += [f"{module.__name__}.{found.name}" for found in pkgutil.iter_modules(module.__path__)]
for name in names:
    importlib.import_module(name)
    loaded = [heavy for heavy in HEAVY if heavy in sys.modules]
    assert not loaded, f"{name} loads {loaded}"
print(len(names))
"""


def test_light_packages_load_no_heavy_library() -> None:
    code = f"HEAVY = {HEAVY}\n{LIGHT_CODE}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["digits", "--help"],
        ["presets"],
        ["presets", "check", "{bad}"],
        ["runs"],
        ["tasks"],
    ],
    ids=" ".join,
)
def test_quick_commands_load_neither_torch_nor_textual(words: list[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"task": "digits", "lr": "abc"}')
    words = [word.format(bad=bad) for word in words]
    code = f"""
import sys
from tui_trainer.cli.main import main
try:
    main({words})
except SystemExit:
    pass
loaded = [heavy for heavy in {HEAVY} if heavy in sys.modules]
print("loaded:", loaded, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stderr.strip().endswith("loaded: []"), done.stderr


def test_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_reserved_names_are_the_options_of_the_parser_and_of_what_is_to_come() -> None:
    from tui_trainer.cli.options import SWITCHES, VALUED
    from tui_trainer.config.reserved import RESERVED

    assert {*SWITCHES, *VALUED, "help"} <= RESERVED
