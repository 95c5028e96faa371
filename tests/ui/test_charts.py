"""Which charts a run has, and what is on them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.ui.recorded import Recorder, finished
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.state import EpochSummary, RunState
from tui_trainer.ui.chart_data import ChartData, Line, XAxis
from tui_trainer.ui.charts import chart_data, chart_names, compare_data
from tui_trainer.ui.measured import Measured
from tui_trainer.ui.run_view import RunView


def view_of(layout: RunLayout) -> RunView:
    view = RunView(layout.root)
    view.refresh()
    return view


def line(data: ChartData, role: str) -> Line:
    return next(line for line in data.lines if line.role == role)


def test_the_monitored_metric_comes_first_and_the_rates_last(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a").start(monitor="test/accuracy")
    recorder.end_epoch(fid=3.0)
    assert chart_names(view_of(recorder.end())) == ["accuracy", "loss", "fid", "lr", "samples_per_s"]


def test_a_run_without_anything_has_a_chart_that_says_what_it_waits_for(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a").start()
    view = view_of(recorder.layout)
    assert chart_names(view) == ["loss"]
    assert chart_data(view, "loss").waiting == "waiting for the first step"
    recorder.event("phase", name="building the model")
    view.refresh()
    assert chart_data(view, "loss").waiting == "waiting for the first step (building the model)"
    recorder.end("stopped", "by request")
    view.refresh()
    assert chart_data(view, "loss").waiting == "this run recorded no loss"


def test_the_title_tells_latest_and_best_values(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a").start()
    for loss in (0.5, 0.25, 0.75):
        recorder.end_epoch(**{"test/loss": loss})
    data = chart_data(view_of(recorder.end()), "loss")
    assert data.title == f"loss  train {recorder.loss(30):.4f}  test 0.7500  ▼ best 0.2500 @ep2"
    assert data.best == (20.0, 0.25)
    assert data.waiting == ""


@pytest.mark.parametrize(
    ("x_axis", "train", "test"),
    [("step", (1, 30), [10, 20, 30]), ("epoch", (0.1, 3), [1, 2, 3]), ("time", (0.1, 3.0), [1, 2, 3])],
)
def test_rows_and_measurements_share_an_axis(
    tmp_path: Path, x_axis: XAxis, train: tuple[float, float], test: list[float]
) -> None:
    data = chart_data(view_of(finished(tmp_path / "a")), "accuracy", x_axis)
    rows, measured = line(data, "train"), line(data, "test")
    assert (len(rows.x), rows.sparse, measured.sparse) == (30, False, True)
    np.testing.assert_allclose([rows.x[0], rows.x[-1]], train, atol=1e-5)
    np.testing.assert_allclose(measured.x, test, atol=1e-5)


def test_training_rows_carry_the_range_of_their_steps(tmp_path: Path) -> None:
    rows = line(chart_data(view_of(finished(tmp_path / "a")), "loss"), "train")
    np.testing.assert_allclose(rows.low, 0.9 * rows.mean)
    np.testing.assert_allclose(rows.high, 1.1 * rows.mean)


def test_values_that_are_not_finite_are_marked(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a").start()
    for loss in (0.5, math.nan, 0.75):
        recorder.end_epoch(**{"test/loss": loss})
    test = line(chart_data(view_of(recorder.end()), "loss"), "test")
    assert test.nonfinite.tolist() == [False, True, False]
    assert np.isnan(test.mean).tolist() == [False, True, False]


def test_without_rows_training_is_drawn_from_its_epochs(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a").start()
    recorder.train(10, rows=False)
    recorder.end_epoch()
    data = chart_data(view_of(recorder.end()), "loss")
    assert line(data, "train").sparse
    assert line(data, "train").x.tolist()[0] == 10


@pytest.mark.parametrize(("x_axis", "place"), [("step", 5.0), ("epoch", 0.5), ("time", 0.5)])
def test_changes_of_the_learning_rate_are_marked_where_they_took_effect(
    tmp_path: Path, x_axis: XAxis, place: float
) -> None:
    recorder = Recorder(tmp_path / "a").start().train(5)
    recorder.event("control", action="set", value={"lr": 3e-4}, step=5)
    recorder.event("control", action="set", value={"lr": 9.0}, step=6, error="refused")
    recorder.event("control", action="pause", value=None, step=7)
    recorder.end_epoch()
    ((at, text),) = chart_data(view_of(recorder.end()), "loss", x_axis).marks
    assert at == pytest.approx(place, abs=1e-5)
    assert text == "lr 0.0003 at step 5"


def test_a_baseline_is_its_decisive_line(tmp_path: Path) -> None:
    view, other = view_of(finished(tmp_path / "a")), view_of(finished(tmp_path / "b", epochs=5))
    data = chart_data(view, "loss", "epoch", baseline=other)
    assert [line.role for line in data.lines] == ["baseline", "train", "test"]
    assert line(data, "baseline").x.tolist() == [1, 2, 3, 4, 5]
    assert "baseline b" in data.title
    assert data.best is not None
    assert data.best[0] == 3


def test_runs_are_compared_by_the_split_that_most_of_them_have(tmp_path: Path) -> None:
    views = [view_of(finished(tmp_path / name, epochs=2)) for name in "abc"]
    recorder = Recorder(tmp_path / "d").start().train(5)
    views.append(view_of(recorder.crash()))
    data = compare_data(views, "loss", "epoch")
    assert [(line.role, line.name, len(line.x)) for line in data.lines] == [
        ("other1", "a", 2),
        ("other2", "b", 2),
        ("other3", "c", 2),
    ]
    assert chart_names(*views) == ["loss", "accuracy", "lr", "samples_per_s"]
    assert [len(line.x) for line in compare_data(views, "lr").lines] == [20, 20, 20, 5]
    assert compare_data(views, "nothing").waiting == "none of these runs has recorded nothing"


def test_a_detail_is_the_stretch_that_is_asked_for(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a", steps_per_epoch=1000).start()
    recorder.end_epoch()
    data = chart_data(view_of(recorder.end()), "loss")
    assert data.detail is not None
    train = data.detail(500, 510)[0]
    assert {500.0, 510.0} <= set(train.x.tolist())
    assert len(train.x) < 100


def test_places_translate_between_axes(tmp_path: Path) -> None:
    data = chart_data(view_of(finished(tmp_path / "a")), "loss", "epoch")
    step, epoch = data.places.at(1.5)
    assert (step, epoch) == (pytest.approx(15), pytest.approx(1.5))
    assert data.places.of_step(20) == pytest.approx(2)


def evaluate(recorder: Recorder, loss: float) -> None:
    """Record an evaluation inside an epoch."""
    improved = recorder.best is None or loss < recorder.best["value"]
    if improved:
        recorder.best = {"metric": "test/loss", "value": loss, "epoch": recorder.epoch + 1}
    place = {"epoch": recorder.epoch + 1, "step": recorder.step}
    recorder.event("evaluation", **place, metrics={"test/loss": loss}, best=recorder.best, improved=improved)


@pytest.mark.parametrize(
    ("x_axis", "places", "best"),
    [("step", [4, 10, 13, 20], 4), ("epoch", [0.4, 1, 1.3, 2], 0.4), ("time", [0.4, 1, 1.3, 2], 0.4)],
)
def test_evaluations_inside_epochs_are_drawn_among_those_at_their_ends(
    tmp_path: Path, x_axis: XAxis, places: list[float], best: float
) -> None:
    recorder = Recorder(tmp_path / "a").start().train(4)
    evaluate(recorder, 0.2)
    recorder.end_epoch(**{"test/loss": 0.5}).train(3)
    evaluate(recorder, 0.3)
    recorder.end_epoch(**{"test/loss": 0.4})
    data = chart_data(view_of(recorder.end()), "loss", x_axis)
    test = line(data, "test")
    np.testing.assert_allclose(test.x, places, atol=1e-5)
    assert test.mean.tolist() == [0.2, 0.5, 0.3, 0.4]
    assert data.best == (pytest.approx(best, abs=1e-5), 0.2)


def test_an_evaluation_is_drawn_before_the_first_epoch_has_ended(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a").start().train(4)
    evaluate(recorder, 0.2)
    assert line(chart_data(view_of(recorder.layout), "loss"), "test").x.tolist() == [4]


def test_a_line_grows_with_the_run(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a").start()
    view, seen = view_of(recorder.layout), []
    for number in range(1, 6):
        if number == 3:
            recorder.train(5)
            evaluate(recorder, 0.01)
        recorder.end_epoch()
        view.refresh()
        seen = line(chart_data(view, "loss"), "test").mean.tolist()
    assert seen == line(chart_data(view_of(recorder.end()), "loss"), "test").mean.tolist()
    assert len(seen) == 6


def summaries(count: int, loss: float = 0.5) -> tuple[EpochSummary, ...]:
    return tuple(
        EpochSummary(n, 10 * n, {"test/loss": loss}, 0.1, 1.0, 1.0, float(n), False)
        for n in range(1, count + 1)
    )


def test_a_run_that_went_back_is_drawn_as_it_is_now() -> None:
    measured, history = Measured(), summaries(8)
    other = summaries(9, loss=0.7)
    for state, expected in (
        (RunState(history=history), [0.5] * 8),
        (RunState(history=history[:3]), [0.5] * 3),
        (RunState(history=(*history[:3], *other[3:])), [0.5] * 3 + [0.7] * 6),
        (RunState(history=other), [0.7] * 9),
        (RunState(), []),
    ):
        assert measured.points(state, "test/loss").values.tolist() == expected


def test_only_what_is_new_is_looked_at() -> None:
    looked = 0

    class Metrics(dict[str, float]):
        def __getitem__(self, metric: str) -> float:
            nonlocal looked
            looked += 1
            return super().__getitem__(metric)

    history = tuple(
        EpochSummary(n, 10 * n, Metrics({"test/loss": 0.5}), 0.1, 1.0, 1.0, float(n), False)
        for n in range(1, 101)
    )
    measured = Measured()
    first = measured.points(RunState(history=history[:99]), "test/loss")
    assert measured.points(RunState(history=history[:99]), "test/loss") is first
    assert measured.points(RunState(history=history), "test/loss").values.shape == (100,)
    assert looked == 100
