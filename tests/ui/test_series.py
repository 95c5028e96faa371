"""The step series in bounded memory."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tui_trainer.runs.follow import RunFollower
from tui_trainer.runs.reader import RunReader
from tui_trainer.ui.series import StepSeries

Floats = NDArray[np.float64]
COLUMNS = ["step", "epoch", "time", "train/loss", "train/loss_min", "train/loss_max"]


def make_rows(count: int) -> Floats:
    """Rows whose loss is noise around a falling line."""
    steps = np.arange(1, count + 1)
    loss = 2 - steps / count + np.random.default_rng(0).standard_normal(count)
    return np.column_stack([steps, steps / 100, 1e9 + steps, loss, loss - 1, loss + 1])


def record(root: Path, rows: Floats, columns: list[str] = COLUMNS) -> RunReader:
    root.mkdir(exist_ok=True)
    (root / "steps.json").write_text(json.dumps({"dtype": "<f8", "columns": columns}))
    rows.astype("<f8").tofile(root / "steps.f64")
    return RunReader(root)


def fill(reader: RunReader, capacity: int = 16_384, chunk: int = 65_536) -> StepSeries:
    series, follower = StepSeries(reader, capacity), RunFollower(reader)
    while len(rows := follower.new_steps(chunk)):
        assert len(rows) <= chunk
        series.append(rows)
    return series


def test_a_short_run_is_held_row_by_row(tmp_path: Path) -> None:
    rows = make_rows(100)
    series = fill(record(tmp_path, rows), chunk=7)
    window = series.window("step")
    assert (series.rows, len(series), series.rows_per_bucket) == (100, 100, 1)
    assert window.place("step").tolist() == rows[:, 0].tolist()
    assert window.place("time").tolist() == rows[:, 2].tolist()
    curve = window.curve("train/loss")
    np.testing.assert_allclose(curve.mean, rows[:, 3])
    np.testing.assert_allclose(curve.low, rows[:, 4])
    np.testing.assert_allclose(curve.high, rows[:, 5])
    assert not curve.nonfinite.any()


@given(st.lists(st.integers(1, 90), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_buckets_say_the_same_however_the_rows_arrive(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[int], seed: int
) -> None:
    rows = make_rows(sum(pieces))
    noise = np.random.default_rng(seed)
    rows[noise.random(len(rows)) < 0.1, 3] = math.nan
    rows[noise.random(len(rows)) < 0.1, 3] = math.inf
    series = StepSeries(record(tmp_path_factory.mktemp("run"), rows[:0]), capacity=32)
    at = 0
    for piece in pieces:
        series.append(rows[at : at + piece])
        at += piece
    per = series.rows_per_bucket
    assert len(rows) <= 32 * per
    assert per == 1 or len(rows) > 16 * per
    curve, window = series.window("step").curve("train/loss"), series.window("step")
    groups = [rows[k : k + per] for k in range(0, len(rows), per)]
    finite = [group[:, 3][np.isfinite(group[:, 3])] for group in groups]
    expected = [values.mean() if len(values) else math.nan for values in finite]
    np.testing.assert_allclose(curve.mean, expected)
    np.testing.assert_allclose(curve.low, [group[:, 4].min() for group in groups])
    np.testing.assert_allclose(curve.high, [group[:, 5].max() for group in groups])
    assert curve.nonfinite.tolist() == [not np.isfinite(group[:, 3]).all() for group in groups]
    assert window.place("step").tolist() == [group[-1, 0] for group in groups]


def test_a_spike_in_a_million_rows_is_kept_and_memory_stays_flat(tmp_path: Path) -> None:
    rows = make_rows(1_000_000)
    rows[654_321, 5] = 1e6
    series = StepSeries(record(tmp_path, rows[:0]))
    sizes = []
    for start in range(0, len(rows), 50_000):
        series.append(rows[start : start + 50_000])
        sizes.append(series.size)
    curve = series.window("step").curve("train/loss")
    assert float(np.nanmax(curve.high)) == 1e6
    assert len(curve.high) <= 16_384
    assert len(set(sizes)) == 1
    assert sizes[0] < 8e6


def test_a_short_stretch_of_a_long_run_shows_every_row(tmp_path: Path) -> None:
    rows = make_rows(5_000)
    series = fill(record(tmp_path, rows), capacity=64)
    assert series.rows_per_bucket == 128
    window = series.window("step", 2_000, 2_100)
    steps = window.place("step")
    at = slice(int(np.searchsorted(steps, 2_000)), int(np.searchsorted(steps, 2_100, "right")))
    assert steps[at].tolist() == list(range(2_000, 2_101))
    np.testing.assert_allclose(window.curve("train/loss").mean[at], rows[1_999:2_100, 3])


def test_what_is_read_back_follows_the_run(tmp_path: Path) -> None:
    rows = make_rows(5_000)
    reader = record(tmp_path, rows[:4_000])
    series = fill(reader, capacity=64)
    assert series.window("step", 3_900).place("step")[-1] == 4_000
    with open(tmp_path / "steps.f64", "ab") as file:
        rows[4_000:].tofile(file)
    series.append(reader.steps(4_000))
    steps = series.window("step", 3_900).place("step")
    assert steps[-1] == 5_000
    assert np.diff(steps).tolist() == [1.0] * (len(steps) - 1)
    assert series.window("step", 100, 200).place("step")[0] < 100


def test_buckets_stand_in_for_rows_that_are_gone(tmp_path: Path) -> None:
    series = fill(record(tmp_path, make_rows(5_000)), capacity=64)
    (tmp_path / "steps.f64").unlink()
    steps = series.window("step", 2_000, 2_100).place("step")
    assert 0 < len(steps) < 64


@pytest.mark.parametrize("place", ["step", "epoch", "time"])
def test_windows_hold_what_lies_between_two_places(tmp_path: Path, place: str) -> None:
    rows = make_rows(1_000)
    series = fill(record(tmp_path, rows))
    column = rows[:, COLUMNS.index(place)]
    window = series.window(place, column[499], column[599])
    steps = window.place("step").tolist()
    assert {500.0, 600.0} <= set(steps)
    assert len(steps) < 180
    assert len(series.window(place, column[-1] + 1, column[-1] + 2)) > 0


def test_a_clock_that_was_set_back_does_not_disorder_the_time_axis(tmp_path: Path) -> None:
    rows = make_rows(100)
    rows[50:, 2] -= 1000
    series = fill(record(tmp_path, rows))
    assert (np.diff(series.window("time").place("time")) >= 0).all()


def test_a_series_without_rows_has_empty_windows(tmp_path: Path) -> None:
    series = StepSeries(RunReader(tmp_path))
    series.append(np.empty((0, 0)))
    window = series.window("step")
    assert len(window) == len(window.curve("train/loss").mean) == len(window.place("epoch")) == 0


def test_clearing_makes_room_for_other_columns(tmp_path: Path) -> None:
    series = fill(record(tmp_path, make_rows(10)))
    series.clear()
    record(tmp_path, np.ones((3, 2)), ["step", "train/mae"])
    series.append(np.ones((3, 2)))
    assert (series.columns, series.rows) == (["step", "train/mae"], 3)
    assert series.window("step").curve("train/mae").mean.tolist() == [1, 1, 1]
    assert np.isnan(series.window("step").curve("train/loss").mean).all()


def test_large_values_keep_a_mean_between_their_ends(tmp_path: Path) -> None:
    rows = np.column_stack([np.arange(200.0), np.full(200, 1.7e308)])
    series = fill(record(tmp_path, rows, ["step", "train/loss"]), capacity=8)
    (tmp_path / "steps.f64").unlink()
    assert series.window("step").curve("train/loss").mean.tolist() == [1.7e308] * len(series)
