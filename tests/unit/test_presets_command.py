"""`tui-train presets …` through its own parser."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from tui_trainer.cli.presets import add_parser
from tui_trainer.config.hparams import Hparams
from tui_trainer.config.presets import user_folder
from tui_trainer.config.schema import DRAFT, json_schema
from tui_trainer.errors import Exit, FileError, TrainerError, UsageError

TASK = '''
from tui_trainer import Field, Hparams, Task

class NetHparams(Hparams):
    latent_dim: int = Field(128, gt=0, description="Width of each hidden layer, in units.")

class Net(Task):
    """A net."""
    hparams_class = NetHparams
'''


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work" / "presets").mkdir(parents=True)
    (tmp_path / "shipped").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("tui_trainer.config.presets._shipped_folder", lambda: tmp_path / "shipped")
    Path("presets/net.py").write_text(TASK)
    Path("here.py").write_text(TASK)


def run(*words: str, **hparam_flags: str | bool) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["presets", *words])
    args.hparam_flags = hparam_flags
    return int(args.run(args))


def preset(name: str, text: str) -> str:
    Path(f"presets/{name}").write_text(text)
    return f"presets/{name}"


def refused(*words: str, **hparam_flags: str | bool) -> TrainerError:
    with pytest.raises(TrainerError) as caught:
        run(*words, **hparam_flags)
    return caught.value


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    preset("good.json", '{"task": "net.py", "description": "Learns fast. 97 %."}')
    preset("torn.json", '{"lr": 1')
    user_folder().mkdir(parents=True)
    (user_folder() / "good.json").write_text("{}")
    assert run() == run("list") == 0
    once = capsys.readouterr().out.splitlines()[:4]
    assert once[0].split() == ["name", "task", "description", "where"]
    assert once[1].split() == ["good", "net.py", "Learns", "fast.", "project"]
    assert "torn" in once[2]
    assert "broken: presets/torn.json:1: the file ends too early" in once[2]
    assert once[3].endswith("user (hidden by one above)")


def test_list_json(capsys: pytest.CaptureFixture[str]) -> None:
    preset("good.json", '{"task": "net.py", "description": "Learns fast."}')
    assert run("list", "--json") == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {
            "name": "good", "task": "net.py", "description": "Learns fast.", "origin": "project",
            "path": "presets/good.json", "shadowed": False, "problem": None,
        }
    ]  # fmt: skip


def test_list_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    assert "no presets" in capsys.readouterr().err


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    preset("good.toml", 'task = "net.py"\nbetas = [0.9, 0.99]\n')
    assert run("show", "good") == 0
    assert json.loads(capsys.readouterr().out) == {"task": "net.py", "betas": [0.9, 0.99]}
    preset("nan.json", '{"task": "net.py", "lr": NaN}')
    assert "presets/nan.json:1: lr: expected a number > 0, got NaN" in refused("show", "nan").message
    assert isinstance(refused("show", "no-such"), UsageError)
    assert capsys.readouterr().out == ""


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    good = preset("good.json", '{"task": "net.py", "lr": 0.1, "latent_dim": 3}')
    one = preset("one.json", '{"task": "net.py:Net", "lr": 0.1}')
    assert run("check", good, "one") == 0
    assert (
        capsys.readouterr().out == f"{good}: ok (task net.py, 2 keys)\n{one}: ok (task net.py:Net, 1 key)\n"
    )


def test_check_one_wrong_file() -> None:
    bad = preset("bad.json", '{"task": "net.py",\n"lr": 0,\n"latent_dims": 3}')
    assert refused("check", bad).lines() == (
        "error: preset bad.json does not fit task net.py: 2 problems\n"
        "  presets/bad.json:2: lr: expected a number > 0, got 0\n"
        "  presets/bad.json:3: latent_dims: unknown; did you mean latent_dim?\n"
        "hint: tui-train presets schema net.py shows every key"
    )


def test_check_tells_all_of_all_files(capsys: pytest.CaptureFixture[str]) -> None:
    good = preset("good.json", '{"task": "net.py"}')
    bad = preset("bad.json", '{"task": "net.py",\n"lr": 0}')
    torn = preset("torn.json", "{\n1}")
    none = preset("none.json", '{"lr": 1,\n"lr": 2}')
    other = preset("other.json", '{\n"task": "digitz"}')
    error = refused("check", bad, good, torn, none, "absent.json", other)
    assert error.exit_code == Exit.FILE
    assert error.lines().splitlines()[:-1] == [
        "error: presets are wrong: 5 of 6 files",
        "  presets/bad.json:2: lr: expected a number > 0, got 0",
        "  presets/torn.json:2: expected a key in double quotes, got 1",
        '  presets/none.json:1: task: missing; expected a name or file such as "task": "digits"',
        "  presets/none.json:2: lr: given again, first in line 1",
        "  preset not found: absent.json does not exist",
        '  presets/other.json:2: task: "digitz" is no task; did you mean digits?',
    ]
    assert capsys.readouterr().out == "presets/good.json: ok (task net.py, 0 keys)\n"


def test_check_exit_codes_of_tasks() -> None:
    absent = preset("a.json", '{\n"task": "no_such.py"}')
    error = refused("check", absent)
    assert error.exit_code == Exit.FILE
    assert "presets/a.json:2: task: no_such.py is not in" in error.message
    Path("presets/raises.py").write_text("1 / 0")
    error = refused("check", preset("b.json", '{"task": "raises.py"}'))
    assert error.exit_code == Exit.FAILED
    assert refused("check", preset("c.json", '{"task": 5}')).message == (
        "1 problem\n  presets/c.json:1: task: expected the name or file of a task, got 5"
    )


def test_save(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("save", "mine", "--task", "here.py", "--description", "Mine.", lr="0.5", latent_dim="128") == 0
    path = user_folder() / "mine.json"
    assert capsys.readouterr().out == f"{path}\n"
    assert json.loads(path.read_text()) == {
        "task": str(tmp_path / "work" / "here.py"), "description": "Mine.", "lr": 0.5
    }  # fmt: skip
    assert refused("save", "mine", "--task", "here.py").hint == "--overwrite replaces it"
    assert run("save", "mine", "--task", "here.py", "--overwrite") == 0
    assert run("check", "mine") == 0


def test_save_from_another_preset(capsys: pytest.CaptureFixture[str]) -> None:
    preset(
        "old.json",
        '{"task": "net.py", "description": "Old.", "optimizer": "AdamW", "betas": [0.9, 0.95], "seed": 3}',
    )
    assert run("save", "new", "--from", "old", "--project", optimizer="SGD") == 0
    said = capsys.readouterr()
    assert said.out == "presets/new.json\n"
    assert said.err == "warning: betas 0.9,0.95 (presets/old.json) is dropped: SGD does not take it\n"
    assert json.loads(Path("presets/new.json").read_text()) == {
        "task": "presets/net.py", "description": "Old.", "optimizer": "SGD", "seed": 3
    }  # fmt: skip
    assert run("check", "new") == 0


def test_save_refuses() -> None:
    preset("old.json", '{"task": "net.py"}')
    assert refused("save", "x").message == "--task or --from is missing"
    assert refused("save", "x", "--from", "old", "--task", "here.py").title == "two tasks"
    assert refused("save", "a/b", "--task", "here.py").title == "wrong preset name"
    assert (
        refused("save", "x", "--task", "here.py", lr="0").message
        == "1 problem\n  --lr: expected a number > 0, got 0.0"
    )
    assert isinstance(refused("save", "x", "--from", "old.json"), FileError)


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema", "here.py") == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"]["latent_dim"] == {
        "type": "integer", "default": 128, "exclusiveMinimum": 0, "x-group": "Model",
        "description": "Width of each hidden layer, in units.",
    }  # fmt: skip


def test_schema_covers_every_hparam() -> None:
    schema = json_schema(Hparams, "digits")
    assert schema["$schema"] == DRAFT
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties.keys() == {*Hparams.specs(), "description", "$schema"}
    assert properties["task"]["default"] == "digits"
    assert properties["scheduler"]["enum"] == ["constant", "cosine", "step", "one_cycle", "plateau"]
    for name, spec in Hparams.specs().items():
        if name != "task":
            assert properties[name]["description"] == spec.description
            assert properties[name]["default"] == spec.default
    assert "required" not in schema
