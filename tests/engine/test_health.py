"""Losses that jump are told, once; what is usual is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.helpers import Points, events
from tui_trainer import train
from tui_trainer.engine.health import MOST_IN_A_ROW, LossWatch
from tui_trainer.engine.nonfinite import NonFinite
from tui_trainer.engine.spikes import FEWEST, THRESHOLD, WINDOW, SpikeWatch


def usual(count: int, seed: int = 0) -> list[float]:
    return [float(value) for value in np.random.default_rng(seed).normal(0.5, 0.05, count)]


def test_a_jump_is_a_spike_and_its_score_is_the_robust_one() -> None:
    watch, losses = SpikeWatch(), usual(WINDOW + 30)
    assert [watch.add(loss) for loss in losses] == [None] * len(losses)
    spike = watch.add(3.0)
    assert spike is not None
    recent = np.sort(losses[-WINDOW:])
    low, median, high = (recent[WINDOW * part // 4] for part in (1, 2, 3))
    assert (spike.low, spike.high) == (low, high)
    assert spike.score == pytest.approx((3.0 - median) / ((high - low) / 1.349))
    assert spike.score > THRESHOLD


def test_after_a_spike_there_is_silence_until_a_new_window_is_usual() -> None:
    watch = SpikeWatch()
    for loss in usual(WINDOW):
        watch.add(loss)
    found = [watch.add(3.0 if number % 20 == 0 else 0.5) is not None for number in range(WINDOW)]
    assert found == [True] + [False] * (WINDOW - 1)


@pytest.mark.parametrize("losses", [[0.5] * 300, [2.0 * 0.99**n for n in range(600)], [1e-9] * 200 + [1e-9]])
def test_what_falls_or_stands_still_is_no_spike(losses: list[float]) -> None:
    watch = SpikeWatch()
    assert not any(watch.add(loss) for loss in losses)


def test_a_long_tail_is_no_spike() -> None:
    watch = SpikeWatch()
    losses = np.random.default_rng(1).lognormal(-5.0, 1.5, 5000)
    assert sum(watch.add(float(loss)) is not None for loss in losses) <= 5


def test_nothing_is_usual_at_the_start() -> None:
    watch = SpikeWatch()
    assert not any(watch.add(loss) for loss in [*usual(FEWEST - 1), 1000.0])


def test_a_loss_that_is_no_number_is_left_to_others() -> None:
    watch = SpikeWatch()
    for loss in [*usual(100), math.nan, math.inf]:
        assert watch.add(loss) is None


def test_skipped_steps_are_told_once_a_minute_with_their_number() -> None:
    told: list[str] = []
    now = [0.0]
    watch = LossWatch(lambda title, message: told.append(f"{title}: {message}"), True, lambda: now[0])
    for step in range(1, 31):
        now[0] += 4.0
        watch.look(step, 0.5, bad=1, bad_step=step, in_a_row=0)
    watch.close()
    assert [text.partition(" had")[0] for text in told] == [
        "step skipped: step 1",
        "step skipped: 15 steps from 2 to 16",
        "step skipped: 14 steps from 17 to 30",
    ]


def test_so_many_skipped_steps_in_a_row_end_the_run() -> None:
    watch = LossWatch(lambda title, message: None, True)
    watch.look(300, 0.5, bad=200, bad_step=7, in_a_row=MOST_IN_A_ROW - 1)
    with pytest.raises(NonFinite, match="nothing left"):
        watch.look(301, None, bad=1, bad_step=301, in_a_row=MOST_IN_A_ROW)


def test_a_run_tells_its_spike(tmp_path_factory: pytest.TempPathFactory) -> None:
    class Jumpy(Points):
        def compute_loss(self, model, batch, criterion):  # type: ignore[no-untyped-def]
            loss, outputs, targets = super().compute_loss(model, batch, criterion)
            return loss * (1000.0 if model.training and self.trained_batches == 80 else 1.0), outputs, targets

    values = {"epochs": 20, "log_rate": 0.0, "lr": 1e-5}
    result = train(Jumpy(), values, runs_dir=tmp_path_factory.mktemp("runs"))
    (alert,) = events(result.run_dir, "alert")
    assert (alert["title"], alert["level"]) == ("loss spike", "warning")
    assert "by step 80;" in alert["message"]
