"""A checkpoint is measured as training measured it, and its confusions are counted right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor, nn

from tests.helpers import Points, Small, events, points, start
from tests.trained_runs import write_images, write_table
from tui_trainer import load_run
from tui_trainer.cli.main import main
from tui_trainer.engine.confusion import PAIRS, counting, per_class
from tui_trainer.engine.metrics import ConfusionMatrix
from tui_trainer.engine.scoring import score
from tui_trainer.errors import TrainerError
from tui_trainer.tasks.base import Task

RunOf = Callable[[str], Path]


class Kept(Points):
    """`Points` that can be loaded again by its name."""

    name = "tests.engine.test_scoring:Kept"

    def __init__(self) -> None:
        super().__init__(samples=101, batchnorm=True)


class KeptSmall(Small):
    """`Small` that can be loaded again by its name. Of 11 samples in parts of 5 and 6 the second fails."""

    name = "tests.engine.test_scoring:KeptSmall"

    def __init__(self) -> None:
        super().__init__(evaluation=5)


@pytest.mark.parametrize("values", [{}, {"val_size": 0.2}, {"ema_decay": 0.9, "eval_batch_size": 7}])
def test_evaluation_equals_the_recorded_epoch_ends(values: dict[str, Any], tmp_path: Path) -> None:
    run_dir = start(Kept(), tmp_path, {"epochs": 2, "seed": 3, **values}).run_dir
    for epoch in events(run_dir, "epoch_end"):
        recorded = {name: value for name, value in epoch["metrics"].items() if not name.startswith("train/")}
        found = score(run_dir, str(epoch["epoch"]), "all").metrics
        assert {name: found[name] for name in recorded} == recorded


@pytest.mark.parametrize("task", ["digits", "table", "regression", "images", "char_lm", "seq2seq"])
def test_evaluation_of_built_in_tasks_equals_the_record(task: str, run_of: RunOf) -> None:
    run_dir = run_of(task)
    recorded = events(run_dir, "epoch_end")[-1]["metrics"]
    found = score(run_dir, "1").metrics
    assert found
    assert found == {name: recorded[name] for name in found}


def test_confusion_and_classes_agree_with_scikit_learn(tmp_path: Path) -> None:
    run_dir = start(Kept(), tmp_path, {"epochs": 1}).run_dir
    facts = score(run_dir, "1", "train").facts()
    trained = load_run(run_dir).trained("last")
    inputs, targets = points(101)
    from tui_trainer.engine.data import raw_splits

    (inputs, targets), _, _ = raw_splits(trained.task, trained.hparams)
    with torch.no_grad():
        given = trained.model(inputs).argmax(1)
    assert facts["confusion"] == confusion_matrix(targets, given).tolist()
    assert facts["samples"] == len(targets)
    expected = precision_recall_fscore_support(targets, given, zero_division=0)
    rows = facts["per_class"]
    for key, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [row[key] for row in rows] == pytest.approx(list(values))
    assert [row["class"] for row in rows] == ["0", "1", "2"]


def test_a_class_that_is_never_given_or_never_there_has_zeros() -> None:
    rows = per_class([[3, 0, 1], [2, 0, 0], [0, 0, 0]], ["a", "b", "c"])
    assert [row["precision"] for row in rows] == [0.6, 0.0, 0.0]
    assert [row["recall"] for row in rows] == [0.75, 0.0, 0.0]
    assert [row["f1"] for row in rows] == [pytest.approx(2 / 3), 0.0, 0.0]


def test_samples_that_are_measured_again_count_once(tmp_path: Path) -> None:
    run_dir = start(KeptSmall(), tmp_path, {"epochs": 1, "eval_batch_size": 11}).run_dir
    facts = score(run_dir, "1", "train").facts()
    assert sum(map(sum, facts["confusion"])) == facts["samples"]


def counted(outputs: Tensor, targets: Tensor) -> list[list[int]] | None:
    found = counting(Task()).metrics(outputs, targets)
    return ConfusionMatrix.matrix(found[PAIRS].values[0].tolist()) if PAIRS in found else None


def test_targets_that_are_no_class_are_passed_over() -> None:
    outputs = nn.functional.one_hot(torch.tensor([0, 1, 1]), 2).float()
    assert counted(outputs, torch.tensor([0, -100, 0])) == [[1, 1], [0, 0]]


def test_pixels_are_counted_and_what_is_no_classification_is_not() -> None:
    masks = torch.zeros(2, 3, 4, 4)
    masks[:, 1] = 1
    assert counted(masks, torch.zeros(2, 4, 4).long()) == [[0, 32, 0], [0, 0, 0], [0, 0, 0]]
    assert counted(torch.zeros(2, 5, 7), torch.zeros(2, 5).long()) is None
    assert counted(torch.zeros(2, 5, 5), torch.zeros(2, 5).long()) is None
    assert counted(torch.zeros(4, 3), torch.zeros(4)) is None
    assert counted(torch.zeros(4), torch.zeros(4).long()) is None


def test_other_data_are_encoded_as_in_training(run_of: RunOf, tmp_path: Path) -> None:
    """The first rows alone have other means and other categories, and yet each row is told the same."""
    run_dir = run_of("table")
    whole = tmp_path / "whole.csv"
    write_table(whole)
    lines = whole.read_text().splitlines()
    part = tmp_path / "part.csv"
    part.write_text("\n".join([lines[0], *(line for line in lines[1:40] if "blue" not in line)]) + "\n")
    run = load_run(run_dir)
    facts = run.evaluate(dataset_path=str(part))
    rows = run.predict(part, "last")
    truth = [line.rpartition(",")[2] for line in part.read_text().splitlines()[1:]]
    expected = confusion_matrix(truth, [row["class"] for row in rows], labels=["no", "yes"])
    assert facts["confusion"] == expected.tolist()
    assert (facts["split"], facts["samples"]) == ("data", len(truth))
    assert facts["metrics"]["data/accuracy"] == pytest.approx(
        np.mean([a == b["class"] for a, b in zip(truth, rows, strict=True)])
    )
    assert run.evaluate("last", "test", dataset_path=str(part))["samples"] < len(truth)
    assert run.evaluate(dataset_path=str(part), test_size=0.5)["split"] == "test"


def test_other_images_are_measured_whole_as_they_are(run_of: RunOf, tmp_path: Path) -> None:
    """A test set of their own instead, where they bring one; and nothing is turned at random."""
    run = load_run(run_of("images"))
    folder = write_images(tmp_path / "new", 5)
    found = [run.evaluate(dataset_path=str(folder), rotate=180.0) for _ in range(2)]
    assert found[0]["samples"] == 10
    assert list(found[0]["metrics"]) == ["data/loss", "data/accuracy"]
    assert found[0]["metrics"] == run.evaluate(dataset_path=str(folder))["metrics"] == found[1]["metrics"]
    write_images(tmp_path / "both/train", 4)
    write_images(tmp_path / "both/test", 3)
    facts = run.evaluate(dataset_path=str(tmp_path / "both"))
    assert (facts["split"], facts["samples"]) == ("test", 6)


def test_a_class_that_the_model_does_not_know_is_named(run_of: RunOf, tmp_path: Path) -> None:
    strange = tmp_path / "strange.csv"
    strange.write_text("size,colour,when,y\n1,red,1700000000,no\n2,red,1700000000,maybe\n")
    with pytest.raises(TrainerError, match=r'"maybe".*which the model does not know'):
        load_run(run_of("table")).evaluate("last", "train", dataset_path=str(strange), test_size=0.0)


def test_a_split_that_is_not_there_is_refused_with_those_that_are(run_of: RunOf) -> None:
    with pytest.raises(TrainerError, match="no val set, only test, train") as caught:
        score(run_of("digits"), "1", "val")
    assert caught.value.exit_code == 2


def test_the_command_prints_one_json_object(run_of: RunOf, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = run_of("images")
    file = run_dir / "checkpoints/model_1.pt"
    assert main(["evaluate", str(file), "--json", "--split=all", "--eval-batch-size", "5"]) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["run_id"] == run_dir.name
    assert (facts["checkpoint"], facts["epoch"], facts["split"]) == ("checkpoints/model_1.pt", 1, "test")
    assert facts["classes"] == ["cat", "dog"]
    assert {name.partition("/")[0] for name in facts["metrics"]} == {"train", "test"}
    assert "evaluating test" in printed.err


def test_the_command_prints_tables_with_names(run_of: RunOf, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run_of("images"))]) == 0
    out = capsys.readouterr().out
    assert "model_1.pt of" in out
    assert "test/accuracy" in out
    assert "precision" in out
    assert "\ncat " in out


def test_data_that_are_gone_cost_no_traceback(run_of: RunOf, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run_of("images")), "--dataset_path", "nowhere"]) == 3
    err = capsys.readouterr().err
    assert "error: images not found: nowhere" in err
    assert "Traceback" not in err


class OwnSteps(Points):
    """Which makes its own training steps and has no loss to measure."""

    name = "tests.engine.test_scoring:OwnSteps"
    compute_loss = Task.compute_loss

    def __init__(self) -> None:
        super().__init__()

    def datasets(self, hparams: Any) -> Any:
        return points(40), None

    def train_step(self, context: Any, batch: Any) -> dict[str, Any]:
        loss = nn.functional.cross_entropy(context.model(batch[0]), batch[1])
        context.backward(loss)
        context.step()
        return {"loss": loss}


def test_a_task_of_its_own_steps_has_nothing_to_evaluate_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = start(OwnSteps(), tmp_path, {"epochs": 1}).run_dir
    assert main(["evaluate", str(run_dir)]) == 2
    assert "nothing to evaluate: OwnSteps makes its own training steps" in capsys.readouterr().err
    assert main(["export", str(run_dir), "--to", "torch-export", str(tmp_path / "model.pt2")]) == 2
    assert "--input FILE gives an example" in capsys.readouterr().err
    np.save(tmp_path / "in.npy", np.zeros((3, 8)))
    assert main(["predict", str(run_dir), "--input", str(tmp_path / "in.npy")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


class Breaking(Kept):
    """Whose model fails in evaluation when it is told to."""

    name = "tests.engine.test_scoring:Breaking"
    broken = False

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        if self.broken:
            raise ValueError("what is this?")
        return super().compute_loss(model, batch, criterion)


def test_an_exception_in_the_users_code_is_an_evaluation_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = start(Breaking(), tmp_path, {"epochs": 1}).run_dir
    monkeypatch.setattr(Breaking, "broken", True)
    assert main(["evaluate", str(run_dir)]) == 1
    assert "error: evaluation failed: ValueError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["evaluate", "{run}@7"], 3, "has no checkpoint 7"),
        (["evaluate", "{run}", "--epo", "3"], 2, "unknown option: --epo"),
        (["evaluate", "{run}", "--eval_batch_size", "0"], 2, "eval_batch_size: expected"),
        (["evaluate", "{run}", "--split", "nothing"], 2, "invalid choice"),
        (["evaluate"], 2, "CKPT"),
        (["evaluate", "nobody"], 2, "no such run"),
    ],
)
def test_wrong_command_lines_are_told(
    words: list[str], code: int, told: str, run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(run=run_of("digits")) for word in words]) == code
    assert told in capsys.readouterr().err
