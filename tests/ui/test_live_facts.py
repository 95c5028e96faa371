"""What the status line, the bars, the tables and the log say, from states alone."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.ui.recorded import START, Recorder
from tui_trainer.runs.control import Request
from tui_trainer.runs.state import Alert, Best, EpochSummary, RunState
from tui_trainer.ui.asked import SHOWN_S, SLOW_S, Asked
from tui_trainer.ui.dialogs.learning_rate import current_lr, parse_lr, schedule_text
from tui_trainer.ui.live_facts import Part, Speed, compact, fit_parts, gpu_text, pace_text, status_line
from tui_trainer.ui.logbook import LogBook
from tui_trainer.ui.run_view import RunView
from tui_trainer.ui.widgets.alerts import alert_line
from tui_trainer.ui.widgets.bars import bar, epoch_fraction, gauge, total_fraction
from tui_trainer.ui.widgets.epochs import columns
from tui_trainer.ui.widgets.lines import cells, cut, plain
from tui_trainer.ui.widgets.log import LogPane
from tui_trainer.ui.widgets.metrics import change, last_values, metric_lines
from tui_trainer.ui.widgets.outcome import resume_text
from tui_trainer.ui.widgets.system import load_lines


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_state(**fields: Any) -> RunState:
    known = {
        "run_id": "20261123-031415-digits-7f3a",
        "task": "digits",
        "status": "running",
        "epoch": 11,
        "current_epoch": 12,
        "epochs": 30,
        "step": 253,
        "total_steps": 690,
        "steps_per_epoch": 23,
        "batch_size": 64,
        "row": {"step": 261.0, "epoch": 11.35, "samples_per_s": 90_240.0, "data_wait": 0.02},
    }
    return RunState(**{**known, **fields})


def told(state: RunState, width: int = 200, news: Part | None = None, silent_s: float = 0.0) -> str:
    clock = Clock()
    speed = Speed(clock)
    speed.look(state)
    return plain(status_line(state, speed, clock.now, silent_s, news, width))


def an_epoch(number: int, **metrics: float) -> EpochSummary:
    return EpochSummary(
        number,
        10 * number,
        {k.replace("_", "/"): v for k, v in metrics.items()},
        1e-3,
        0.4,
        640.0,
        1e9,
        False,
    )


# ---------------------------------------------------------------------- the status line


def test_a_wide_status_line_says_everything() -> None:
    gpu = {"index": 0, "utilisation": 93, "memory_used": 21e9, "memory_total": 24e9}
    assert told(a_state(system={"gpus": [gpu]})) == (
        "● RUNNING  digits · 20261123-031415-digits-7f3a · epoch 12/30 · step 261/690 · 1,410 it/s"
        " · 90 k samples/s · data wait 2 % · ETA --:-- · GPU 93 % 21/24 GB"
    )


def test_a_narrow_status_line_keeps_what_matters_most() -> None:
    assert told(a_state(), 60) == "● RUNNING  ep 12/30 · step 261/690 · 1,410 it/s · ETA --:--"
    assert told(a_state(), 40) == "● RUNNING  ep 12/30 · ETA --:--"
    assert told(a_state(), 20) == "● RUNNING  ep 12/30"
    assert told(a_state(), 6) == "● RUN…"


@pytest.mark.parametrize("width", range(1, 200, 7))
def test_the_status_line_never_wraps(width: int) -> None:
    for status in ("starting", "running", "paused", "failed", "unknown"):
        state = a_state(
            status=status, reason="loss is not finite: the training loss became NaN", phase="loading data"
        )
        assert cells(status_line(state, Speed(Clock()), 1000.0, 70.0, None, width)) <= width


@pytest.mark.parametrize(
    ("fields", "begin"),
    [
        ({"status": "starting", "step": 0, "row": {}}, "○ STARTING  starting …"),
        (
            {"status": "starting", "phase": "importing torch", "phase_began": 997.9},
            "○ STARTING  importing torch … 2.1 s",
        ),
        ({"status": "paused"}, "‖ PAUSED  ep 12/30"),
        ({"stopping": "now"}, "■ STOPPING  and saving"),
        ({"stopping": "epoch_end"}, "■ STOPPING  at the end of epoch 12"),
        ({"status": "finished", "reason": "all epochs done"}, "✓ FINISHED  ep 12/30"),
        (
            {"status": "finished", "reason": "no better test/loss for 5 epochs"},
            "✓ FINISHED  no better test/loss",
        ),
        ({"status": "stopped", "reason": "stopped by me@here"}, "■ STOPPED  stopped by me@here"),
        ({"status": "failed", "reason": "loss is not finite"}, "✗ FAILED  loss is not finite"),
        ({"status": "crashed", "reason": "process ended without a word"}, "! CRASHED  process ended"),
        ({"status": "unknown"}, "? UNKNOWN  last seen 4 min ago"),
        ({"status": "running", "phase": "compiling", "phase_began": 995.0}, "● RUNNING  compiling … 5.0 s"),
    ],
)
def test_every_state_has_a_mark_and_a_word(fields: dict[str, Any], begin: str) -> None:
    assert told(a_state(**fields), 70, silent_s=250.0).startswith(begin)


def test_control_characters_of_a_run_never_reach_the_screen() -> None:
    text = told(a_state(status="failed", reason="\x1b[2Jgone\nsecond line\x07"))
    assert "gone second line" in text
    assert text.isprintable()


def test_news_come_before_numbers() -> None:
    assert "pause requested…" in told(a_state(), 50, Part("pause requested…", 1))


def test_a_run_without_known_lengths_shows_counts() -> None:
    state = a_state(epochs=0, total_steps=0, steps_per_epoch=0)
    assert "epoch 12 · step 261 " in told(state)
    assert "ETA" not in told(state)


def test_fitting_prefers_short_forms_to_leaving_out() -> None:
    parts = [Part("RUNNING", 0), Part("epoch 12", 2, "ep 12"), Part("ETA 1", 1)]
    assert plain(fit_parts(parts, 30)) == "RUNNING · epoch 12 · ETA 1"
    assert plain(fit_parts(parts, 24)) == "RUNNING · ep 12 · ETA 1"
    assert plain(fit_parts(parts, 16)) == "RUNNING · ETA 1"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1410.4, "1,410 it/s"), (3.21, "3.2 it/s"), (0.25, "4.0 s/it"), (0.0, ""), (math.nan, "")],
)
def test_speed_in_words(value: float, text: str) -> None:
    assert pace_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(90_240.0, "90 k x"), (5_400.0, "5,400 x"), (1.25e6, "1.2 M x"), (3.14, "3.1 x"), (math.nan, "")],
)
def test_large_counts_are_short(value: float, text: str) -> None:
    assert compact(value, "x") == text


def test_several_gpus_are_summed() -> None:
    gpu = {"utilisation": 90, "memory_used": 20e9, "memory_total": 80e9}
    state = a_state(system={"gpus": [gpu, {**gpu, "utilisation": 70}]})
    assert gpu_text(state) == "2 GPUs 80 % 40/160 GB"
    assert gpu_text(a_state(system={"gpus": [{"index": 0}]})) == ""
    assert gpu_text(a_state(system={"gpus": "broken"})) == ""


# ---------------------------------------------------------------------- time left


def look(speed: Speed, clock: Clock, state: RunState, step: float, seconds: float) -> RunState:
    clock.now += seconds
    state = replace(state, row={**state.row, "step": step})
    speed.look(state)
    return state


def test_time_left_counts_only_steps_that_were_seen() -> None:
    clock = Clock()
    speed = Speed(clock)
    state = look(speed, clock, a_state(total_steps=1000), 500.0, 0.0)
    # A resumed run imports torch for a minute before its first step.
    state = look(speed, clock, state, 500.0, 60.0)
    assert speed.eta_s(state) is None
    state = look(speed, clock, state, 510.0, 1.0)
    assert speed.eta_s(state) is None, "not warm yet"
    state = look(speed, clock, state, 550.0, 4.0)
    assert speed.eta_s(state) == pytest.approx(45.0)


def test_a_pause_does_not_slow_the_estimate() -> None:
    clock = Clock()
    speed = Speed(clock)
    state = look(speed, clock, a_state(total_steps=1000), 0.0, 0.0)
    state = look(speed, clock, state, 10.0, 1.0)
    state = look(speed, clock, state, 100.0, 9.0)
    assert speed.eta_s(state) == pytest.approx(90.0)
    state = look(speed, clock, replace(state, status="paused"), 100.0, 600.0)
    assert speed.eta_s(state) is None
    state = look(speed, clock, replace(state, status="running"), 100.0, 1.0)
    state = look(speed, clock, state, 110.0, 1.0)
    state = look(speed, clock, state, 160.0, 5.0)
    assert speed.eta_s(state) == pytest.approx(84.0)


def test_a_resumed_run_starts_the_estimate_anew() -> None:
    clock = Clock()
    speed = Speed(clock)
    state = a_state(total_steps=1000)
    for step, seconds in ((0.0, 0.0), (10.0, 1.0), (100.0, 9.0)):
        state = look(speed, clock, state, step, seconds)
    assert speed.eta_s(state) is not None
    state = look(speed, clock, replace(state, resumes=1), 50.0, 30.0)
    assert speed.eta_s(state) is None
    assert math.isfinite(speed.samples_per_s)


def test_accumulated_gradients_make_fewer_steps() -> None:
    speed = Speed(Clock())
    state = a_state(hparams={"grad_accumulation": 4})
    speed.look(state)
    assert speed.steps_per_s(state) == pytest.approx(90_240 / 256)


# ---------------------------------------------------------------------- requests


def a_request(action: str, value: Any = None, name: str = "1-1-a") -> Request:
    return Request(name, action, value, "me@here", 1000.0)


def done(action: str, value: Any = None, name: str = "1-1-a", **facts: Any) -> dict[str, Any]:
    return {"event": "control", "action": action, "value": value, "request": name, "step": 1234, **facts}


def news(asked: Asked, state: RunState, *waiting: Request, remote: bool = False) -> str:
    part = asked.news(state, waiting, remote)
    return part.text if part is not None else ""


def test_a_request_is_told_at_once_then_explained_then_done() -> None:
    clock, request = Clock(), a_request("pause")
    asked = Asked(clock)
    assert news(asked, a_state()) == ""
    asked.add(request)
    assert news(asked, a_state(), request) == "pause requested…"
    clock.now += SLOW_S + 0.1
    assert news(asked, a_state()) == "pause requested… at the next step boundary"
    assert "network file system" in news(asked, a_state(), request, remote=True)
    state = a_state(status="paused", controls=(done("pause"),))
    assert news(asked, state) == "paused at step 1,234"
    clock.now += SHOWN_S + 0.1
    assert news(asked, state) == ""


def test_a_request_that_was_done_before_its_sender_noted_it_is_not_open_for_ever() -> None:
    asked = Asked(Clock())
    state = a_state(status="paused", controls=(done("pause"),))
    assert news(asked, a_state()) == ""
    assert news(asked, state) == "paused at step 1,234"
    asked.add(a_request("pause"))
    assert news(asked, state) == "paused at step 1,234"
    assert not asked.pausing(a_state())


def test_what_somebody_else_asks_for_is_told_too() -> None:
    asked = Asked(Clock())
    assert news(asked, a_state()) == ""
    assert news(asked, a_state(), a_request("stop", "epoch_end")) == "stop at the end of epoch 12 requested…"
    assert news(asked, a_state(controls=(done("stop", "epoch_end"),))).startswith(
        "stopping at the end of this epoch"
    )


def test_what_was_recorded_before_the_first_look_is_no_news() -> None:
    asked = Asked(Clock())
    assert news(asked, a_state(controls=(done("save", path="checkpoints/model_3.pt"),))) == ""


def test_a_refused_request_says_why() -> None:
    asked = Asked(Clock())
    assert news(asked, a_state()) == ""
    asked.add(a_request("save"))
    text = news(asked, a_state(controls=(done("save", error="disk is full: /data"),)))
    assert text == "save refused: disk is full: /data"


def test_a_run_that_ends_forgets_what_was_asked() -> None:
    asked = Asked(Clock())
    asked.add(a_request("pause"))
    assert news(asked, a_state(status="crashed")) == ""


def test_a_second_press_of_pause_takes_the_first_one_back() -> None:
    asked = Asked(Clock())
    assert not asked.pausing(a_state())
    asked.add(a_request("pause"))
    assert asked.pausing(a_state())
    assert asked.pausing(a_state(status="paused"))
    asked.add(a_request("unpause", name="2-1-b"))
    assert not asked.pausing(a_state(status="paused"))


# ---------------------------------------------------------------------- bars


def test_bars_move_by_eighths_and_fill_their_room() -> None:
    for eighths in range(81):
        done_part, rest = gauge(eighths / 80, 10)
        assert len(done_part[0]) + len(rest[0]) == 10
    assert plain(gauge(0.55, 10)) == "█████▌────"
    assert plain(bar("total", 0.384, 20)) == "total ███▏────  38 %"
    assert plain(bar("total", 0.384, 10)) == "total  38 %"


def test_progress_is_known_only_where_lengths_are() -> None:
    assert epoch_fraction(a_state()) == pytest.approx(0.35)
    assert total_fraction(a_state()) == pytest.approx(261 / 690)
    iterable = a_state(steps_per_epoch=0, total_steps=0)
    assert math.isnan(epoch_fraction(iterable))
    assert total_fraction(iterable) == pytest.approx(11 / 30)
    assert math.isnan(total_fraction(replace(iterable, epochs=0)))
    assert epoch_fraction(a_state(row={})) == 0.0
    assert epoch_fraction(a_state(epoch=12)) == 1.0


# ---------------------------------------------------------------------- tables


def measured_state(**last: float) -> RunState:
    metrics = {k.replace("_", "/"): v for k, v in last.items()}
    history = (an_epoch(1, test_loss=0.2, test_accuracy=0.8), an_epoch(2, **last))
    bests = {"test/loss": Best("test/loss", 0.18, 2)}
    return a_state(metrics=metrics, history=history, bests=bests, monitor="test/loss")


def test_the_metrics_table_compares_with_the_evaluation_before() -> None:
    lines = [plain(line) for line in metric_lines(measured_state(test_loss=0.18, test_accuracy=0.78), 60, 10)]
    assert lines[0].split() == ["last", "best", "change"]
    assert lines[1].split() == ["test/loss", "0.1800", "0.1800", "@2", "▼", "10", "%", "better"]
    assert lines[2].split() == ["test/accuracy", "0.7800", "–", "▼", "3", "%", "worse"]


def test_an_evaluation_inside_an_epoch_is_compared_with_the_epoch_before() -> None:
    state = replace(measured_state(test_loss=0.18), metrics={"test/loss": 0.36})
    assert "▲ 100 % worse" in plain(metric_lines(state, 60, 10)[1])


def test_values_that_are_no_numbers_are_shown_as_such() -> None:
    line = metric_lines(measured_state(test_loss=math.nan), 60, 10)[1]
    assert plain(line).split() == ["test/loss", "NaN", "0.1800", "@2", "–"]
    assert any(text.strip() == "NaN" and role == "bad" for text, role in line)


def test_the_monitored_metric_stays_where_rows_are_few() -> None:
    state = replace(measured_state(train_loss=0.1, train_accuracy=0.9, test_loss=0.18), monitor="test/loss")
    lines = metric_lines(state, 60, 2)
    assert len(lines) == 2
    assert plain(lines[1]).startswith("test/loss")


@pytest.mark.parametrize("width", [20, 30, 38, 44, 60, 120])
def test_columns_of_the_metrics_table_never_touch(width: int) -> None:
    state = measured_state(train_loss=2.15e-5, test_loss=0.2000001, test_accuracy=0.78)
    rows = [plain(line).split() for line in metric_lines(state, width, 10)]
    assert all(cells(line) <= width for line in metric_lines(state, width, 10))
    assert [row[1] for row in rows[1:]] == ["2.15e-05", "0.2000", "0.7800"]


def test_before_the_first_evaluation_the_newest_step_counts() -> None:
    row = {"step": 3.0, "train/loss": 2.1, "train/loss_min": 2.0, "train/loss_max": 2.2, "lr": 1e-3}
    assert last_values(a_state(row=row)) == {"train/loss": 2.1}
    assert plain(metric_lines(a_state(row={}), 40, 5)[0]) == "no metrics yet"


@pytest.mark.parametrize(
    ("name", "last", "before", "text", "role"),
    [
        ("test/loss", 1.0, 2.0, "▼ 50 % better", "good"),
        ("test/accuracy", 0.5, 1.0, "▼ 50 % worse", "warning"),
        ("test/loss", 2.0, 2.0, "=", "dim"),
        ("test/loss", 1.0001, 1.0, "▲ <0.1 % worse", "warning"),
        ("test/loss", 1.0, 0.0, "▲ 1.0000 worse", "warning"),
        ("test/loss", math.inf, 1.0, "–", "dim"),
    ],
)
def test_changes_say_whether_they_are_good(
    name: str, last: float, before: float, text: str, role: str
) -> None:
    assert change(a_state(), name, last, before) == (text, role)


def test_the_epoch_table_keeps_the_monitored_metric() -> None:
    metrics = ["train/loss", "train/accuracy", "test/loss", "test/accuracy"]
    assert columns(metrics, "test/loss", 80) == metrics
    assert columns(metrics, "test/accuracy", 38) == ["train/loss", "test/accuracy"]
    assert columns(metrics, "test/accuracy", 10) == ["test/accuracy"]


def test_texts_are_cut_by_the_columns_they_take() -> None:
    assert cut("数字数字", 5) == "数字…"
    assert cut("abc", 0) == ""


def test_missing_values_take_no_room_in_the_system_panel() -> None:
    lines = [
        plain(line)
        for line in load_lines(a_state(system={"gpus": [{"index": 1, "power": 410.2}], "cpu": 41.0}))
    ]
    assert lines == ["GPU1     410 W", "CPU       41 % ████▏─────  "]
    assert load_lines(a_state(system={})) == []


# ---------------------------------------------------------------------- alerts, outcome, lr


def test_the_alert_strip_counts_what_it_leaves_out() -> None:
    alerts = [Alert("warning", "loss spike", f"{k}", k, math.nan) for k in range(3)]
    assert plain(alert_line(alerts, 60)).split() == [
        "!",
        "warning:",
        "loss",
        "spike:",
        "2",
        "+2",
        "more",
        "esc",
    ]
    assert cells(alert_line(alerts, 24)) <= 24


def test_an_ended_run_says_how_to_go_on() -> None:
    assert (
        resume_text(a_state(status="finished", hparams={"epochs": 30}), "model_30.pt")
        == "R trains on to 60 epochs"
    )
    assert resume_text(a_state(status="crashed"), "model_11.pt") == "R resumes from model_11.pt"
    assert resume_text(a_state(status="failed"), "").startswith("R starts it again")


@pytest.mark.parametrize("text", ["", "abc", "0", "-1", "nan", "inf", "1e99", "1_000", "٣"])
def test_a_wrong_rate_is_explained_by_the_schema(text: str) -> None:
    problem = parse_lr(text)
    assert isinstance(problem, str)
    assert problem.startswith("expected a number")


def test_a_right_rate_is_taken() -> None:
    assert parse_lr(" 3e-4 ") == 3e-4
    assert parse_lr("1") == 1.0


def test_the_rate_of_now_is_the_newest_one_that_is_known() -> None:
    assert current_lr(a_state(row={"lr": 2e-3}, lr=1e-3)) == 2e-3
    assert current_lr(a_state(row={}, hparams={"lr": 5e-4})) == 5e-4
    assert math.isnan(current_lr(a_state(row={})))
    assert "cosine" in schedule_text(a_state(hparams={"scheduler": "cosine"}))


# ---------------------------------------------------------------------- the log


def texts(book: LogBook) -> list[str]:
    return [entry.text for entry in book.entries]


def test_the_log_holds_events_and_what_was_printed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", {"epochs": 3})
    recorder.event("phase", name="importing torch")
    recorder.event("phase", name="importing torch", seconds=2.1)
    recorder.start().end_epoch()
    recorder.event("alert", level="warning", title="loss spike", message="8.2", step=10)
    recorder.time += 1.0
    recorder.event("log", name="sample", text="first\nsecond \x1b[31mred")
    recorder.event("log", name="digits", image="media/digits-1.png")
    recorder.time += 1.0
    control = done("pause")
    recorder.event(control.pop("event"), **control)
    view = RunView(recorder.layout.root)
    view.refresh()
    book = LogBook(view)
    book.look()
    assert texts(book) == [
        "importing torch took 2.1 s",
        "checkpoint model_1.pt (best)",
        "warning: loss spike: 8.2",
        "sample:",
        "  first",
        "  second red",
        "digits: image media/digits-1.png",
        "paused at step 1,234",
    ]
    count = book.count
    recorder.layout.console_log.write_text("printed by the task\nhalf a li")
    view.refresh()
    book.look()
    assert texts(book)[count:] == ["printed by the task"]
    recorder.end("failed", "loss is not finite")
    view.refresh()
    book.look()
    assert texts(book)[-1] == "failed: loss is not finite"
    assert book.count == count + 2


def test_what_a_run_died_of_is_told_line_by_line_with_its_hint(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", {"epochs": 3}).start()
    said = {
        "title": "training failed",
        "message": "ValueError in step 3\nbatch: float32 [8, 4]",
        "hint": "x.T",
    }
    recorder.event("alert", level="error", fatal=True, **said)
    recorder.end("failed", "training failed: ValueError in step 3")
    view = RunView(recorder.layout.root)
    view.refresh()
    book = LogBook(view)
    book.look()
    assert texts(book) == [
        "error: training failed: ValueError in step 3",
        "  batch: float32 [8, 4]",
        "  hint: x.T",
        "failed: training failed: ValueError in step 3",
    ]


def test_a_record_that_was_cut_is_told_anew(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", {"epochs": 3}).start()
    position = recorder.end_epoch().writer.position()
    recorder.end_epoch()
    recorder.end("stopped", "by request")
    view = RunView(recorder.layout.root)
    view.refresh()
    book = LogBook(view)
    book.look()
    assert "checkpoint model_2.pt (best)" in texts(book)
    writer = type(recorder.writer).resume(
        recorder.layout, {}, recorder.hparams, position, clock=lambda: START + 99.0
    )
    writer.event("run_resume", step=10, epoch=1, checkpoint="checkpoints/model_1.pt")
    view.refresh()
    book.look()
    assert "checkpoint model_2.pt (best)" not in texts(book)
    assert any(text.startswith("resumed on") for text in texts(book))
    writer.close(status="stopped")


def test_a_replaced_record_tells_nothing_twice(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", {"epochs": 3}).start()
    control = done("pause")
    recorder.event(control.pop("event"), **control)
    recorder.event("log", name="note", text="kept")
    position = recorder.writer.position()
    recorder.event("log", name="note", text="lost")
    recorder.end("stopped", "by request")
    view = RunView(recorder.layout.root)
    view.refresh()
    book = LogBook(view)
    book.look()
    assert "note: lost" in texts(book)
    # Between these two a resumed trainer has cut the record, and has not said yet that it goes on.
    writer = type(recorder.writer).resume(recorder.layout, {}, recorder.hparams, position)
    for _ in range(2):
        view.refresh()
        book.look()
        assert texts(book).count("paused at step 1,234") == 1
        assert texts(book).count("note: kept") == 1
        writer.event("run_resume", step=10, epoch=1, checkpoint="checkpoints/model_1.pt")
    assert "note: lost" not in texts(book)
    writer.close(status="stopped")


def test_a_scrolled_log_stays_where_it_is_when_the_oldest_lines_go() -> None:
    pane = LogPane()
    lines = deque((f"line {k}" for k in range(20)), maxlen=20)
    for k in range(20, 25):
        pane.show_rows(20, lambda index: ((lines[-1 - index], ""),), gone=k - 20)
        if k == 20:
            pane.scroll_rows(-3)
        assert pane.text == "line 16"
        lines.append(f"line {k}")


def test_the_log_of_a_forked_run_says_where_it_began(tmp_path: Path) -> None:
    parent = {"run_id": "20261123-031415-digits-7f3a", "run_dir": "../x", "checkpoint": "2+5", "step": 1051}
    recorder = Recorder(tmp_path / "run", identity={"parent": parent})
    recorder.start(parent=parent, step=1051, epoch=2, batch=5).end_epoch()
    view = RunView(recorder.layout.root)
    book = LogBook(view)
    for _ in range(2):
        view.refresh()
        book.look()
    assert texts(book) == ["forked from 7f3a@2+5, step 1,051", "checkpoint model_1.pt (best)"]


def test_a_line_that_redraws_itself_for_ever_takes_bounded_memory(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", {"epochs": 3}).start()
    view = RunView(recorder.layout.root)
    with open(recorder.layout.console_log, "ab") as log:
        for k in range(20):
            log.write(f"\r{k} %".encode().ljust(100_000))
            log.flush()
            view.refresh()
        assert len(view._console._rest) < 400_000
        log.write(b"\r100 %\n")
    view.refresh()
    assert list(view.console) == ["100 %"]


def test_what_a_run_is_called_is_no_command_to_the_terminal(tmp_path: Path) -> None:
    view = RunView(tmp_path / "digits-\x1b[31mred")
    state = RunState(task="digits", run_id="digits-\x1b[31mred", status="running")
    line = status_line(state, Speed(lambda: 0.0), 0.0, 0.0, None, 200)
    assert view.short_id == "red"
    assert "digits-red" in plain(line)
    assert "\x1b" not in plain(line)
