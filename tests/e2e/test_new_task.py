"""`tui-train tasks new`: a file that trains as it is, and never in the place of another one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Done, events
from tests.helpers import assert_same_weights, weights
from tui_trainer.errors import Exit
from tui_trainer.tasks.new import TEMPLATES, class_name

Run = Callable[..., Done]

SMALL = {
    "classification": ("--width", 8, "--batch_size", 64),
    "language-model": ("--width", 16, "--length", 32, "--batch_size", 64),
    "gan": ("--width", 64, "--batch_size", 64),
}
"""Hparams that make a template quick. It trains with its own, too, only longer."""


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_task_file_trains_gets_better_and_goes_on_exactly(
    tui_train: Run, folder: Path, template: str
) -> None:
    name = f"my_{template.replace('-', '_')}.py"
    written = tui_train("tasks", "new", name, "--template", template)
    assert (written.code, written.out) == (0, f"{name}\n")
    assert f"tui-train {name} --no-ui" in written.err
    small = SMALL.get(template, ())
    assert tui_train("--no-ui", name, *small, "--check").code == 0
    assert not (folder / "runs").exists()

    whole = tui_train("--no-ui", name, *small, "--epochs", 3, "--run-dir", "whole", "--json")
    assert whole.code == 0, whole.err
    assert not whole.err
    told = [event["metrics"] for event in whole.lines if event["event"] == "epoch_end"]
    watched = whole.lines[-1]["best"]["metric"]
    assert told[-1][watched] < told[0][watched]
    assert whole.lines[-1]["best"]["epoch"] > 1

    assert tui_train("--no-ui", name, *small, "--epochs", 1, "--run-dir", "parts", "--quiet").code == 0
    resumed = tui_train("--no-ui", "--resume", "parts", "--epochs", 3, "--quiet")
    assert (resumed.code, resumed.err) == (0, "")
    assert_same_weights(weights(folder / "whole", 3), weights(folder / "parts", 3))


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_templates_own_hparams_have_a_unit_or_a_meaning_and_its_class_a_sentence(
    tui_train: Run, folder: Path, template: str
) -> None:
    name = f"shown_{template.replace('-', '_')}"
    tui_train("tasks", "new", f"{name}.py", "--template", template)
    shown = tui_train("tasks", "show", f"{name}.py")
    assert shown.code == 0, shown.err
    sentence = shown.out.splitlines()[0].removeprefix(f"{name}.py: ")
    assert sentence.endswith(".")
    text = (folder / f"{name}.py").read_text()
    assert f"class {class_name(name)}(Task):" in text
    assert "MyTask" not in text
    assert "my_task.py" not in text
    if template == "minimal":
        assert len([line for line in text.splitlines() if line.strip()]) <= 20
    else:
        assert 2 <= text.count("= Field(") <= 3
        assert all(part.count("description=") == 1 for part in text.split("= Field(")[1:])


def test_the_autoencoder_and_the_gan_leave_images_and_the_language_model_what_it_wrote(
    tui_train: Run, folder: Path
) -> None:
    logged = {"autoencoder": "redrawn", "gan": "drawn", "language-model": "written"}
    for template, name in logged.items():
        tui_train("tasks", "new", f"{name}.py", "--template", template)
        words = (*SMALL.get(template, ()), "--epochs", 1, "--run-dir", name)
        assert tui_train("--no-ui", f"{name}.py", *words, "--quiet").code == 0
        lines = [event for event in events(folder / name) if event["event"] == "log"]
        assert [line["name"] for line in lines] == [name]
        if template == "language-model":
            assert lines[0]["text"].startswith("def ")
        else:
            assert (folder / name / lines[0]["image"]).is_file()


def test_nothing_is_overwritten_and_no_folder_is_made(tui_train: Run, folder: Path) -> None:
    (folder / "mine.py").write_text("precious")
    (folder / "dangling.py").symlink_to("nowhere")
    for name in ("mine.py", "dangling.py", "no/such/folder.py", f"{'x' * 300}.py"):
        done = tui_train("tasks", "new", name)
        assert done.code == Exit.FILE, name
        assert not done.out
    assert (folder / "mine.py").read_text() == "precious"
    assert sorted(os.listdir(folder)) == ["dangling.py", "mine.py"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine", "not a task file"),
        ("mine.txt", "not a task file"),
        (".py", "not a task file"),
        ("a:b.py", "not a task file"),
        ("torch.py", "would stand before the module torch"),
        ("random.py", "would stand before the module random"),
    ],
)
def test_a_name_that_no_task_can_have_is_refused(tui_train: Run, folder: Path, name: str, said: str) -> None:
    done = tui_train("tasks", "new", name)
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert said in done.err
    assert not os.listdir(folder)


def test_a_file_that_is_called_as_a_template_calls_itself_keeps_its_name(
    tui_train: Run, folder: Path
) -> None:
    assert tui_train("tasks", "new", "MyTask7.py").code == 0
    text = (folder / "MyTask7.py").read_text()
    assert "tui-train MyTask7.py" in text
    assert "class MyTask7(Task):" in text


def test_an_unknown_template_is_refused_with_those_there_are(tui_train: Run, folder: Path) -> None:
    done = tui_train("tasks", "new", "mine.py", "--template", "classify")
    assert done.code == Exit.USAGE
    assert all(template in done.err for template in TEMPLATES)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("my_task", "MyTask"),
        ("digits2", "Digits2"),
        ("char-lm v2", "CharLmV2"),
        ("resNet", "ResNet"),
        ("3d_shapes", "My3dShapes"),
        ("task", "MyTask"),
        ("hparams", "MyHparams"),
        ("network", "MyNetwork"),
        ("exception", "MyException"),
        ("none", "MyNone"),
        ("__", "MyTask"),
        ("größe", "Größe"),
    ],
)
def test_the_class_is_named_after_the_file_and_hides_nothing(stem: str, name: str) -> None:
    assert class_name(stem, "from tui_trainer import Field, Hparams, Task\nclass Network: ...") == name
