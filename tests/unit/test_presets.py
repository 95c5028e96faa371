"""Reading, finding, listing and saving presets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tui_trainer.config.hparams import Field, Hparams
from tui_trainer.config.preset_file import MAX_BYTES
from tui_trainer.config.presets import (
    find_preset,
    list_presets,
    path_to_save,
    project_folder,
    read_preset,
    save_preset,
    user_folder,
)
from tui_trainer.config.problems import HparamsError
from tui_trainer.config.resolve import resolve
from tui_trainer.errors import Exit, FileError, TrainerError, UsageError


class Net(Hparams):
    latent_dim: int = Field(128, gt=0, description="Width.")
    classes: int = Field(gt=0, description="Classes.")


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "shipped").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("tui_trainer.config.presets._shipped_folder", lambda: tmp_path / "shipped")


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_read_json() -> None:
    text = (
        '\ufeff{"$schema": "x.json",\r\n "task": "digits", "description": "Good. Fast.",\r\n "lr": 1e-3}\r\n'
    )
    preset = read_preset(write(Path("a-b.json"), text))
    assert (preset.name, preset.task, preset.description) == ("a-b", "digits", "Good. Fast.")
    assert preset.values == {"lr": 1e-3}
    assert preset.lines == {"$schema": 1, "task": 2, "description": 2, "lr": 3}
    assert preset.place("lr") == "a-b.json:3"
    assert preset.place("epochs") == "a-b.json:1"
    assert preset.defects == ()


def test_read_toml_and_other_suffixes() -> None:
    preset = read_preset(write(Path("a.toml"), '# c\ntask = "digits"\nbetas = [0.9, 0.99]\n'))
    assert (preset.task, preset.values, preset.lines["betas"]) == ("digits", {"betas": [0.9, 0.99]}, 3)
    assert read_preset(write(Path("empty.toml"), "")).values == {}
    assert read_preset(write(Path("a.conf"), '{"lr": 1}')).values == {"lr": 1}
    assert read_preset(write(Path("null.json"), '{"task": null}')).task is None


MALFORMED: list[tuple[str, str | bytes, str | None]] = [
    ("a.json", "", "a.json:1: the file is empty; a preset without any hparam is {}"),
    ("a.json", " \n\n", "a.json:1: the file is empty; a preset without any hparam is {}"),
    ("a.json", '{"lr": 1,\n}', "a.json:1: expected no comma before the closing brace"),
    ("a.json", '{"betas": [1,\n 2,\n]}', "a.json:2: expected no comma before the closing bracket"),
    ("a.json", '{\n"lr" 1}', "a.json:2: expected a colon before 1"),
    ("a.json", '{"lr": 1\n"epochs": 2}', 'a.json:2: expected a comma before "epochs"'),
    ("a.json", "{'lr': 1}", "a.json:1: expected double quotes, got a single quote"),
    ("a.json", '{"x": True}', "a.json:1: expected true, got True"),
    ("a.json", '{"x": .5}', "a.json:1: expected a value, got .5"),
    ("a.json", "\n[1, 2]", "a.json:2: expected an object of hparams in braces, got [1, 2]"),
    ("a.json", '{"lr": 1}\n}', 'a.json:2: expected nothing after the closing brace, got "}"'),
    ("a.json", '{"x": "y}', "a.json:1: a closing double quote is missing"),
    (
        "a.json",
        '{"x": "y\n"}',
        "a.json:1: a closing double quote is missing, or a line break inside quotes should be \\n",
    ),
    ("a.json", '{"x": "\\d"}', "a.json:1: wrong use of a backslash; a backslash itself is written \\\\"),
    ("a.json", "{\n// hm\n}", "a.json:2: JSON has no comments; use the key description, or a .toml file"),
    ("a.json", "{lr: 1}", "a.json:1: expected a key in double quotes, got lr"),
    (
        "a.json",
        '{"lr": 1,\n',
        "a.json:1: the file ends too early; a closing brace, bracket or quote is missing",
    ),
    ("a.json", "[" * 100_000, "a.json:1: too many brackets inside each other"),
    ("a.json", b'{\n"x": "\xff"}', "a.json:2: the file is not UTF-8 text (byte 0xff)"),
    ("a.json", '{"lr": 1}'.encode("utf-16"), "a.json:1: the file is not UTF-8 text (byte 0xff)"),
    ("a.toml", "lr = \n", "a.toml:1: invalid value"),
    ("a.toml", "lr = 1\nlr = 2\nx =", "a.toml:3: invalid value"),
    ("a.toml", '\nx = "y\n', None),
]


@pytest.mark.parametrize(("name", "text", "line"), MALFORMED)
def test_malformed(name: str, text: str | bytes, line: str | None) -> None:
    with pytest.raises(HparamsError) as caught:
        read_preset(write(Path(name), text))
    assert caught.value.exit_code == Exit.USAGE
    assert caught.value.title == f"preset {name} is malformed"
    if line:
        assert caught.value.message == f"1 problem\n  {line}"
    else:
        assert caught.value.message.startswith("1 problem\n  a.toml:2: ")


def test_huge_numbers_reach_the_schema() -> None:
    preset = read_preset(write(Path("a.json"), '{"seed": ' + "9" * 5000 + ', "classes": 1}'))
    with pytest.raises(HparamsError, match=r"a\.json:1: seed: expected a whole number ≥ 0, got"):
        resolve(Net, "t", preset)


def test_defects_are_kept_for_the_schemas_report() -> None:
    preset = read_preset(write(Path("a.json"), '{"task": " ", "description": 3,\n"lr": 1,\n"lr": 2}'))
    with pytest.raises(HparamsError) as caught:
        preset.raise_defects()
    assert caught.value.message.splitlines()[1:] == [
        '  a.json:1: task: expected the name or file of a task, got " "',
        "  a.json:1: description: expected text, got 3",
        "  a.json:3: lr: given again, first in line 2",
    ]


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    for path in (Path("no.json"), tmp_path):
        with pytest.raises(FileError) as caught:
            read_preset(path)
        assert caught.value.exit_code == Exit.FILE
    with pytest.raises(FileError, match="larger than"):
        read_preset(write(Path("big.json"), b" " * (MAX_BYTES + 1)))


def test_find_order_and_spelling(tmp_path: Path) -> None:
    shipped = write(tmp_path / "shipped" / "my_run.json", "{}")
    assert find_preset("my-run") == shipped
    user = write(user_folder() / "my-run.toml", "")
    assert find_preset("my_run") == user
    project = write(Path("presets/my_run.json"), "{}")
    assert find_preset("my-run") == project
    assert find_preset("presets/my_run.json") == project
    here = write(Path("my-run"), "{}")
    assert find_preset("my-run") == here
    assert find_preset("my-run", tmp_path / "elsewhere") == user
    assert find_preset(str(shipped)) == shipped


def test_find_nothing() -> None:
    write(Path("presets/baseline.json"), "{}")
    with pytest.raises(UsageError) as caught:
        find_preset("baselin")
    assert caught.value.message == 'no preset is called "baselin"; did you mean baseline?'
    assert caught.value.hint == "tui-train presets list"
    for word in ("x.json", "presets/x", "./x", "x" * 300 + ".json"):
        with pytest.raises(FileError) as missing:
            find_preset(word)
        assert missing.value.exit_code == Exit.FILE
    with pytest.raises(UsageError):
        find_preset("x" * 5000)


def test_list_shows_broken_and_shadowed_ones(tmp_path: Path) -> None:
    write(Path("presets/good.json"), '{"task": "digits"}')
    write(Path("presets/bad.json"), '{"lr": 1,\n"lr": 2}')
    write(Path("presets/notes.txt"), "")
    write(Path("presets/.hidden.json"), "{}")
    write(user_folder() / "torn.json", "{")
    write(tmp_path / "shipped" / "good.toml", "")
    listed = list_presets()
    assert [(item.origin, item.name, item.shadowed, item.error is None) for item in listed] == [
        ("project", "bad", False, False),
        ("project", "good", False, True),
        ("user", "torn", False, False),
        ("shipped", "good", True, True),
    ]
    torn = listed[2].error
    assert torn is not None
    assert "torn.json:1: " in torn.message


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "shipped" / "a.json", "{}")
    os.symlink(tmp_path / "shipped", "presets")
    assert [(item.origin, item.shadowed) for item in list_presets()] == [("project", False)]
    assert find_preset("a").read_text() == "{}"


def test_save_and_read_back() -> None:
    hparams = Net(task="digits", classes=10, lr=0.1, betas=(0.9, 0.95))
    path = save_preset(project_folder() / "new" / "a.json", "digits", hparams, "One “good” sentence.")
    saved = json.loads(path.read_text())
    assert list(saved.items()) == [
        ("task", "digits"),
        ("description", "One “good” sentence."),
        ("lr", 0.1),
        ("betas", [0.9, 0.95]),
        ("classes", 10),
    ]
    preset = read_preset(path)
    assert preset.description == "One “good” sentence."
    assert resolve(Net, "digits", preset).hparams == hparams
    everything = read_preset(save_preset(path, "digits", hparams, overwrite=True, all_values=True))
    assert everything.values.keys() == Net.specs().keys() - {"task"}
    assert resolve(Net, "digits", everything).hparams == hparams


def test_save_refuses_to_overwrite() -> None:
    path = write(Path("a.json"), "mine")
    with pytest.raises(UsageError) as caught:
        save_preset(path, "digits", Net(classes=1))
    assert (caught.value.message, caught.value.hint) == ("a.json exists", "--overwrite replaces it")
    assert path.read_text() == "mine"
    assert os.listdir() == ["a.json"]


def test_save_where_it_can_not_be() -> None:
    write(Path("file"), "")
    with pytest.raises(FileError):
        save_preset(Path("file/a.json"), "digits", Net(classes=1))


def test_checkpoint_parameters_are_a_preset() -> None:
    hparams = Net(task="digits", classes=10, num_workers=2)
    path = write(Path("model_parameters_3.json"), json.dumps(hparams.model_dump(mode="json"), indent=2))
    assert resolve(Net, "digits", read_preset(path)).hparams == hparams


def test_names_to_save_under() -> None:
    folder = Path("presets")
    assert path_to_save("my-run", folder) == folder / "my-run.json"
    assert path_to_save("my-run.json", folder) == folder / "my-run.json"
    old = write(folder / "my_run.json", "{}")
    assert path_to_save("my-run", folder) == old
    write(folder / "other.toml", "")
    for name in ("", ".", "..", "a/b", "-a", ".hidden", "a\nb", "other"):
        with pytest.raises(UsageError):
            path_to_save(name, folder)


def test_every_shipped_preset_is_valid() -> None:
    from tui_trainer.tasks.registry import load_task

    shipped = sorted((Path(__file__).parents[2] / "presets").glob("*.*"))
    problems = []
    for path in shipped:
        try:
            preset = read_preset(path)
            assert preset.task
            resolve(load_task(preset.task).hparams_class, preset.task, preset)
            assert preset.description
        except TrainerError as error:
            problems.append(error.lines())
    assert not problems
