"""The whole tasks that docs/tasks.md shows are trained as they stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Done, events
from tui_trainer import Hparams, Task

GUIDE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.S)
TASKS = {name: block for block in BLOCKS for name in re.findall(r"^class (\w+)\(Task\)", block, flags=re.M)}
SAID = {
    "Estate": {"train/kind", "test/price", "test/accuracy"},
    "Signs": {"train/recall", "test/f1"},
    "Sums": {"train/mae"},
    "Tuning": {"test/accuracy"},
    "Duel": {"train/critic", "test/mae"},
    "Wave": {"test/worst_error", "test/mae"},
}
"""The tasks, and metrics that their text speaks of."""


def test_the_guide_shows_the_tasks_that_are_tried_here() -> None:
    assert TASKS.keys() == SAID.keys()


@pytest.mark.parametrize("name", SAID)
def test_a_task_of_the_guide_trains_and_goes_on(
    tui_train: Callable[..., Done], folder: Path, name: str
) -> None:
    (folder / f"guide_{name.lower()}.py").write_text(TASKS[name])
    first = tui_train("--no-ui", f"guide_{name.lower()}.py", "--epochs", 1, "--run-dir", "run", "--quiet")
    assert (first.code, first.err) == (0, "")
    more = tui_train("--no-ui", "--resume", "run", "--epochs", 2, "--json")
    assert (more.code, more.err) == (0, "note: epochs: 1 -> 2 (decides only how long and how it runs)\n")
    first_epoch, second = [e["metrics"] for e in events(folder / "run") if e["event"] == "epoch_end"]
    assert SAID[name] <= second.keys()
    watched = more.lines[-1]["best"]["metric"]
    assert second[watched] < first_epoch[watched]


def test_every_method_of_a_task_and_no_other_is_in_the_guides_table() -> None:
    rows = GUIDE.partition("| method |")[2].partition("\n\n")[0].splitlines()[2:]
    named = [name for row in rows for name in re.findall(r"`(\w+)\(", row.split("|")[1])]
    methods = {name for name in vars(Task) if name[0] != "_" and callable(getattr(Task, name))}
    assert sorted(named) == sorted(methods - {"hparams_class", "summary", "overrides"})


def test_the_guides_hparams_are_valid() -> None:
    (block,) = (block for block in BLOCKS if "class NetHparams" in block)
    names: dict[str, object] = {}
    exec(compile(block, "tasks.md", "exec", dont_inherit=True), names)
    declared = names["NetHparams"]
    assert isinstance(declared, type)
    assert issubclass(declared, Hparams)
    assert {"width", "norm", "dropout", "backbone"} <= declared.specs().keys()
