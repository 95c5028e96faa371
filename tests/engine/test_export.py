"""Exports read back as the model they were made of, in the tools that they are for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers import Points, assert_same_weights, start, weights
from tui_trainer import load_run
from tui_trainer.cli.main import main
from tui_trainer.engine import export as exporting
from tui_trainer.engine.export import export
from tui_trainer.errors import TrainerError

RunOf = Callable[[str], Path]


class Tied(Points):
    """Whose second layer is its first one."""

    name = "tests.engine.test_export:Tied"

    def __init__(self) -> None:
        super().__init__()

    def model(self, hparams: Any) -> nn.Module:
        model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False), nn.Linear(8, 3))
        model[1].weight = model[0].weight
        return model


class Branching(Points):
    """Whose way through the model depends on values, which no graph can say."""

    name = "tests.engine.test_export:Branching"

    def __init__(self) -> None:
        super().__init__()

    def model(self, hparams: Any) -> nn.Module:
        return _Branching()


class _Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if x.sum().item() > 0 else self.layer(-x)


def test_safetensors_hold_the_weights_and_tell_of_the_run(run_of: RunOf, tmp_path: Path) -> None:
    from safetensors import safe_open

    run_dir = run_of("digits")
    done = export(run_dir, "1", "safetensors", tmp_path / "digits.safetensors")
    assert done.notices == ()
    with safe_open(done.path, "pt") as file:
        told = file.metadata()
        assert_same_weights({name: file.get_tensor(name) for name in file.keys()}, weights(run_dir, 1))  # noqa: SIM118
    assert (told["run_id"], told["epoch"], told["task"]) == (run_dir.name, "1", "digits")
    assert json.loads(told["data_facts"])["classes"] == list("0123456789")


def test_shared_tensors_are_stored_once_and_load_again(tmp_path: Path) -> None:
    from safetensors.torch import load_model

    run_dir = start(Tied(), tmp_path, {"epochs": 1}).run_dir
    done = export(run_dir, "1", "safetensors", tmp_path / "tied.safetensors")
    assert done.notices == ("1.weight is 0.weight, and is stored once",)
    again = Tied().model(None)
    load_model(again, done.path)
    assert_same_weights(dict(again.state_dict()), weights(run_dir, 1))


def test_a_state_dict_is_the_file_itself(run_of: RunOf, tmp_path: Path) -> None:
    run_dir = run_of("digits")
    export(run_dir, "1", "state-dict", tmp_path / "copy.pt")
    assert (tmp_path / "copy.pt").read_bytes() == (run_dir / "checkpoints/model_1.pt").read_bytes()


@pytest.mark.slow
def test_a_graph_of_torch_runs_alone_on_any_number_of_samples(run_of: RunOf, tmp_path: Path) -> None:
    run_dir = run_of("digits")
    done = export(run_dir, "1", "torch-export", tmp_path / "digits.pt2")
    assert "largest difference 0.00e+00" in done.checked
    inputs = torch.randint(0, 16, (5, 1, 8, 8), dtype=torch.uint8)
    found = torch.export.load(done.path).module()(inputs)
    with torch.no_grad():
        assert torch.equal(found, load_run(run_dir).model("last")(inputs))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["images", "table", "seq2seq"])
def test_onnx_gives_what_the_model_gives(task: str, run_of: RunOf, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    run_dir = run_of(task)
    example = None
    if task == "seq2seq":
        example = tmp_path / "lines.txt"
        example.write_text("1 and 1\n")
    done = export(run_dir, "1", "onnx", tmp_path / "model.onnx", example=example)
    assert "in onnxruntime" in done.checked
    assert done.notices == ()
    told = {entry.key: entry.value for entry in onnx.load(done.path).metadata_props}
    assert told["run_id"] == run_dir.name
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    model = load_run(run_dir).model("last")
    inputs = {
        "images": torch.randint(0, 256, (5, 3, 10, 10), dtype=torch.uint8),
        "table": torch.tensor([[0.3, -5e4, 2.0], [torch.nan, 1e5, 0.0]]),
        "seq2seq": torch.randint(4, 8, (5, 16), dtype=torch.uint8),
    }[task]
    with torch.no_grad():
        expected = model(inputs)
    found = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["table", "regression"])
def test_the_guides_code_makes_predictions_of_raw_rows(
    task: str, run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    export(run_of(task), "1", "onnx", Path("model.onnx"))
    rows = [
        {"when": 1.7e9, "colour": "violet", "size": 0.5},
        {"when": 1.70009e9, "colour": "red", "size": None},
        {"when": 1.70005e9, "colour": None, "size": -1.25},
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    guide = (Path(__file__).parents[2] / "docs/after-training.md").read_text()
    code = next(block for block in guide.split("```python\n")[1:] if "onnxruntime" in block)
    names: dict[str, Any] = {"rows": rows}
    exec(code.partition("```")[0], names)
    node = names["session"].get_inputs()[0]
    assert (node.name, node.shape) == ("input", ["batch", 3])
    assert names["session"].get_outputs()[0].shape[0] == "batch"
    told = load_run(run_of(task)).predict("rows.jsonl")
    if task == "table":
        assert names["predicted"] == [row["class"] for row in told]
    else:
        assert list(names["predicted"]) == pytest.approx([row["value"] for row in told])


@pytest.mark.slow
def test_a_model_that_is_no_graph_is_refused_with_the_way_out(tmp_path: Path) -> None:
    run_dir = start(Branching(), tmp_path / "runs", {"epochs": 1}).run_dir
    with pytest.raises(TrainerError, match="model can't be exported") as caught:
        export(run_dir, "1", "torch-export", tmp_path / "model.pt2")
    assert "safetensors" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_an_export_that_gives_something_else_is_not_written() -> None:
    call = exporting.Call({"input": torch.ones(2, 3)}, 2)
    model = nn.Linear(3, 1)
    with pytest.raises(TrainerError, match="outputs differ by up to"):
        exporting._check(model, [call], lambda call: model(torch.ones(2, 3)) + 1, fixed=False)
    checked = exporting._check(model, [call], lambda call: model(torch.ones(2, 3)) + 1e-6, fixed=False)
    assert checked.startswith("on batches of 2: largest difference")


def test_a_file_that_exists_stays_unless_it_is_forced(
    run_of: RunOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "there.pt"
    file.write_text("mine")
    words = ["export", str(run_of("digits")), "--to", "state-dict", str(file)]
    assert main(words) == 2
    assert "--force" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main([*words, "--force"]) == 0
    assert "there.pt: " in capsys.readouterr().out
    assert_same_weights(torch.load(file, weights_only=True), weights(run_of("digits"), 1))


def test_a_file_with_the_ending_of_another_format_is_told(
    run_of: RunOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, told in (("x.onnx", True), ("x.pt", False), ("x.weights", False)):
        assert main(["export", str(run_of("digits")), "--to", "state-dict", str(tmp_path / name)]) == 0
        said = "note: x.onnx is state-dict, though its ending is that of onnx"
        assert (said in capsys.readouterr().err) == told


def test_an_export_goes_to_a_folder_that_is_there_and_not_the_runs_own(
    run_of: RunOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("digits")
    for file, told in (
        (tmp_path / "no" / "x.pt", "mkdir -p"),
        (tmp_path, "is a folder"),
        (run / "checkpoints" / "model_1.pt", "holds the run's checkpoints"),
    ):
        assert main(["export", str(run), "--to", "safetensors", str(file), "--force"]) in (2, 3)
        assert told in capsys.readouterr().err
    weights(run, 1)


@pytest.mark.parametrize(
    ("form", "package", "extra"), [("onnx", "onnxruntime", "onnx"), ("safetensors", "safetensors", "export")]
)
def test_a_missing_package_names_its_extra(
    form: str,
    package: str,
    extra: str,
    run_of: RunOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = exporting.find_spec
    monkeypatch.setattr(exporting, "find_spec", lambda name: None if name == package else real(name))
    assert main(["export", str(run_of("digits")), "--to", form, str(tmp_path / "model")]) == 2
    err = capsys.readouterr().err
    assert f"{package} is not installed" in err
    assert f"pip install 'tui-trainer[{extra}]'" in err
    assert list(tmp_path.iterdir()) == []
