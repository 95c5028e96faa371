"""Task files of twelve kinds: trained from the command line, killed, resumed, and shown in the app."""

from __future__ import annotations

import asyncio
import importlib
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.comparing import assert_same_run
from tests.faults.lives import Death, Lives
from tests.helpers import events, rows, weights
from tests.ui.driving import screen_text, until
from tui_trainer import TrainerError, load_run
from tui_trainer.runs.checkpoints import newest_good
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state
from tui_trainer.ui.app import TrainerApp
from tui_trainer.ui.options import AppOptions
from tui_trainer.ui.settings import Settings

FOLDER = Path(__file__).parents[1] / "own_tasks"
PLUGIN = FOLDER / "plugin"
TASKS = [*sorted(path.name for path in FOLDER.glob("*.py")), "larger"]
OPTIONS = ("--epochs", 3, "--batch_size", 16, "--lr", 0.01, "--log_rate", 0, "--device", "cpu")
EVERY = ("--checkpoint_every", "3steps", "--quiet")

METRICS = {
    "autoencoder.py": {"loss", "reconstruction", "size", "mae"},
    "cnn_batchnorm.py": {"loss", "accuracy"},
    "dict_batches.py": {"loss", "accuracy"},
    "frozen_backbone.py": {"loss", "accuracy"},
    "gan.py": {"loss", "generator", "discriminator"},
    "iterable.py": {"loss", "mae"},
    "lstm_lengths.py": {"loss", "r2"},
    "multi_input.py": {"loss", "accuracy"},
    "multi_loss.py": {"loss", "kind", "size", "accuracy", "rmse", "within"},
    "segmentation.py": {"loss", "accuracy", "iou", "f1"},
    "siamese.py": {"loss", "accuracy"},
    "larger": {"loss", "mae"},
}
SPLITS = {"gan.py": {"train"}, "lstm_lengths.py": {"train", "val", "test"}}


@pytest.fixture(scope="module")
def trained(lives: Lives, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trains a task to the end, once."""
    runs: dict[str, Path] = {}
    folder = tmp_path_factory.mktemp("runs")

    def train(task: str) -> Path:
        if task not in runs:
            runs[task] = folder / task.removesuffix(".py")
            train_in(lives, task, runs[task])
        return runs[task]

    return train


def train_in(lives: Lives, task: str, run: Path, death: Death | None = None) -> None:
    word = FOLDER / task if task.endswith(".py") else task
    words = ("--no-ui", word, "--resume", "auto", "--run-dir", run, *OPTIONS, *EVERY)
    life = lives.live(
        "tests.e2e.test_own_tasks:plugged", [str(word) for word in words], death=death, settled=True
    )
    assert life.killed if death else life.code == 0, life.output


def plugged(words: list[str]) -> int:
    """`tui-train` where the package with the entry point is installed."""
    from tui_trainer.cli.main import main

    sys.path.insert(0, str(PLUGIN))
    return main(words)


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PLUGIN)
    importlib.invalidate_caches()


def test_there_are_twelve() -> None:
    assert len(TASKS) == len(METRICS) == 12
    assert set(TASKS) == set(METRICS)


@pytest.mark.parametrize("task", TASKS)
def test_it_trains_and_records_its_own_metrics(trained: Any, task: str) -> None:
    run = trained(task)
    state = read_state(RunReader(run))
    assert (state.status, state.epoch) == ("finished", 3)
    expected = {f"{split}/{name}" for split in SPLITS.get(task, {"train", "test"}) for name in METRICS[task]}
    ends = events(run, "epoch_end")
    assert [set(end["metrics"]) for end in ends] == [expected] * 3
    assert all(math.isfinite(value) for end in ends for value in end["metrics"].values())
    assert len(rows(run)["step"]) == ends[-1]["step"]
    if task != "gan.py":
        # It has learned something: less loss on data that it was not trained on.
        split = "val" if "val/loss" in expected else "test"
        assert ends[-1]["metrics"][f"{split}/loss"] < ends[0]["metrics"][f"{split}/loss"]


@pytest.mark.parametrize("task", TASKS)
def test_killed_and_resumed_it_is_the_same_run(trained: Any, lives: Lives, tmp_path: Path, task: str) -> None:
    run = tmp_path / "run"
    for death in (Death("train", 5), Death("train", 3)):
        train_in(lives, task, run, death)
        assert newest_good(RunLayout(run))[0] is not None
    train_in(lives, task, run)
    assert_same_run(run, trained(task))
    assert events(run, "run_resume")


@pytest.mark.parametrize("task", [task for task in TASKS if task != "gan.py"])
@pytest.mark.usefixtures("_installed")
def test_evaluated_it_has_the_metrics_that_training_recorded(trained: Any, task: str) -> None:
    run = trained(task)
    recorded = events(run, "epoch_end")[-1]["metrics"]
    facts = load_run(run).evaluate("last", "test")
    expected = {name: value for name, value in recorded.items() if name.startswith("test/")}
    assert facts["metrics"] == pytest.approx(expected, rel=1e-6)
    if task == "cnn_batchnorm.py":
        assert facts["classes"] == ["top left", "top right", "bottom left", "bottom right"]
        assert sum(map(sum, facts["confusion"])) == 33
    if task == "segmentation.py":
        f1 = [row["f1"] for row in facts["per_class"]]
        assert sum(f1) / 2 == pytest.approx(recorded["test/f1"])


def test_a_gan_that_has_nothing_to_evaluate_says_so(trained: Any) -> None:
    with pytest.raises(TrainerError, match="Gan") as caught:
        load_run(trained("gan.py")).evaluate("last")
    assert "compute_loss" in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("task", TASKS)
def test_the_app_shows_it(trained: Any, task: str) -> None:
    run = trained(task)
    best = events(run, "run_end")[0]["best"]["metric"]

    async def go() -> None:
        app = TrainerApp(AppOptions(runs_dir=run.parent, run=run), _no_plan, Settings(None))
        async with app.run_test(size=(160, 48)) as pilot:
            app.action_show("live")
            await until(pilot, lambda: "FINISHED" in screen_text(app), "the end of the run")
            for name in ("train/loss", best):
                await until(pilot, lambda name=name: name in screen_text(app), name)
            app.action_show("checkpoints")
            await until(pilot, lambda: "model_3.pt" in screen_text(app), "the checkpoints")

    asyncio.run(go())


def _no_plan(words: list[str]) -> Any:
    raise AssertionError(words)


def test_a_last_batch_of_one_joins_the_batch_before_it(trained: Any) -> None:
    run = trained("cnn_batchnorm.py")
    # 65 samples in batches of 16.
    assert events(run, "run_start")[0]["steps_per_epoch"] == 4
    assert weights(run, 3)["1.num_batches_tracked"] == 12


def test_a_frozen_backbone_keeps_its_weights_and_statistics(trained: Any) -> None:
    first, last = (weights(trained("frozen_backbone.py"), tag) for tag in (1, 3))
    same = {name: torch.equal(tensor, last[name]) for name, tensor in first.items()}
    assert {name for name, kept in same.items() if not kept} == {"head.weight", "head.bias"}


def test_parts_of_a_loss_are_better_when_they_are_lower(trained: Any) -> None:
    directions = events(trained("autoencoder.py"), "run_start")[0]["directions"]
    assert directions["test/reconstruction"] == directions["train/size"] == "min"
    assert events(trained("segmentation.py"), "run_start")[0]["directions"]["test/iou"] == "max"


def test_what_an_epoch_logs_is_in_the_record(trained: Any) -> None:
    run = trained("autoencoder.py")
    logs = events(run, "log")
    assert [log["name"] for log in logs] == ["waist", "decoder"] * 3
    assert (run / logs[-1]["image"]).read_bytes().startswith(b"\x89PNG")
