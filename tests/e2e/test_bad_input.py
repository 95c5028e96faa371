"""Whatever is typed or lies on disk: an exit code, and a message that says what, where and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.conftest import Done

Run = Callable[..., Done]

TASK = """
import torch
from tui_trainer import Field, Hparams, Task


class Mine(Task):
    def datasets(self, hparams):
        return torch.randn(40, 4), torch.arange(40) % 2

    def model(self, hparams):
        return torch.nn.Linear(4, 2)
"""


@dataclass
class Case:
    words: str
    code: int
    says: list[str]
    files: Mapping[str, str] = field(default_factory=dict)


def preset(text: str, code: int, *says: str, words: str = "--no-ui --preset p.json") -> Case:
    return Case(words, code, list(says), {"p.json": text})


CASES = {
    # the command line
    "nothing to train": Case("--no-ui", 2, ["no task", "--preset digits"]),
    "unknown task": Case("--no-ui digit", 2, ['"digit" is no task', "did you mean digits"]),
    "two tasks": Case("--no-ui digits tabular", 2, ["expected one TASK", "digits tabular"]),
    "unknown flag": Case("digits --learning-rate 1", 2, ["--learning-rate; did you mean lr?"]),
    "abbreviated flag": Case("digits --epo 3", 2, ["--epo; did you mean", "epochs"]),
    "flag without value": Case("digits --lr", 2, ["--lr needs a value"]),
    "flag followed by a flag": Case("digits --lr --epochs 3", 2, ["--lr needs a value"]),
    "switch with value": Case("digits --compile=yes", 2, ["--compile takes no value"]),
    "unknown theme": Case("digits --theme drak", 2, ["--theme drak; did you mean dark?", "light, ansi"]),
    "unknown theme of a viewer": Case("attach --theme x", 2, ["--theme x", "themes: dark, light, ansi"]),
    "single dash": Case("digits -lr 3", 2, ["-lr", "two dashes"]),
    "text for a number": Case("digits --lr fast", 2, ['--lr: expected a number > 0, got "fast"']),
    "fraction for a whole number": Case(
        "digits --epochs 2.5", 2, ['--epochs: expected a whole number ≥ 1, got "2.5"']
    ),
    "thousands separator": Case("digits --batch_size 1_000", 2, ["--batch_size: expected a whole number"]),
    "negative rate": Case("digits --lr -1e-3", 2, ["--lr: expected a number > 0, got -0.001"]),
    "zero batch": Case("digits --batch_size 0", 2, ["--batch_size", "got 0"]),
    "enormous batch": Case("digits --batch_size 99999999999", 2, ["--batch_size", "16,777,216"]),
    "not a number": Case("digits --lr nan", 2, ["--lr", "NaN"]),
    "misspelt optimizer": Case(
        "digits --optimizer Adamm", 2, ['--optimizer: unknown "Adamm"', "did you mean Adam"]
    ),
    "loss of three inputs": Case(
        "digits --loss TripletMarginLoss", 2, ["TripletMarginLoss", "anchor", "compute_loss"]
    ),
    "option of another optimizer": Case("digits --momentum 0.9", 2, ["--momentum: Adam does not take it"]),
    "beta of one": Case("digits --betas 0.9,1", 2, ["--betas", "two numbers from 0 to below 1"]),
    "three betas": Case("digits --betas 0.9,0.99,0.999", 2, ["--betas", "two numbers"]),
    "unknown interval": Case("digits --checkpoint_every 5foo", 2, ["--checkpoint_every", "200steps"]),
    "unknown device": Case("digits --device gpu", 2, ["--device", "cuda:N"]),
    "device that is not here": Case("--no-ui digits --device cuda:99", 2, ["cuda:99", "hint: --device auto"]),
    "warm-up with plateau": Case("digits --scheduler plateau --warmup 0.1", 2, ["--warmup", "plateau"]),
    "early stopping without evaluation": Case(
        "digits --eval_every 0 --early_stopping_patience 2", 2, ["early_stopping_patience", "eval_every"]
    ),
    "nothing left to train on": Case("digits --test_size 0.6 --val_size 0.5", 2, ["leave no sample"]),
    "test split without a sample": Case(
        "--no-ui digits --test_size 0.0001", 2, ["leaves no sample", "test_size"]
    ),
    "monitor of a metric that is not there": Case(
        "--no-ui digits --monitor test/acuracy", 2, ["test/acuracy", "did you mean test/accuracy"]
    ),
    "monitor of a split that is not there": Case("--no-ui digits --monitor val/loss", 2, ["val/loss"]),
    "Muon on biases": Case("--no-ui digits --optimizer Muon", 2, ["Muon updates matrices only", "AdamW"]),
    "SparseAdam on dense gradients": Case(
        "--no-ui digits --optimizer SparseAdam", 2, ["SparseAdam", "sparse gradients"]
    ),
    "run directory that holds a run": Case(
        "--no-ui digits --run-dir taken", 2, ["taken", "--resume"], {"taken/run.json": "{}"}
    ),
    "resume of nothing": Case("--no-ui --resume last", 2, ["run"]),
    "resume of an unknown run": Case("--no-ui --resume 7f3a", 2, ["no such run", "7f3a"]),
    "resume auto without a folder": Case("--no-ui digits --resume auto", 2, ["--run-dir"]),
    "unknown subcommand option": Case("runs --jsn", 2, ["--jsn"]),
    "show of an unknown run": Case("show nope", 2, ["no such run", "nope"]),
    "checkpoint of an unknown run": Case("checkpoints verify nope@3", 2, ["nope"]),
    "data that can't be made": Case("tasks make-data digits out", 2, ["digits", "seq2seq"]),
    # presets
    "unknown preset": Case("--no-ui --preset digitz", 2, ["digitz", "did you mean digits"]),
    "preset that is missing": Case("--no-ui --preset ./no.json", 3, ["no.json"]),
    "preset without a task": preset('{"lr": 1}', 2, "p.json:1: task"),
    "preset of another task": preset(
        '{"task": "tabular"}', 2, "two tasks", "p.json:1", words="digits --preset p.json"
    ),
    "preset of an unknown task": preset('{\n "task": "digitz"\n}', 2, "p.json:2", "digitz"),
    "preset with a syntax error": preset('{"task": "digits",\n "lr": }', 2, "p.json:2"),
    "preset that is a list": preset("[]", 2, "p.json:1"),
    "empty preset": preset("", 2, "p.json"),
    "preset with everything wrong": preset(
        '{"task": "digits",\n"lr": "abc",\n"lr": 2,\n"batch_sise": 3,\n"epochs": true,\n"eps": NaN}',
        2,
        "p.json:3: lr",
        "p.json:4: batch_sise: unknown; did you mean batch_size",
        "p.json:5: epochs",
        "p.json:6: eps",
    ),
    "preset with a number beyond 2^53": preset(
        '{"task": "digits", "seed": 9007199254740993}', 2, "p.json:1: seed"
    ),
    "preset in TOML with a wrong value": Case(
        "--no-ui --preset p.toml", 2, ["p.toml:2: lr"], {"p.toml": 'task = "digits"\nlr = "x"\n'}
    ),
    # task files
    "task file that is missing": Case("--no-ui nowhere.py", 3, ["nowhere.py"]),
    "task file that does not parse": Case("--no-ui t.py", 3, ["t.py:2"], {"t.py": "x = 1\nclass :\n"}),
    "task file that fails": Case(
        "--no-ui t2.py", 1, ["t2.py", "ZeroDivisionError", "line 1"], {"t2.py": "1 / 0\n"}
    ),
    "task file without a task": Case("--no-ui t3.py", 2, ["t3.py", "no subclass"], {"t3.py": "x = 1\n"}),
    "object that is no task": Case("--no-ui t4.py:x", 2, ["t4.py:x"], {"t4.py": "x = 1\n"}),
    "two tasks in a file": Case(
        "--no-ui t5.py",
        2,
        ["A", "B", "t5.py:A"],
        {"t5.py": "from tui_trainer import Task\nclass A(Task): 0\nclass B(Task): 0\n"},
    ),
    "module that is not there": Case("--no-ui no.such.module:Mine", 2, ["no.such.module:Mine"]),
    "hparam named like an option": Case(
        "--no-ui t6.py",
        2,
        ["hparam name taken", "resume"],
        {
            "t6.py": f"{TASK}\n\nclass Named(Hparams):\n    resume: int = Field(1, description='x')\n\n\n"
            "Mine.hparams_class = Named\n"
        },
    ),
    "task that can't be built": Case(
        "--no-ui t7.py",
        1,
        ["while loading data", "t7.py:3"],
        {"t7.py": "from tui_trainer import Task\nclass A(Task):\n    def datasets(self, h): 1 / 0\n"},
    ),
    # data
    "table that is missing": Case("--no-ui tabular --dataset_path no.csv --target y", 3, ["no.csv"]),
    "table without the target": Case(
        "--no-ui tabular --dataset_path t.csv --target z", 2, ['no column "z"'], {"t.csv": "x,y\n1,2\n3,4\n"}
    ),
    "ragged table": Case(
        "--no-ui tabular --dataset_path t.csv --target y", 3, ["t.csv:3"], {"t.csv": "x,y\n1,2\n3\n5,6\n"}
    ),
    "empty table": Case("--no-ui tabular --dataset_path t.csv --target y", 3, ["t.csv"], {"t.csv": ""}),
    "images that are missing": Case("--no-ui images --dataset_path no", 3, ["no"]),
    "images without a folder": Case("--no-ui images", 2, ["dataset_path"]),
    "empty class": Case(
        "--no-ui images --dataset_path d", 3, ["d/a holds no image"], {"d/a/1.txt": "x", "d/b/2.txt": "y"}
    ),
    "text that is too short": Case("--no-ui char_lm --dataset_path t.txt", 3, ["t.txt"], {"t.txt": "hello"}),
    "text that is missing": Case("--no-ui char_lm --dataset_path no.txt", 3, ["no.txt"]),
    "heads that don't divide": Case("--no-ui char_lm --d_model 64 --n_heads 5", 2, ["--n_heads"]),
    "pairs that are missing": Case("--no-ui seq2seq --dataset_path no", 3, ["no"]),
    "pairs that are no list": Case(
        "--no-ui seq2seq --dataset_path . --dataset_json_fname p.json", 3, ["p.json"], {"p.json": '{"a": 1}'}
    ),
    "pair without a target": Case(
        "--no-ui seq2seq --dataset_path . --dataset_json_fname p.json",
        3,
        ["p.json", "target"],
        {"p.json": json.dumps([{"input": "x"}])},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_with_a_message_that_helps(name: str, tui_train: Run, folder: Path) -> None:
    case = CASES[name]
    for path, text in case.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    done = tui_train(*case.words.split())
    assert done.code == case.code, done.err
    assert done.err.startswith("error: ") or case.code == 1
    assert "error: " in done.err
    for words in case.says:
        assert words in done.err
    if case.code != 1:
        assert "Traceback" not in done.err
    assert not list(folder.glob("runs/*/run.json"))
