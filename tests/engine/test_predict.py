"""Predictions are what the bare model gives on inputs that were normalised by hand."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.helpers import Points, start, weights
from tui_trainer import load_run
from tui_trainer.cli.main import main
from tui_trainer.cli.prediction_files import ArrayWriter
from tui_trainer.engine.hints import hint
from tui_trainer.engine.predict import _batches, predicted, predicted_rows, rows_of
from tui_trainer.engine.scene import Scene
from tui_trainer.errors import TrainerError

RunOf = Callable[[str], Path]
ROWS = [
    # The file's columns in another order, with one more; a category that training never saw, and gaps.
    {"colour": "violet", "extra": "1", "when": "1700000000", "size": "0.5", "id": "q"},
    {"colour": "red", "extra": "2", "when": "1700090000", "size": "", "id": "r"},
    {"colour": "", "extra": "3", "when": "1700050000", "size": "-1.25", "id": "s"},
]


def write_rows(path: Path) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def by_hand(run_dir: Path) -> tuple[torch.Tensor, dict[str, Any], dict[str, torch.Tensor]]:
    """What goes into the first linear layer, by nothing but the weights' own description of the columns."""
    state = weights(run_dir, 1)
    schema = json.loads(bytes(state["schema"].tolist()))
    numbers, codes = [], []
    for row in ROWS:
        values = [float(row[name]) if row[name] else math.nan for name in schema["numeric"]]
        numbers.append(
            [value - offset for value, offset in zip(values, schema["numeric_offset"], strict=True)]
        )
        for known in schema["categorical"].values():
            code = 0 if not row["colour"] else 2 + known.index(row["colour"]) if row["colour"] in known else 1
            codes.append(code)
    x = torch.tensor(numbers, dtype=torch.float64).float()
    missing = x.isnan()
    scaled = (x / state["standardize.std"]).masked_fill(missing, 0.0)
    embedded = state["embedding.weight"][torch.tensor(codes)]
    return torch.cat([scaled, missing[:, state["gaps"]].float(), embedded], 1), schema, state


def bare_mlp(inputs: torch.Tensor, run_dir: Path) -> torch.Tensor:
    model = load_run(run_dir).model("last")
    assert isinstance(model.mlp, nn.Module)
    with torch.no_grad():
        outputs: torch.Tensor = model.mlp(inputs)
    return outputs


def test_a_tables_classes_are_those_of_rows_normalised_by_hand(run_of: RunOf, tmp_path: Path) -> None:
    run_dir = run_of("table")
    inputs, schema, _ = by_hand(run_dir)
    expected = bare_mlp(inputs, run_dir).double().softmax(1).max(1)
    with pytest.warns(UserWarning, match="passed over: extra"):
        rows = load_run(run_dir).predict(write_rows(tmp_path / "new.csv"), "last")
    assert [row["class"] for row in rows] == [schema["classes"][k] for k in expected.indices]
    assert [row["probability"] for row in rows] == pytest.approx(expected.values.tolist(), abs=1e-7)
    assert [(row["row"], row["id"]) for row in rows] == [(0, "q"), (1, "r"), (2, "s")]


def test_a_tables_numbers_are_those_of_rows_normalised_by_hand(run_of: RunOf, tmp_path: Path) -> None:
    run_dir = run_of("regression")
    inputs, schema, state = by_hand(run_dir)
    scaled = bare_mlp(inputs, run_dir).squeeze(1) * state["target_std"]
    expected = scaled.double() + schema["target_offset"]
    with pytest.warns(UserWarning, match="extra"):
        rows = load_run(run_dir).predict(write_rows(tmp_path / "new.csv"), "last")
    assert [row["value"] for row in rows] == pytest.approx(expected.tolist(), rel=1e-9)


def test_images_are_told_as_the_bare_model_tells_pixels_normalised_by_hand(run_of: RunOf) -> None:
    run_dir = run_of("images")
    folder = run_dir.parents[1] / "images"
    model = load_run(run_dir).model("last")
    state = weights(run_dir, 1)
    names = json.loads(bytes(state["classes"].tolist()))
    files = sorted(folder.rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]).transpose(0, 3, 1, 2)
    scaled = (torch.from_numpy(pixels.copy()).float() - state["features.0.mean"]) / state["features.0.std"]
    model.features[0] = nn.Identity()
    with torch.no_grad():
        expected = model(scaled).double().softmax(1).max(1)
    rows = load_run(run_dir).predict(folder, "last")
    assert [row["file"] for row in rows] == [str(file.relative_to(folder)) for file in files]
    assert [row["class"] for row in rows] == [names[k] for k in expected.indices]
    assert [row["probability"] for row in rows] == pytest.approx(expected.values.tolist(), abs=1e-6)


def test_an_array_of_images_is_told_as_the_files_are(run_of: RunOf, tmp_path: Path) -> None:
    run_dir = run_of("images")
    folder = run_dir.parents[1] / "images/cat"
    run = load_run(run_dir)
    np.save(tmp_path / "cats.npy", np.stack([np.asarray(Image.open(f)) for f in sorted(folder.iterdir())]))
    found = run.predict(tmp_path / "cats.npy", "last")
    told = [(row["class"], pytest.approx(row["probability"])) for row in run.predict(folder, "last")]
    assert [(row["class"], row["probability"]) for row in found] == told
    np.savez(tmp_path / "cats.npz", images=np.load(tmp_path / "cats.npy"), labels=np.zeros(12))
    assert run.predict(tmp_path / "cats.npz") == found
    one = run.predict(folder / "00.png", "last")
    assert [(row["file"], row["class"]) for row in one] == [("00.png", found[0]["class"])]


def test_digits_take_rows_of_64_numbers_and_images(run_of: RunOf, tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    run = load_run(run_of("digits"))
    np.save(tmp_path / "squares.npy", digits.images[:7])
    np.savetxt(tmp_path / "rows.csv", digits.data[:7], delimiter=",")
    with torch.no_grad():
        outputs = run.model("last")(torch.from_numpy(digits.images[:7]).float().unsqueeze(1))
    expected = [str(k) for k in outputs.argmax(1).tolist()]
    for name in ("squares.npy", "rows.csv"):
        assert [row["class"] for row in run.predict(tmp_path / name, "last")] == expected
    np.save(tmp_path / "wrong.npy", np.zeros((2, 5)))
    with pytest.raises(TrainerError, match="row 0 has 5 numbers"):
        run.predict(tmp_path / "wrong.npy", "last")


def test_a_continued_prompt_is_drawn_by_the_seed(run_of: RunOf, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "predict",
        str(run_of("char_lm")),
        "--prompt",
        "the quick ",
        "--sample-chars",
        "30",
        "--format",
        "text",
    ]
    texts = []
    for more in (
        [],
        [],
        ["--seed", "5"],
        ["--temperature", "1e-6"],
        ["--temperature", "1e-6", "--seed", "9"],
    ):
        assert main([*words, *more]) == 0
        texts.append(capsys.readouterr().out)
    assert len(texts[0].rstrip("\n")) == 30
    assert texts[0] == texts[1] != texts[2]
    assert texts[3] == texts[4]


def test_each_line_is_decoded_as_by_itself_whatever_its_length(run_of: RunOf, tmp_path: Path) -> None:
    run_dir = run_of("seq2seq")
    lines = ["1 and 1", "22 and 22 and 22 and 22", "", "33 and 33", "§ unknown"]
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n")
    trained = load_run(run_dir).trained("last")
    rows = list(predicted_rows(trained, tmp_path / "lines.txt"))
    assert [row["input"] for row in rows] == lines
    assert [row["output"] for row in rows] == [
        trained.task.answer(trained.model, [line])[0] for line in lines
    ]


def test_no_more_is_read_than_a_batch_needs() -> None:
    taken = []

    def samples() -> Iterator[tuple[dict[str, Any], Any]]:
        for k in itertools.count():
            taken.append(k)
            yield {"row": k}, torch.zeros(3 if k < 6 else 4)

    sizes = [
        (len(known), tuple(inputs.shape)) for known, inputs in itertools.islice(_batches(samples(), 4), 3)
    ]
    assert sizes == [(4, (4, 3)), (2, (2, 3)), (4, (4, 4))]
    assert len(taken) <= 11


def test_records_are_classes_with_probabilities_or_numbers() -> None:
    scores = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    likely = 1 / (1 + math.exp(-2))
    assert rows_of(scores, ["a", "b"]) == [
        {"class": "a", "probability": pytest.approx(likely)},
        {"class": "b", "probability": pytest.approx(likely)},
    ]
    assert rows_of(torch.tensor([[-2.0]]), ["no", "yes"]) == [
        {"class": "no", "probability": pytest.approx(likely)}
    ]
    assert rows_of(torch.tensor([0, 1]), ["no", "yes"]) == [{"class": "no"}, {"class": "yes"}]
    assert rows_of(torch.tensor([0, 2]), ["no", "yes"]) == [{"value": 0}, {"value": 2}]
    assert rows_of(torch.tensor([1.5, 2.5]), None) == [{"value": 1.5}, {"value": 2.5}]
    assert rows_of(scores, None)[0] == {"value_0": 2.0, "value_1": 0.0}
    with pytest.raises(TrainerError, match="predictions are no tensor") as caught:
        rows_of({"boxes": scores}, None)
    assert "prediction_rows" in caught.value.hint


def test_the_forms_of_output_hold_the_same(
    run_of: RunOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, source = str(run_of("table")), str(write_rows(tmp_path / "new.csv"))
    assert main(["predict", run, "--input", source]) == 0
    printed = capsys.readouterr()
    assert "note: " in printed.err
    assert "predicting with " in printed.err
    assert "model_1.pt (tabular)" in printed.err
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert list(rows[0]) == ["row", "id", "class", "probability"]
    assert main(["predict", run, "--input", source, "--quiet"]) == 0
    assert capsys.readouterr() == (printed.out, "")
    for name in ("out.jsonl", "out.csv", "out.npy"):
        assert (
            main(["predict", run, "--input", source, "--output", str(tmp_path / name), "--eval_batch_size=2"])
            == 0
        )
        assert "3 predictions of" in capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["class"] for line in lines] == [row["class"] for row in rows]
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4
    array = np.load(tmp_path / "out.npy")
    assert array.shape == (3, 2)
    shares = torch.from_numpy(array).double().softmax(1).max(1).values
    assert [line["probability"] for line in lines] == pytest.approx(shares.tolist(), abs=1e-6)


class Talking(Points):
    """Whose code prints, as people's code does, and predicts the index of a class."""

    name = "tests.engine.test_predict:Talking"

    def __init__(self) -> None:
        super().__init__()

    def datasets(self, hparams: Any) -> Any:
        print("read the data")
        self.classes = ["a", "b", "c"]
        return super().datasets(hparams)

    def predict(self, model: nn.Module, inputs: Any) -> Any:
        print("predicting")
        return model(inputs).argmax(1)


def test_stdout_holds_results_alone_whatever_a_task_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(Talking(), tmp_path / "runs", {"epochs": 1}).run_dir
    np.save(tmp_path / "rows.npy", np.zeros((2, 8)))
    capsys.readouterr()
    assert main(["predict", str(run), "--input", str(tmp_path / "rows.npy")]) == 0
    printed = capsys.readouterr()
    assert [line.split(",")[0] for line in printed.out.splitlines()] == ["row", "0", "1"]
    assert printed.out.startswith("row,class\n")
    assert "predicting" in printed.err
    assert main(["evaluate", str(run), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["split"] == "test"
    assert "read the data" in printed.err


def test_bfloat16_becomes_an_array() -> None:
    file = io.BytesIO()
    writer = ArrayWriter(file)
    writer.write(torch.tensor([[0.5]], dtype=torch.bfloat16))
    writer.close()
    assert np.load(io.BytesIO(file.getvalue())).tolist() == [[0.5]]


def test_stdin_is_read_as_csv_or_as_json_lines(
    run_of: RunOf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"colour,size\nred,1\n")))
    assert main(["predict", str(run_of("table")), "--input", "-"]) == 3
    assert 'column missing: stdin has no "when"' in capsys.readouterr().err
    answers = []
    for text in (
        "colour,size,when\nred,1,1700000000\n",
        '{"colour": "red", "size": 1, "when": 1700000000}\n',
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["predict", str(run_of("table")), "--input", "-"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
    assert answers[0].startswith("row,class,probability\n0,")


def test_an_error_half_way_leaves_the_output_as_it_was(
    run_of: RunOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = "size,colour,when\n" + "1,red,1700000000\n" * 20_000
    (tmp_path / "bad.csv").write_text(good + "1,red,soon\n")
    (tmp_path / "out.csv").write_text("before")
    words = ["predict", str(run_of("table")), "--input", str(tmp_path / "bad.csv")]
    assert main([*words, "--output", str(tmp_path / "out.csv"), "--eval_batch_size", "4096"]) == 3
    assert 'bad.csv:20002: column "when" has "soon"' in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "out.csv"]
    assert (tmp_path / "out.csv").read_text() == "before"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "one of --input and --prompt is needed"),
        (["--input", "a", "--prompt", "b"], 2, "one of --input and --prompt is needed"),
        (["--input", "nowhere.csv"], 3, "nowhere.csv does not exist"),
        (["--input", "short.csv"], 3, 'has no "when"'),
        (["--input", "short.csv", "--output", "short.csv"], 2, "output is the input"),
        (["--input", "short.csv", "--output", "out.xyz"], 2, "ends in none of"),
        (["--input", "short.csv", "--format", "npy"], 2, "an array needs a file"),
        (["--input", "short.csv", "--output", "no/such/folder.csv"], 3, "no/such"),
        (["--input", "empty.csv"], 3, "empty"),
        (["--input", "."], 3, "hint: name a file, such as a CSV"),
        (["--prompt", "hi"], 3, "nothing to predict: the prompt holds no sample\nhint: give at least one"),
    ],
)
def test_wrong_inputs_are_told(
    words: list[str],
    code: int,
    told: str,
    run_of: RunOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = str(run_of("table"))
    monkeypatch.chdir(tmp_path)
    Path("short.csv").write_text("size,colour\n1,red\n")
    Path("empty.csv").write_text("")
    assert main(["predict", run, *words]) == code
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err


def test_a_file_that_is_no_image_is_told_with_what_images_are_taken(
    run_of: RunOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_rows(tmp_path / "new.csv")
    assert main(["predict", str(run_of("images")), "--input", str(table)]) == 3
    assert "hint: give an image, a folder of them, or an array of them as .npy" in capsys.readouterr().err


def test_images_without_channels_are_told_of_the_axis() -> None:
    layer, inputs = nn.Conv2d(1, 4, 3), torch.zeros(5, 8, 8)
    with pytest.raises(RuntimeError) as caught:
        layer(inputs)
    told = hint(caught.value, Scene(layer=layer, inputs=(inputs,)))
    assert "the layer got [5, 8, 8]" in told
    assert "unsqueeze(1)" in told
    assert "permute" not in told


def test_a_batch_of_tensors_goes_through_the_model(run_of: RunOf) -> None:
    run = load_run(run_of("digits"))
    outputs = run.predict(torch.zeros(3, 1, 8, 8), "last")
    assert outputs.shape == (3, 10)
    assert not outputs.requires_grad


def test_predictions_that_are_not_one_a_sample_are_refused(
    run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = load_run(run_of("digits")).trained("last")
    monkeypatch.setattr(type(trained.task), "prediction_rows", lambda self, outputs: [{}])
    np.save(tmp_path / "two.npy", np.zeros((2, 64)))
    with pytest.raises(TrainerError, match="1 records of 2 samples"):
        list(predicted_rows(trained, tmp_path / "two.npy"))
    assert [len(known) for known, _ in predicted(trained, tmp_path / "two.npy")] == [2]
