"""Numbers, names, pace, thinning, and the choice of a mode."""

from __future__ import annotations

import io
import math
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tui_trainer.headless import choose_mode
from tui_trainer.headless.bars import bar, progress
from tui_trainer.headless.closing import status_line
from tui_trainer.headless.pace import Pace
from tui_trainer.headless.stray import StrayOutput
from tui_trainer.headless.thinning import Allowance, shows_epoch
from tui_trainer.headless.words import (
    age,
    clean,
    duration,
    eta,
    fit,
    grouped,
    near_path,
    number,
    rate,
    seconds,
    short_name,
    size,
)
from tui_trainer.runs.state import RunState


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0812, "0.0812"),
        (0.0, "0.0000"),
        (1.2e-5, "1.20e-05"),
        (12.34567, "12.3457"),
        (12345.67, "12,345.7"),
        (3.2e9, "3.20e+09"),
        (-0.5, "-0.5000"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_times_and_rates() -> None:
    assert [seconds(0.41), seconds(41.2), seconds(185), seconds(math.nan)] == ["0.4 s", "41 s", "3:05", ""]
    assert [duration(5), duration(754), duration(10921), duration(183721)] == [
        "0:05",
        "12:34",
        "3:02:01",
        "2d 03:02:01",
    ]
    assert [eta(None), eta(12), eta(754), eta(3723)] == ["--:--", "00:12", "12:34", "1:02:03"]
    assert [rate(12300.4), rate(0.51), rate(math.nan)] == ["12,300 samples/s", "0.51 samples/s", ""]


def test_what_is_not_known_is_a_dash() -> None:
    assert [size(value) for value in (math.nan, math.inf)] == ["–", "–"]
    assert [age(then) for then in (None, math.nan, -math.inf, math.inf)] == ["–"] * 4


def test_clean_keeps_text_and_drops_what_a_terminal_would_obey() -> None:
    assert clean("a\x1b[31mb\x1b[0m\x1b]0;title\x07c\x1b(0d\r\ne\x00\x85\x9b") == "abcd\ne"
    assert clean("tab\there — Ω 日本") == "tab\there — Ω 日本"


def test_a_line_keeps_what_must_stay_and_counts_the_rest() -> None:
    items = ["a 1", "b 2", "c 3", "d 4"]
    assert fit("x", items, "★", 80) == "x  a 1  b 2  c 3  d 4  ★"
    assert "d 4" in fit("x", items, "★", 22, must="d 4")
    assert len(fit("x", items, "★", 22, must="d 4")) <= 22
    assert fit("x", items, "", 6, must="d 4") == "x  d 4"
    assert fit("x", items, "", 3, must="d 4") == "x"


def test_metrics_for_narrow_terminals() -> None:
    metrics = {"train/loss": 0.5, "test/loss": 0.25, "test/accuracy": 0.9}
    assert grouped(metrics) == ["train loss 0.5000", "test loss 0.2500 acc 0.9000"]
    name = short_name("validation/a_very_long_name_of_a_metric")
    assert len(name) == 28
    assert "…" in name


def test_the_time_left_comes_from_this_process_alone() -> None:
    pace = Pace()
    # Resumed at step 10,000 of 20,000: what earlier processes did is no measure.
    pace.note(100.0, 10_001)
    assert pace.eta_s(20_000, 100.0) is None
    pace.note(102.0, 10_021)
    assert pace.eta_s(20_000, 102.0) is None
    pace.note(104.0, 10_041)
    assert pace.eta_s(20_000, 104.0) == pytest.approx((20_000 - 10_041) / 10.0)
    pace.reset()
    assert pace.eta_s(20_000, 104.0) is None


def test_a_clock_that_is_set_back_makes_no_pace_of_nonsense() -> None:
    pace = Pace()
    pace.note(1000.0, 10)
    pace.note(1010.0, 110)
    pace.note(500.0, 120)
    assert pace.eta_s(1000, 500.0) is None
    pace.note(505.0, 170)
    assert pace.steps_per_s(505.0) == pytest.approx(10.0)
    began = RunState(status="stopped", step=9, started=1000.0, ended=400.0, reason="time limit 14:30")
    assert status_line(began) == "stopped by time limit at step 9 (0:00)"


def test_the_pace_follows_the_last_ten_minutes() -> None:
    pace = Pace()
    step = 0.0
    for second in range(0, 4000, 5):
        step += 50 if second < 2000 else 5
        pace.note(float(second), step)
    assert pace.steps_per_s(3995.0) == pytest.approx(1.0, rel=0.02)


def test_every_epoch_is_shown_unless_there_are_very_many() -> None:
    assert all(shows_epoch(epoch, 1000) for epoch in range(1, 1001))
    shown = [epoch for epoch in range(1, 10_001) if shows_epoch(epoch, 10_000)]
    assert shown[:300] == list(range(1, 301))
    assert shown[-1] == 10_000
    assert len(shown) < 1000
    assert sum(shows_epoch(epoch, 0) for epoch in range(1, 100_000)) < 1500


def test_an_allowance_lets_a_burst_pass_and_refills() -> None:
    allowance = Allowance(most=100, per_s=10)
    assert allowance.spend(80, 0.0)
    assert not allowance.spend(80, 1.0)
    assert allowance.refused() == 1
    assert allowance.spend(80, 8.0)
    assert allowance.refused() == 0


def test_stray_output_gives_whole_lines() -> None:
    stray = StrayOutput()
    for text in ("a", "b\nc", "\rd\n", "e"):
        assert stray.add(text)
    assert stray.take() == ["ab", "d"]
    assert stray.take() == []
    assert stray.take(final=True) == ["e"]
    stray.open = False
    assert not stray.add("x")


@pytest.mark.parametrize("fraction", [0.0, 0.38, 1.0, 7.0, -1.0])
@pytest.mark.parametrize("width", [80, 30, 12])
def test_a_bar_fits(fraction: float, width: int) -> None:
    text = bar("total", fraction, width, "#-").plain
    assert len(text) <= max(width, len("total 100 %"))
    assert text.endswith(f"{min(100, max(0, int(100 * fraction)))} %")


def test_bars_say_what_is_known_and_nothing_else() -> None:
    state = RunState(
        status="running", epochs=3, epoch=1, current_epoch=2, step=4, steps_per_epoch=4, total_steps=12
    )
    row = {
        "step": 6.0,
        "epoch": 1.5,
        "lr": 1e-3,
        "samples_per_s": 12300.0,
        "train/loss": 0.5,
        "train/loss_max": 9.0,
    }
    lines = [line.plain for line in progress(state, row, 6.0, 12.0, 79, "#-")]
    assert lines[0].startswith("epoch 2/3 #")
    assert lines[0].endswith(" 50 %")
    assert lines[1].startswith("total     #")
    assert lines[2:] == ["step 6/12  12,300 samples/s  ETA 00:12", "train/loss 0.5000"]
    unknown = RunState(status="running", current_epoch=1)
    assert [line.plain for line in progress(unknown, {"train/loss": math.nan}, 6.0, None, 79, "#-")] == [
        "step 6",
        "train/loss NaN",
    ]


def test_the_mode_follows_the_flags_and_the_stream() -> None:
    far, near = pty.openpty()
    with os.fdopen(near, "w") as terminal:
        env = {"TERM": "xterm"}
        assert choose_mode(False, False, terminal, env) == "rich"
        assert choose_mode(False, False, terminal, {"TERM": "dumb"}) == "plain"
        assert choose_mode(False, False, terminal, {}) == "plain"
        assert choose_mode(True, True, terminal, env) == "json"
        assert choose_mode(False, True, terminal, env) == "quiet"
        assert choose_mode(False, False, io.StringIO(), env) == "plain"
        assert choose_mode(False, False, None, env) == "plain"
    assert choose_mode(False, False, terminal, env) == "plain"
    os.close(far)


def test_neither_rich_nor_torch_is_loaded_before_they_are_needed() -> None:
    heavy = "('rich', 'torch', 'textual', 'numpy')"
    code = f"import sys, tui_trainer.headless; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_path_can_be_said_where_the_working_directory_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert near_path(Path("runs/a")) == "runs/a"
    assert near_path(tmp_path) == str(tmp_path)
