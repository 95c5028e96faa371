"""The batch size that is found is the smallest that trains about as fast as any and leaves memory free."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import Points, PointsHparams, Small, assert_same_weights, weights
from tui_trainer import train
from tui_trainer.cli.main import main
from tui_trainer.engine.probe import Finding, Trial, choose, find_batch_size
from tui_trainer.errors import UsageError


def ticking(seconds: float = 0.05) -> Callable[[], float]:
    """A clock that goes on by as much at each look."""
    ticks = itertools.count()
    return lambda: seconds * next(ticks)


def trials(*rates: float | None, memory: int | None = None) -> list[Trial]:
    """Trials of 1, 2, 4 … samples with these rates; None: out of memory."""
    return [
        Trial(1 << power) if rate is None else Trial(1 << power, 1.0, rate, memory and memory << power)
        for power, rate in enumerate(rates)
    ]


@pytest.mark.parametrize(
    ("tried", "available", "size", "reason"),
    [
        (trials(10, 20, 39, 40), None, 4, "98% of the best throughput, 40 samples/s with 8"),
        (trials(10, 20, 30), None, 4, "the best throughput, 30 samples/s"),
        # Without a memory figure half of the largest that went through leaves some.
        (trials(10, 20, 40, None), None, 2, "larger ones leave too little memory free"),
        # 85 % of the memory may be taken: 8 × 10 bytes is too much, 4 × 10 is not.
        (trials(10, 20, 40, 80, memory=10), 90, 4, "larger ones leave too little memory free"),
        (trials(10, 20, memory=100), 90, 1, "larger ones"),
    ],
)
def test_the_smallest_size_near_the_best_throughput_with_memory_to_spare(
    tried: list[Trial], available: int | None, size: int, reason: str
) -> None:
    found = choose(tried, available, "the end")
    assert found.batch_size == size
    assert reason in found.reason
    assert found.reason.endswith("; the end")


def test_sizes_double_until_memory_runs_out() -> None:
    told: list[int] = []
    found = find_batch_size(
        Small(training=20),
        PointsHparams(),
        clock=ticking(),
        on_trial=lambda trial: told.append(trial.batch_size),
    )
    assert told == [1, 2, 4, 8, 16, 32]
    assert [trial.ms is None for trial in found.trials] == [False] * 5 + [True]
    assert found.batch_size == 8
    assert "32 runs out of memory" in found.reason


def test_sizes_double_up_to_the_training_set_and_rates_count_real_samples() -> None:
    found = find_batch_size(Points(50), PointsHparams(), clock=ticking())
    assert [trial.batch_size for trial in found.trials] == [1, 2, 4, 8, 16, 32]
    assert "the training set has 40 samples" in found.reason
    single = found.trials[0]
    assert single.ms is not None
    assert single.samples_per_s == pytest.approx(1000 / single.ms)


def test_the_search_ends_when_its_time_is_used_up() -> None:
    found = find_batch_size(Points(500), PointsHparams(), clock=ticking(1.0), budget=60.0)
    assert 1 <= len(found.trials) < 9
    assert "60 s for the search" in found.reason


def test_a_model_with_batchnorm_is_tried_from_two_samples_on() -> None:
    found = find_batch_size(Points(20, batchnorm=True), PointsHparams(), clock=ticking())
    assert [trial.batch_size for trial in found.trials] == [2, 4, 8, 16]


def test_sizes_that_the_task_refuses_are_left_out() -> None:
    class Strict(PointsHparams):
        def cross_checks(self) -> Iterator[tuple[str, str]]:
            yield from super().cross_checks()
            if self.batch_size % 4:
                yield "batch_size", "expected a multiple of 4"

    class Task(Points):
        hparams_class = Strict

    found = find_batch_size(Task(20), Strict(), clock=ticking())
    assert [trial.batch_size for trial in found.trials] == [4, 8, 16]


def test_a_loader_that_makes_its_own_batches_is_refused() -> None:
    class Own(Points):
        def dataloader(self, hparams: Any, dataset: Any, train: bool) -> Any:
            return list(zip(*(part.split(10) for part in dataset), strict=True))

    with pytest.raises(UsageError, match="makes batches of 10"):
        find_batch_size(Own(), PointsHparams(), clock=ticking())


def test_where_not_even_one_sample_fits_the_error_is_that_of_a_run() -> None:
    from tui_trainer.errors import TrainerError

    with pytest.raises(TrainerError, match="out of memory"):
        find_batch_size(Small(training=0), PointsHparams(), clock=ticking())


# ---------------------------------------------------------------------- the command line


def found_at_once(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Make the search quick, with real steps that move the random streams."""

    def find(task: Any, hparams: Any, on_trial: Callable[[Trial], None]) -> Finding:
        torch.manual_seed(99)
        trial = Trial(size, 1.0, 1000.0 * size)
        on_trial(trial)
        on_trial(Trial(2 * size))
        return Finding(size, "the best", (trial, Trial(2 * size)))

    monkeypatch.setattr("tui_trainer.engine.probe.find_batch_size", find)


def test_a_run_starts_with_the_size_that_was_found_and_is_as_if_it_had_been_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found_at_once(monkeypatch, 256)
    run_dir = tmp_path / "run"
    words = ["digits", "--no-ui", "--json", "--find-batch-size", "--epochs", "1", "--run-dir", str(run_dir)]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert json.loads((run_dir / "hparams.json").read_text())["batch_size"] == 256
    assert all(json.loads(line) for line in captured.out.splitlines())
    assert captured.err.splitlines()[:4] == [
        "batch_size     ms a step     samples/s      memory",
        "       256        1.0000       256,000           –",
        "       512        out of        memory           –",
        "batch_size 256: the best",
    ]
    typed = train("digits", {"epochs": 1, "batch_size": 256}, runs_dir=tmp_path)
    assert_same_weights(weights(run_dir, 1), weights(typed.run_dir, 1))


def test_a_dry_run_reports_what_was_found_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found_at_once(monkeypatch, 64)
    assert main(["digits", "--check", "--json", "--find-batch-size"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["batch_size_search"]["batch_size"] == 64
    assert [trial["ms"] for trial in report["batch_size_search"]["trials"]] == [1.0, None]
    assert report["steps_per_epoch"] == 23
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "report", "title"),
    [
        (["digits", "--no-ui", "--batch-size", "8"], None, "batch size given and looked for"),
        (["digits", "--start"], lambda text: None, "not in the app"),
        (["digits"], lambda text: None, "not in the app"),
        (["--resume", "{run}", "--no-ui"], None, "batch size can't change"),
        (["--fork", "{run}@1", "--no-ui"], None, "batch size can't change"),
    ],
)
def test_a_search_that_could_not_be_used_is_refused(
    tmp_path: Path, words: list[str], report: Any, title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = "" if "{run}" not in str(words) else train("digits", {"epochs": 1}, runs_dir=tmp_path).run_dir
    assert main([word.format(run=run) for word in [*words, "--find-batch-size"]], report) == 2
    assert title in capsys.readouterr().err
