"""`tui-train data`: what it prints for tasks, files and folders, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.cli.main import main

TASK = """
import torch
from tui_trainer import Field, Hparams, Task

class MyHparams(Hparams):
    samples: int = Field(40, gt=0, description="How many.")

class Mine(Task):
    '''Data of one's own.'''
    hparams_class = MyHparams

    def datasets(self, hparams):
        print("read", hparams.samples)
        if hparams.samples == 13:
            raise RuntimeError("unlucky")
        torch.manual_seed(0)
        inputs = torch.rand(hparams.samples, 3)
        return (inputs, torch.arange(hparams.samples) % 2), None
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["data", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    code, out, err = run(capsys, "--json", *words)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_built_in_task_is_reported_with_balance_and_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "digits")
    assert code == 0
    assert "train    1,438  all of them" in out
    assert "inputs   train  uint8  1×8×8  4.8841  6.0158    0   16" in out
    assert "targets: 10 classes" in out
    assert out.rstrip().endswith("no problem found")
    assert any(set(line) == {" ", "░", "▒", "▓", "█"} for line in out.splitlines()), "the digits"


def test_json_is_one_object_on_stdout_whatever_the_task_prints(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(TASK)
    report = as_json(capsys, "mine.py")
    assert report["splits"]["train"]["samples"] == 40
    assert list(report["splits"]) == ["train"]
    assert (report["task"], report["description"]) == ("mine.py", "Data of one's own.")


def test_hparams_and_presets_work_as_for_training(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(TASK)
    Path("mine.json").write_text('{"task": "mine.py", "samples": 50}')
    assert as_json(capsys, "--preset", "mine.json")["splits"]["train"]["samples"] == 50
    report = as_json(capsys, "--samples", "10", "mine.py", "--test-size", "0.5")
    assert (report["splits"]["train"]["looked_at"], report["splits"]["train"]["samples"]) == (10, 40)
    after = as_json(capsys, "--samples=all", "--", "mine.py", "--samples", "60")
    assert after["splits"]["train"]["samples"] == 60, "what follows -- is the task's own"


def test_a_table_needs_no_task_and_its_values_are_shown_as_they_stand_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [f"{1.1 + 0.3 * k},{'' if k % 5 else 'x'},{k % 3},{10**9 + k}" for k in range(60)]
    Path("flat.csv").write_text("\n".join(["size,mark,rooms,stamp", *rows]) + "\n")
    code, out, err = run(capsys, "flat.csv", "--target=rooms")
    assert (code, "flat.csv: a table, as task tabular reads it" in err) == (0, True)
    line = next(line for line in out.splitlines() if line.startswith("stamp  ") and "float" not in line)
    shown = {int(word.replace(",", "")) for word in line.split()[1:]}
    assert shown <= {10**9 + k for k in range(60)}
    assert "rooms: 3 classes" in out
    assert "columns mostly missing" in out


def test_without_a_target_one_is_taken_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    rows = "\n".join(f"{k % 2},{k},{k * k % 7 + 0.5}" for k in range(60))
    Path("a.csv").write_text(f"label,b,c\n{rows}\n")
    Path("b.csv").write_text(f"a,b,c\n{rows}\n")
    assert "target label" in run(capsys, "a.csv")[2]
    assert "target c (--target names another column)" in run(capsys, "b.csv")[2]


def test_text_pairs_and_folders_of_images_find_their_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    Path("a.txt").write_text("to be or not to be\n" * 400)
    lines = [json.dumps({"input": f"a{k}", "target": f"b{k}"}) for k in range(50)]
    Path("pairs.jsonl").write_text("\n".join(lines))
    for k in range(20):
        Path(f"photos/{'ab'[k % 2]}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 7), (k, 2 * k, 3 * k)).save(f"photos/{'ab'[k % 2]}/{k}.png")
    tasks = {name: as_json(capsys, name)["task"] for name in ("a.txt", "pairs.jsonl", "photos")}
    assert tasks == {"a.txt": "char_lm", "pairs.jsonl": "seq2seq", "photos": "images"}
    sample = as_json(capsys, "pairs.jsonl")["splits"]["train"]["examples"][0]["parts"]
    assert (sample[0]["text"][0], sample[1]["text"]) == ("a", "b" + sample[0]["text"][1:])


def test_arrays_records_and_parquet_find_their_tasks_too(capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    np.savez("pictures.npz", x=rng.integers(0, 255, (60, 8, 8), np.uint8), y=labels)
    np.savez("rows.npz", X=rng.normal(size=(60, 4)), y=labels)
    records = [json.dumps({"size": k / 7, "label": "ab"[k % 2]}) for k in range(60)]
    Path("records.jsonl").write_text("\n".join(records))
    tasks = {name: as_json(capsys, name)["task"] for name in ("pictures.npz", "rows.npz", "records.jsonl")}
    assert tasks == {"pictures.npz": "images", "rows.npz": "tabular", "records.jsonl": "tabular"}
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"size": rng.normal(size=60), "label": labels}), "rows.parquet")
    report = as_json(capsys, "rows.parquet")
    assert report["task"] == "tabular"
    assert [part["name"] for part in report["splits"]["train"]["parts"]] == ["size", "label"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "no data set"),
        (["gone.csv"], 3, "data not found: gone.csv"),
        (["digts"], 2, "did you mean digits?"),
        (["strange.xyz"], 2, "data of no known form"),
        (["mine.py", "--lr", "abc"], 2, "--lr: expected a number"),
        (["mine.py", "--samples", "0"], 2, "--samples: expected a whole number"),
        (["strange.xyz", "--dataset_path", "x"], 2, "two data sets"),
        (["mine.py", "--wrong"], 2, "unknown option"),
    ],
)
def test_what_can_not_be_reported_on_is_refused(
    words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("strange.xyz").write_text("?")
    Path("mine.py").write_text(TASK)
    found, out, err = run(capsys, *words)
    assert (found, out) == (code, "")
    assert told in err


def test_an_error_in_the_tasks_code_shows_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(TASK)
    Path("unlucky.json").write_text('{"task": "mine.py", "samples": 13}')
    code, out, err = run(capsys, "--json", "--preset", "unlucky.json")
    assert (code, out) == (1, "")
    assert "RuntimeError while loading data: unlucky" in err
    assert "mine.py:15" in err


def test_columns_that_no_model_learns_from_are_problems_of_a_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = "".join(
        f"u{i},2024-{1 + i % 12:02}-{1 + i % 28:02},said {i} things,{'oops' if i == 5 else i},{i},{i % 2}\n"
        for i in range(60)
    )
    Path("t.csv").write_text(f"id,signed,comment,age,x,churn\n{rows}")
    report = as_json(capsys, "t.csv", "--target", "churn")
    wide, mixed = report["problems"][1], report["problems"][0]
    assert mixed["message"].startswith('t.csv:7: column "age" has "oops", no number')
    assert '"id" (60)' in wide["message"]
    assert wide["message"].endswith('the texts of "signed" look like dates')
    assert '--ignore "age,id,signed,comment"' in wide["hint"]
    assert "make numbers of the dates" in wide["hint"]
    assert [part["name"] for part in report["splits"]["train"]["parts"]] == ["x", "churn"]
    Path("ids.csv").write_text("id,y\n" + "".join(f"u{i},{i % 2}\n" for i in range(60)))
    code, _, err = run(capsys, "ids.csv")
    assert code == 3
    assert "too many categories" in err


def test_what_reading_warns_of_is_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    Path("latin.txt").write_bytes(b"once upon a time " * 500 + b"caf\xe9 ")
    code, _, err = run(capsys, "latin.txt", "--context", "16")
    assert code == 0
    assert "note: latin.txt: byte 0xe9 at offset" in err
    assert "UserWarning" not in err


def test_whole_targets_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.csv").write_text("x,y\n" + "".join(f"{i},{i % 41}\n" for i in range(100)))
    train = as_json(capsys, "t.csv")["splits"]["train"]["parts"]
    assert (train[1]["summary"]["min"], train[1]["summary"]["max"]) == (0.0, 40.0)
