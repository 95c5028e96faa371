"""Precedence, places of problems, options of another optimizer, and paths beside a preset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.config.hparams import Field, Hparams
from tui_trainer.config.presets import Preset, read_preset
from tui_trainer.config.problems import HparamsError
from tui_trainer.config.resolve import Resolved, resolve


class Net(Hparams):
    latent_dim: int = Field(128, gt=0, description="Width of each hidden layer.")
    n_layers: int = Field(3, ge=1, description="Hidden layers.")

    def cross_checks(self) -> Iterator[tuple[str, str]]:
        yield from super().cross_checks()
        if self.latent_dim < self.n_layers:
            yield "latent_dim", "smaller than n_layers"


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets").mkdir()


def preset(text: str, name: str = "baseline.json") -> Preset:
    path = Path("presets", name)
    path.write_text(text)
    return read_preset(path)


def failed(
    given: Preset | None = None,
    flags: Mapping[str, str | bool] | None = None,
    base: Mapping[str, Any] | None = None,
) -> HparamsError:
    with pytest.raises(HparamsError) as caught:
        resolve(Net, "digits", given, flags, base)
    return caught.value


def test_precedence() -> None:
    file = preset('{"task": "digits", "lr": 0.2, "seed": 2, "epochs": 2}')
    base = {"lr": 0.1, "seed": 1, "epochs": 1, "batch_size": 1, "task": "old"}
    resolved: Resolved[Net] = resolve(Net, "digits", file, {"lr": "3e-1", "compile": True}, base)
    hparams = resolved.hparams
    assert (hparams.lr, hparams.seed, hparams.epochs, hparams.batch_size) == (0.3, 2, 2, 1)
    assert (hparams.latent_dim, hparams.compile, hparams.task) == (128, True, "digits")
    assert resolved.typed == {"lr", "compile"}
    assert resolved.warnings == []


def test_a_flag_that_equals_the_default_still_wins() -> None:
    resolved = resolve(Net, "digits", preset('{"latent_dim": 64}'), {"latent_dim": "128"})
    assert resolved.hparams.latent_dim == 128
    assert resolved.typed == {"latent_dim"}


def test_a_flag_replaces_a_wrong_value_of_the_preset() -> None:
    assert resolve(Net, "digits", preset('{"lr": "abc"}'), {"lr": "0.1"}).hparams.lr == 0.1


def test_as_sketched() -> None:
    file = preset(
        '{\n  "task": "digits",\n  "description": "x",\n  "lr": "abc",\n  "epochs": 3,\n  "seed": 0,\n'
        '  "batch_sise": 64,\n  "latent_dim": 32,\n  "optimizer": "Adamm"\n}\n'
    )
    assert failed(file).lines() == (
        "error: preset baseline.json does not fit task digits: 3 problems\n"
        '  presets/baseline.json:4: lr: expected a number > 0, got "abc"\n'
        "  presets/baseline.json:7: batch_sise: unknown; did you mean batch_size?\n"
        '  presets/baseline.json:9: optimizer: unknown "Adamm"; did you mean Adam, AdamW, Adamax?\n'
        "hint: tui-train presets schema digits shows every key"
    )


def test_everything_at_once() -> None:
    file = preset(
        '{\n"task": 5,\n"seed": 1,\n"nested": {"lr": 1},\n"lr": NaN,\n"seed": -1,\n'
        '"betas": [0.9,\nInfinity],\n"batch_sise": 1}'
    )
    error = failed(file, {"epochs": "many", "epoch": "3", "n_layers": "0"})
    assert error.message.splitlines() == [
        "10 problems",
        "  presets/baseline.json:2: task: expected the name or file of a task, got 5",
        "  presets/baseline.json:4: nested: unknown; a preset is flat, so what is inside this object belongs "
        "at the top level",
        "  presets/baseline.json:5: lr: expected a number > 0, got NaN",
        "  presets/baseline.json:6: seed: expected a whole number ≥ 0, got -1",
        "  presets/baseline.json:6: seed: given again, first in line 3",
        "  presets/baseline.json:7: betas: expected two numbers from 0 to below 1, or none, "
        "got [0.9, Infinity]",
        "  presets/baseline.json:9: batch_sise: unknown; did you mean batch_size?",
        '  --epochs: expected a whole number ≥ 1, got "many"',
        "  --epoch: unknown; did you mean epochs?",
        "  --n_layers: expected a whole number ≥ 1, got 0",
    ]
    assert len(error.problems) == 10


def test_toml() -> None:
    file = preset('task = "digits"\n\nlr = nan\nlr = 2\n[optimizer]\nname = "Adam"\n', "b.toml")
    assert failed(file).message.splitlines() == [
        "3 problems",
        "  presets/b.toml:3: lr: expected a number > 0, got NaN",
        "  presets/b.toml:4: lr: given again, first in line 3",
        "  presets/b.toml:5: optimizer: expected one of ASGD, Adadelta, Adafactor, Adagrad, Adam, AdamW, "
        'Adamax, LBFGS, Muon, NAdam, RAdam, RMSprop, Rprop, SGD, SparseAdam, got {"name": "Adam"}',
    ]


BAD_FLAGS = [
    ({"lr": "abc"}, '--lr: expected a number > 0, got "abc"'),
    ({"lr": "-1e-3"}, "--lr: expected a number > 0, got -0.001"),
    ({"lr": "nan"}, "--lr: expected a number > 0, got NaN"),
    ({"lr": "1e999"}, "--lr: expected a number > 0, got Infinity"),
    ({"lr": "1_000"}, '--lr: expected a number > 0, got "1_000"'),
    ({"lr": "٣"}, '--lr: expected a number > 0, got "٣"'),
    ({"lr": "none"}, '--lr: expected a number > 0, got "none"'),
    ({"lr": ""}, '--lr: expected a number > 0, got ""'),
    ({"batch_size": "1.5"}, '--batch_size: expected a whole number ≥ 1, got "1.5"'),
    ({"batch_size": "1e3"}, '--batch_size: expected a whole number ≥ 1, got "1e3"'),
    ({"batch_size": "9" * 5000}, '--batch_size: expected a whole number ≥ 1, got "' + "9" * 76 + "…"),
    ({"epochs": True}, "--epochs: expected a whole number ≥ 1, got true"),
    ({"compile": "maybe"}, '--compile: expected true or false, got "maybe"'),
    ({"betas": "0.9"}, "--betas: expected two numbers from 0 to below 1, or none, got [0.9]"),
    ({"betas": "0.9,x"}, '--betas: expected two numbers from 0 to below 1, or none, got "0.9,x"'),
    ({"optimizer": "Adamm"}, '--optimizer: unknown "Adamm"; did you mean Adam, AdamW, Adamax?'),
    ({"weight_decay": "0.1", "optimizer": "lbfgs"}, "--weight_decay: LBFGS does not take it "
     "(of these options it takes none of them)"),
    ({"device": "cuda:x"}, '--device: expected auto, cpu, cuda, cuda:N, mps or xpu, got "cuda:x"'),
    ({"num_workers": "-1"}, '--num_workers: expected "auto" or a whole number from 0 to 512, got -1'),
    ({"lattent_dim": "1"}, "--lattent_dim: unknown; did you mean latent_dim?"),
    ({"latent_dim": "2"}, "--latent_dim: smaller than n_layers"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "line"), BAD_FLAGS, ids=[line[:50] for _, line in BAD_FLAGS])
def test_bad_flags(flags: dict[str, str | bool], line: str) -> None:
    error = failed(None, flags)
    assert error.message == f"1 problem\n  {line}"
    assert error.title == "wrong hparams"
    assert error.hint == "tui-train digits --help shows every hparam"


def test_only_flags_are_wrong_beside_a_good_preset() -> None:
    error = failed(preset('{"lr": 0.1}'), {"epochs": "0"})
    assert error.title == "wrong hparams"
    assert error.message == "1 problem\n  --epochs: expected a whole number ≥ 1, got 0"


def test_rule_between_fields_is_placed_where_its_key_was_given() -> None:
    file = preset('{\n"n_layers": 3,\n"latent_dim": 2}')
    assert failed(file).message == "1 problem\n  presets/baseline.json:3: latent_dim: smaller than n_layers"
    assert failed(file, {"latent_dim": "1"}).message == "1 problem\n  --latent_dim: smaller than n_layers"
    file = preset('{"n_layers": 300}')
    assert failed(file).message == "1 problem\n  presets/baseline.json:1: latent_dim: smaller than n_layers"


def test_required_hparam_that_nobody_gave() -> None:
    class Needy(Hparams):
        classes: int = Field(gt=0, description="Classes.")

    with pytest.raises(HparamsError) as caught:
        resolve(Needy, "my_task.py", None, {})
    assert caught.value.message == "1 problem\n  classes: missing; expected a whole number > 0"
    with pytest.raises(HparamsError) as caught:
        resolve(Needy, "my task.py", preset("{}"), {"classes": "x"})
    assert caught.value.message == '1 problem\n  --classes: expected a whole number > 0, got "x"'
    assert caught.value.hint == "tui-train 'my task.py' --help shows every hparam"


def test_none_unsets() -> None:
    resolved = resolve(Net, "digits", preset('{"weight_decay": 0.1}'), {"weight_decay": "none"})
    assert resolved.hparams.weight_decay is None


def test_options_for_another_optimizer_are_dropped_with_a_warning() -> None:
    file = preset('{"optimizer": "AdamW", "betas": [0.9, 0.95], "weight_decay": 0.1}')
    resolved = resolve(Net, "digits", file, {"optimizer": "sgd"})
    assert (resolved.hparams.optimizer, resolved.hparams.betas, resolved.hparams.weight_decay) == (
        "SGD",
        None,
        0.1,
    )
    assert resolved.warnings == ["betas 0.9,0.95 (presets/baseline.json) is dropped: SGD does not take it"]
    assert resolved.typed == {"optimizer"}


def test_options_of_a_preset_that_names_no_optimizer_were_meant_for_the_default_one() -> None:
    resolved = resolve(Net, "digits", preset('{"betas": [0.9, 0.95]}'), {"optimizer": "SGD"})
    assert resolved.warnings


def test_options_are_an_error_where_they_contradict_their_own_source() -> None:
    file = preset('{"optimizer": "SGD",\n"betas": [0.9, 0.95]}')
    assert "baseline.json:2: betas: SGD does not take it" in failed(file).message
    assert "baseline.json:2: betas: SGD does not take it" in failed(file, {"optimizer": "SGD"}).message
    assert "--betas: SGD does not take it" in failed(None, {"optimizer": "SGD", "betas": "0.9,0.99"}).message
    assert "--momentum: Adam does not take it" in failed(preset("{}"), {"momentum": "0.9"}).message


def test_options_of_a_resumed_run_and_of_the_task() -> None:
    class Tuned(Hparams):
        optimizer: Any = "AdamW"
        betas: Any = (0.9, 0.95)

    resolved = resolve(Tuned, "t", None, {"optimizer": "SGD"})
    assert resolved.warnings == ["betas 0.9,0.95 (the task's default) is dropped: SGD does not take it"]
    base = {"optimizer": "SGD", "momentum": 0.9}
    assert resolve(Net, "digits", preset('{"optimizer": "Adam"}'), {}, base).warnings == [
        "momentum 0.9 (the resumed run) is dropped: Adam does not take it"
    ]
    assert resolve(Net, "digits", None, {}, base).hparams.momentum == 0.9


def test_resumed_run_that_does_not_fit_any_more() -> None:
    error = failed(preset("{}"), {}, {"old_name": 1})
    assert error.message == "1 problem\n  resumed run: old_name: unknown"


def test_path_beside_the_preset_comes_first(tmp_path: Path) -> None:
    (tmp_path / "presets" / "data").mkdir()
    (tmp_path / "data").mkdir()
    file = preset('{"dataset_path": "data"}')
    assert resolve(Net, "digits", file).hparams.dataset_path == str(tmp_path / "presets" / "data")
    os.rmdir(tmp_path / "presets" / "data")
    assert resolve(Net, "digits", file).hparams.dataset_path == "data"


def test_typed_path_is_relative_to_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "presets" / "data").mkdir()
    resolved = resolve(Net, "digits", preset('{"dataset_path": "x"}'), {"dataset_path": "data"})
    assert resolved.hparams.dataset_path == "data"


def test_home_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert resolve(Net, "t", preset('{"dataset_path": "~/d"}')).hparams.dataset_path == "/home/me/d"
    assert resolve(Net, "t", None, {"dataset_path": "~/d"}).hparams.dataset_path == "/home/me/d"


def test_the_seeds_example() -> None:
    hparams = {
        "latent_dim": 128,
        "n_layers": 3,
        "lr": 0.001,
        "batch_size": 32,
        "epochs": 10,
        "optimizer": "Adam",
        "loss": "CrossEntropyLoss",
    }
    resolved = resolve(Net, "digits", Preset(path=None, name="seed", values=hparams))
    assert {key: getattr(resolved.hparams, key) for key in hparams} == hparams
