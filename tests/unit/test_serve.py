"""`tui-train tasks serve`: one JSON line in, one out, whatever the task's code does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TASK = '''
import sys
from tui_trainer import Field, Hparams, Task
print("printed while it is imported")
sys.stdout.write("and written")

class NetHparams(Hparams):
    width: int = Field(8, gt=0, description="Units of each layer.")
    path: str = Field(description="Where it is.")

class Net(Task):
    """A net."""
    hparams_class = NetHparams
'''


def answers(folder: Path, *command_lines: list[str]) -> list[dict[str, Any]]:
    requests = [json.dumps({"id": k, "words": words}) for k, words in enumerate(command_lines)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tui_trainer", "tasks", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    replies = []
    with process:
        for request in requests:
            process.stdin.write(request + "\n")
            process.stdin.flush()
            replies.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(30) == 0
    assert [reply["id"] for reply in replies] == list(range(len(requests)))
    return replies


def problems(reply: dict[str, Any]) -> dict[str | None, str]:
    return {problem["key"]: problem["message"] for problem in reply["problems"]}


def test_an_answer_holds_task_fields_values_and_flags(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"task": "digits", "lr": 0.01, "betas": [0.9, 0.95]}')
    words = ["--preset", "mine.json", "--batch-size", "64", "--no-compile", "--run-name", "one"]
    (reply,) = answers(tmp_path, words)
    assert (reply["task"], reply["head"]) == ("digits", ["--preset", "mine.json"])
    assert reply["options"] == ["--run-name", "one"]
    assert reply["flags"] == {"batch_size": "64", "compile": "false"}
    fields = {field["name"]: field for field in reply["fields"]}
    assert list(fields) == list(reply["values"]) or set(fields) == set(reply["values"])
    assert {name: reply["values"][name] for name in ("lr", "betas", "batch_size", "weight_decay")} == {
        "lr": "0.01",
        "betas": "0.9,0.95",
        "batch_size": "32",
        "weight_decay": "none",
    }
    assert fields["optimizer"]["choices"][:2] == ["ASGD", "Adadelta"]
    assert fields["lr"]["default"] == "0.001"
    assert (reply["problems"], reply["warnings"], reply["source"]) == ([], [], None)


def test_problems_are_keyed_by_hparam_and_others_have_none(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"task": "digits",\n "lr": "abc",\n "sise": 3,\n "epochs": "3"}')
    (reply,) = answers(tmp_path, ["--preset", "mine.json", "--dropout", "2"])
    told = problems(reply)
    assert told["lr"] == 'expected a number > 0, got "abc"'
    assert told["dropout"].startswith("expected a number")
    assert told[None].startswith("mine.json:3: sise: unknown")
    assert reply["values"]["lr"] == "abc"
    assert reply["values"]["epochs"] == '"3"', "a text that would be right if it were typed looks like one"


def test_dropped_options_and_unknown_flags_are_told(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"task": "digits", "betas": [0.9, 0.95]}')
    (reply,) = answers(tmp_path, ["--preset", "mine.json", "--optimizer", "SGD", "--learning-rate", "3"])
    assert reply["warnings"] == ["betas 0.9,0.95 (mine.json) is dropped: SGD does not take it"]
    assert reply["unknown"] == ["--learning-rate; did you mean lr?"]


def test_a_task_file_that_prints_does_not_disturb_the_answers(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TASK)
    first, second = answers(tmp_path, ["net.py"], ["net.py", "--path", "here", "--width", "0"])
    assert first["source"] == str(tmp_path / "net.py")
    assert problems(first) == {"path": "missing; expected text"}
    assert problems(second) == {"width": "expected a number > 0, got 0"} or "width" in problems(second)
    assert second["flags"] == {"path": "here", "width": "0"}


def test_what_can_not_be_loaded_is_an_error_and_the_next_request_is_answered(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def :\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)\n")
    replies = answers(tmp_path, ["broken.py"], ["leaves.py"], ["nothing"], ["--lr", "3"], ["digits"])
    titles = [reply["error"]["title"] for reply in replies[:-1]]
    assert titles == ["task file does not parse", "task can't be imported", "unknown task", "no task"]
    assert replies[0]["error"]["message"].startswith(str(tmp_path / "broken.py:1"))
    assert replies[-1]["task"] == "digits"


def test_it_ends_with_its_stdin_even_while_a_task_hangs(tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text("import time\ntime.sleep(600)\n")
    done = subprocess.run(
        [sys.executable, "-m", "tui_trainer", "tasks", "serve"],
        input='{"id": 0, "words": ["hangs.py"]}\n',
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "")
