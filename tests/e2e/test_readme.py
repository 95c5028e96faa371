"""What the README shows is what happens."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Done, only_run

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def own_task() -> str:
    return next(block for block in blocks("python") if "class Sine(Task)" in block)


def test_the_readmes_own_task_is_short_and_trains(tui_train: Callable[..., Done], folder: Path) -> None:
    text = own_task()
    assert len([line for line in text.splitlines() if line.strip()]) <= 20
    (folder / "my_task.py").write_text(text)
    done = tui_train("--no-ui", "my_task.py", "--width", 128, "--lr", "1e-2", "--json")
    assert done.code == 0, done.err
    assert done.lines[-1]["metrics"]["test/loss"] < 0.01


@pytest.mark.slow
def test_the_readmes_python_call_trains_and_its_numpy_lines_read_the_steps(folder: Path) -> None:
    (folder / "my_task.py").write_text(own_task())
    call = next(block for block in blocks("python") if "result = train(" in block)
    done = subprocess.run(
        [sys.executable, "-c", call], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    run = only_run(folder)
    assert run is not None
    lines = next(block for block in blocks("python") if "np.memmap" in block)
    names: dict[str, object] = {}
    exec(lines.replace("runs/20261123-031415-digits-7f3a", str(run)), names)
    steps, columns = names["steps"], names["columns"]
    assert (
        json.loads((run / "events.jsonl").read_text().splitlines()[-1])["steps"]
        == steps[-1, columns.index("step")]
    )


def test_every_option_and_command_in_the_readme_exists() -> None:
    from tui_trainer.cli.commands import COMMANDS
    from tui_trainer.cli.options import SWITCHES, VALUED, hparam_switches, hparam_valued
    from tui_trainer.tasks.registry import BUILT_IN, load_task

    specs = {name: spec for task in BUILT_IN for name, spec in load_task(task).hparams_class.specs().items()}
    known = {*SWITCHES, *VALUED, *hparam_switches(specs), *hparam_valued(specs), "help", "width", "HPARAM"}
    # Options of `stop`, `data`, `presets save`, `tasks new` and `log`, and of pip, uv and tensorboard.
    known |= {"epoch_end", "samples", "task", "description", "template", "to", "out", "follow"}
    known |= {"torch_backend", "logdir"}
    used = {word.replace("-", "_") for word in re.findall(r"--([A-Za-z][A-Za-z_-]*)", README)}
    assert used <= known
    commands = set(re.findall(r"^\.?v?e?n?v?/?b?i?n?/?tui-train ([a-z]+)\b", README, flags=re.M))
    assert commands <= {*COMMANDS, *BUILT_IN}


def test_the_readmes_table_of_keys_is_the_apps() -> None:
    import importlib.util

    path = Path(__file__).parents[2] / "docs" / "write_keys.py"
    spec = importlib.util.spec_from_file_location("write_keys", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.with_table(README) == README, "run python docs/write_keys.py"
