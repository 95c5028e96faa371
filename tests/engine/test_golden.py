"""Runs that earlier versions wrote are read, and go on to the end that they would have had.

Each folder `tests/golden/v*` was made by `python -m tests.golden.make` of its version and is never changed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden.make import STOP_AT, made_with
from tests.golden.task import Golden
from tests.helpers import events, resume, rows, tags, weights
from tui_trainer import load_run
from tui_trainer.cli.resume import hparams_of
from tui_trainer.runs.checkpoints import read_index, remove_entries, verify
from tui_trainer.runs.index import summarise
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.state import RunState

GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("v*"))


@pytest.fixture(params=GOLDEN, ids=lambda folder: folder.name)
def golden(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


@pytest.fixture
def expected(golden: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((golden / "expected.json").read_text())
    return content


def assert_close(found: Any, wanted: Any, exact: bool) -> None:
    """Equal where it was made; another torch or kind of processor may round differently."""
    if exact:
        assert np.array_equal(found, wanted)
    else:
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_there_is_a_golden_run() -> None:
    assert "v1" in [folder.name for folder in GOLDEN]


def test_every_reader_reads_it(golden: Path, expected: dict[str, Any]) -> None:
    run = load_run(golden)
    state: RunState = run.state
    assert (state.status, state.reason, state.task, state.name) == ("stopped", "golden", "golden", "")
    assert (state.epoch, state.step, state.epochs, state.steps_per_epoch) == (1, STOP_AT, 2, 6)
    assert (state.train_samples, state.test_samples, state.parameters) == (32, 8, 34)
    assert state.monitor == "test/loss"
    assert state.best is not None
    assert state.best.epoch == 1
    assert [dict(epoch.metrics) for epoch in state.history] == expected["epochs"][:1]
    assert [event["batch"] for event in state.checkpoints] == [0, 3]
    summary = summarise(golden)
    assert (summary["status"], summary["step"], summary["epochs"]) == ("stopped", STOP_AT, 2)
    assert run.hparams["latent_dim"] == 4
    assert Golden.hparams_class(**run.hparams).optimizer == "Adam"
    steps = run.steps()
    assert steps["step"].tolist() == list(range(1, STOP_AT + 1))
    assert steps["train/loss"].tolist() == expected["rows"]["train/loss"][:STOP_AT]
    assert tags(golden) == ["1", "1+3"]
    for entry in read_index(RunLayout(golden)):
        assert verify(RunLayout(golden), entry["tag"]) == []
    assert run.state_dict("last").keys() == expected["weights"].keys()


@pytest.mark.parametrize("tag", ["1+3", "1"])
def test_it_goes_on_to_the_end_it_would_have_had(
    tag: str, golden: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    root = tmp_path / "run"
    shutil.copytree(golden, root)
    layout = RunLayout(root)
    remove_entries(layout, [newer for newer in tags(root) if newer not in (tag, "1")])
    hparams = hparams_of(layout)
    hparams.pop("task")
    result = resume(Golden(), root, hparams)
    assert (result.status, result.epochs, result.steps) == ("finished", 2, 12)
    exact = expected["made_with"] == made_with()
    for name, column in expected["rows"].items():
        assert_close(rows(root)[name], column, exact)
    for event, metrics in zip(events(root, "epoch_end"), expected["epochs"], strict=True):
        assert event["metrics"].keys() == metrics.keys()
        assert_close(list(event["metrics"].values()), list(metrics.values()), exact)
    found = weights(root, 2)
    assert found.keys() == expected["weights"].keys()
    for name, values in expected["weights"].items():
        assert_close(found[name].tolist(), values, exact)
